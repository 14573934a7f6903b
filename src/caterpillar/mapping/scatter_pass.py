"""Writes the backward pass through a matrix, and the update beside it: what scatter.py has laid out in time."""

from __future__ import annotations

from itertools import pairwise

from caterpillar.mapping.builder import READ, WRITE, WRITE_GROUP, Builder, ScheduleError, loop
from caterpillar.mapping.isa import (
    ACCUMULATOR,
    BACKWARD,
    BACKWARD_UPDATE,
    COLLECTIVE,
    FROM_PE,
    FROM_UP,
    LATCH,
    MEM_A,
    NEGATE,
    NONE,
    ONE,
    REGISTER,
    RESULT,
    ROW,
    SLOPE,
    UP,
    ZERO,
    Loop,
    beat_cycles,
    link_hops,
)
from caterpillar.mapping.phases import staged, weight_latch
from caterpillar.mapping.scatter import Scatter


def back_scatter(b: Builder, s: Scatter, *, scaled: int, gates: int, errors: int, to: int, index: int) -> int:
    """Emit the pass: scaled inputs, gates (own activations by positions) and errors in MEM B; own errors go to `to`.

    scaled is for an update alone. index: the layer's. Returns when the errors are ready.
    """
    name = f"backward {index}, update {index}" if s.update else f"backward {index}"
    with b.phase(name, BACKWARD_UPDATE if s.update else BACKWARD):
        _weights(b, s, scaled=scaled, errors=errors)
    with b.phase(f"reduce-scatter {index}", COLLECTIVE, "collective"):
        return _visits(b, s, gates=gates, to=to)


def _weights(b: Builder, s: Scatter, *, scaled: int, errors: int) -> None:
    """Granules without a gap between them in loops, over all groups of positions."""
    width, tile, top = s.width, s.matrix.tile, (s.groups - 1) * s.width
    for first, count in s.runs:
        run = _Run(b, s, first, count)
        run.memory_a()
        for output in range(tile.wide):
            for position in range(width):
                if position % (tile.deep if tile.wide > 1 else width) == 0:
                    run.read_error(errors, output, position)
                if s.update:
                    run.update(output, position)
                run.error(output, position)
    if s.update:
        period = loop(s.groups - 1, width * s.piece, address=-width)
        with b.account("update"):
            for a in range(width):
                b.load_within(0, s.start, scaled + top + width - 1 - a, REGISTER + a)
                b.memory_b(READ, s.weight(1, s.index(0, a)), [period], scaled + top - 1 - a, REGISTER + a)


class _Run:
    """`count` granules from granule `first` on, in every group of positions. Outputs are those of a granule."""

    def __init__(self, b: Builder, s: Scatter, first: int, count: int) -> None:
        self.b, self.s, self.first, self.count = b, s, first, count
        self.tile, self.latency = s.matrix.tile, s.machine.fma_latency
        self.at = s.weight(0, first * s.granule)
        self.update_at, self.back_at = (2, 1) if self.latency % 2 or not s.update else (1, 2)
        self.top = (s.groups - 1) * s.width

    def loops(self, *, a: int = 0, b: int = 0, low: int = 0, high: int | None = None) -> list[Loop]:
        """Over groups and the granules low .. high - 1; a, b: the address's steps."""
        s, high = self.s, self.count if high is None else high
        granules = loop(high - low, s.granule * s.step, **({"address": b} if b else {}))
        return [loop(s.groups, s.width * s.piece, **({"address": a} if a else {})), granules]

    def when(self, output: int, position: int) -> int:
        """The cycle of a weight of the first granule."""
        return self.at + self.s.step * self.s.index(output, position)

    def memory_a(self) -> None:
        """Groups of words read and, updated, written."""
        s, tile = self.s, self.tile
        blocks = s.width // tile.deep
        across = self.loops(a=-s.width * s.matrix.padded, b=tile.words)
        loops = [*across, loop(blocks, tile.words * s.step, address=-s.matrix.step)]
        last = self.top + s.width - tile.deep  # the first position of the last block
        address = s.matrix.address + last // tile.deep * s.matrix.step + self.first * tile.words
        self.b.memory_a(READ, self.at, loops, address, MEM_A)
        if s.update:
            done = self.at + s.step * (tile.words - 1) + self.update_at + self.latency
            with self.b.account("update"):
                self.b.memory_a(WRITE_GROUP if tile.words > 1 else WRITE, done, loops, address, RESULT)

    def read_error(self, errors: int, output: int, position: int) -> None:
        """The output's error for the positions from this one on."""
        address = errors + self.first * self.tile.wide + output
        self.b.memory_b(READ, self.when(output, position), self.loops(b=self.tile.wide), address, LATCH)

    def _word(self, output: int, position: int) -> int:
        """Positions of a group are numbered from its last."""
        return self.tile.word(self.tile.deep - 1 - position % self.tile.deep, output)

    def update(self, output: int, position: int) -> None:
        """W - (lr h) d."""
        word, at = self._word(output, position), self.when(output, position) + self.update_at
        fields = {"fma_b": LATCH, "fma_c": weight_latch(self.tile, word), "fma_to": staged(self.tile, word)}
        with self.b.account("update"):
            self.b.issue("fma", at, self.loops(), fma_a=REGISTER + position, fma_flags=NEGATE, **fields)

    def error(self, output: int, position: int) -> None:
        """A multiply-add of a position's error: the first of a chain begins with +0, the last ends in a register."""
        s, sums = self.s, self.s.chains.sums
        chain = position * sums + output % sums
        granules = s.matrix.padded // self.tile.wide
        begins = self.first == 0 and output < sums
        ends = self.first + self.count == granules and output >= self.tile.wide - sums
        a = weight_latch(self.tile, self._word(output, position))
        cuts = sorted({0, int(begins), max(int(begins), self.count - int(ends)), self.count})
        for low, high in pairwise(cuts):
            c = ZERO if begins and low == 0 else ACCUMULATOR + chain
            to = s.fresh + chain if ends and high == self.count else ACCUMULATOR + chain
            at = self.when(output, position) + self.back_at + low * s.granule * s.step
            with self.b.account("backward"):
                self.b.issue("fma", at, self.loops(low=low, high=high), fma_a=a, fma_b=LATCH, fma_c=c, fma_to=to)


