"""Sweeps that take an instant."""

from collections.abc import Callable
from typing import Any

import pytest

from caterpillar.explore import Sweep


@pytest.fixture
def sweep() -> Callable[..., Sweep]:
    """A sweep of 384 points, 48 machines and 8 works, some of them infeasible; words given replace its own."""

    def sweep(**words: Any) -> Sweep:
        usual: dict[str, Any] = {
            "network": ["500-500-500-10", "100-10"],
            "rule": ["sgd", "cp", "mbgd"],
            "batch": [8, 50],
            "machine": {
                "cores_per_row": [2, 8, 16],
                "pe_rows": {"from": 2, "to": 16, "times": 2},
                "ring_words_per_cycle": "pe_rows",
                "pe_sram_bytes": [2048, 16384],
                "neighbour_links": [False, True],
            },
            "constraints": {"area_mm2": {"max": 103.2}},
            "objectives": {"gflops_per_watt": "max", "area_mm2": "min", "seconds_per_sample": "min"},
        }
        return Sweep(**(usual | words))

    return sweep
