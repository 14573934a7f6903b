"""Pictures of a sweep are drawn where there is something to show."""

from pathlib import Path
from typing import Any

import pytest

from caterpillar.explore import Sweep, explore, plan_sweep
from caterpillar.report.sweeps import save_sweep_pictures

WORDS: dict[str, Any] = {
    "network": ["500-500-500-10", "100-10"],
    "rule": ["cp", "mbgd"],
    "batch": 8,
    "machine": {"cores_per_row": [4, 8], "pe_sram_bytes": [2048, 16384]},
    "objectives": {"gflops_per_watt": "max", "area_mm2": "min"},
}


@pytest.mark.parametrize(
    ("words", "names"),
    [
        ({}, ["pareto", "parallel", "utilization", "crossover"]),
        ({"rule": "cp"}, ["pareto", "parallel", "utilization"]),
        (
            {"objectives": {"gflops": "max"}, "rule": "cp", "network": "100-10", "machine": {"cores_per_row": [1, 2]}},
            ["utilization"],
        ),
        ({"machine": {}, "rule": "cp", "network": "100-10"}, ["pareto"]),
        ({"constraints": {"gflops": {"max": 0.001}}}, []),
    ],
)
def test_pictures(words: dict[str, Any], names: list[str], tmp_path: Path) -> None:
    sweep = Sweep(**(WORDS | words))
    explore(sweep, tmp_path)
    paths = save_sweep_pictures(plan_sweep(sweep), tmp_path)
    assert paths == [tmp_path / f"{name}.png" for name in names]
    assert sorted(tmp_path.glob("*.png")) == sorted(paths)
    assert all(path.stat().st_size > 5000 for path in paths)
