"""Confirming a front: the simulator's counts beside the sweep's estimates."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest
from pyarrow import parquet

from caterpillar.checks import OutputError
from caterpillar.explore import Sweep, confirm, explore, plan_sweep


def best_sweep(**words: object) -> Sweep:
    usual: dict[str, object] = {
        "network": "30-20-10",
        "rule": ["sgd"],
        "mapping": "best",
        "machine": {"cores_per_row": [1, 2], "pe_rows": [2, 4], "pe_cols": 2, "ring_words_per_cycle": "pe_rows"},
        "objectives": {"gflops_per_watt": "max", "cycles_per_sample": "min"},
    }
    return Sweep(**(usual | words))


def test_an_estimate_of_a_schedule_is_what_the_simulator_counts(tmp_path: Path) -> None:
    sweep = best_sweep()
    explore(sweep, tmp_path / "out")
    found = confirm(plan_sweep(sweep), tmp_path / "out")
    assert found
    for one in found:
        assert (one.mapping, one.reason) == ("best", None)
        assert one.cycles_per_sample == pytest.approx(one.estimated_cycles_per_sample, rel=1e-12)
        assert one.utilization == pytest.approx(one.estimated_utilization, rel=1e-12)
        assert one.gflops_per_watt == pytest.approx(one.estimated_gflops_per_watt, rel=1e-12)
    stored = parquet.read_table(tmp_path / "out" / "confirmed.parquet")
    assert stored["point"].to_pylist() == [one.point for one in found]


def test_what_cannot_be_executed_keeps_its_reason(tmp_path: Path) -> None:
    sweep = best_sweep(mapping="paper", machine={"base": "paper-a", "pe_cols": 3})
    explore(sweep, tmp_path / "out")
    found = confirm(plan_sweep(sweep), tmp_path / "out")
    refused = [one for one in found if one.mapping == "best"]
    assert refused
    assert all(one.cycles_per_sample is None and "power of two" in (one.reason or "") for one in refused)


def test_networks_that_differ_in_inputs_only_are_confirmed_each_as_itself(tmp_path: Path) -> None:
    (tmp_path / "few.toml").write_text("sizes = [16, 30, 20, 10]\n")
    sweep = best_sweep(
        network=["30-20-10", str(tmp_path / "few.toml")], objectives={"utilization": "max", "area_mm2": "min"}
    )
    plan = plan_sweep(sweep)
    explore(sweep, tmp_path / "out")
    for one in confirm(plan, tmp_path / "out"):
        assert one.network == ("30-20-10", "30-20-10 (16 inputs)")[one.point // plan.machines]
        assert one.cycles_per_sample == pytest.approx(one.estimated_cycles_per_sample, rel=1e-12)


def test_a_machine_is_executed_once_for_all_price_tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sweep = best_sweep(prices=["paper", "cacti"])
    explore(sweep, tmp_path / "out")
    calls, module = [], import_module("caterpillar.simulate")
    count = module.count
    monkeypatch.setattr(module, "count", lambda schedule, samples: calls.append(samples) or count(schedule, samples))
    plan = plan_sweep(sweep)
    found = confirm(plan, tmp_path / "out")
    machines = [one.point % plan.machines for one in found]
    assert {one.prices for one in found} == {"paper", "cacti"}
    assert len(set(machines)) < len(machines)
    assert len(calls) == 2 * len(set(machines))
    for one in found:
        assert one.gflops_per_watt == pytest.approx(one.estimated_gflops_per_watt, rel=1e-12)


def test_a_plan_of_another_sweep_is_refused(tmp_path: Path) -> None:
    explore(best_sweep(), tmp_path / "out")
    with pytest.raises(OutputError, match="holds another sweep"):
        confirm(plan_sweep(best_sweep(network="20-20-10")), tmp_path / "out")
