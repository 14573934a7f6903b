"""Searches: seeded, resumable, and as good as the grid where it is small."""

import json
from collections.abc import Callable
from importlib import import_module
from math import inf
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caterpillar.checks import UsageError
from caterpillar.explore import Sweep, explore, plan_sweep, read_results
from caterpillar.explore import search as search_module
from caterpillar.explore.plan import Bounds

pytest.importorskip("optuna")
MakeSweep = Callable[..., Sweep]


@pytest.mark.parametrize("sampler", ["nsga2", "tpe"])
def test_a_search_is_seeded_and_meets_good_points(sweep: MakeSweep, tmp_path: Path, sampler: str) -> None:
    words = {"network": "500-500-500-10", "objectives": {"gflops_per_watt": "max", "area_mm2": "min"}}
    asked = {"sampler": sampler, "trials": 60}
    done = explore(sweep(search=asked, seed=3, **words), tmp_path / "a")
    explore(sweep(search=asked, seed=3, **words), tmp_path / "b")
    assert (tmp_path / "a" / "results.parquet").read_bytes() == (tmp_path / "b" / "results.parquet").read_bytes()
    explore(sweep(**words), tmp_path / "grid")
    whole = {row["point"]: row for row in read_results(tmp_path / "grid").to_pylist()}
    met = read_results(tmp_path / "a").to_pylist()
    assert 20 <= done.points == len(met) <= 60
    for row in met:  # the same figures as in the grid; the front is that of the points met
        assert {**row, "front": None} == {**whole[row["point"]], "front": None}
    best = max(row["gflops_per_watt"] for row in whole.values() if row["feasible"])
    assert max(row["gflops_per_watt"] for row in met if row["feasible"]) > 0.95 * best


def test_a_killed_search_goes_on(sweep: MakeSweep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = sweep(search={"sampler": "nsga2", "trials": 12})
    judged = search_module._judge
    calls: list[int] = []

    def judge_until_killed(plan, table, trial):
        if len(calls) == 7:
            raise KeyboardInterrupt
        calls.extend(table["point"].to_pylist())
        return judged(plan, table, trial)

    monkeypatch.setattr(search_module, "_judge", judge_until_killed)
    with pytest.raises(KeyboardInterrupt):
        explore(words, tmp_path)
    journal = tmp_path / "study.journal"
    with journal.open("a") as file:
        file.write('{"op_code": 5, "tor')
    monkeypatch.setattr(search_module, "_judge", judged)
    explore(words, tmp_path)
    assert set(calls) <= set(read_results(tmp_path)["point"].to_pylist())
    states = [json.loads(line).get("state") for line in journal.read_text().splitlines()]
    assert states.count(1) == 12
    assert states.count(3) == 1  # complete; failed: the one under way at the kill


def test_a_placed_machine_is_placed_once(sweep: MakeSweep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module, placed = import_module("caterpillar.mapping"), []
    place = module.place
    monkeypatch.setattr(
        module, "place", lambda program, *args, **way: placed.append(args) or place(program, *args, **way)
    )
    machine = {"cores_per_row": [1, 2, 4], "pe_rows": [2, 4], "pe_cols": 2, "ring_words_per_cycle": "pe_rows"}
    asked = {"sampler": "nsga2", "trials": 10}
    words = {"network": "31-22-10", "rule": "sgd", "mapping": "best", "constraints": {}}
    done = explore(sweep(search=asked, machine=machine, **words), tmp_path / "out")
    assert 1 < done.points == len(placed) == len(set(placed)) <= 6
    points = read_results(tmp_path / "out")["point"].to_pylist()
    assert points == sorted(points)


def test_workers_are_refused(sweep: MakeSweep, tmp_path: Path) -> None:
    for words in ({"workers": 2}, {"dask": "local"}):
        with pytest.raises(UsageError, match=r"a \[search\] runs in one process: --workers and --dask are for"):
            explore(sweep(search={"trials": 5}), tmp_path / "out", **words)
    assert not (tmp_path / "out").exists()


def test_a_finished_search_is_not_run_again(sweep: MakeSweep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = sweep(search={"sampler": "tpe", "trials": 5})
    first = explore(words, tmp_path)
    monkeypatch.setattr(search_module, "_judge", lambda *_: pytest.fail("judged again"))
    assert explore(words, tmp_path) == first


@given(
    low=st.floats(0, 1e6),
    width=st.one_of(st.just(inf), st.floats(0, 1e6)),
    values=st.tuples(st.floats(0, 3e6), st.floats(0, 3e6)),
)
def test_a_bound_says_how_far_off_a_value_is(low: float, width: float, values: tuple[float, float]) -> None:
    bounds = Bounds(quantity="gflops", least=low, most=low + width)
    near, far = (max(low - value, value - bounds.most) for value in values)
    for value, distance in zip(values, (near, far), strict=True):
        off = bounds.off(value)
        assert (off > 0) == (distance > 0) or abs(distance) < 1e-12 * max(1, low)
        if distance > 0:
            bound = low if value < low else bounds.most
            assert off == pytest.approx(distance / bound if bound else distance, rel=1e-6, abs=1e-15)


def test_what_a_point_misses_is_all_that_counts_against_it(sweep: MakeSweep) -> None:
    bounds = {"gflops": {"min": 500.0}, "area_mm2": {"max": 60.0}}
    plan = plan_sweep(sweep(constraints=bounds | {"fits": True}, search={"trials": 1}))
    met = set()
    for place, work in enumerate(plan.works):
        first = place * plan.machines
        for row in search_module._evaluate(plan, list(range(first, first + plan.machines))).to_pylist():
            off = search_module._violations(plan, work, row)
            total = sum(value for value in off.values() if value > 0)
            assert (total == 0) == row["feasible"]
            if row["cycles_per_sample"] is None:
                assert total == row["needs_bytes"] / row["has_bytes"] - 1
                continue
            missing = max(0.0, 1 - row["gflops"] / 500) + max(0.0, row["area_mm2"] / 60 - 1)
            assert total == pytest.approx(missing + row["off_core_words"] / work.network.weights)
            met.add(tuple(name for name, value in off.items() if value > 0))
    assert {(), ("gflops",), ("area_mm2",)} <= met
    assert any("fits" in names for names in met)


def test_networks_that_differ_in_activation_only_are_both_proposed(sweep: MakeSweep, tmp_path: Path) -> None:
    (tmp_path / "tanh.toml").write_text('sizes = [784, 100, 10]\nactivation = "tanh"\n')
    words = sweep(network=["100-10", str(tmp_path / "tanh.toml")], search={"sampler": "nsga2", "trials": 12})
    explore(words, tmp_path / "out")
    met = read_results(tmp_path / "out").to_pylist()
    plan = plan_sweep(words)
    assert {row["network"] for row in met} == {"100-10", "100-10 (tanh)"}
    assert all(row["network"] == plan.works[row["point"] // plan.machines].label("network") for row in met)
