"""Layouts of `best` for a network: the split of each layer that takes the fewest cycles and fits, then addresses."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from caterpillar.machine import Machine
from caterpillar.mapping.isa import accumulators, halves, link_hops
from caterpillar.mapping.layout import LayerLayout, Layout
from caterpillar.mapping.split import (
    Chains,
    Matrix,
    Tile,
    back_unit,
    chains,
    exchange_cycles,
    feedback_tile,
    forward_tile,
    level_order,
    row_tile,
    up,
)
from caterpillar.network import Layer, Network

WORD_COSTS = (0, 1, 4, 16, 64, 1024)  # cycles that a word of memory is taken to cost, tried in turn


def make_layouts(network: Network, machine: Machine, rule: str = "sgd") -> list[Layout]:
    """Placements of a network of at least two layers for sgd, fa or dfa, one for each split of layer 1.

    They may exceed the memories. They do not depend on the width of any link: which one is the fastest does, and is
    for the schedules to tell.
    """
    return [_fitting(network, machine, rule, lanes) for lanes in _splits(machine)]


def _fitting(network: Network, machine: Machine, rule: str, first: int) -> Layout:
    """With layer 1 on groups of so many lanes: the fastest layout that fits, or else the one that exceeds least."""
    found: list[Layout] = []
    for a_cost in WORD_COSTS:
        for b_cost in WORD_COSTS:
            layers = _layers(network, machine, rule, first, (a_cost, b_cost))
            if any(layers == layout.layers for layout in found):
                continue
            found.append(_allocate(layers, machine, rule))
            if found[-1].mem_a_words <= machine.pe_sram_words and 2 * found[-1].mem_b_words <= machine.pe_mem_b_bytes:
                return found[-1]
    return min(found, key=lambda layout: max(0, layout.mem_a_words - machine.pe_sram_words) + layout.mem_b_words)


def _layers(
    network: Network, machine: Machine, rule: str, first: int, costs: tuple[int, int]
) -> tuple[LayerLayout, ...]:
    unit = _least_unit(machine)
    layers = [panel_layer(network.layers[0], None, machine, first, unit)]
    for layer in network.layers[1:-1]:
        choices = [panel_layer(layer, layers[-1], machine, lanes, unit) for lanes in _splits(machine)]
        layers.append(min(choices, key=lambda one: _cost(one, machine, rule, costs)))
    return (*layers, last_layer(network.layers[-1], layers[-1], machine))


def _splits(machine: Machine) -> Iterator[int]:
    """Lanes of a group, from all PEs of a core down to one column of them."""
    lanes = machine.pes_per_core
    while lanes >= machine.pe_rows:
        yield lanes
        lanes //= 2


def _least_unit(machine: Machine) -> int:
    """Outputs of a lane are padded to this: the sums that loops interleave, whole groups of words."""
    return max(2, accumulators(machine), halves(machine))


def _most_owners(machine: Machine) -> int:
    """Words that the register file can add over the lanes at once: half of them are in flight."""
    return max(machine.pe_rows, 1 << (2 * machine.pe_registers).bit_length() - 1)


def _owners(machine: Machine, lanes: int, padded: int) -> int:
    wanted = max(machine.pe_rows, 1 << (padded - 1).bit_length())
    return min(lanes, _most_owners(machine), wanted)


def panel_layer(layer: Layer, before: LayerLayout | None, machine: Machine, lanes: int, unit: int) -> LayerLayout:
    """A hidden layer on groups of so many lanes, its outputs in a group rounded up to a multiple of unit."""
    groups = machine.pes_per_core // lanes
    panel = -(-layer.outputs // machine.cores)
    padded = up(-(-panel // groups), max(unit, machine.pe_rows if groups > 1 else 1))
    owners = _owners(machine, lanes, padded)
    beats_at_once = lanes // machine.pe_rows
    chunk = -(-before.beats // beats_at_once) if before else 0
    return LayerLayout(
        inputs=layer.inputs,
        outputs=layer.outputs,
        panel=panel,
        lanes=lanes,
        groups=groups,
        padded=padded,
        owners=owners,
        own=-(-padded // owners),
        order=level_order(machine, range(lanes.bit_length() - 1), owners),
        beats=-(-panel // machine.pe_rows),
        chunk=chunk,
        positions=machine.cores * chunk if before else -(-layer.inputs // lanes),
        weights=Matrix(address=0, padded=padded, tile=forward_tile(machine, by_output=before is not None)),
    )


def last_layer(layer: Layer, before: LayerLayout, machine: Machine) -> LayerLayout:
    """The last layer, cut along its inputs.

    Lanes that keep copies of the same inputs work on the same sums, so these are added over the others alone.
    """
    lanes = machine.pes_per_core
    padded = up(layer.outputs, _least_unit(machine))
    copied = range(before.owners.bit_length() - 1, before.lanes.bit_length() - 1)
    room = before.owners if copied else lanes
    owners = min(room, _owners(machine, lanes, padded))
    bits = [bit for bit in range(lanes.bit_length() - 1) if bit not in copied]
    return LayerLayout(
        inputs=layer.inputs,
        outputs=layer.outputs,
        panel=layer.outputs,
        lanes=lanes,
        groups=1,
        padded=padded,
        owners=owners,
        own=-(-padded // owners),
        order=level_order(machine, bits, owners),
        beats=-(-layer.outputs // machine.pe_rows),
        chunk=before.own,
        positions=before.own,
        weights=Matrix(address=0, padded=padded, tile=row_tile(machine)),
    )


def scatter_chains(machine: Machine, tile: Tile, *, update: bool) -> Chains:
    """What the backward pass through a matrix interleaves."""
    return chains(tile, back_unit(machine) if update else accumulators(machine))


def group_order(machine: Machine, layer: LayerLayout) -> tuple[int, ...]:
    """Bits of the lane that tell its groups apart, in the order in which backward sums are added."""
    bits = range(layer.lanes.bit_length() - 1, machine.pes_per_core.bit_length() - 1)
    return tuple(sorted(bits, key=lambda bit: (link_hops(machine, bit), bit)))


def _cost(layer: LayerLayout, machine: Machine, rule: str, costs: tuple[int, int]) -> int:
    """About how many cycles a tick spends on a layer from the second on, and what its words are taken to cost."""
    work = layer.positions * layer.padded
    reduction = exchange_cycles(machine, layer.order, layer.owners) + machine.fma_latency * len(layer.order)
    passes = {"sgd": 3, "fa": 3 + (halves(machine) == 1), "dfa": 3}[rule]
    additions = 2 * (1 + layer.groups.bit_length() - 1) if rule != "dfa" else 0
    cycles = passes * work + additions * layer.positions + layer.own * reduction
    return cycles + costs[0] * work + costs[1] * (layer.positions + layer.padded)


@dataclass(slots=True)
class Room:
    """Words given out, from 0 upwards."""

    words: int = 0

    def take(self, words: int) -> int:
        self.words += words
        return self.words - words


def _allocate(layers: tuple[LayerLayout, ...], machine: Machine, rule: str) -> Layout:
    a, b = Room(), Room()
    placed = tuple(_with_weights(layer, machine, a, last=layer is layers[-1]) for layer in layers)
    feedback = (None, *(fixed_matrix(index, placed, machine, rule, a) for index in range(1, len(placed) + 1)))
    deep = placed[0].weights.tile.deep
    old_input, new_input = b.take(up(placed[0].positions, deep)), b.take(placed[0].positions)
    hidden = placed[1:-1]
    gathered = (0, 0, *(b.take(_gathered_words(layer, machine)) for layer in hidden))
    own = (0, *(b.take(layer.own) for layer in placed[:-1]))
    gates = (0, *(b.take(0 if rule == "dfa" else layer.chunk) for layer in hidden))
    scaled_own = b.take(placed[-2].own)
    own_error = b.take(max(*(layer.own for layer in placed), *(layer.chunk for layer in hidden), 1))
    kept = [layer.own * layer.owners for layer in placed]
    short = max(*(layer.padded for layer in placed), *kept[1:], placed[-1].own * (machine.cores + 1))
    scratch = b.take(short)
    # layer 1's sums come while its errors, in scratch, are still wanted, and before anything is gathered
    lies_free = sum(_gathered_words(layer, machine) for layer in hidden)
    first_sums = gathered[2] if hidden and lies_free >= kept[0] else b.take(kept[0])
    return Layout(
        cores=machine.cores,
        layers=placed,
        new_input=new_input,
        old_input=old_input,
        gathered=gathered,
        own=own,
        gates=gates,
        scaled_own=scaled_own,
        own_error=own_error,
        sums=(0, first_sums, *(scratch for _ in placed[1:])),
        first_error=scratch,
        scratch=scratch,
        feedback=feedback,
        direct_error=b.take(max((layer.padded for layer in hidden), default=0) if rule == "dfa" else 0),
        direct=rule == "dfa",
        mem_a_words=a.words,
        mem_b_words=b.words,
    )


def _gathered_words(layer: LayerLayout, machine: Machine) -> int:
    return up(layer.positions, scatter_chains(machine, layer.weights.tile, update=True).positions)


def _with_weights(layer: LayerLayout, machine: Machine, room: Room, *, last: bool) -> LayerLayout:
    tile = layer.weights.tile
    hidden = layer.chunk and not last
    unit = scatter_chains(machine, tile, update=True).positions if hidden else tile.deep
    address = room.take(up(layer.positions, unit) * layer.padded)
    return replace(layer, weights=replace(layer.weights, address=address))


def fixed_matrix(index: int, layers: tuple[LayerLayout, ...], machine: Machine, rule: str, room: Room) -> Matrix | None:
    """Where the lanes' share of B_index lies in MEM A, if the rule has one."""
    layer, last = layers[index - 1], index == len(layers)
    if rule == "fa" and index > 1:
        tile = row_tile(machine) if last else feedback_tile(machine)
        unit = 1 if last else scatter_chains(machine, tile, update=False).positions
        return Matrix(address=room.take(up(layer.positions, unit) * layer.padded), padded=layer.padded, tile=tile)
    if rule == "dfa" and not last:
        padded = layers[-1].padded
        return Matrix(address=room.take(layer.own * padded), padded=padded, tile=row_tile(machine))
    return None
