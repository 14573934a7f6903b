"""The same results from any workers, after any kill; a folder holds one sweep."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from hashlib import sha256
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from pyarrow import parquet

from caterpillar.checks import CaterpillarError, OutputError, UsageError
from caterpillar.explore import Exploration, Sweep, explore, pareto_front, plan_sweep, read_provenance, read_results
from caterpillar.explore.results import objective_values

MakeSweep = Callable[..., Sweep]
SIZE = 48  # points a chunk: eight chunks


@pytest.fixture
def expected(sweep: MakeSweep, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The results of one process that nothing disturbs."""
    folder = tmp_path_factory.mktemp("expected")
    explore(sweep(), folder, chunk_points=SIZE)
    return (folder / "results.parquet").read_bytes()


def results(folder: Path) -> bytes:
    return (folder / "results.parquet").read_bytes()


def test_one_process_gives_every_point_and_the_front(sweep: MakeSweep, tmp_path: Path) -> None:
    done = explore(sweep(), tmp_path, chunk_points=SIZE)
    table = read_results(tmp_path)
    rows = table.to_pylist()
    assert sorted(row["point"] for row in rows) == list(range(384))
    assert (done.points, done.feasible) == (384, sum(row["feasible"] for row in rows))
    assert sum(done.reasons.values()) == 384 - done.feasible > 0
    feasible = table.filter(table["feasible"])
    on_front = pareto_front(objective_values(plan_sweep(sweep()), feasible))
    assert feasible["front"].to_pylist() == on_front.tolist()
    assert done.front == on_front.sum() > 1


def test_every_price_table_has_its_own_front(sweep: MakeSweep, tmp_path: Path) -> None:
    words = {"rule": ["sgd", "cp"], "objectives": {"gflops_per_watt": "max", "area_mm2": "min"}}
    explore(sweep(prices=["paper", "cacti"], **words), tmp_path / "both", chunk_points=SIZE)
    both = read_results(tmp_path / "both", "front").to_pylist()
    for prices in ("paper", "cacti"):
        explore(sweep(prices=prices, **words), tmp_path / prices)
        alone = [{**row, "point": 0} for row in read_results(tmp_path / prices, "front").to_pylist()]
        here = [{**row, "point": 0} for row in both if row["prices"] == prices]
        assert sorted(here, key=repr) == sorted(alone, key=repr)
        assert alone


def test_placed_machines_are_chunks_of_their_own_and_placed_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep = Sweep(
        network="31-23-10",
        rule="sgd",
        mapping="best",
        prices=["paper", "horowitz", "cacti"],
        machine={"cores_per_row": [1, 2], "pe_rows": [2, 4], "pe_cols": 2, "ring_words_per_cycle": "pe_rows"},
        objectives={"gflops_per_watt": "max"},
    )
    placed, reports = [], []
    module = import_module("caterpillar.mapping")
    place = module.place
    monkeypatch.setattr(
        module, "place", lambda program, machine, **way: placed.append(machine) or place(program, machine, **way)
    )
    explore(sweep, tmp_path, on_progress=lambda *report: reports.append(report))
    assert len(placed) == len(set(placed)) == 4
    assert [done for _, done, _ in reports] == [1, 2, 3, 4]
    table = read_results(tmp_path)
    assert sorted(table["point"].to_pylist()) == list(range(12))
    assert parquet.read_metadata(tmp_path / "results.parquet").num_row_groups == 1


def test_results_say_where_they_come_from(sweep: MakeSweep, tmp_path: Path) -> None:
    text = "# as its author wrote it\n"
    explore(sweep(seed=7), tmp_path, text=text)
    origin = read_provenance(tmp_path)
    assert origin["sweep"] == text
    assert origin["sweep_sha256"] == sha256(text.encode()).hexdigest()
    assert set(json.loads(origin["versions"])) >= {"python", "caterpillar-cgra", "numpy", "pyarrow"}
    assert origin["seed"] == "7"
    assert json.loads(origin["resolved"])["machine"]["pe_sram_bytes"] == [2048, 16384]


def test_two_processes_give_the_same(sweep: MakeSweep, tmp_path: Path, expected: bytes) -> None:
    explore(sweep(), tmp_path, workers=2, chunk_points=SIZE)
    assert results(tmp_path) == expected


