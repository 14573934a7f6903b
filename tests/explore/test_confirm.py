"""Confirming a front: the simulator's counts beside the sweep's estimates."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyarrow import parquet

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
