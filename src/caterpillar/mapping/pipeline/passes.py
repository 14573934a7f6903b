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

from caterpillar.machine import Machine
from caterpillar.mapping.builder import READ, loop
from caterpillar.mapping.isa import (
    REGISTER,
    RESULT,
    RESULT_BEFORE,
    XOR_COLUMN,
    Instruction,
    Loop,
)
from caterpillar.mapping.pipeline.each_core import each_core
from caterpillar.mapping.pipeline.layout import Layout, summed
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


def carried(layout: Layout, index: int, position: int) -> int:
    """Where what has come off the ring for each core's position lies, and then the sums of its own ones."""
    split = layout.splits[index]
    words = [summed(split, position, core) for core in range(layout.cores)]
    return each_core(layout.words.carried[index] + word * split.steps for word in words)


def own_column(words: int) -> dict[str, int]:
    """How a column of PEs addresses, of so many words, the one with its own number."""
    return {"mode": XOR_COLUMN, "bits": (words - 1).bit_length()} if words > 1 else {}


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
