"""A pass over the weights as issues: multiply-adds, and what they read and write, but for the inputs' way in."""

from __future__ import annotations

import math
from collections.abc import Iterator

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
    RESULT,
    STAGED,
    ZERO,
    Kind,
    Loop,
    halves,
)
from caterpillar.mapping.pipeline.each_core import each_core
from caterpillar.mapping.pipeline.layout import Layout
from caterpillar.mapping.pipeline.passes import Pass, Stretch, carried, registers, stretches
from caterpillar.mapping.pipeline.planner import Planner


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
