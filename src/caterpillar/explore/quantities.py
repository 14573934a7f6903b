"""What can be an objective or a constraint: quantities of a point, with their units and their bounds."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import Literal

Sense = Literal["min", "max"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantity:
    """A column of numbers: its unit, the greatest value that there can be (the least is 0), and what it says."""

    unit: str
    says: str
    most: float = inf


QUANTITIES: dict[str, Quantity] = {
    "cycles_per_sample": Quantity(unit="cycles", says="machine cycles a sample"),
    "utilization": Quantity(unit="", says="useful MACs / (PEs x cycles)", most=1.0),
    "seconds_per_sample": Quantity(unit="s", says="time a sample"),
    "seconds_per_tick": Quantity(unit="s", says="time a tick, which takes a batch in"),
    "seconds_per_epoch": Quantity(unit="s", says="time for epoch_samples samples"),
    "seconds_to_accuracy": Quantity(unit="s", says="time to accuracy_percent"),
    "energy_j_per_sample": Quantity(unit="J", says="energy a sample"),
    "energy_low_j_per_sample": Quantity(unit="J", says="the same with every price at the low end of its range"),
    "energy_high_j_per_sample": Quantity(unit="J", says="the same with every price at the high end"),
    "energy_j_per_tick": Quantity(unit="J", says="energy a tick"),
    "energy_j_per_epoch": Quantity(unit="J", says="energy for epoch_samples samples"),
    "energy_j_to_accuracy": Quantity(unit="J", says="energy to accuracy_percent"),
    "epochs_to_accuracy": Quantity(unit="epochs", says="epochs to accuracy_percent, from the convergence study"),
    "power_w": Quantity(unit="W", says="energy over time"),
    "area_mm2": Quantity(unit="mm2", says="area of the machine"),
    "gflops": Quantity(unit="GFLOPS", says="2 flops a useful MAC over the time"),
    "gflops_per_watt": Quantity(unit="GFLOPS/W", says="2 flops a useful MAC over the energy"),
    "gflops_per_mm2": Quantity(unit="GFLOPS/mm2", says="gflops over the area"),
    "pes": Quantity(unit="PEs", says="PEs of the machine"),
    "off_core_words": Quantity(unit="words", says="words of matrices that find no room in the PEs"),
}
TO_ACCURACY = ("seconds_to_accuracy", "energy_j_to_accuracy", "epochs_to_accuracy")
