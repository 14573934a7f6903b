"""The order in which continuous propagation's schedule adds, term by term, for the trainer."""

from __future__ import annotations

import numpy as np

from caterpillar.machine import Machine
from caterpillar.mapping.pipeline.layout import Layout
from caterpillar.mapping.pipeline.words import last_bits
from caterpillar.numerics import GemvOrder, Order, Visits


def make_order(layout: Layout, machine: Machine) -> Order:
    """The order of every layer's sums."""
    depth = layout.depth
    found = [_hidden(layout, index) for index in range(1, depth)]
    found.append(_last(layout, machine))
    return Order(layers=tuple(found), feedback=(None,) * depth)


def _named(bits: list[int], lane: int) -> int:
    """A lane's partial sum, so that "tree" adds over the bits in their order."""
    number = 0
    for bit in bits:
        number = 2 * number + (lane >> bit & 1)
    return number


def _halving(halved: int, count: int) -> list[int]:
    """Bits in the order in which lanes are added: from the highest halved one down, then the others upwards."""
    return [*reversed(range(halved)), *range(halved, count)]


def _hidden(layout: Layout, index: int) -> GemvOrder:
    forward = _forward(layout, index)
    backward = _backward(layout, index) if index > 1 else None
    return GemvOrder(bounds=(0, layout.sizes[index]), forward=forward, backward=backward)


def _forward(layout: Layout, index: int) -> Visits:
    """Of an output: all positions, one after the other."""
    split, inputs = layout.splits[index], layout.inputs(index)
    bits = (split.input_lanes - 1).bit_length()
    rows: dict[tuple[int, int], int] = {}
    terms: list[tuple[int, ...]] = []
    sums: list[tuple[int, ...]] = []
    row = [0] * layout.sizes[index]
    for core, _, number in np.argwhere(layout.outputs[index] >= 0).tolist():
        size = next(block.size for block in split.blocks if number < block.first + block.used)
        key = (core if len(inputs) > 1 else 0, size)
        if key not in rows:
            rows[key] = len(terms)
            ordered = inputs[key[0]]
            names = [_named(_halving((size - 1).bit_length(), bits), lane) for lane in range(split.input_lanes)]
            lanes = np.broadcast_to(np.array(names), ordered.shape)
            terms.append(tuple(ordered[ordered >= 0].tolist()))
            sums.append(tuple(lanes[ordered >= 0].tolist()))
        for neuron in layout.outputs[index][core, :, number]:
            if neuron >= 0:
                row[neuron] = rows[key]
    return Visits(row=tuple(row), terms=tuple(terms), sums=tuple(sums), lanes=split.input_lanes, combine="tree")


def _backward(layout: Layout, index: int) -> Visits:
    """Of an input: the cores' panels, from the one after its owner round to its owner, a sum for each output lane.

    Those sums are then halved over the columns of PEs, as many as its block has words, and added over the others. If
    they are joined, every core's is summed by itself, and added to that of the cores before.
    """
    split, before = layout.splits[index], layout.splits[index - 1]
    bits, hops = (split.output_lanes - 1).bit_length(), layout.cores if split.joined else 1
    found: dict[tuple[int, int], int] = {}
    row = [0] * layout.sizes[index - 1]
    terms: list[tuple[int, ...]] = []
    sums: list[tuple[int, ...]] = []
    for beat in before.beats(split.steps):
        halved = (before.words(before.blocks[beat.block], split.steps) // split.steps - 1).bit_length()
        for owner in range(layout.cores):
            key = (owner, halved)
            if key not in found:
                found[key] = len(terms)
                names = [_named(_halving(halved, bits), group) for group in range(split.output_lanes)]
                pairs: list[tuple[int, int]] = []
                for hop in range(layout.cores):
                    panel = layout.outputs[index][(owner + 1 + hop) % layout.cores]
                    pairs += [
                        (int(panel[group, number]), names[group] * hops + hop * split.joined)
                        for number, group in np.argwhere(panel.T >= 0).tolist()
                    ]
                terms.append(tuple(neuron for neuron, _ in pairs))
                sums.append(tuple(name for _, name in pairs))
            neurons = layout.own[index - 1][owner, beat.block, beat.column * layout.rows :][: layout.rows]
            for neuron in neurons[neurons >= 0].tolist():
                row[neuron] = found[key]
    return Visits(
        row=tuple(row), terms=tuple(terms), sums=tuple(sums), lanes=hops, combine="chain", blocks=split.output_lanes
    )


def _last(layout: Layout, machine: Machine) -> GemvOrder:
    """Every core adds up what its own activations give, over its lanes by halving; then the cores' sums."""
    inputs, outputs = layout.sizes[-2:]
    halved, rest = last_bits(machine, layout.splits[-1], outputs)
    bits = [*reversed(halved), *rest]
    split, own = layout.splits[-1], layout.own[layout.depth - 1]
    terms: list[int] = []
    sums: list[int] = []
    for core in range(layout.cores):
        for block in range(own.shape[1]):
            for lane in range(layout.lanes):
                neuron = int(own[core, block, lane])
                if neuron >= 0 and lane % split.input_lanes < split.blocks[block].size:  # the others have it too
                    terms.append(neuron)
                    sums.append((core << len(bits)) + _named(bits, lane))
    forward = Visits(
        row=(0,) * outputs,
        terms=(tuple(terms),),
        sums=(tuple(sums),),
        lanes=1 << len(bits),
        combine="tree",
        blocks=layout.cores,
    )
    backward = Visits(row=(0,) * inputs, terms=(tuple(range(outputs)),), sums=((0,) * outputs,))
    return GemvOrder(bounds=(0, outputs), forward=forward, backward=backward)
