"""The order in which the paper's mapping of continuous propagation adds, for the trainer."""

from __future__ import annotations

from caterpillar.machine import Machine
from caterpillar.mapping.paper.continuous.layout import Layout
from caterpillar.mapping.paper.halving import reversed_bits
from caterpillar.numerics import GemvOrder, Order


def make_order(layout: Layout, machine: Machine) -> Order:
    """The order of every layer's sums: panels are the parts, from the highest core down."""
    rows, name = layout.rows, reversed_bits(machine)
    found: list[GemvOrder] = []
    for stage in layout.stages:
        inputs, outputs = layout.sizes[stage.layer - 1 : stage.layer + 1]
        parts = sorted(layout.of(stage.layer), key=lambda part: part.first)
        found.append(
            GemvOrder(
                bounds=(0, *(min(part.end * rows, outputs) for part in parts)),
                forward_lanes=stage.width * rows,
                forward_combine="tree",
                forward_sums=tuple(i // rows % stage.width * rows + name[i % rows] for i in range(inputs)),
                backward_lanes=rows,
                backward_combine="tree",
                backward_sums=tuple(name[j % rows] for j in range(outputs)),
            )
        )
    return Order(layers=tuple(found), feedback=(None,) * len(found))
