"""The order in which the paper's mapping of continuous propagation adds, for the trainer."""

from __future__ import annotations

from collections.abc import Sequence

from caterpillar.machine import Machine
from caterpillar.mapping.paper.continuous.shares import Part
from caterpillar.mapping.paper.halving import reversed_bits
from caterpillar.numerics import GemvOrder, Order


def make_order(sizes: tuple[int, ...], parts: tuple[Part, ...], widths: Sequence[int], machine: Machine) -> Order:
    """The order of every layer's sums: panels are the parts, from the highest core down.

    sizes: of the network. widths: positions with partial sums of their own, by layer.
    """
    rows, name = machine.pe_rows, reversed_bits(machine)
    found: list[GemvOrder] = []
    for layer, width in enumerate(widths, start=1):
        inputs, outputs = sizes[layer - 1 : layer + 1]
        mine = sorted((part for part in parts if part.layer == layer), key=lambda part: part.first)
        found.append(
            GemvOrder(
                bounds=(0, *(min(part.end * rows, outputs) for part in mine)),
                forward_lanes=width * rows,
                forward_combine="tree",
                forward_sums=tuple(i // rows % width * rows + name[i % rows] for i in range(inputs)),
                backward_lanes=rows,
                backward_combine="tree",
                backward_sums=tuple(name[j % rows] for j in range(outputs)),
            )
        )
    return Order(layers=tuple(found), feedback=(None,) * len(found))