def test_a_rerun_does_only_what_is_missing(
    sweep: MakeSweep, tmp_path: Path, expected: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    explore(sweep(), tmp_path, chunk_points=SIZE)
    for place in (2, 5):
        (tmp_path / "chunks" / f"{place:06d}.parquet").unlink()
    strays = [tmp_path / "chunks" / name for name in (".000002.parquet.99.part", "000005.parquet.99")]
    for stray in strays:
        stray.write_bytes(b"torn")
    (tmp_path / "results.parquet").unlink()
    module = sys.modules["caterpillar.explore.explore"]
    chunk, again = module._chunk, []
    monkeypatch.setattr(module, "_chunk", lambda *args: again.append(args[2]) or chunk(*args))
    explore(sweep(), tmp_path, chunk_points=SIZE)
    assert again == [2, 5]
    assert not any(stray.exists() for stray in strays)
    assert results(tmp_path) == expected


def test_a_damaged_chunk_is_named(sweep: MakeSweep, tmp_path: Path, expected: bytes) -> None:
    explore(sweep(), tmp_path, chunk_points=SIZE)
    damaged = tmp_path / "chunks" / "000003.parquet"
    damaged.write_bytes(damaged.read_bytes()[:200])
    with pytest.raises(OutputError, match=r"000003.parquet is damaged, remove it and run the sweep again: "):
        explore(sweep(), tmp_path, chunk_points=SIZE)
    damaged.unlink()
    explore(sweep(), tmp_path, chunk_points=SIZE)
    assert results(tmp_path) == expected


def kill_one_worker(seen: list[int]) -> Callable[..., None]:
    """A progress callback that kills a worker process of joblib when the first chunk is done."""
    psutil = pytest.importorskip("psutil")

    def is_worker(process: Any) -> bool:
        try:
            return any("loky.backend.popen" in argument for argument in process.cmdline())
        except psutil.Error:  # it has ended, and is still listed
            return False

    def progress(*_: object) -> None:
        if not seen:
            workers = [child for child in psutil.Process().children() if is_worker(child)]
            os.kill(workers[0].pid, signal.SIGKILL)
            seen.append(workers[0].pid)

    return progress


def test_a_killed_worker_changes_nothing(sweep: MakeSweep, tmp_path: Path, expected: bytes) -> None:
    killed: list[int] = []
    explore(sweep(), tmp_path, workers=2, chunk_points=SIZE, on_progress=kill_one_worker(killed))
    assert killed
    assert results(tmp_path) == expected


def test_workers_that_always_die_end_the_sweep(
    sweep: MakeSweep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.modules["caterpillar.explore.explore"], "_chunk", _die)
    with pytest.raises(CaterpillarError, match="workers die before they finish a chunk; 0 of 8 chunks are in"):
        explore(sweep(), tmp_path, workers=2, chunk_points=SIZE)


def _die(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_killed_driver_goes_on(sweep: MakeSweep, tmp_path: Path, expected: bytes) -> None:
    folder = tmp_path / "out"
    words = json.dumps(asdict(sweep()))
    code = (
        "import json, sys, time\nfrom pathlib import Path\nfrom caterpillar.explore import Sweep, explore\n"
        "explore(Sweep(**json.loads(sys.argv[1])), Path(sys.argv[2]), chunk_points=48, "
        "on_progress=lambda *_: time.sleep(0.5))"
    )
    driver = subprocess.Popen([sys.executable, "-c", code, words, str(folder)])
    while len(list(folder.glob("chunks/0*.parquet"))) < 3:
        assert driver.poll() is None
        time.sleep(0.02)
    driver.kill()
    driver.wait()
    finished = {path: path.stat().st_mtime_ns for path in folder.glob("chunks/0*.parquet")}
    assert 3 <= len(finished) < 8
    assert not (folder / "results.parquet").exists()
    explore(sweep(), folder, chunk_points=SIZE)
    assert {path: path.stat().st_mtime_ns for path in finished} == finished
    assert results(folder) == expected


def test_a_folder_holds_one_sweep(sweep: MakeSweep, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    first = explore(sweep(), folder)
    assert isinstance(first, Exploration)
    assert explore(sweep(), folder) == first
    with pytest.raises(OutputError, match="holds another sweep; name another folder"):
        explore(sweep(seed=1), folder)
    about = json.loads((folder / "sweep.json").read_text())
    (folder / "sweep.json").write_text(json.dumps(about | {"versions": "older ones"}))
    with pytest.raises(OutputError, match="has chunks of older ones, this is"):
        explore(sweep(), folder)
    (folder / "sweep.json").write_text("{")
    with pytest.raises(OutputError, match=r"sweep.json is damaged"):
        explore(sweep(), folder)
    (tmp_path / "file").write_text("")
    for place in (tmp_path, tmp_path / "file"):
        with pytest.raises(OutputError, match="must be a new or empty folder, or one of this sweep"):
            explore(sweep(), place)


def test_two_drivers_do_not_meet(sweep: MakeSweep, tmp_path: Path) -> None:
    def again(*_: object) -> None:
        with pytest.raises(OutputError, match="is being written by another process"):
            explore(sweep(), tmp_path)

    explore(sweep(), tmp_path, on_progress=again)


def test_wrong_words_leave_no_folder(sweep: MakeSweep, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--workers must be an int of at least 1, got 0"):
        explore(sweep(), tmp_path / "out", workers=0)
    with pytest.raises(UsageError, match="unknown key"):
        explore(sweep(machine={"rows": 3}), tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.fixture(scope="module")
def cluster() -> Any:
    """A dask cluster of two worker processes on the loopback interface."""
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address=None
    ) as cluster:
        yield cluster


def test_a_dask_cluster_gives_the_same(sweep: MakeSweep, tmp_path: Path, cluster: Any, expected: bytes) -> None:
    explore(sweep(), tmp_path, dask=cluster.scheduler_address, chunk_points=SIZE)
    assert results(tmp_path) == expected


def test_a_killed_dask_worker_changes_nothing(sweep: MakeSweep, tmp_path: Path, cluster: Any, expected: bytes) -> None:
    killed: list[int] = []

    def progress(*_: object) -> None:
        if not killed:
            killed.append(cluster.workers[0].process.pid)
            os.kill(killed[0], signal.SIGKILL)

    explore(sweep(), tmp_path, dask=cluster.scheduler_address, chunk_points=SIZE, on_progress=progress)
    assert killed
    assert results(tmp_path) == expected


def test_an_address_where_no_scheduler_is_is_refused(sweep: MakeSweep, tmp_path: Path) -> None:
    pytest.importorskip("distributed")
    with pytest.raises(UsageError, match="--dask must be local or the address of a scheduler, got 'nonsense'"):
        explore(sweep(), tmp_path, dask="nonsense")
