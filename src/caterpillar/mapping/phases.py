"""The phases of schedules that work through weights; each writes its instructions and returns when it is ready.

"Ready at t" means: from cycle t on it can be read from where the phase puts it. Weights come in groups, as one access
of MEM A brings them: latch HALF + i has word i of a group. Updated ones wait in STAGED + i for the last of their group.
"""

from __future__ import annotations

from collections.abc import Sequence

from caterpillar.machine import Machine
from caterpillar.mapping.builder import READ, WRITE, WRITE_GROUP, Builder, loop
from caterpillar.mapping.isa import (
    ACCUMULATOR,
    HALF,
    LATCH,
    MEM_A,
    NEGATE,
    NONE,
    RATE,
    REGISTER,
    RESULT,
    RESULT_BEFORE,
    STAGED,
    ZERO,
    accumulators,
)
from caterpillar.mapping.layout import LayerLayout
from caterpillar.mapping.split import Matrix, Tile, back_unit


def staged(tile: Tile, word: int) -> int:
    """Where an updated word of a group goes: the last straight to MEM A."""
    return STAGED + word if word < tile.words - 1 else NONE


def weight_latch(tile: Tile, word: int) -> int:
    """Where a word of the group read last is."""
    return HALF + word if tile.words > 1 else MEM_A


