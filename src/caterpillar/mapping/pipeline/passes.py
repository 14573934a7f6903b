"""The passes over the weights: each is read once, sent back through, updated, gone forward with, and written.

A weight takes three cycles: one for each multiply-add (two in layer 1, which sends no errors back). Read in cycle 0 of
its three, its update is issued in `update`, so that the weight comes out when MEM A's port is free; forward takes it as
it comes out, or a cycle later; the error's multiply-add takes the cycle that is left.

Positions take turns; each begins some turns after the one before (Split.slot), so in every group of turns the outputs
of a position that has begun in the group before come first. Weights lie in the order of their turns, so an access of
MEM A brings, or takes, the next k of them (isa.halves), which may go on into the next group.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from caterpillar.machine import Machine
from caterpillar.mapping.builder import READ, WRITE, WRITE_GROUP, loop
from caterpillar.mapping.isa import (
    ACCUMULATOR,
    HALF,
    LATCH,
    MEM_A,
    NEGATE,
    NONE,
    REGISTER,
    RESULT,
    RESULT_BEFORE,
    STAGED,
    XOR_COLUMN,
    ZERO,
    Instruction,
    Kind,
    Loop,
    halves,
)
from caterpillar.mapping.pipeline.layout import Layout, summed
from caterpillar.mapping.pipeline.parts import Access
from caterpillar.mapping.pipeline.planner import Planner, each_core
from caterpillar.mapping.pipeline.split import Split

Run = tuple[int, int, list[Loop]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Beat:
    """When what happens to a weight that is read in cycle 0, one every `pace` cycles."""

    pace: int
    update: int
    back: int
    forward: int
    result: int  # operand code of the updated weight, forward

    @property
    def written(self) -> int:
        """When the weight comes out."""
        return self.forward - (self.result == RESULT_BEFORE)


def beat_of(machine: Machine, *, back: bool, pace: int = 3) -> Beat:
    """The cycles of a weight; pace: a multiple of 3 (2 without backward)."""
    latency = machine.fma_latency
    if back:
        update, after = (2 if latency % 3 == 2 else 1), latency % 3 == 0
    else:
        update, after = 2 - (latency + 1) % 2, latency % 2 == 0
        pace = 2
    return Beat(
        pace=pace,
        update=update,
        back=3,
        forward=update + latency + after,
        result=RESULT_BEFORE if after else RESULT,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Pass:
    """One layer's pass: its groups of turns begin `period` cycles apart, the first at `start`.

    gaps: so often, `apart` groups after each other, a weight's cycles are left free for what goes on beside the pass.
    """

    index: int
    start: int
    period: int
    gaps: int
    apart: int
    split: Split
    beat: Beat
    earlier: int  # positions of the passes before

    @property
    def prepared(self) -> int:
        """When all cores' activations must be in the core SRAMs: the first inputs are not fetched before."""
        return self.start - 2 * self.period - 40 if self.index > 1 else 0

    @property
    def end(self) -> int:
        """When the next pass's first weight may be read."""
        return self.weight(self.split.weights)

    @property
    def last_weight(self) -> int:
        """When the last weight is read."""
        return self.weight(self.split.weights - 1)

    def group(self, number: int) -> int:
        """When a group's first weight is read."""
        return self.start + number * self.period + min(max(number, 0) // self.apart, self.gaps) * self.beat.pace

    def weight(self, slot: int) -> int:
        """When the weight of a turn is read."""
        group, turn = divmod(slot, self.split.group_words)
        return self.group(group) + turn * self.beat.pace

    def begins(self, position: int) -> int:
        """When a position's first weight is read."""
        return self.weight(self.split.slot(position, 0))

    def error_ready(self, position: int) -> int:
        """When a position's error sum has come out, less the latency."""
        return self.weight(self.split.slot(position, self.split.sums - 1)) + self.beat.back

    def runs(self, first: int, last: int, step: int = 1, stride: int = 0) -> Iterator[Run]:
        """The groups first, first + step, .. < last in stretches that loops tell: first cycle, first group, loops.

        stride: what each group adds to an address.
        """
        inner: list[tuple[int, int]] = []  # group, and how many at equal distances
        for group in range(first, last, step):
            if inner and self.group(group) - self.group(inner[-1][0]) == inner[-1][1] * step * self.period:
                inner[-1] = (inner[-1][0], inner[-1][1] + 1)
            else:
                inner.append((group, 1))
        while inner:
            (group, count), times = inner[0], 1
            apart = inner[1][0] - group if len(inner) > 1 else 0
            period = self.group(group + apart) - self.group(group)
            while times < len(inner) and inner[times] == (group + times * apart, count):
                if self.group(inner[times][0]) - self.group(group) != times * period:
                    break
                times += 1
            fields = [{"address": words} if stride else {} for words in (apart * stride, step * stride)]
            outer = loop(times, period, **fields[0])
            yield self.group(group), group, [outer, loop(count, step * self.period, **fields[1])]
            inner = inner[times:]

    def phases(self, k: int) -> Iterator[tuple[int, int, int]]:
        """Groups whose weights lie alike in MEM A's words of k: the first, every how many, its first weight's place."""
        step = k // math.gcd(k, self.split.group_words)
        for first in range(min(step, self.split.groups)):
            yield first, step, first * self.split.group_words % k

    def phased(self, first: int, last: int, k: int) -> Iterator[tuple[Run, int]]:
        """The groups first .. last - 1 in stretches of such as lie alike, with their first weight's place."""
        for alike, step, phase in self.phases(k):
            for run in self.runs(alike + max(0, -(-(first - alike) // step)) * step, last, step):
                yield run, phase


@dataclass(frozen=True, slots=True)
class Stretch:
    """Turns of a position under way: outputs number .. number + count - 1, in every group from `late` on.

    late: 1 if the position has begun in the group before. turn: of its first output, in the group. word: of MEM B, of
    the first output's partial sum.
    """

    late: int
    turn: int
    count: int
    number: int
    word: int


def stretches(split: Split, a: int) -> Iterator[Stretch]:
    """Stretches of outputs whose partial sums' words run on, of the positions that are a modulo the width."""
    begun, start = 0, split.shift * a
    for number in range(1, split.sums + 1):
        ends = number == split.sums or start + number == split.sums
        if ends or split.places[number] != split.places[number - 1] + 1:
            late, turn = divmod(start + begun, split.sums)
            yield Stretch(late, turn, number - begun, begun, split.places[begun])
            begun = number


def made(end: int, m: Machine) -> int:
    """When all that a pass has made is in MEM B."""
    return end + 2 * m.fma_latency + 8


def registers(layout: Layout) -> tuple[int, int, int]:
    """First registers of the updates' factors, of the activations, and of the error sums on their way out."""
    width = max(split.width for split in layout.splits)
    return REGISTER, REGISTER + width, REGISTER + 2 * width


def staging(layout: Layout) -> int:
    """Positions whose inputs are in MEM B, waiting for their turn, at most."""
    return 2 * max(split.width for split in layout.splits)


def staged(layout: Layout, position: int, *, old: bool) -> int:
    """Where in MEM B an input is put until its position, so many since the tick's first, begins."""
    return layout.words.staged + 2 * (position % staging(layout)) + old


def weight_pass(b: Planner, layout: Layout, m: Machine, one: Pass) -> None:
    """Issue the multiply-adds and what they read and write, all but the inputs' way into their registers."""
    _, inputs, leaving = registers(layout)
    _weights(b, layout, m, one)
    for a in range(one.split.width):
        groups = len(range(a, one.split.positions, one.split.width))
        for stretch in stretches(one.split, a):
            _updates(b, layout, m, one, a, stretch, groups)
            with b.account("forward"):
                _forward(b, m, one, a, stretch, groups, inputs + a, layout.words.sums[one.index])
            if one.index > 1:
                with b.account("backward"):
                    _error_sums(b, one, a, stretch, groups, leaving + a, halves(m))
        if one.index > 1:
            with b.account("backward"):
                _backward(b, layout, m, one, a, groups, leaving + a)


def _weights(b: Planner, layout: Layout, m: Machine, one: Pass) -> None:
    """Reads and writes of MEM A, by words of k weights, but for words with some turns that are no position's."""
    k, split, base = halves(m), one.split, layout.addresses[one.index]
    real = np.zeros(-(-split.weights // k) * k, np.bool_)
    real[[split.slot(position, n) for position in range(split.positions) for n in range(split.sums)]] = True
    some, full = np.any(real.reshape(-1, k), axis=1), np.all(real.reshape(-1, k), axis=1)
    kinds: tuple[Kind, ...] = ("backward", "update", "forward") if one.index > 1 else ("update", "forward")
    with b.account(*kinds):
        for word, loops, at in _accesses(one, k, 0, some):
            b.memory_a(READ, at, loops, base + word * k, MEM_A)
    with b.account("update"):
        for word, loops, at in _accesses(one, k, k - 1, full):
            b.memory_a(WRITE_GROUP, at + one.beat.written, loops, base + word * k, RESULT)
    slots = np.flatnonzero(real & np.repeat(~full, k))
    write_rest(b, [(one.weight(slot) + one.beat.written, base + slot) for slot in slots.tolist()])


def _accesses(one: Pass, k: int, within: int, wanted: NDArray[np.bool_]) -> Iterator[tuple[int, list[Loop], int]]:
    """The wanted words of k weights, each when its weight `within` has its turn: first word, loops, cycle.

    Groups of which all words are wanted are told by loops.
    """
    size, groups = one.split.group_words, one.split.groups
    inside = [range(-(-(g * size - within) // k), -(-((g + 1) * size - within) // k)) for g in range(groups)]
    whole = [words.stop <= len(wanted) and wanted[words.start : words.stop].all() for words in inside]
    first = whole.index(True) if any(whole) else groups
    last = next((g for g in range(first, groups) if not whole[g]), groups)
    for group in (*range(first), *range(last, groups)):
        for word in inside[group]:
            if word < len(wanted) and wanted[word]:
                yield word, [], one.weight(word * k + within)
    for alike, step, _ in one.phases(k):
        start = alike + max(0, -(-(first - alike) // step)) * step
        for begin, group, each in one.runs(start, last, step, one.split.group_words):
            words = inside[group]
            at = begin + (words.start * k + within - group * size) * one.beat.pace
            if len(words):
                yield words.start, [*each, loop(len(words), k * one.beat.pace, address=k)], at


def write_rest(b: Planner, weights: list[tuple[int, int]]) -> None:
    """Weights that do not fill a word of MEM A are written one by one, as they come out: cycles and addresses."""
    with b.account("update"):
        for at, address in weights:
            b.memory_a(WRITE, at, [], address, RESULT)


def _updates(b: Planner, layout: Layout, m: Machine, one: Pass, a: int, some: Stretch, groups: int) -> None:
    """Multiply-adds of the weights' updates in a stretch of turns."""
    split, beat, k = one.split, one.beat, halves(m)
    factors, step, first = registers(layout)[0], split.width * beat.pace, some.turn * split.width + a
    errors, fields = layout.words.errors[one.index] + some.number, {"fma_b": LATCH, "fma_flags": NEGATE}
    for (start, _, each), phase in one.phased(some.late, some.late + groups, k):
        at = start + first * beat.pace + beat.update
        with b.account("backward", "update") if one.index > 1 else b.account("update"):
            b.memory_b(READ, at - 1, [*each, loop(some.count, step, address=1)], errors, LATCH)
        with b.account("update"):
            for turn, count, stride, half in by_half(k, split.width, phase + first, some.count):
                again, to = [*each, loop(count, stride * step)], kept(k, half)
                b.issue("fma", at + turn * step, again, fma_a=factors + a, fma_c=HALF + half, fma_to=to, **fields)


def by_half(k: int, width: int, first: int, count: int) -> Iterator[tuple[int, int, int, int]]:
    """Turns whose weights are the same word of their group: first turn, how many, turns between them, which word.

    first: number of the first turn's weight; the next turn's is `width` further.
    """
    stride = k // math.gcd(k, width)
    for turn in range(min(stride, count)):
        yield turn, -(-(count - turn) // stride), stride, (first + turn * width) % k


def kept(k: int, half: int) -> int:
    """Where an updated weight waits for those of its group: a write latch, the last one nowhere."""
    return STAGED + half if half < k - 1 else NONE


def _forward(b: Planner, m: Machine, one: Pass, a: int, some: Stretch, groups: int, factor: int, sums: int) -> None:
    """Partial sums lie in MEM B; the first position's start from +0."""
    split, beat = one.split, one.beat
    step, fields = split.width * beat.pace, {"fma_a": factor, "fma_b": beat.result}
    later, end = (some.turn * split.width + a) * beat.pace + beat.forward, some.late + groups
    word, plain, along = sums + some.word, loop(some.count, step), loop(some.count, step, address=1)
    if a == 0:
        b.issue("fma", one.start + later, [plain], **fields, fma_c=ZERO)
    for start, _, each in one.runs(some.late + (a == 0), end):
        b.memory_b(READ, start + later - 1, [*each, along], word, LATCH + 1)
        b.issue("fma", start + later, [*each, plain], **fields, fma_c=LATCH + 1)
    for start, _, each in one.runs(some.late, end):
        b.memory_b(WRITE, start + later + m.fma_latency, [*each, along], word, RESULT)


def _backward(b: Planner, layout: Layout, m: Machine, one: Pass, a: int, groups: int, leaving: int) -> None:
    """An error sum begins with what came off the ring (in the first chunk: +0) and ends in a register.

    Sums that are joined later all begin with +0.
    """
    split, beat, k, cores = one.split, one.beat, halves(m), layout.cores
    first = split.shift * a * split.width + a
    later = first * beat.pace + beat.back
    target = leaving if split.sums == 1 else ACCUMULATOR + a
    alone = cores == 1 or split.joined
    # positions of the first chunk: of the core before, which is longer here and there
    shortest, longest = (
        groups if alone else min(groups, max(0, -(-(chunk - a) // split.width)))
        for chunk in (min(split.chunks), max(split.chunks))
    )
    for low, high, c in ((0, shortest, ZERO), (longest, groups, LATCH + 2)):
        for (start, _, each), phase in one.phased(low, high, k):
            b.issue("fma", start + later, each, fma_a=HALF + (phase + first) % k, fma_b=LATCH, fma_c=c, fma_to=target)
    for group in range(shortest, groups):
        position, at = group * split.width + a, one.group(group) + later
        b.memory_b(READ, at - 1, [], carried(layout, one.index, position), LATCH + 2)
        b.hold("latch 2", np.array([at - 1]))
        if group < longest:
            c = each_core(ZERO if position < split.chunks[core - 1] else LATCH + 2 for core in range(cores))
            half = HALF + (group * split.group_words + first) % k
            b.issue("fma", at, [], fma_a=half, fma_b=LATCH, fma_c=c, fma_to=target)


def carried(layout: Layout, index: int, position: int) -> int:
    """Where what has come off the ring for each core's position lies, and then the sums of its own ones."""
    split = layout.splits[index]
    words = [summed(split, position, core) for core in range(layout.cores)]
    return each_core(layout.words.carried[index] + word * split.steps for word in words)


def own_column(words: int) -> dict[str, int]:
    """How a column of PEs addresses, of so many words, the one with its own number."""
    return {"mode": XOR_COLUMN, "bits": (words - 1).bit_length()} if words > 1 else {}


def _error_sums(b: Planner, one: Pass, a: int, some: Stretch, groups: int, leaving: int, k: int) -> None:
    """The multiply-adds of a position's error sum but the first, in a stretch of turns."""
    split, sums = one.split, ACCUMULATOR + a
    step, fields = split.width * one.beat.pace, {"fma_b": LATCH, "fma_c": sums}
    skip, last = int(some.number == 0), some.number + some.count == split.sums > 1
    first = (some.turn + skip) * split.width + a
    for (start, _, each), phase in one.phased(some.late, some.late + groups, k):
        at = start + first * one.beat.pace + one.beat.back
        for turn, count, stride, half in by_half(k, split.width, phase + first, some.count - skip - last):
            inner = [*each, loop(count, stride * step)]
            b.issue("fma", at + turn * step, inner, **fields, fma_a=HALF + half, fma_to=sums)
        if last:
            turn = some.count - skip - 1
            half = (phase + first + turn * split.width) % k
            b.issue("fma", at + turn * step, each, **fields, fma_a=HALF + half, fma_to=leaving)


def free_for(b: Planner, one: Pass, group_words: int, latency: int) -> bool:
    """Whether what the first group does meets nothing that has been issued."""
    beat = one.beat
    weights = loop(group_words, beat.pace)

    def cycles(offset: int) -> np.ndarray:
        return Instruction("fma", one.start + offset, (), (weights,)).cycles()

    issues = [beat.update, beat.forward, *([beat.back] if one.index > 1 else [])]
    accesses = [0, beat.written]
    ports = [cycles(at) for at in (beat.update - 1, beat.forward - 1, beat.forward + latency)]
    return (
        all(b.nothing_at("fma", cycles(at)) for at in issues)
        and all(b.nothing_at("mem_a", cycles(at)) for at in accesses)
        and b.ports_for(np.concatenate(ports))
    )


def behind(layout: Layout, register: int, ticks: int) -> int:
    """The lag with which an address register finds what was written some ticks ago."""
    return -ticks % layout.registers.queues[register - 1].slots


def load(b: Planner, first_use: int, window: int, address: int, register: int, queue: int = 0, lag: int = 0) -> bool:
    """Read a word of MEM B into a register in one of the `window` cycles before its first use, if there is a port."""
    for at in range(first_use - 1, first_use - 1 - window, -1):
        access = Access(0, READ, address, register, (("queue", queue), ("lag", lag)))
        if at >= 0 and b.fits(at, [access]):
            b.memory_b(READ, at, [], address, register, queue=queue, lag=lag)
            return True
    return False
