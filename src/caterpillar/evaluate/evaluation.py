"""What an evaluation says, and how each figure is defined."""

from __future__ import annotations

from dataclasses import dataclass

from caterpillar.counters import Counters
from caterpillar.machine import Machine
from caterpillar.network import Network

PJ_PER_J = 1e12


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """A learning rule training a network on a machine, per sample of the steady state.

    rule and batch: its name and its samples a batch. mapping, prices, numerics: names.
    executed: whether it is of a schedule that the simulator executes, or of closed forms that have none.
    fits: whether weights, activations and errors lie in the PEs' local memories; if not, the rest of the weights is
    streamed from the cores' off-core SRAMs.
    macs_per_sample: useful multiply-adds; the first layer's input error and padding are left out.
    cycles: cycles a sample by cause (memory: passes whose first word comes later than in a cycle, by the prices'
    circuits); they sum to cycles_per_sample. Filling and draining a pipeline is left out.
    pe_cycles: PEs x cycles a sample by what the PE's FMA does, or why it is idle (counters.PeCycles); they sum to PEs x
    cycles_per_sample. Empty where there is no schedule.
    counts: events a sample. energy_pj: counts times prices, by component. energy_range_pj: a sample's energy with every
    price at the low end of its range, and at the high end. energy_by_phase: pJ by phase (forward, backward, update,
    collective, off_core: waiting for off-core words), and in it by component. area: mm2 by component.
    matrix_words, activation_words, off_core_words: words stored (weights, feedback, velocities), words of activations
    and errors alive at once, and the part of the first that lies off-core.
    """

    network: Network
    rule: str
    batch: int
    machine: Machine
    mapping: str
    executed: bool
    prices: str
    numerics: str
    fits: bool
    macs_per_sample: int
    cycles: dict[str, float]
    pe_cycles: dict[str, float]
    counts: Counters
    energy_pj: dict[str, float]
    energy_range_pj: tuple[float, float]
    energy_by_phase: dict[str, dict[str, float]]
    area: dict[str, float]
    matrix_words: int
    activation_words: int
    off_core_words: int

    @property
    def cycles_per_sample(self) -> float:
        """Machine cycles a sample."""
        return sum(self.cycles.values())

    @property
    def seconds_per_sample(self) -> float:
        """cycles_per_sample / clock_hz."""
        return self.cycles_per_sample / self.machine.clock_hz

    @property
    def utilization(self) -> float:
        """Useful MACs / (PEs x cycles), in [0, 1]."""
        return self.macs_per_sample / (self.machine.pes * self.cycles_per_sample)

    @property
    def energy_pj_per_sample(self) -> float:
        """All components of energy_pj, in pJ."""
        return sum(self.energy_pj.values())

    @property
    def phase_pj(self) -> dict[str, float]:
        """Energy of a sample by phase, all components of energy_by_phase added up, in pJ."""
        return {phase: sum(parts.values()) for phase, parts in self.energy_by_phase.items()}

    @property
    def power_w(self) -> float:
        """Energy of a sample over its time, in W."""
        return self.energy_pj_per_sample / PJ_PER_J / self.seconds_per_sample

    @property
    def gflops(self) -> float:
        """2 flops a useful MAC over the time, in 10^9 a second."""
        return 2 * self.macs_per_sample / self.seconds_per_sample / 1e9

    @property
    def gflops_per_watt(self) -> float:
        """2 flops a useful MAC over all the energy, in 10^9 a second and W."""
        return 2 * self.macs_per_sample / 1e9 / (self.energy_pj_per_sample / PJ_PER_J)

    @property
    def area_mm2(self) -> float:
        """All components of area, in mm2."""
        return sum(self.area.values())

    @property
    def gflops_per_mm2(self) -> float:
        """gflops / area_mm2."""
        return self.gflops / self.area_mm2

    def as_dict(self) -> dict[str, object]:
        """Plain values under the fields' names, for JSON."""
        return {
            "network": self.network.name,
            "sizes": list(self.network.sizes),
            "activation": self.network.activation,
            "rule": self.rule,
            "batch": self.batch,
            "machine": self.machine.name,
            "mapping": self.mapping,
            "executed": self.executed,
            "prices": self.prices,
            "numerics": self.numerics,
            "fits": self.fits,
            "macs_per_sample": self.macs_per_sample,
            "cycles_per_sample": self.cycles_per_sample,
            "cycles": dict(self.cycles),
            "pe_cycles": dict(self.pe_cycles),
            "utilization": self.utilization,
            "energy_pj_per_sample": self.energy_pj_per_sample,
            "energy_pj": dict(self.energy_pj),
            "energy_range_pj": list(self.energy_range_pj),
            "energy_by_phase": {phase: dict(parts) for phase, parts in self.energy_by_phase.items()},
            "counts": self.counts.as_dict(),
            "power_w": self.power_w,
            "gflops": self.gflops,
            "gflops_per_watt": self.gflops_per_watt,
            "gflops_per_mm2": self.gflops_per_mm2,
            "area_mm2": self.area_mm2,
            "area": dict(self.area),
            "matrix_words": self.matrix_words,
            "activation_words": self.activation_words,
            "off_core_words": self.off_core_words,
        }
