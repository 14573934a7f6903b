"""What waits between the ticks of continuous propagation, and where.

Layer l learns at a tick with activations that were made 2 (L - l) + 2 ticks before. Every core keeps its own in its
core SRAM, by address registers, and sends them round the ring when they are wanted: to go forward, and to update. The
inputs are dealt out for that, a position after the other to each core.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from caterpillar.machine import Machine
from caterpillar.mapping.arrange import Room
from caterpillar.mapping.isa import Queue
from caterpillar.mapping.streamed.layout import Given, StreamedLayout
from caterpillar.mapping.sum_order import order_with
from caterpillar.network import Network
from caterpillar.numerics import Order, Visits


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingLayout(StreamedLayout):
    """A StreamedLayout for cp. old_input: MEM B's words for the inputs of all positions, rounded up to all cores'.

    queues[j], beats[j]: address register (its number is j + 1) and first beat of the activations of layer j = 0 ..
    L - 2. own_errors[l]: errors of the core's own outputs of layer l. recent: activations of layer L - 1 of this tick,
    and of the two before. logits: the core's part of the logits, of the tick before. gates: [0] for all layers.
    """

    queues: tuple[Queue, ...]
    beats: tuple[int, ...]
    own_errors: tuple[int, ...]
    recent: tuple[int, int, int]
    logits: int

    @property
    def depth(self) -> int:
        """Layers."""
        return len(self.layers)

    @property
    def turns(self) -> int:
        """Positions of the inputs that a core keeps."""
        return -(-self.layers[0].positions // self.cores)

    def delay(self, layer: int) -> int:
        """Ticks from when a layer's activations are made until the next layer learns with them; 0: the inputs."""
        return 2 * (self.depth - layer) - (layer == 0)

    def lag(self, layer: int, ticks: int) -> dict[str, int]:
        """Fields of a row bus for the activations that were kept so many ticks ago."""
        return {"row_queue": layer + 1, "row_lag": -ticks % self.queues[layer].slots}


def make_waiting(network: Network, machine: Machine) -> WaitingLayout:
    """The placement for cp; it may exceed the memories."""
    b, given = Room(), Given(network, machine, "cp")
    layers, depth, columns = given.layers, len(given.layers), machine.pe_cols
    turns = -(-layers[0].positions // machine.cores)
    queues, beats = [Queue(words=turns * columns, slots=2 * depth - 1)], [given.sram.take(0)]
    given.sram.take(queues[0].words * queues[0].slots)
    for layer, after in enumerate(layers[1:-1], start=1):
        queues.append(Queue(words=after.chunk * columns, slots=2 * (depth - layer) + 1))
        beats.append(given.sram.take(queues[-1].words * queues[-1].slots))
    kept = [max(layer.own, after.chunk) for layer, after in pairwise(layers)]
    own, gates = b.take(max(layer.own for layer in layers)), b.take(max(layer.chunk for layer in layers))
    recent = (b.take(layers[-2].own), b.take(layers[-2].own), b.take(layers[-2].own))
    return WaitingLayout(
        old_input=b.take(turns * machine.cores),
        own=(0, *(own for _ in layers[1:-1]), recent[0]),
        gates=(gates,) * (depth - 1),
        scaled_own=b.take(layers[-2].own),
        own_error=0,
        own_errors=(0, *(b.take(words) for words in kept)),
        recent=recent,
        logits=b.take(layers[-1].own),
        queues=tuple(queues),
        beats=tuple(beats),
        sram_beats=given.sram.words,
        **given.fields(b),
    )


def waiting_order(layout: WaitingLayout, machine: Machine, chains: Sequence[Sequence[int]]) -> Order:
    """The order of cp's sums: as sgd's, but past the first layer a core begins forward sums with the last position."""
    order = order_with(layout, machine, "cp", chains)
    layers = [order.layers[0]]
    for index, given in enumerate(order.layers[1:-1], start=2):
        layers.append(replace(given, forward=_from_the_last(layout, index)))
    return replace(order, layers=(*layers, order.layers[-1]))


def _from_the_last(layout: WaitingLayout, index: int) -> Visits:
    """A core's outputs add their inputs in its order of positions, in each by lanes."""
    layer, lane = layout.layers[index - 1], np.arange(layout.lanes)
    position = np.arange(layer.positions)[::-1, None]
    named = np.broadcast_to([layer.sum_of(int(p)) for p in lane], (layer.positions, layout.lanes))
    terms: list[tuple[int, ...]] = []
    sums: list[tuple[int, ...]] = []
    for core in range(layout.cores):
        inputs = layout.inputs_at(index, np.array(core), position, lane)
        terms.append(tuple(inputs[inputs < layer.inputs].tolist()))
        sums.append(tuple(named[inputs < layer.inputs].tolist()))
    row = tuple(output // layer.panel for output in range(layer.outputs))
    return Visits(row=row, terms=tuple(terms), sums=tuple(sums), lanes=layer.lanes, combine="tree")
