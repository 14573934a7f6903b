"""Where each core keeps what: weights in MEM A, a part's sums and errors in MEM B, all that waits in core SRAM."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import groupby

from caterpillar.machine import Machine
from caterpillar.mapping.isa import Queue
from caterpillar.mapping.paper.continuous.layout import stretch, weights_of
from caterpillar.mapping.paper.continuous.shares import Part, Stage, by_core
from caterpillar.mapping.paper.continuous_batches.timing import interleave, make_stages
from caterpillar.mapping.schedule import Places
from caterpillar.network import Network

TURNS = 4  # words for blocks of finished sums, each free again when it has gone to core SRAM
PAIRS = 8  # of words in which what came and a core's own meet


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """First words in a core's MEM B. reduced: a part's outputs of all samples, by the part's number on the core.

    sums: partial sums of the part at work, a sample's after the other's, whole groups of N. errors: its errors, an
    output's of all samples together. old, now: a tile's inputs, to learn with and to go forward with, of all samples.
    products: a PE's shares of error sums. own: the same, finished. pairs: what came, and own.
    """

    sums: int
    errors: int
    old: int
    now: int
    products: int
    own: int
    pairs: int
    reduced: tuple[int, ...]
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Beats:
    """First beats in a core's SRAM. inputs: by layer.

    By a part's number on the core: back: errors of its outputs, a sample's after the other's; own, came: error sums of
    its inputs, of all samples.
    """

    inputs: dict[int, int]
    back: tuple[int, ...]
    own: tuple[int, ...]
    came: tuple[int, ...]
    total: int


@dataclass(frozen=True, kw_only=True)
class Layout:
    """parts: in their order along the ring. addresses: each part's first word in MEM A. queues: address registers.

    Of register l the inputs of layer l, from 1, and of the last one the errors.
    """

    batch: int
    cores: int
    rows: int
    k: int
    sizes: tuple[int, ...]
    stages: tuple[Stage, ...]
    parts: tuple[Part, ...]
    addresses: tuple[int, ...]
    words: dict[int, Words]
    beats: dict[int, Beats]
    queues: tuple[Queue, ...]
    mem_a_words: int

    @property
    def depth(self) -> int:
        """Layers."""
        return len(self.stages)

    @property
    def mem_b_words(self) -> int:
        """Words of MEM B in use, on the core that needs most."""
        return max(words.total for words in self.words.values())

    @property
    def sram_beats(self) -> int:
        """Beats of core SRAM in use, on the core that needs most."""
        return max(beats.total for beats in self.beats.values())

    @property
    def back(self) -> int:
        """The errors' address register."""
        return len(self.queues)

    @cached_property
    def on(self) -> dict[int, list[Part]]:
        """Each core's parts."""
        return by_core(self.parts)

    def of(self, layer: int) -> list[Part]:
        """A layer's parts, from the lowest core up."""
        return [part for part in self.parts if part.layer == layer]

    @cached_property
    def chains(self) -> tuple[list[Part], ...]:
        """Each layer's parts in the order of their outputs, in which errors are added up."""
        return tuple(sorted(self.of(layer), key=lambda part: part.first) for layer in range(1, self.depth + 1))

    def number(self, part: Part) -> int:
        """Of a part, on its core."""
        return self.on[part.core].index(part)

    def positions(self, layer: int) -> int:
        """Beats of a sample's inputs, in whole tiles."""
        return held(self.stages[layer - 1])

    def behind(self, register: int, ticks: int) -> int:
        """The lag with which a register finds what was written some ticks ago."""
        return -ticks % self.queues[register - 1].slots

    def weight_places(self, index: int) -> Places:
        """MEM A's words of W_index: arrays of (weights, lanes), all parts' one after the other."""
        mine = [(part, first) for part, first in zip(self.parts, self.addresses, strict=True) if part.layer == index]
        return weights_of(mine, self.sizes, self.rows, self.k, held(self.stages[index - 1]))

    def feedback_places(self, index: int) -> Places:
        """There is no feedback matrix."""
        raise NotImplementedError(f"continuous propagation has no feedback matrix B_{index}")


def held(stage: Stage) -> int:
    """Positions in whole tiles."""
    return stage.rounds * stage.width


def product_turns(batch: int) -> int:
    """Samples whose shares of error sums lie side by side."""
    return next(n for n in range(min(3, batch), batch + 1) if batch % n == 0)


