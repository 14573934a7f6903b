"""Searches: seeded, resumable, and as good as the grid where it is small."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from caterpillar.explore import Sweep, explore, plan_sweep, read_results
from caterpillar.explore import search as search_module

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

    def judge_until_killed(plan, point, trial):
        if len(calls) == 7:
            raise KeyboardInterrupt
        calls.append(point)
        return judged(plan, point, trial)

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


def test_a_finished_search_is_not_run_again(sweep: MakeSweep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = sweep(search={"sampler": "tpe", "trials": 5})
    first = explore(words, tmp_path)
    monkeypatch.setattr(search_module, "_judge", lambda *_: pytest.fail("judged again"))
    assert explore(words, tmp_path) == first


def test_networks_that_differ_in_activation_only_are_both_proposed(sweep: MakeSweep, tmp_path: Path) -> None:
    (tmp_path / "tanh.toml").write_text('sizes = [784, 100, 10]\nactivation = "tanh"\n')
    words = sweep(network=["100-10", str(tmp_path / "tanh.toml")], search={"sampler": "nsga2", "trials": 12})
    explore(words, tmp_path / "out")
    met = read_results(tmp_path / "out").to_pylist()
    plan = plan_sweep(words)
    assert {row["network"] for row in met} == {"100-10", "100-10 (tanh)"}
    assert all(row["network"] == plan.works[row["point"] // plan.machines].label("network") for row in met)
