"""What can be an objective or a constraint: quantities of a point, with their units and their bounds."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import Literal

Sense = Literal["min", "max"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantity:
    """A column of numbers: a title, its unit, what it says, the greatest value that there can be (the least is 0)."""

    title: str
    unit: str
    says: str
    most: float = inf

    @property
    def label(self) -> str:
        """Title and unit."""
        return f"{self.title} [{self.unit}]" if self.unit else self.title


QUANTITIES: dict[str, Quantity] = {
    "cycles_per_sample": Quantity(title="cycles a sample", unit="cycles", says="machine cycles a sample"),
    "utilization": Quantity(title="utilization", unit="", says="useful MACs / (PEs x cycles)", most=1.0),
    "seconds_per_sample": Quantity(title="time a sample", unit="s", says="time a sample"),
    "seconds_per_tick": Quantity(title="time a tick", unit="s", says="time a tick, which takes a batch in"),
    "seconds_per_epoch": Quantity(title="time an epoch", unit="s", says="time for epoch_samples samples"),
    "seconds_to_accuracy": Quantity(title="time to accuracy", unit="s", says="time to accuracy_percent"),
    "energy_j_per_sample": Quantity(title="energy a sample", unit="J", says="energy a sample"),
    "energy_low_j_per_sample": Quantity(
        title="energy a sample, prices low", unit="J", says="the same with every price at the low end of its range"
    ),
    "energy_high_j_per_sample": Quantity(
        title="energy a sample, prices high", unit="J", says="the same with every price at the high end"
    ),
    "energy_j_per_tick": Quantity(title="energy a tick", unit="J", says="energy a tick"),
    "energy_j_per_epoch": Quantity(title="energy an epoch", unit="J", says="energy for epoch_samples samples"),
    "energy_j_to_accuracy": Quantity(title="energy to accuracy", unit="J", says="energy to accuracy_percent"),
    "epochs_to_accuracy": Quantity(
        title="epochs to accuracy", unit="epochs", says="epochs to accuracy_percent, from the convergence study"
    ),
    "power_w": Quantity(title="power", unit="W", says="energy over time"),
    "area_mm2": Quantity(title="area", unit="mm2", says="area of the machine"),
    "gflops": Quantity(title="speed", unit="GFLOPS", says="2 flops a useful MAC over the time"),
    "gflops_per_watt": Quantity(title="efficiency", unit="GFLOPS/W", says="2 flops a useful MAC over the energy"),
    "gflops_per_mm2": Quantity(title="speed by area", unit="GFLOPS/mm2", says="gflops over the area"),
    "pes": Quantity(title="PEs", unit="PEs", says="PEs of the machine"),
    "off_core_words": Quantity(
        title="words off-core", unit="words", says="words of matrices that find no room in the PEs"
    ),
}
TO_ACCURACY = ("seconds_to_accuracy", "energy_j_to_accuracy", "epochs_to_accuracy")