def evenly(parts: tuple[Part, ...]) -> tuple[Part, ...]:
    """A core's parts of a layer made as equal as can be. Where their outputs begin is still to be said."""
    found: list[Part] = []
    for _, some in groupby(parts, key=lambda part: (part.core, part.layer)):
        mine = list(some)
        outputs = sum(part.sums for part in mine)
        for number, part in enumerate(mine):
            low, high = (outputs * i // len(mine) for i in (number, number + 1))
            found.append(replace(part, first=number, sums=high - low))
    return tuple(found)


def in_chains(parts: tuple[Part, ...], cycles: Callable[[Part], int]) -> tuple[Part, ...]:
    """The parts with outputs such that errors are added up in the order in which parts end: first those that end early.

    Of those that end at about the same time the highest core's come first, so sums go down the ring.
    """
    until: dict[Part, int] = {}
    for some in by_core(parts).values():
        at = 0
        for part in some:
            until[part] = at = at + cycles(part)
    longest, found = max(until.values()), dict[Part, Part]()
    for layer in {part.layer for part in parts}:
        mine = [part for part in parts if part.layer == layer]
        times = max(sum(part.core == core for part in mine) for core in {part.core for part in mine})
        first, alike = 0, list[Part]()
        for part in sorted(mine, key=lambda part: until[part]):
            if alike and until[part] - until[alike[0]] > longest // (2 * times):
                first, alike = _numbered(alike, first, found), []
            alike.append(part)
        _numbered(alike, first, found)
    return tuple(found[part] for part in parts)


def _numbered(alike: list[Part], first: int, found: dict[Part, Part]) -> int:
    """Parts with outputs from the first on, the highest core's first; returns the next one's."""
    for part in sorted(alike, key=lambda part: -part.core):
        found[part] = replace(part, first=first)
        first += part.sums
    return first


def finish(network: Network, m: Machine, batch: int, parts: tuple[Part, ...]) -> Layout:
    """Addresses for the parts."""
    stages, rows = make_stages(network, m), m.pe_rows
    filled = dict.fromkeys(range(m.cores), 0)
    addresses: list[int] = []
    for part in parts:
        addresses.append(filled[part.core])
        filled[part.core] += held(stages[part.layer - 1]) * part.sums
    # the next tick's come meanwhile; of own activations, errors' slopes want those of a tick more
    queues = [Queue(words=batch * held(one), slots=one.delay + (2 if one.layer == 1 else 3)) for one in stages]
    cores = by_core(parts)
    queues.append(Queue(words=max(batch * sum(part.sums for part in some) for some in cores.values()), slots=2))
    return Layout(
        batch=batch,
        cores=m.cores,
        rows=rows,
        k=interleave(m),
        sizes=network.sizes,
        stages=stages,
        parts=parts,
        addresses=tuple(addresses),
        words={core: _words(some, stages, batch, rows) for core, some in cores.items()},
        beats={core: _beats(some, stages, batch, queues) for core, some in cores.items()},
        queues=tuple(queues),
        mem_a_words=max(filled.values()),
    )


def _words(some: list[Part], stages: tuple[Stage, ...], batch: int, rows: int) -> Words:
    word = 0

    def take(count: int) -> int:
        nonlocal word
        word += count
        return word - count

    of = [stages[part.layer - 1] for part in some]
    tile = max(stage.width for stage in of)
    back = any(stage.back for stage in of)
    return Words(
        sums=take(batch * max(stretch(part, rows) for part in some)),
        errors=take(batch * max(part.sums for part in some)),
        old=take(batch * tile),
        now=take(batch * tile),
        products=take(product_turns(batch) * tile if back else 0),
        own=take(TURNS if back else 0),
        pairs=take(2 * PAIRS if back else 0),
        reduced=tuple(take(batch * -(-part.sums // rows)) for part in some),
        total=word,
    )


def _beats(some: list[Part], stages: tuple[Stage, ...], batch: int, queues: list[Queue]) -> Beats:
    beat = 0

    def take(count: int) -> int:
        nonlocal beat
        beat += count
        return beat - count

    layers = {1} | {part.layer for part in some} | {part.layer + 1 for part in some if part.layer < len(stages)}
    inputs = {layer: take(queues[layer - 1].words * queues[layer - 1].slots) for layer in sorted(layers)}
    back = take(2 * queues[-1].words)
    earlier = [sum(part.sums for part in some[:number]) for number in range(len(some))]
    areas = [batch * held(stages[part.layer - 1]) if part.layer > 1 else 0 for part in some]
    return Beats(
        inputs=inputs,
        back=tuple(back + batch * outputs for outputs in earlier),
        own=tuple(take(count) for count in areas),
        came=tuple(take(count) for count in areas),
        total=beat,
    )
