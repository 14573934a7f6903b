"""The passes over the weights: each is read once, sent back through, updated, gone forward with, and written.

A weight takes three cycles: one for each multiply-add (two in layer 1, which sends no errors back). Read in cycle 0 of
its three, its update is issued in `update`, so that the weight comes out when MEM A's port is free; forward takes it as
it comes out, or a cycle later; the error's multiply-add takes the cycle that is left.

Weights lie in the order of their turns, so an access of MEM A brings, or takes, the next k of them (isa.halves), which
may go on into the next group of positions.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

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
    Loop,
    halves,
)
from caterpillar.mapping.pipeline.layout import Layout
from caterpillar.mapping.pipeline.parts import Access
from caterpillar.mapping.pipeline.planner import Planner
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
    """One layer's pass: its groups of positions begin `period` cycles apart, the first at `start`.

    gaps: so often, `apart` groups after each other, a weight's cycles are left free for what goes on beside the pass.
    """

    index: int
    start: int
    period: int
    gaps: int
    apart: int
    split: Split
    beat: Beat
    earlier: int  # groups of the passes before

    @property
    def prepared(self) -> int:
        """When all cores' activations must be in the core SRAMs: the first inputs are not fetched before."""
        return self.start - 2 * self.period - 40 if self.index > 1 else 0

    @property
    def group_words(self) -> int:
        """Weights of a group."""
        return self.split.width * self.split.sums

    @property
    def end(self) -> int:
        """When the next pass's first weight may be read."""
        return self.group(self.split.groups)

    @property
    def last_weight(self) -> int:
        """When the last weight is read."""
        return self.weight(self.split.weights - 1)

    def group(self, number: int) -> int:
        """When a group's first weight is read."""
        return self.start + number * self.period + min(max(number, 0) // self.apart, self.gaps) * self.beat.pace

    def weight(self, number: int) -> int:
        """When a weight is read."""
        group, turn = divmod(number, self.group_words)
        return self.group(group) + turn * self.beat.pace

    def error_ready(self, number: int) -> int:
        """When the error sum of position `number` has come out, less the latency."""
        group, a = divmod(number, self.split.width)
        last = self.split.width * (self.split.sums - 1) + a
        return self.group(group) + last * self.beat.pace + self.beat.back

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
        step = k // math.gcd(k, self.group_words)
        for first in range(min(step, self.split.groups)):
            yield first, step, first * self.group_words % k


def registers(layout: Layout) -> tuple[int, int, int]:
    """First registers of the updates' factors, of the activations, and of the error sums on their way out."""
    width = max(split.width for split in layout.splits)
    return REGISTER, REGISTER + width, REGISTER + 2 * width


def staged(layout: Layout, group: int, a: int, *, old: bool) -> int:
    """Where in MEM B an input is put until its group, so many since the tick's first, begins."""
    width = max(split.width for split in layout.splits)
    return layout.words.staged + 2 * width * (group % 2) + 2 * a + old


def weight_pass(b: Planner, layout: Layout, m: Machine, one: Pass) -> None:
    """Issue the multiply-adds and what they read and write, all but the inputs' way into their registers."""
    _, inputs, leaving = registers(layout)
    for first, step, phase in one.phases(halves(m)):
        for run in one.runs(first, one.split.groups, step, one.group_words):
            _weights(b, layout, m, one, run, phase)
        for run in one.runs(first, one.split.groups, step):
            _updates(b, layout, m, one, run, phase)
    weights = one.split.weights
    first = weights - weights % halves(m)
    write_rest(
        b, [one.weight(n) + one.beat.written for n in range(first, weights)], layout.addresses[one.index] + first
    )
    for a in range(one.split.width):
        for stretch in _stretches(one.split, a):
            with b.account("forward"):
                _forward(b, m, one, a, stretch, inputs + a, layout.words.sums[one.index])
        if one.index > 1:
            with b.account("backward"):
                _backward(b, layout, m, one, a, leaving + a)


def _weights(b: Planner, layout: Layout, m: Machine, one: Pass, run: Run, phase: int) -> None:
    """Reads and writes of MEM A in a stretch of groups, whose first weight is at `phase` in a word of k."""
    k, pace, (start, group, each) = halves(m), one.beat.pace, run
    base = layout.addresses[one.index] + group * one.group_words
    for op, offset in ((READ, -phase % k), (WRITE_GROUP, (k - 1 - phase) % k)):
        loops = [*each, loop(-(-(one.group_words - offset) // k), k * pace, address=k)]
        at = start + offset * pace
        if op == READ:
            with b.account("backward", "update", "forward") if one.index > 1 else b.account("update", "forward"):
                b.memory_a(READ, at, loops, base + offset, MEM_A)
        else:
            with b.account("update"):
                b.memory_a(WRITE_GROUP, at + one.beat.written, loops, base + offset - (k - 1), RESULT)


def write_rest(b: Planner, cycles: list[int], address: int) -> None:
    """A layer's last weights, where they do not fill a word of MEM A, are written one by one, as they come out."""
    with b.account("update"):
        for number, at in enumerate(cycles):
            b.memory_a(WRITE, at, [], address + number, RESULT)


def _updates(b: Planner, layout: Layout, m: Machine, one: Pass, run: Run, phase: int) -> None:
    """Multiply-adds of the weights' updates in a stretch of groups."""
    split, beat, k, (start, _, each) = one.split, one.beat, halves(m), run
    factors, step = registers(layout)[0], split.width * beat.pace
    for a in range(split.width):
        for first, count, number in _stretches(split, a):
            at = start + (first * split.width + a) * beat.pace
            turns, errors = [*each, loop(count, step, address=1)], layout.words.errors[one.index] + number
            with b.account("backward", "update") if one.index > 1 else b.account("update"):
                b.memory_b(READ, at + beat.update - 1, turns, errors, LATCH)
            fields = {"fma_a": factors + a, "fma_b": LATCH, "fma_flags": NEGATE}
            with b.account("update"):
                for turn, count_of, stride, half in by_half(k, split.width, phase + first * split.width + a, count):
                    again, where = [*each, loop(count_of, stride * step)], at + turn * step + beat.update
                    b.issue("fma", where, again, **fields, fma_c=HALF + half, fma_to=kept(k, half))


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


def _stretches(split: Split, a: int) -> Iterator[tuple[int, int, int]]:
    """First turn, turns and first output of the stretches in which a position's outputs, and their words, run on."""
    begun = 0
    for turn in range(1, split.sums + 1):
        last, number = ((one + split.shift * a) % split.sums for one in (turn - 1, turn))
        if turn == split.sums or split.places[number] != split.places[last] + 1:
            yield begun, turn - begun, (begun + split.shift * a) % split.sums
            begun = turn


def _forward(b: Planner, m: Machine, one: Pass, a: int, stretch: tuple[int, int, int], factor: int, sums: int) -> None:
    """Partial sums lie in MEM B; in the first group, the first turn of each output starts from +0."""
    split, beat = one.split, one.beat
    first, count, number = stretch
    step = split.width * beat.pace
    fresh = split.shift if a < split.width - 1 else split.sums - split.shift * a
    fresh = min(count, max(0, fresh - first))
    fields = {"fma_a": factor, "fma_b": beat.result}
    later = (first * split.width + a) * beat.pace + beat.forward
    b.issue("fma", one.start + later, [loop(fresh, step)], **fields, fma_c=ZERO)
    for low, high, skip in ((0, 1, fresh), (1, split.groups, 0)):
        for start, _, each in one.runs(low, high):
            where = start + later + skip * step
            turns = [*each, loop(count - skip, step, address=1)]
            b.memory_b(READ, where - 1, turns, sums + split.places[number] + skip, LATCH + 1)
            b.issue("fma", where, [*each, loop(count - skip, step)], **fields, fma_c=LATCH + 1)
    for start, _, each in one.runs(0, split.groups):
        turns = [*each, loop(count, step, address=1)]
        b.memory_b(WRITE, start + later + m.fma_latency, turns, sums + split.places[number], RESULT)


def _backward(b: Planner, layout: Layout, m: Machine, one: Pass, a: int, leaving: int) -> None:
    """An error sum begins with what came off the ring (in the first chunk: +0) and ends in a register.

    Those of the last chunk, which are the core's own, stay in MEM B, where what came off the ring was: a word for each
    beat of the position, its columns' own. Sums that are joined later all begin with +0 and go to a register.
    """
    split, beat, k = one.split, one.beat, halves(m)
    later, places = a * beat.pace + beat.back, layout.cores * split.chunk
    target = leaving if split.sums == 1 else ACCUMULATOR + a
    begun = split.groups if layout.cores == 1 or split.joined else -(-(split.chunk - a) // split.width)
    for first, every, phase in one.phases(k):
        half = (phase + a) % k
        starts = range(first, begun, every)
        for low, high, c in ((first, begun, ZERO), (first + every * len(starts), split.groups, LATCH + 2)):
            for start, _, each in one.runs(low, high, every):
                b.issue("fma", start + later, each, fma_a=HALF + half, fma_b=LATCH, fma_c=c, fma_to=target)
        for start, _, each in one.runs(first, split.groups, every):
            _error_sums(b, one, (start + later, each), phase + a, ACCUMULATOR + a, leaving, k)
    for group in range(begun, split.groups):
        number, at = group * split.width + a, one.group(group) + later - 1
        b.memory_b(READ, at, [], layout.words.carried[one.index] + number % split.chunk * split.steps, LATCH + 2)
        b.hold("latch 2", np.array([at]))
    fields = own_column(split.steps)
    for number in range(places - split.chunk, places):
        if number % split.width == a and not split.joined:
            word = layout.words.carried[one.index] + number % split.chunk * split.steps
            b.memory_b(WRITE, one.error_ready(number) + m.fma_latency, [], word, RESULT, **fields)


def own_column(words: int) -> dict[str, int]:
    """How a column of PEs addresses, of so many words, the one with its own number."""
    return {"mode": XOR_COLUMN, "bits": (words - 1).bit_length()} if words > 1 else {}


def _error_sums(
    b: Planner, one: Pass, run: tuple[int, list[Loop]], first: int, sums: int, leaving: int, k: int
) -> None:
    """The multiply-adds of a position's error sum but the first, in a stretch of groups; first: that weight's place."""
    split, (start, each) = one.split, run
    step, fields = split.width * one.beat.pace, {"fma_b": LATCH, "fma_c": sums}
    for turn, count, stride, half in by_half(k, split.width, first + split.width, split.sums - 2):
        inner, at = [*each, loop(count, stride * step)], start + (1 + turn) * step
        b.issue("fma", at, inner, **fields, fma_a=HALF + half, fma_to=sums)
    if split.sums > 1:
        last = split.sums - 1
        half = (first + last * split.width) % k
        b.issue("fma", start + step * last, each, **fields, fma_a=HALF + half, fma_to=leaving)


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
