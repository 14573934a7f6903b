"""A run directory survives kills, refuses what is not its own, and gives back what was put in."""

import json
import os
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from caterpillar.checks import OutputError
from caterpillar.train.run_directory import CHECKPOINT, CONFIG, METRICS, RunDirectory, create_run, resume_run

STARTED = {"rule": "sgd", "learning_rate": 0.01, "data": "mnist", "epochs": 3}


def weights_after(epoch: int) -> list[np.ndarray]:
    return [np.full((3, 2), epoch, np.float32), np.full((2, 4), -epoch, np.float32)]


def record(run: RunDirectory, epoch: int) -> None:
    run.record({"epoch": epoch, "train_loss": 1 / epoch}, weights=weights_after(epoch), velocity=weights_after(-epoch))


def run_of(path: Path, epochs: int) -> RunDirectory:
    run = create_run(path, dict(STARTED))
    for epoch in range(1, epochs + 1):
        record(run, epoch)
    run.close()
    return run


def resumed(path: Path, config: dict) -> RunDirectory:
    """Opened and closed again: tests read and record without holding the lock."""
    with resume_run(path, config) as run:
        return run


def test_what_was_recorded_comes_back(tmp_path: Path):
    run_of(tmp_path / "run", 2)
    run = resumed(tmp_path / "run", dict(STARTED))
    checkpoint = run.checkpoint()
    assert checkpoint is not None
    assert checkpoint.epoch == 2
    assert all(np.array_equal(a, b) for a, b in zip(checkpoint.weights, weights_after(2), strict=True))
    assert all(np.array_equal(a, b) for a, b in zip(checkpoint.velocity, weights_after(-2), strict=True))
    assert [array.dtype for array in checkpoint.weights] == [np.float32, np.float32]
    assert run.metrics() == [{"epoch": 1, "train_loss": 1.0}, {"epoch": 2, "train_loss": 0.5}]


def test_a_run_killed_before_its_first_epoch_starts_from_nothing(tmp_path: Path):
    run_of(tmp_path / "run", 0)
    run = resumed(tmp_path / "run", dict(STARTED))
    assert run.checkpoint() is None
    assert run.metrics() == []


@given(torn=st.integers(0, 40))
def test_a_line_past_the_checkpoint_whole_or_torn_is_dropped(torn: int):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run"
        run_of(path, 2)
        line = json.dumps({"epoch": 3, "train_loss": 0.3333}) + "\n"
        with (path / METRICS).open("a") as file:
            file.write(line[:torn])
        run = resumed(path, dict(STARTED))
        assert [metrics["epoch"] for metrics in run.metrics()] == [1, 2]
        record(run, 3)
        assert [json.loads(line)["epoch"] for line in (path / METRICS).read_text().splitlines()] == [1, 2, 3]


def test_a_lost_line_is_damage(tmp_path: Path):
    run_of(tmp_path / "run", 2)
    metrics = tmp_path / "run" / METRICS
    metrics.write_text(metrics.read_text().splitlines(keepends=True)[1])
    with pytest.raises(OutputError, match=r"metrics.jsonl is damaged: it lacks lines of the 2 finished epochs$"):
        resumed(tmp_path / "run", dict(STARTED))


@given(cut=st.integers(0, 700))
def test_a_damaged_checkpoint_is_refused_by_name(cut: int):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run"
        run_of(path, 1)
        content = (path / CHECKPOINT).read_bytes()
        assert cut < len(content)
        (path / CHECKPOINT).write_bytes(content[:cut])
        with pytest.raises(OutputError, match=r"checkpoint\.npz is damaged: "):
            resumed(path, dict(STARTED))


def test_a_checkpoint_that_would_run_code_is_refused(tmp_path: Path):
    run_of(tmp_path / "run", 1)
    np.savez(tmp_path / "run" / CHECKPOINT, weights_1=np.array([print], dtype=object))
    with pytest.raises(OutputError, match=r"checkpoint\.npz is damaged: Object arrays cannot be loaded"):
        resumed(tmp_path / "run", dict(STARTED))