def _visits(b: Builder, s: Scatter, *, gates: int, to: int) -> int:
    """Position s t + i of core k is input block i of core k + s; its sum travels up, and ends at that core."""
    ready = 0
    for number, times in enumerate(s.times):
        distance, block = divmod(s.groups * s.width - 1 - number, s.layer.chunk)
        if distance >= s.machine.cores:
            continue
        first = distance == s.machine.cores - 1  # nothing comes over the ring
        mine = _stages(b, s, times, number % s.width, straight=first and distance > 0)
        if distance:
            _pass_on(b, s, times, mine, first=first)
            continue
        at = times[-1]
        if not first:
            _take(b, s, at)
        b.load_within(at - s.shortest + 1, at - 1, gates + block, LATCH + 3)
        out = at + s.machine.fma_latency
        stored = b.store_within(out, out, to + block, RESULT)
        a, c = (mine, ZERO) if first else (ROW, mine)
        fields = {"fma_a": a, "fma_c": c, "fma_to": s.carried if stored is None else NONE}
        b.issue("fma", at, [], fma_b=ONE, fma_flags=SLOPE, fma_gate=LATCH + 3, **fields)
        if stored is None:
            stored = b.store_within(out + 1, at + s.shortest - 1, to + block, s.carried)
        if stored is None:
            raise ScheduleError(f"no port of MEM B is free for an error after cycle {out}")
        ready = max(ready, stored + 1)
    return ready


def _stages(b: Builder, s: Scatter, times: list[int], position: int, *, straight: bool) -> int:
    """A position's stages before its visit; returns the sum's register. straight: it goes to the ring from there."""
    mine = s.fresh + position * s.chains.sums
    for number, stage in enumerate(s.stages):
        for i, (a, c, to) in enumerate(stage.adds):
            kept = s.operand(number, c, position)
            if stage.bit is not None:
                at = times[number] - link_hops(s.machine, stage.bit)
                b.issue("link", at, link_bit=stage.bit, link_slot=kept)
            mine = s.carried if straight and number == len(s.stages) - 1 else to
            other = s.operand(number, a, position)
            b.issue("fma", times[number] + i, fma_a=other, fma_b=ONE, fma_c=kept, fma_to=mine)
    return mine


def _take(b: Builder, s: Scatter, at: int) -> None:
    """What the core below sent of a position, in time for the addition at `at`."""
    for g in range(s.columns):
        when = at - s.transfer + g * beat_cycles(s.machine)
        b.issue("row_bus", when, row_from=FROM_UP, row_to=g, row_mask=s.columns - 1)


def _pass_on(b: Builder, s: Scatter, times: list[int], mine: int, *, first: bool) -> None:
    """A position's sum, and what came with it, up the ring."""
    latency = s.machine.fma_latency
    if first:  # from its register, as soon as it is there
        drive, slot = (times[-2] + len(s.stages[-1].adds) - 1 + latency, mine) if s.stages else (times[-1], mine)
    else:
        _take(b, s, times[-1])
        b.issue("fma", times[-1], fma_a=ROW, fma_b=ONE, fma_c=mine, fma_to=s.carried)
        drive, slot = times[-1] + latency, s.carried
    for g in range(s.columns):
        when = drive + g * beat_cycles(s.machine)
        b.issue("row_bus", when, row_from=FROM_PE, row_column=g, row_slot=slot, row_send=UP)
