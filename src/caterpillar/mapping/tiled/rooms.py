"""Backward and update: how a layer's positions are cut into parts, and what lies where in MEM B meanwhile."""

from __future__ import annotations

from itertools import accumulate, pairwise
from typing import NamedTuple

from caterpillar.mapping.tiled.layout import Layout
from caterpillar.mapping.tiled.sweep import Shape, shape


class Rooms(NamedTuple):
    """MEM B's regions: sums that go round; inputs; errors of the part's inputs; output errors of two samples; a word
    on its way to the core SRAM. input_rooms: of inputs, two if they cannot be replaced between two turns."""

    sums: int
    inputs: int
    errors: int
    outputs: int
    leaving: int
    words: int
    input_rooms: int


def shapes(layout: Layout, index: int, pieces: int) -> list[tuple[int, Shape]]:
    """The parts' first positions and shapes, where own positions are cut into so many pieces."""
    own = layout.layers[index - 2].own
    edges = [own - own * (pieces - n) // pieces for n in range(pieces + 1)]
    return [(a, shape(layout.machine, b - a, errors=not layout.direct)) for a, b in pairwise(edges)]


def first_shapes(layout: Layout) -> list[tuple[int, Shape, int]]:
    """Of layer 1, (first position, shape, turns): whole tiles, and what is left."""
    size, positions = layout.layers[0].at_once, layout.layers[0].positions
    whole, rest = divmod(positions, size)
    found = [(0, size, whole), (whole * size, rest, 1)]
    return [(a, shape(layout.machine, b, errors=False), turns) for a, b, turns in found if b and turns]


def backward_rooms(layout: Layout, index: int, pieces: int) -> Rooms:
    """Where the pass keeps what in MEM B."""
    batch = layout.batch
    if index == 1:
        outputs = max(kind.outputs for _, kind, _ in first_shapes(layout))
        rooms, sizes = 2, (0, 2 * layout.slots * layout.parts, 0, 2 * outputs, 1)
    else:
        kinds = [kind for _, kind in shapes(layout, index, pieces)]
        positions, outputs = max(kind.positions for kind in kinds), max(kind.outputs for kind in kinds)
        own, rooms = layout.layers[index - 2].own * batch, 2 if pieces == 1 else 1
        sums, errors = (0, 0) if layout.direct else (own, positions * batch)
        sizes = (sums, rooms * own, errors, 2 * outputs, 1)
    sums, inputs, errors, of_outputs, leaving, words = accumulate(sizes, initial=0)
    return Rooms(sums, inputs, errors, of_outputs, leaving, words, rooms)


def pieces(layout: Layout, index: int) -> int:
    """The fewest pieces in which own positions fit MEM B and registers; as many as can be if none.

    Of more than a latency, sums would come out of the FMA while MEM B's ports bring what is added to others.
    """
    own, m = layout.layers[index - 2].own if index > 1 else 1, layout.machine
    for n in range(1, own):
        most = -(-own // n)
        fits = backward_rooms(layout, index, n).words <= m.pe_mem_b_bytes // 2
        if fits and most <= min(m.fma_latency, m.pe_registers):
            return n
    return own
