"""A Schedule: the micro-programs of a run, where its tensors lie, and the order of its sums."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from caterpillar.machine import Machine
from caterpillar.mapping.isa import COLUMN_OF, FIELDS, NONE, NOWHERE, Control, MicroProgram
from caterpillar.mapping.layout import Layout
from caterpillar.network import Network
from caterpillar.numerics import Order

SWITCHES = {"fma": "fma", "link": "link_on", "column_bus": "column_on"}  # fields that an issue sets


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """A run of n samples is first, then n - 1 times steady, then last; all cores run the same micro-program.

    order: the order of sums, for the trainer.
    """

    network: Network
    machine: Machine
    rule: str
    mapping: str
    layout: Layout
    order: Order
    first: MicroProgram
    steady: MicroProgram
    last: MicroProgram
    macs_per_sample: int

    def cycles(self, samples: int) -> int:
        """Machine cycles of a run, fill and drain included."""
        return self.first.cycles + (samples - 1) * self.steady.cycles + self.last.cycles

    @property
    def utilization(self) -> float:
        """Useful MACs / (PEs x cycles) of a steady tick; the first layer's input error and padding are not useful."""
        return self.macs_per_sample / (self.machine.pes * self.steady.cycles)


def expand(program: MicroProgram) -> Control:
    """The control words, (cycles, fields): what every unit is told in every cycle. A unit that idles has op 0."""
    control = np.zeros((program.cycles, len(FIELDS)), np.int32)
    for field, idle in (("fma_to", NONE), ("fma_gate", NONE), ("row_to", NOWHERE)):
        control[:, COLUMN_OF[field]] = idle
    for one in program.instructions:
        cycles = one.cycles()
        if one.unit in SWITCHES:
            control[cycles, COLUMN_OF[SWITCHES[one.unit]]] = 1
        for field, base in one.fields:
            steps = any(field in dict(inner.strides) for inner in one.loops)
            control[cycles, COLUMN_OF[field]] = one.values(field, base) if steps else base
    return control