def test_a_checkpoint_of_another_run_is_refused(tmp_path: Path):
    run_of(tmp_path / "run", 1)
    with create_run(tmp_path / "other", {**STARTED, "rule": "cp"}) as other:
        record(other, 1)
    (tmp_path / "other" / CHECKPOINT).replace(tmp_path / "run" / CHECKPOINT)
    with pytest.raises(OutputError, match=r"checkpoint\.npz belongs to another run than config\.json beside it$"):
        resumed(tmp_path / "run", dict(STARTED))


def test_a_field_that_differs_is_named_with_both_values(tmp_path: Path):
    run_of(tmp_path / "run", 1)
    before = {file.name: file.read_bytes() for file in (tmp_path / "run").iterdir()}
    with pytest.raises(OutputError, match=r"^--resume: learning_rate of the run .*/run is 0.01, got 0.02; it cannot"):
        resumed(tmp_path / "run", {**STARTED, "learning_rate": 0.02})
    assert {file.name: file.read_bytes() for file in (tmp_path / "run").iterdir()} == before


def test_a_run_may_be_prolonged_but_not_cut(tmp_path: Path):
    run_of(tmp_path / "run", 2)
    resumed(tmp_path / "run", {**STARTED, "epochs": 5})
    assert json.loads((tmp_path / "run" / CONFIG).read_text())["epochs"] == 5
    with pytest.raises(OutputError, match=r"^--epochs 1 is less than the 2 that the run .* has finished$"):
        resumed(tmp_path / "run", {**STARTED, "epochs": 1})


def test_an_existing_run_is_not_overwritten(tmp_path: Path):
    run_of(tmp_path / "run", 1)
    before = {file.name: file.read_bytes() for file in (tmp_path / "run").iterdir()}
    with pytest.raises(OutputError, match=r"^--out .*/run holds a run already; go on with it with --resume"):
        create_run(tmp_path / "run", dict(STARTED))
    assert {file.name: file.read_bytes() for file in (tmp_path / "run").iterdir()} == before


def test_places_where_no_run_can_be(tmp_path: Path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(OutputError, match=r"file is a file; it must be a new or empty folder$"):
        create_run(tmp_path / "file", dict(STARTED))
    with pytest.raises(OutputError, match=r"^--out .*/file/run cannot be made: Not a directory$"):
        create_run(tmp_path / "file" / "run", dict(STARTED))
    with pytest.raises(OutputError, match=r"is not empty; it must be a new or empty folder$"):
        create_run(tmp_path, dict(STARTED))
    assert (tmp_path / "file").read_text() == "mine"


def test_a_read_only_folder_is_refused_before_anything_is_run():
    """Root may write anywhere, so root first becomes nobody."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "empty").mkdir()
        for path in (Path(folder) / "empty", Path(folder)):
            path.chmod(0o555)
        me = os.geteuid()
        if me == 0:
            os.seteuid(65534)
        try:
            with pytest.raises(OutputError, match=r"^--out .*/new cannot be made: Permission denied$"):
                create_run(Path(folder) / "new", dict(STARTED))
            with pytest.raises(OutputError, match=r"/empty/config.json cannot be written: Permission denied$"):
                create_run(Path(folder) / "empty", dict(STARTED))
        finally:
            os.seteuid(me)
            Path(folder).chmod(0o755)


def test_nothing_to_resume(tmp_path: Path):
    with pytest.raises(OutputError, match=r"^--resume: .*/none holds no run \(config.json is missing\)$"):
        resumed(tmp_path / "none", dict(STARTED))
    (tmp_path / CONFIG).write_text("{")
    with pytest.raises(OutputError, match=r"config\.json is damaged: "):
        resumed(tmp_path, dict(STARTED))


def test_a_full_disk_keeps_the_checkpoint_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    run = run_of(tmp_path / "run", 1)

    def no_space(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(OutputError, match=r"cannot be written: No space left on device$"):
        record(run, 2)
    monkeypatch.undo()
    checkpoint = resumed(tmp_path / "run", dict(STARTED)).checkpoint()
    assert checkpoint is not None
    assert checkpoint.epoch == 1


def test_two_processes_cannot_write_one_run(tmp_path: Path):
    refusal = pytest.raises(OutputError, match=r"^the run .*/run is being written by another process$")
    with create_run(tmp_path / "run", dict(STARTED)), refusal:  # locks bind open folders: one process can play both
        resumed(tmp_path / "run", dict(STARTED))
    assert resumed(tmp_path / "run", dict(STARTED)).metrics() == []
