"""The layout where not all weights fit the PEs' memories: what stays in MEM A, and what lies in the core SRAM."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from caterpillar.machine import Machine
from caterpillar.mapping.arrange import Room, fixed_matrix, last_layer, panel_layer
from caterpillar.mapping.isa import sram_beat_cycles
from caterpillar.mapping.layout import LayerLayout, Layout
from caterpillar.mapping.schedule import Places
from caterpillar.mapping.streamed.share import Share, divide
from caterpillar.network import Network


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamedLayout(Layout):
    """A Layout of which hidden layers have a share (shares[l - 1]) in place of a tiled matrix; all lanes in one group.

    input_word, scaled_word: MEM B's words where a position's inputs and scaled inputs wait for their registers.
    rows: of PEs in a core. sample_beats, sram_beats: beats of core SRAM of a sample, which lies first, and of all that
    lies there.
    """

    shares: tuple[Share, ...]
    input_word: int
    scaled_word: int
    rows: int
    sample_beats: int
    sram_beats: int

    def weight_places(self, index: int) -> Places:
        """The words of W_index, (inputs, outputs), in MEM A and in core SRAM."""
        plain = super(StreamedLayout, self).weight_places(index)
        if index == len(self.layers):
            return plain
        layer, share = self.layers[index - 1], self.shares[index - 1]
        position = np.arange(layer.positions)[:, None, None]
        streamed, number = share.places(np.arange(layer.panel)[:, None])
        resident = share.address + position * share.resident + number
        columns = self.lanes // self.rows
        beats = share.beat + (position * share.streamed + number) * columns + plain.lane // self.rows
        word = np.where(streamed, beats, resident)
        return replace(plain, word=word, streamed=np.broadcast_to(streamed, word.shape))

    @property
    def streamed_weights(self) -> int:
        """Weights of the network that lie in core SRAM."""
        total = 0
        for layer, share in zip(self.layers, self.shares, strict=False):
            streamed, _ = share.places(np.arange(layer.panel))
            outputs = np.arange(self.cores)[:, None] * layer.panel + np.flatnonzero(streamed)
            total += layer.inputs * int((outputs < layer.outputs).sum())
        return total


def make_streamed(network: Network, machine: Machine, rule: str) -> StreamedLayout:
    """The placement for sgd or dfa; it may exceed the memories."""
    b, given = Room(), Given(network, machine, rule)
    layers, hidden = given.layers, given.layers[1:-1]
    own_error = b.take(max(*(layer.own for layer in layers), *(layer.chunk for layer in hidden), 1))
    return StreamedLayout(
        old_input=b.take(layers[0].positions),
        own=(0, *(b.take(layer.own) for layer in layers[:-1])),
        gates=(0, *(b.take(layer.chunk) for layer in hidden)),
        scaled_own=b.take(layers[-2].own),
        own_error=own_error,
        sram_beats=given.sram.words,
        **given.fields(b),
    )


class Given:
    """What placements have in common: layers, and where their weights lie."""

    def __init__(self, network: Network, machine: Machine, rule: str) -> None:
        self._machine, self._rule, layers = machine, rule, list[LayerLayout]()
        for layer in network.layers[:-1]:
            layers.append(panel_layer(layer, layers[-1] if layers else None, machine, machine.pes_per_core, 1))
        last, a, columns = last_layer(network.layers[-1], layers[-1], machine), Room(), machine.pe_cols
        address = a.take(last.positions * last.padded)
        self.layers = (*layers, replace(last, weights=replace(last.weights, address=address)))
        depth = len(self.layers)
        self._fixed = (None, *(fixed_matrix(index, self.layers, machine, rule, a) for index in range(1, depth + 1)))
        self._sample_beats = layers[0].positions * columns
        self.sram, shares = Room(self._sample_beats), list[Share]()
        for layer, resident in zip(layers, _resident(layers, machine, machine.pe_sram_words - a.words), strict=True):
            share = divide(layer.panel, resident, most_beside(machine))
            beat = self.sram.take(layer.positions * share.streamed * columns)
            shares.append(replace(share, address=a.take(layer.positions * resident), beat=beat))
        self._shares, self._mem_a_words = tuple(shares), a.words

    def fields(self, b: Room) -> dict[str, Any]:
        """The other fields, with what MEM B has for all passes; the last words of it."""
        layers, machine = self.layers, self._machine
        scratch = b.take(max(*(layer.padded for layer in layers), layers[-1].own * (machine.cores + 1)))
        sums = b.take(max(layer.own * layer.owners for layer in layers))
        input_word, scaled_word = b.take(1), b.take(1)
        return {
            "cores": machine.cores,
            "layers": layers,
            "shares": self._shares,
            "rows": machine.pe_rows,
            "sample_beats": self._sample_beats,
            "mem_a_words": self._mem_a_words,
            "mem_b_words": b.words,
            "scratch": scratch,
            "first_error": scratch,
            "sums": (0, *(sums for _ in layers)),
            "new_input": input_word,
            "input_word": input_word,
            "scaled_word": scaled_word,
            "gathered": (),
            "feedback": self._fixed,
            "direct_error": sums,  # of layers past the first, when all have gone forward
            "direct": self._rule == "dfa",
        }


def most_beside(machine: Machine) -> int:
    """Resident weights that hide beside a streamed one: the row buses take a cycle a column, or more, to bring it."""
    return machine.pe_cols * sram_beat_cycles(machine) - 1


def _resident(layers: Sequence[LayerLayout], machine: Machine, room: int) -> list[int]:
    """Outputs of each layer whose weights stay in MEM A, of which there are `room` words.

    First those of all layers but the first that hide beside streamed weights, one at a time or as many as can, for
    those weights would cross the buses three times a sample; then the first layer's, which would twice; then any. A
    layer of many positions before one of few.
    """
    most = most_beside(machine)
    hidden = sorted(range(1, len(layers)), key=lambda index: -layers[index].positions)
    found = [0] * len(layers)
    for indices, share in ((hidden, min(most, 1)), (hidden, most), ([0], most), ([*hidden, 0], None)):
        for index in indices:
            layer = layers[index]
            limit = layer.panel if share is None else layer.panel * share // (share + 1)
            more = min(limit - found[index], room // layer.positions)
            if more > 0:
                found[index] += more
                room -= more * layer.positions
    return found
