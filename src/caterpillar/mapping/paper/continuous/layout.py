"""Where each core keeps what: weights in MEM A, sums and errors in MEM B, what waits for ticks in its SRAM.

On N x N PEs, PE (r, c) works on the inputs that are r modulo N and on the outputs that are c modulo N. A *position* is
a beat of inputs, N neurons, as the layer below has made a group of N outputs; they are worked off in order. N positions
are a *block*: a word of MEM B in every PE holds one, position p in column p mod N.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from caterpillar.machine import Machine
from caterpillar.mapping.isa import Queue
from caterpillar.mapping.paper.continuous.shares import Part, Stage, by_core, make_stages
from caterpillar.mapping.schedule import Places
from caterpillar.network import Network


@dataclass(frozen=True, slots=True)
class Owned:
    """A core's outputs of a layer, groups first .. end - 1: positions of the layer above, in blocks of N."""

    first: int
    end: int
    rows: int

    @property
    def blocks(self) -> range:
        """Numbers of the blocks that hold them."""
        return range(self.first // self.rows, -(-self.end // self.rows))

    def columns(self, block: int) -> range:
        """Of a block, the columns of those that are the core's."""
        low = block * self.rows
        return range(max(self.first - low, 0), min(self.end - low, self.rows))

    def word(self, block: int) -> int:
        """Number of a block's word."""
        return block - self.first // self.rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """First words in a core's MEM B. Of its parts, by their number on the core; of a layer's outputs, by layer.

    sums: partial sums of the part at work, whole groups of N for each position of a round. errors: of the part at work,
    in every PE of their column. staged: a round's inputs. products: a PE's shares of error sums. own: error sums of the
    part's outputs, a word a block; came: those of the parts before it. reduced: finished sums, a word for N groups.
    gates: own activations; scaled: the same, times the learning rate; back: errors of own outputs, of two ticks.
    """

    sums: int
    errors: int
    staged: int
    products: int
    own: tuple[int, ...]
    came: tuple[int, ...]
    reduced: tuple[int, ...]
    gates: dict[int, int]
    scaled: dict[int, int]
    back: dict[int, int]
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Registers:
    """Address registers, from 1. late[l]: inputs of layer l + 1 to learn with, in core SRAM; gates[l]; back."""

    queues: tuple[Queue, ...]
    late: tuple[int, ...]
    gates: tuple[int, ...]
    back: int

    def behind(self, register: int, ticks: int) -> int:
        """The lag with which a register finds what was written some ticks ago."""
        return -ticks % self.queues[register - 1].slots


@dataclass(frozen=True, kw_only=True)
class Layout:
    """parts: in their order along the ring. addresses: each part's first word in MEM A.

    fresh[l], late[l]: first beats of core SRAM of the inputs of layer l + 1, of now and to learn with.
    """

    cores: int
    rows: int
    sizes: tuple[int, ...]
    stages: tuple[Stage, ...]
    parts: tuple[Part, ...]
    addresses: tuple[int, ...]
    words: dict[int, Words]
    registers: Registers
    fresh: tuple[int, ...]
    late: tuple[int, ...]
    sram_beats: int
    mem_a_words: int

    @property
    def depth(self) -> int:
        """Layers."""
        return len(self.stages)

    @property
    def mem_b_words(self) -> int:
        """Words of MEM B in use, on the core that needs most."""
        return max(words.total for words in self.words.values())

    @cached_property
    def on(self) -> dict[int, list[Part]]:
        """Each core's parts."""
        return by_core(self.parts)

    def of(self, layer: int) -> list[Part]:
        """A layer's parts, from the lowest core up."""
        return [part for part in self.parts if part.layer == layer]

    def owned(self, core: int, layer: int) -> Owned:
        """A core's outputs of a layer."""
        return owned(self.on.get(core, []), layer, self.rows)

    def number(self, part: Part) -> int:
        """Of a part, on its core."""
        return self.on[part.core].index(part)

    def weight_places(self, index: int) -> Places:
        """MEM A's words of W_index: arrays of (weights, lanes), all parts' one after the other."""
        stage = self.stages[index - 1]
        mine = [(part, first) for part, first in zip(self.parts, self.addresses, strict=True) if part.layer == index]
        return weights_of(mine, self.sizes, self.rows, stage.width, stage.rounds * stage.width)

    def feedback_places(self, index: int) -> Places:
        """There is no feedback matrix."""
        raise NotImplementedError(f"continuous propagation has no feedback matrix B_{index}")


def weights_of(
    parts: Sequence[tuple[Part, int]], sizes: tuple[int, ...], rows: int, width: int, positions: int
) -> Places:
    """The words of a layer's parts, each with its first one in MEM A: `width` positions of an output lie together."""
    lane, layer = np.arange(rows * rows), parts[0][0].layer
    found: list[tuple[np.ndarray, ...]] = []
    for part, address in parts:
        position, own = np.meshgrid(np.arange(positions), np.arange(part.sums), indexing="ij")
        word = address + (position // width * part.sums + own) * width + position % width
        inputs = position.reshape(-1, 1) * rows + lane % rows
        outputs = (part.first + own).reshape(-1, 1) * rows + lane // rows
        found.append((np.full_like(inputs, part.core), word.reshape(-1, 1) + 0 * lane, inputs, outputs))
    core, word, inputs, outputs = (np.concatenate(some) for some in zip(*found, strict=True))
    return Places(
        core=core,
        lane=np.broadcast_to(lane, core.shape),
        word=word,
        row=np.where(inputs < sizes[layer - 1], inputs, -1),
        column=np.where(outputs < sizes[layer], outputs, -1),
    )


def owned(parts: list[Part], layer: int, rows: int) -> Owned:
    """Outputs of a layer of one core's parts: neighbours, or none."""
    mine = [part for part in parts if part.layer == layer]
    return Owned(min((part.first for part in mine), default=0), max((part.end for part in mine), default=0), rows)


def stretch(part: Part, rows: int) -> int:
    """Words for a partial sum of each output: whole groups of N."""
    return -(-part.sums // rows) * rows


def product_words(stage: Stage, rows: int) -> int:
    """Words for shares of error sums: two blocks, whole rounds, and where blocks are short the more."""
    words = math.lcm(rows, stage.width)
    return words * max(2, -(-16 // words))


def finish(network: Network, machine: Machine, parts: tuple[Part, ...]) -> Layout:
    """Addresses for the parts."""
    stages, rows, depth = make_stages(network, machine), machine.pe_rows, network.depth
    filled = dict.fromkeys(range(machine.cores), 0)
    addresses: list[int] = []
    for part in parts:
        stage = stages[part.layer - 1]
        addresses.append(filled[part.core])
        filled[part.core] += stage.rounds * stage.width * part.sums
    queues: list[Queue] = []

    def queue(words: int, slots: int) -> int:
        one = Queue(words=words, slots=slots)
        if one not in queues:
            queues.append(one)
        return queues.index(one) + 1

    beat, fresh, late, late_queues = 0, list[int](), list[int](), list[int]()
    for stage in stages:
        beats, slots = stage.rounds * stage.width, stage.delay + 1
        fresh.append(beat)
        late.append(beat + beats)
        late_queues.append(queue(beats, slots))
        beat += beats * (1 + slots)
    cores = by_core(parts)
    words = [[len(owned(some, layer, rows).blocks) for some in cores.values()] for layer in range(1, depth)]
    gates = (0, *(queue(max(each), 2 * (depth - layer)) for layer, each in enumerate(words, start=1)))
    back = queue(max(sum(of_core) for of_core in zip(*words, strict=True)), 2)
    registers = Registers(queues=tuple(queues), late=tuple(late_queues), gates=gates, back=back)
    return Layout(
        cores=machine.cores,
        rows=rows,
        sizes=network.sizes,
        stages=stages,
        parts=parts,
        addresses=tuple(addresses),
        words={core: _words(some, stages, rows, registers, parts) for core, some in cores.items()},
        registers=registers,
        fresh=tuple(fresh),
        late=tuple(late),
        sram_beats=beat,
        mem_a_words=max(filled.values()),
    )


def _words(
    some: list[Part], stages: tuple[Stage, ...], rows: int, registers: Registers, parts: tuple[Part, ...]
) -> Words:
    word, depth = 0, len(stages)

    def take(count: int) -> int:
        nonlocal word
        word += count
        return word - count

    of = [stages[part.layer - 1] for part in some]
    width = max(stage.width for stage in of)

    def blocks(part: Part, *, needed: bool) -> int:
        return take(-(-stages[part.layer - 1].positions // rows) if needed else 0)

    heads = {part.layer: part for part in parts}  # the highest part of each layer
    mine = {layer: one for layer in range(1, depth) if (one := owned(some, layer, rows)).blocks}
    slots = {layer: registers.queues[registers.gates[layer] - 1] for layer in mine}
    back = take(2 * registers.queues[registers.back - 1].words)
    offsets, offset = dict[int, int](), back
    for layer, one in mine.items():
        offsets[layer] = offset
        offset += len(one.blocks)
    return Words(
        sums=take(max(stretch(part, rows) * stage.width for part, stage in zip(some, of, strict=True))),
        errors=take(max(part.sums for part in some)),
        staged=take(2 * width),
        products=take(max([0, *(product_words(stage, rows) for stage in of if stage.back)])),
        own=tuple(blocks(part, needed=part.layer > 1) for part in some),
        came=tuple(blocks(part, needed=part.layer > 1 and part is not heads[part.layer]) for part in some),
        reduced=tuple(take(-(-part.sums // rows)) for part in some),
        gates={layer: take(slots[layer].words * slots[layer].slots) for layer in mine},
        scaled={layer: take(len(one.blocks)) for layer, one in mine.items()},
        back=offsets,
        total=word,
    )