def forward(b: Builder, m: Machine, start: int, *, layer: LayerLayout, inputs: int, sums: int, pace: int) -> int:
    """Partial sums of all the lane's outputs over its inputs, to MEM B at `sums`; a multiply-add a cycle.

    The first multiply-add is issued at `start`; in the first block of outputs a position takes `pace` cycles.
    Returns when all sums are ready.
    """
    width, positions, matrix = accumulators(m), layer.positions, layer.weights
    blocks, rest = matrix.padded // width, start + positions * pace
    turns = max(1, matrix.tile.wide // width)  # blocks of outputs that share a group of words
    _forward_blocks(b, m, start, pace, layer, inputs, sums, range(1))
    for first in range(1, min(1 + turns, blocks)):
        at = rest + (first - 1) * positions * width
        _forward_blocks(b, m, at, width, layer, inputs, sums, range(first, blocks, turns))
    return rest + (blocks - 1) * positions * width - (pace - width if blocks == 1 else 0) + m.fma_latency


def _forward_blocks(
    b: Builder, m: Machine, at: int, pace: int, layer: LayerLayout, inputs: int, sums: int, blocks: range
) -> None:
    """Blocks of outputs, each over all positions; the first multiply-add is issued at `at`."""
    width, positions, matrix = accumulators(m), layer.positions, layer.weights
    tile = matrix.tile
    sets, first = -(-positions // tile.deep), blocks.start * width
    outer = loop(len(blocks), blocks.step * positions * width)
    words = [
        loop(outer.count, outer.period, address=blocks.step * width * tile.deep),
        loop(sets, tile.deep * pace, address=matrix.step),
    ]
    each = min(tile.wide, width)
    address = matrix.address + first * tile.deep if tile.wide <= width else matrix.address + first
    b.memory_a(READ, at - 1, [*words, loop(width // each, each, address=tile.words)], address, MEM_A)
    b.memory_b(READ, at - 1, [outer, loop(positions, pace, address=1)], inputs, LATCH + 1)
    for deep in range(tile.deep):
        count = len(range(deep, positions, tile.deep))
        for k in range(width):
            half = weight_latch(tile, tile.word(deep, (first + k) % tile.wide))
            for low, high in ((0, 1), (1, count)) if deep == 0 else ((0, count),):
                c = ZERO if deep == 0 and high == 1 and low == 0 else ACCUMULATOR + k
                loops = [outer, loop(high - low, tile.deep * pace)]
                issue = at + (low * tile.deep + deep) * pace + k
                b.issue("fma", issue, loops, fma_a=LATCH + 1, fma_b=half, fma_c=c, fma_to=ACCUMULATOR + k)
    last = at + (positions - 1) * pace + m.fma_latency
    loops = [loop(outer.count, outer.period, address=blocks.step * width), loop(width, 1, address=1)]
    b.memory_b(WRITE, last, loops, sums + first, RESULT)


def update_forward(
    b: Builder,
    m: Machine,
    start: int,
    *,
    old: int,
    errors: int,
    positions: int,
    matrix: Matrix,
    new: tuple[int, int] | None,
    pace: int = 0,
) -> int:
    """W <- W - (lr h) d of the sample before, and the new sample's partial sums with the W just written.

    new: where the new sample lies and where its sums go; None: the update alone. A weight takes two cycles, an update
    alone one if MEM A's words hold several weights; in the first block of outputs a position takes `pace` cycles, if
    that is more. The first weight is read at `start`. Returns when all sums are ready (all weights written).
    """
    u = _UpdateForward(b, m, old, errors, positions, matrix, two=new is not None or matrix.tile.words == 1)
    pace = max(pace, 2 * u.width)
    blocks, first_cycles = matrix.padded // u.width, u.sets * u.set_cycles(pace)
    used: list[tuple[int, int]] = []
    for first, count, base, period in ((0, 1, start, pace), (1, blocks - 1, start + first_cycles, 2 * u.width)):
        u.update(first, count, base, period)
        if new:
            with b.account("forward"):
                u.forward(first, count, base, period, *new)
        used.extend((base + block * u.block_cycles, first + block) for block in range(count))
    u.load_errors(used)
    end = start + first_cycles + (blocks - 1) * u.block_cycles - (pace - 2 * u.width if blocks == 1 and u.two else 0)
    return end + 1 + 2 * m.fma_latency if new else end - u.two + u.update_at + m.fma_latency


class _UpdateForward:
    """A pass over a matrix, block by block of `width` outputs; in a block, positions come in sets as deep as a tile."""

    def __init__(
        self, b: Builder, m: Machine, old: int, errors: int, positions: int, matrix: Matrix, *, two: bool
    ) -> None:
        self.b, self.latency, self.matrix, self.tile = b, m.fma_latency, matrix, matrix.tile
        self.old, self.errors, self.positions = old, errors, positions
        self.two = two
        self.width = max(back_unit(m), self.tile.wide)
        self.sets = -(-positions // self.tile.deep)
        # updates are written in cycles in which no weight is read: odd ones, or not when a group begins
        self.odd = self.latency % 2 if two else 0
        self.update_at = 1 + self.odd
        words = self.tile.words
        self.group = next(n for n in range(words, words + self.latency + 2) if (words + self.latency) % n)
        self.block_cycles = self.sets * self.set_cycles(2 * self.width)

    def set_cycles(self, period: int) -> int:
        """Cycles of a set, at `period` cycles a position where a weight takes two."""
        return self.tile.deep * period if self.two else self.width // self.tile.wide * self.group

    def words(self) -> list[tuple[int, int, int]]:
        """A set's weights in order: (word of its group, position in the set, output in the block)."""
        tile = self.tile
        groups = range(0, self.width, tile.wide)
        return [(tile.word(s, j), s, y + j) for y in groups for s, j in tile.weights()]

    def time(self, index: int, period: int) -> int:
        """From the start of a set to the cycle of a weight."""
        if not self.two:
            return index // self.tile.words * self.group + index % self.tile.words
        position, within = divmod(index, self.width)
        return position * period + within * 2

    def update(self, first: int, count: int, base: int, period: int) -> None:
        """`count` blocks from block `first` on, the first read at `base`, a position each `period` cycles."""
        b, tile = self.b, self.tile
        nest = [loop(count, self.block_cycles), loop(self.sets, self.set_cycles(period))]
        strides = (self.width * tile.deep, self.matrix.step)
        along = [loop(one.count, one.period, address=by) for one, by in zip(nest, strides, strict=True)]
        every = 2 * tile.wide if self.two else self.group
        groups = loop(self.width // tile.wide, every, address=tile.words)
        column, words = self.matrix.address + first * self.width * tile.deep, self.words()
        b.memory_a(READ, base, [*along, groups], column, MEM_A)
        with b.account("update"):
            seen = -1
            for index, (word, position, output) in enumerate(words):
                at = base + self.time(index, period)
                latch = LATCH + 2 * position if tile.by_output else LATCH
                if position > seen:
                    inputs = [nest[0], loop(self.sets, nest[1].period, address=tile.deep)]
                    for deep in range(tile.deep) if tile.by_output else [position]:
                        slot = LATCH + 2 * deep if tile.by_output else LATCH
                        b.memory_b(READ, at + self.odd, inputs, self.old + deep, slot)
                    seen = tile.deep if tile.by_output else position
                fields = {"fma_b": REGISTER + output, "fma_c": weight_latch(tile, word), "fma_to": staged(tile, word)}
                b.issue("fma", at + self.update_at, nest, fma_a=latch, fma_flags=NEGATE, **fields)
            done = base + self.time(tile.words - 1, period) + self.update_at + self.latency
            b.memory_a(WRITE_GROUP if tile.words > 1 else WRITE, done, [*along, groups], column, RESULT)

    def forward(self, first: int, count: int, base: int, period: int, new: int, sums: int) -> None:
        """The same blocks' sums, each multiply-add with the weight that has just come out of the FMA."""
        b, width = self.b, self.width
        after = RESULT if self.odd else RESULT_BEFORE
        at, outer = base + 2 + self.latency, loop(count, self.block_cycles)
        b.memory_b(READ, at - 1, [outer, loop(self.positions, period, address=1)], new, LATCH + 1)
        for k in range(width):
            for low, high, c in ((0, 1, ZERO), (1, self.positions, ACCUMULATOR + k)):
                loops = [outer, loop(high - low, period)]
                issue = at + low * period + 2 * k
                b.issue("fma", issue, loops, fma_a=LATCH + 1, fma_b=after, fma_c=c, fma_to=ACCUMULATOR + k)
        loops = [loop(count, self.block_cycles, address=width), loop(width, 2, address=1)]
        last = at + (self.positions - 1) * period + self.latency
        b.memory_b(WRITE, last, loops, sums + first * width, RESULT)

    def load_errors(self, used: list[tuple[int, int]]) -> None:
        """A block's errors to registers, between their last use in the block before and the first in this one."""
        outputs = [output for _, _, output in self.words()]
        natural = 2 * self.width
        with self.b.account("update"):
            for base, block in used:
                for y in range(self.width):
                    times = [self.time(i, natural) for i, one in enumerate(outputs) if one == y]
                    first = base - self.set_cycles(natural) + times[-1] + self.update_at
                    last = base + times[0] + self.update_at - 1
                    self.b.load_within(max(0, first), last, self.errors + block * self.width + y, REGISTER + y)


def scale(
    b: Builder,
    m: Machine,
    start: int,
    *,
    regions: Sequence[tuple[int, int, int]],
    pace: int = 2,
) -> int:
    """lr times each word of the regions (from, to, words), a word every `pace` cycles; returns when done.

    With a pace of two, MEM B is read in one cycle and written in the other.
    """
    gap = 1 + m.fma_latency % 2 * (pace - 1)
    for source, to, words in regions:
        b.memory_b(READ, start, [loop(words, pace, address=1)], source, LATCH + 3)
        b.issue("fma", start + gap, [loop(words, pace)], fma_a=RATE, fma_b=LATCH + 3, fma_c=ZERO)
        b.memory_b(WRITE, start + gap + m.fma_latency, [loop(words, pace, address=1)], to, RESULT)
        start += pace * words
    return start + m.fma_latency + gap - 1


def copy(b: Builder, start: int, *, source: int, to: int, words: int) -> int:
    """Words of MEM B to another place there, one a cycle; returns when done."""
    b.memory_b(READ, start, [loop(words, 1, address=1)], source, LATCH + 3)
    b.memory_b(WRITE, start + 1, [loop(words, 1, address=1)], to, LATCH + 3)
    return start + words + 1
