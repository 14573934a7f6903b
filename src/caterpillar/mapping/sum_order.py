"""The order in which `best` for one sample adds, for the trainer."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from caterpillar.machine import Machine
from caterpillar.mapping.arrange import group_order, scatter_chains
from caterpillar.mapping.isa import accumulators
from caterpillar.mapping.layout import LayerLayout, Layout
from caterpillar.mapping.own_errors import own_chains
from caterpillar.mapping.split import Tile, permuted
from caterpillar.numerics import GemvOrder, Order

Chains = Sequence[int]  # of a lane's outputs, over and over: the partial error sum that each is added to


def sum_order(layout: Layout, machine: Machine, rule: str) -> Order:
    """The order of a layout's schedule."""
    tiles = [layer.weights.tile for layer in layout.layers[1:-1]]
    return order_with(layout, machine, rule, [_chains(machine, tile, update=True) for tile in tiles])


def order_with(layout: Layout, machine: Machine, rule: str, chains: Sequence[Chains]) -> Order:
    """The same with error sums that the hidden layers past the first add up in other chains."""
    cores, layers = machine.cores, layout.layers
    bounds = [_bounds(layer, cores) for layer in layers[:-1]]
    outputs = layers[-1].outputs
    first = layers[0]
    orders = [_inputs_in_lanes(first, bounds[0], (0, first.inputs))]
    feedback: list[GemvOrder | None] = [None]
    for index, (before, mine) in enumerate(pairwise(bounds), start=1):
        layer, matrix = layers[index], layout.feedback[index + 1]
        orders.append(_scattered(layer, machine, before, mine, chains[index - 1]))
        fixed = matrix and _scattered(layer, machine, before, mine, _chains(machine, matrix.tile, update=False))
        feedback.append(fixed if rule == "fa" else None)
    direct = own_chains(machine, outputs, update=rule != "dfa", twice=rule == "fa")[1]
    through = GemvOrder(bounds=(0, outputs), backward_lanes=direct, backward_combine="tree")
    last = GemvOrder(
        bounds=(0, outputs),
        backward_lanes=through.backward_lanes,
        backward_combine="tree",
        forward_lanes=1 << len(layers[-1].order),
        forward_combine="tree",
        input_bounds=bounds[-1],
        block_lanes=min(accumulators(machine), cores),
        forward_sums=_own_sums(layers[-2], layers[-1], layout, bounds[-1]),
    )
    if rule == "dfa":
        feedback = [*(through for _ in orders), None]
    else:
        feedback.append(last if rule == "fa" else None)
    return Order(layers=(*orders, last), feedback=tuple(feedback))


def _chains(machine: Machine, tile: Tile, *, update: bool) -> Chains:
    return range(scatter_chains(machine, tile, update=update).sums)


def _bounds(layer: LayerLayout, cores: int) -> tuple[int, ...]:
    """Where each core's panel of outputs begins; cores past the last output have none."""
    return tuple(min(core * layer.panel, layer.outputs) for core in range(cores + 1))


def _inputs_in_lanes(layer: LayerLayout, bounds: tuple[int, ...], blocks: tuple[int, ...]) -> GemvOrder:
    sums = [layer.sum_of((i - low) % layer.lanes) for low, high in pairwise(blocks) for i in range(low, high)]
    return GemvOrder(bounds=bounds, forward_lanes=layer.lanes, forward_combine="tree", forward_sums=tuple(sums))


def _scattered(
    layer: LayerLayout, machine: Machine, before: tuple[int, ...], mine: tuple[int, ...], chains: Chains
) -> GemvOrder:
    """A hidden layer past the first. before: bounds of its inputs, by the cores that own them."""
    forward = _inputs_in_lanes(layer, mine, before)
    owner = tuple(core for core in range(machine.cores) for _ in range(before[core], before[core + 1]))
    between = group_order(machine, layer)

    def sum_of(output: int) -> int:
        group, within = divmod(output, layer.padded)
        return chains[within % len(chains)] * layer.groups + permuted(group * layer.lanes, between)

    return GemvOrder(
        bounds=forward.bounds,
        forward_lanes=forward.forward_lanes,
        forward_combine="tree",
        forward_first=tuple(start % before[-1] for start in before[:-1]),
        forward_sums=forward.forward_sums,
        backward_lanes=(1 << max(chains).bit_length()) * layer.groups,
        backward_combine="tree",
        backward_first=tuple((core + 1) % machine.cores for core in owner),
        backward_sums=tuple(sum_of(j - low) for low, high in pairwise(mine) for j in range(low, high)),
    )


def _own_sums(before: LayerLayout, last: LayerLayout, layout: Layout, bounds: tuple[int, ...]) -> tuple[int, ...]:
    """The last layer's partial sums: each of its inputs is in the lane that keeps it (copies are added elsewhere)."""
    lane, word = np.meshgrid(np.arange(layout.lanes), np.arange(before.own), indexing="ij")
    output = before.panel_output(lane, word)
    lane_of = {int(j): int(p) for j, p in zip(output.ravel(), lane.ravel(), strict=True) if j >= 0}
    return tuple(last.sum_of(lane_of[i - low]) for low, high in pairwise(bounds) for i in range(low, high))
