"""The machines that exploration found keep what docs/beyond.md says of them, as the simulator counts it."""

from __future__ import annotations

import pytest

from caterpillar.cost import CACTI, PAPER, Pricing, area_mm2, energy_pj
from caterpillar.machine import MACHINES
from caterpillar.mapping import Schedule, place
from caterpillar.network import parse_network
from caterpillar.rules import sgd
from caterpillar.simulate import count

N1 = parse_network("500-500-500-10")


@pytest.mark.parametrize(
    ("name", "prices", "gflops_per_watt", "utilization", "area"),
    [
        ("lean-sgd", PAPER, 411, 0.90, 24.6),
        ("wide-sgd", PAPER, 399, 0.84, 51.5),
        ("small-sgd", CACTI, 297, 0.84, 33.2),
    ],
)
def test_sgd_on_the_small_network(
    name: str, prices: Pricing, gflops_per_watt: float, utilization: float, area: float
) -> None:
    """The paper: 177 GFLOPS/W in 103.2 mm2 at 72.9 % (Fig. 10)."""
    machine = MACHINES[name]
    schedule = place(sgd()(N1), machine)
    assert isinstance(schedule, Schedule)
    (_, two), (_, three) = count(schedule, 2), count(schedule, 3)
    energy = sum(energy_pj(three + two * -1, prices.of(machine)).values())
    assert 2000 * schedule.macs_per_sample / energy > gflops_per_watt
    assert schedule.utilization > utilization
    assert sum(area_mm2(machine, prices).values()) < area
    assert (machine.node_nm, machine.clock_hz) == (45, 1e9)
