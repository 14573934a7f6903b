"""What lies where when not all weights fit MEM A: of every position some outputs' weights are resident, others stream.

As in PaperLayout, PE (r, c) has the weights from inputs that are r modulo N to the panel's outputs that are c modulo N.
A panel is as even a share as there is, and rounded up to a multiple of N only within a PE's sums. The sums of a PE
take turns: first streamed and resident ones alternate, then what is left of either. A streamed sum's weights of a
position are N beats of core SRAM, one a column of PEs, of which those of columns without an output are left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import cast

import numpy as np

from caterpillar.machine import Machine
from caterpillar.mapping.paper.feedback import fixed_places, turned_layers
from caterpillar.mapping.paper.layout import PaperLayer, PaperLayout, up
from caterpillar.mapping.schedule import Places
from caterpillar.network import Network


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """Turns of one kind at equal distances: `count` numbers among their like from `number` on, and their sums."""

    number: int
    count: int
    sum: int
    stride: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamedLayer(PaperLayer):
    """A layer's share of a core. resident, streamed: sums of a PE by where their weights lie; address: of the first
    resident weight in MEM A; beat: of the first streamed ones in core SRAM. missing: columns of PEs that have no
    output at the last, streamed turn.
    """

    resident: int
    streamed: int
    beat: int
    missing: int

    @property
    def mixed(self) -> int:
        """Slots with a streamed and a resident turn."""
        return min(self.streamed, self.resident)

    @property
    def slots(self) -> int:
        """Slots of a position."""
        return max(self.streamed, self.resident)

    def beats_of(self, rows: int) -> int:
        """Beats of core SRAM that a position's weights take."""
        return self.streamed * rows - self.missing

    def runs(self, *, streamed: bool) -> Iterator[Run]:
        """The turns of one kind, in loops."""
        mixed, total = self.mixed, self.streamed if streamed else self.resident
        if mixed:
            yield Run(number=0, count=mixed, sum=0 if streamed else 1, stride=2)
        if total > mixed:
            yield Run(number=mixed, count=total - mixed, sum=2 * mixed, stride=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamedLayout(PaperLayout):
    """Core SRAM has, by first beat, a sample's inputs at 0, weights, and at inputs_at the gathered inputs of the layer
    that is worked on, gathered_chunks chunks at a time. A core keeps its own inputs of layer l in MEM B, at own[l - 1].
    sums has partial sums of the errors of `part` chunks. input_word: of a position's input. updated: of updated weights
    on their way to core SRAM.
    fixed, kept: as FeedbackLayout's, for direct feedback; all None and 0 without.
    """

    inputs_at: int
    gathered_chunks: int
    part: int
    input_word: int
    updated: int
    fixed: tuple[PaperLayer | None, ...]
    kept: tuple[int, ...]

    def feedback_places(self, index: int) -> Places:
        """MEM A's words of B_index, turned."""
        return fixed_places(self.fixed[index - 1], self.cores, self.rows, direct=True)

    def layer(self, index: int) -> StreamedLayer:
        """Layer `index`, from 1."""
        return cast(StreamedLayer, self.layers[index - 1])

    def weight_places(self, index: int) -> Places:
        """The words of W_index: arrays that broadcast to (cores, positions, sums, rows, columns)."""
        layer, rows = self.layer(index), self.rows
        before = self.layers[index - 2].panel if index > 1 else layer.inputs
        core = np.arange(self.cores)[:, None, None, None, None]
        position, own = np.arange(layer.positions)[:, None, None, None], np.arange(layer.sums)[:, None, None]
        row, column = np.arange(rows)[:, None], np.arange(rows)
        within = position % layer.chunk * rows + row
        inputs = (core + position // layer.chunk) % layer.chunks * before + within
        outputs = core * layer.panel + own * rows + column
        later = own >= 2 * layer.mixed
        streamed = np.where(later, layer.streamed > layer.mixed, own % 2 == 0)
        number = np.where(later, own - layer.mixed, own // 2)
        beat = layer.beat + position * layer.beats_of(rows) + number * rows + column
        left_out = streamed & (number * rows + column >= layer.beats_of(rows))
        resident = layer.address + position * layer.resident + number
        inside = own * rows + column < layer.panel
        return Places(
            core=core,
            lane=column * rows + row,
            word=np.where(left_out, self.inputs_at, np.where(streamed, beat, resident)),
            row=np.where((within < before) & (inputs < layer.inputs), inputs, -1),
            column=np.where(inside & (outputs < layer.outputs), outputs, -1),
            streamed=np.broadcast_to(streamed, (1, 1, layer.sums, 1, 1)),
        )

    @property
    def streamed_weights(self) -> int:
        """Weights of the network that lie in core SRAM."""
        total = 0
        for index in range(1, len(self.layers) + 1):
            at = self.weight_places(index)
            assert at.streamed is not None  # noqa: S101  weight_places gives it
            outputs = (at.column >= 0) & at.streamed
            total += self.layers[index - 1].inputs * int(outputs.sum())
        return total


def make_layout(network: Network, machine: Machine, *, direct: bool) -> StreamedLayout:
    """The placement of a network of at least two layers; it may exceed the memories.

    direct: with fixed matrices of direct feedback, first in MEM A.
    """
    rows, cores = machine.pe_rows, machine.cores
    layers: list[StreamedLayer] = []
    for layer in network.layers:
        panel, last = -(-layer.outputs // cores), len(layers) == network.depth - 1
        sums = -(-panel // rows)
        beats = layers[-1].sums if layers else -(-layer.inputs // rows)
        one = StreamedLayer(
            inputs=layer.inputs,
            outputs=layer.outputs,
            panel=sums * rows if last else panel,
            sums=sums,
            ways=1,
            chunks=cores if layers else 1,
            beats=beats,
            chunk=beats,
            address=0,
            resident=0,
            streamed=sums,
            beat=0,
            missing=0,
        )
        layers.append(one)
    fixed, address = turned_layers(layers, machine, 0) if direct else ((None,) * len(layers), 0)
    return _with_memories(_with_weights(layers, machine, address), machine, fixed)


def _with_weights(layers: list[StreamedLayer], machine: Machine, address: int) -> tuple[StreamedLayer, ...]:
    """Fill MEM A from `address` on: the last layer, then what hides beside streamed weights, then any."""
    rows, room = machine.pe_rows, machine.pe_sram_words - address
    kept = [0] * len(layers)

    def fill(number: int, most: int) -> None:
        nonlocal room
        layer = layers[number]
        more = max(0, min(most - kept[number], room // layer.positions))
        kept[number] += more
        room -= more * layer.positions

    by_size = sorted(range(len(layers)), key=lambda number: -layers[number].positions)
    fill(len(layers) - 1, layers[-1].sums)
    for number in by_size:
        fill(number, (layers[number].sums - 1) // 2)
    for number in by_size:
        fill(number, layers[number].sums // 2)
    for number in by_size:
        fill(number, layers[number].sums)
    found: list[StreamedLayer] = []
    beat = layers[0].positions
    for layer, resident in zip(layers, kept, strict=True):
        streamed = layer.sums - resident
        missing = (layer.sums * rows - layer.panel) if streamed > resident else 0
        one = replace(layer, resident=resident, streamed=streamed, missing=missing, address=address, beat=beat)
        found.append(one)
        address += one.positions * resident
        beat += one.positions * one.beats_of(rows)
    return tuple(found)


def _with_memories(
    layers: tuple[StreamedLayer, ...], machine: Machine, fixed: tuple[PaperLayer | None, ...]
) -> StreamedLayout:
    word, rows, cores = 0, machine.pe_rows, machine.cores

    def take(words: int) -> int:
        nonlocal word
        word += words
        return word - words

    def groups(beats: int) -> int:
        return -(-beats // rows)

    own = (0, *(take(groups(layer.chunk)) for layer in layers[1:]))
    kept = tuple(take(groups(matrix.sums)) if matrix else 0 for matrix in fixed)
    errors = take(max(layer.sums for layer in layers))
    reduced = take(2 * max(groups(layer.sums) for layer in layers))
    input_word, updated = take(1), take(max(layer.streamed for layer in layers))
    last, chunk = layers[-1], max(layer.chunk for layer in layers[1:])
    slack = max(up(layer.chunk, rows) - layer.chunk for layer in layers[1:])
    least = max(*(up(layer.sums, rows) for layer in layers), cores * (groups(last.sums) + last.sums), chunk + slack)
    room = machine.pe_mem_b_bytes // 2 - word - slack
    part = max(1, min(cores, room // chunk))
    final = layers[-1]
    end = final.beat + final.positions * final.beats_of(rows)
    free = machine.core_sram_bytes // (2 * rows) - end - layers[0].positions  # the next sample's inputs arrive, too
    gathered = max(1, min(cores, free // chunk)) if fixed[0] else cores
    return StreamedLayout(
        cores=cores,
        rows=rows,
        layers=layers,
        gathered=(),
        own=own,
        errors=errors,
        sums=take(max(least, part * chunk + slack)),
        reduced=reduced,
        inputs_at=end,
        gathered_chunks=gathered,
        part=part,
        input_word=input_word,
        updated=updated,
        fixed=fixed,
        kept=kept,
        sram_beats=end + gathered * chunk,
        mem_a_words=final.address + final.positions * final.resident,
        mem_b_words=word,
    )
