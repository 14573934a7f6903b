"""What the micro-programs of both mappings take, for the rows that have them: counted, not fitted.

The counts are those of the loops of the micro-programs, which equal the simulator's (tests/simulate, tests/estimate).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from caterpillar.checks import Infeasible, UsageError
from caterpillar.cost import PAPER, energy_pj
from caterpillar.machine import Machine
from caterpillar.network import Network
from caterpillar.reproduce.paper import rule_of_label

MAPPINGS = ("paper", "best")


@dataclass(frozen=True, slots=True, kw_only=True)
class Executed:
    """A sample's share of a steady tick. utilization: of useful multiply-adds, without the first layer's input error.

    gflops_per_watt: 2 flops a useful multiply-add over all energy, at the paper's prices.
    """

    cycles_per_sample: float
    utilization: float
    gflops_per_watt: float


@cache
def executed(network: Network, label: str, machine: Machine, mapping: str) -> Executed | None:
    """A rule's steady tick on a machine; None where the mapping has no micro-programs for it, or it does not fit."""
    from caterpillar.estimate.schedule import predict  # numpy is slow to import
    from caterpillar.mapping import place

    try:
        schedule = place(rule_of_label(label)(network), machine, mapping=mapping)
    except UsageError:
        return None
    if isinstance(schedule, Infeasible):
        return None
    tick = predict(schedule).tick
    picojoules = sum(energy_pj(tick.counters, PAPER.of(machine)).values()) / schedule.batch
    return Executed(
        cycles_per_sample=schedule.cycles_per_sample,
        utilization=schedule.utilization,
        gflops_per_watt=2000 * schedule.macs_per_sample / picojoules,
    )
