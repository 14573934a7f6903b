"""A part's pass over its weights: each is read once, sent back through, updated, gone forward with, and written.

Positions come `width` at a time, a round: output by output, one position after the other, three cycles a weight (two in
the first layer, which sends no errors back). Their inputs are broadcast on the row buses from the core SRAM just before
the round begins, and wait in MEM B until the registers that held the last round's are free.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from caterpillar.machine import Machine
from caterpillar.mapping.builder import READ, WRITE, ScheduleError, loop
from caterpillar.mapping.isa import (
    ACCUMULATOR,
    ALL_COLUMNS,
    FROM_SRAM,
    LATCH,
    MEM_A,
    NEGATE,
    NONE,
    REGISTER,
    RESULT,
    ROW,
    ZERO,
    Instruction,
    Kinds,
    Loop,
    sram_beat_cycles,
)
from caterpillar.mapping.paper.continuous.layout import Layout, product_words, stretch
from caterpillar.mapping.paper.continuous.planner import Planner
from caterpillar.mapping.paper.continuous.shares import Pace, Part, Stage, pace_of

CLEAR = 12  # cycles about a round's start that broadcasts leave to others
MORE = 400  # cycles that a round may be longer than its multiply-adds, at most


@dataclass(frozen=True, slots=True, kw_only=True)
class Pass:
    """A part's pass, its first weight read at `start`. broadcasts: from a round's start to each of its broadcasts."""

    part: Part
    stage: Stage
    pace: Pace
    start: int
    latency: int
    broadcasts: dict[tuple[int, bool], int]

    @property
    def lead(self) -> int:
        """Cycles before its start in which the first inputs come."""
        return max(0, -min(self.broadcasts.values()))

    def round(self, number: int) -> int:
        """When a round's first weight is read."""
        return self.start + self.pace.start(number)

    @property
    def end(self) -> int:
        """When the last weight has been read."""
        return self.round(self.stage.rounds - 1) + self.stage.beat.pace * self.stage.width * self.part.sums

    @property
    def summed(self) -> int:
        """When the last partial sum is in MEM B."""
        return self.end - self.stage.beat.pace + self.stage.beat.forward + self.latency + 1

    def error_ready(self, position: int) -> int:
        """When a position's share of its error sum is in MEM B."""
        number, a = divmod(position, self.stage.width)
        last = self.stage.width * (self.part.sums - 1) + a
        return self.round(number) + last * self.stage.beat.pace + self.stage.beat.back + self.latency + 1

    def needs(self, position: int, *, old: bool) -> int:
        """When a position's inputs are read from core SRAM."""
        number, a = divmod(position, self.stage.width)
        return self.round(number) + self.broadcasts[a, old]

    def runs(self, first: int = 0) -> Iterator[tuple[int, int, tuple[Loop, ...]]]:
        """Rounds first .. in stretches: the first's start, its number, the loops over the others."""
        pace, rounds = self.pace, self.stage.rounds
        while first < rounds:
            blocks = (rounds - first) // pace.block if first % pace.block == 0 else 0
            if blocks:
                many = loop(blocks, pace.block * pace.period + pace.gap), loop(pace.block, pace.period)
                count = blocks * pace.block
            else:
                count = min(rounds - first, pace.block - first % pace.block)
                many = loop(1, 0), loop(count, pace.period)
            yield self.round(first), first, many
            first += count


def stepped(loops: tuple[Loop, ...], field: str, step: int) -> list[Loop]:
    """Loops over rounds whose field steps by so much a round."""
    outer, inner = loops
    return [
        Loop(outer.count, outer.period, ((field, step * inner.count),)),
        Loop(inner.count, inner.period, ((field, step),)),
    ]


def plan_pass(layout: Layout, m: Machine, part: Part, least: int = 0) -> Pass:
    """A pass whose inputs find their ways: found by trying, on a core that does nothing else.

    least: cycles that a round is longer, at least.
    """
    for more in range(least, least + MORE, layout.stages[part.layer - 1].beat.pace):
        try:
            return emit_pass(
                Planner(), layout, m, part, pace_of(layout.stages[part.layer - 1], part.sums, m, more), 999
            )
        except ScheduleError:
            continue
    raise ScheduleError(f"no pace at which the inputs of layer {part.layer} come in time")


def emit_pass(b: Planner, layout: Layout, m: Machine, part: Part, pace: Pace, start: int) -> Pass:
    """Issue a pass. Raises ScheduleError where inputs do not come in time."""
    stage = layout.stages[part.layer - 1]
    one = Pass(part=part, stage=stage, pace=pace, start=start, latency=m.fma_latency, broadcasts={})
    _weights(b, layout, one)
    for a in range(stage.width):
        _forward(b, layout, one, a)
        if stage.back:
            _backward(b, layout, one, a)
    for a in range(stage.width):
        for old in (True, False):
            one.broadcasts[a, old] = _inputs(b, layout, m, one, a, old=old)
    kinds: Kinds = ("backward", "update", "forward") if stage.back else ("update", "forward")
    b.mark(", ".join(f"{kind} {part.layer}" for kind in kinds), kinds, "compute", one.start, one.end)
    return one


def _address(layout: Layout, one: Pass) -> int:
    return layout.addresses[layout.parts.index(one.part)]


def _weights(b: Planner, layout: Layout, one: Pass) -> None:
    """Reads, updates and writes; of each output's error one read for all positions of a round."""
    stage, beat, sums, words = one.stage, one.stage.beat, one.part.sums, layout.words[one.part.core]
    width, step = stage.width, stage.beat.pace * stage.width
    every: Kinds = ("backward", "update", "forward") if stage.back else ("update", "forward")
    for start, number, many in one.runs():
        address = _address(layout, one) + number * width * sums
        loops = [*stepped(many, "address", width * sums), loop(width * sums, beat.pace, address=1)]
        with b.account(*every):
            b.memory_a(READ, start, loops, address, MEM_A)
        with b.account("update"):
            b.memory_a(WRITE, start + beat.written, loops, address, RESULT)
        with b.account(*every[:-1]):
            b.memory_b(READ, start + beat.update - 1, [*many, loop(sums, step, address=1)], words.errors, LATCH)
        with b.account("update"):
            for a in range(width):
                at, fields = start + a * beat.pace + beat.update, {"fma_a": REGISTER + 2 * a, "fma_b": LATCH}
                b.issue("fma", at, [*many, loop(sums, step)], **fields, fma_c=MEM_A, fma_flags=NEGATE)


def _forward(b: Planner, layout: Layout, one: Pass, a: int) -> None:
    """Partial sums of position a of each round, a word an output; the first round's begin from +0."""
    stage, beat, sums, words = one.stage, one.stage.beat, one.part.sums, layout.words[one.part.core]
    step, to = beat.pace * stage.width, words.sums + a * stretch(one.part, layout.rows)
    later = a * beat.pace + beat.forward
    fields = {"fma_a": REGISTER + 2 * a + 1, "fma_b": beat.result}
    along, plain = loop(sums, step, address=1), loop(sums, step)
    with b.account("forward"):
        b.issue("fma", one.start + later, [plain], **fields, fma_c=ZERO)
        for start, _, many in one.runs(1):
            b.memory_b(READ, start + later - 1, [*many, along], to, LATCH + 1)
            b.issue("fma", start + later, [*many, plain], **fields, fma_c=LATCH + 1)
        for start, _, many in one.runs():
            b.memory_b(WRITE, start + later + one.latency, [*many, along], to, RESULT)


def _backward(b: Planner, layout: Layout, one: Pass, a: int) -> None:
    """The errors of position a of each round: added up over the outputs, the sum to MEM B."""
    stage, beat, sums, words = one.stage, one.stage.beat, one.part.sums, layout.words[one.part.core]
    step, later, total = beat.pace * stage.width, a * beat.pace + beat.back, ACCUMULATOR + a
    fields = {"fma_a": MEM_A, "fma_b": LATCH}
    with b.account("backward"):
        for start, _, many in one.runs():
            at = start + later
            b.issue("fma", at, [*many], **fields, fma_c=ZERO, fma_to=total if sums > 1 else NONE)
            if sums > 1:
                b.issue("fma", at + step, [*many, loop(sums - 2, step)], **fields, fma_c=total, fma_to=total)
                b.issue("fma", at + step * (sums - 1), [*many], **fields, fma_c=total)
        size = product_words(stage, layout.rows) // stage.width  # rounds until the words are used again
        for turn in range(min(size, stage.rounds)):
            count = len(range(turn, stage.rounds, size))
            at = one.round(turn) + later + step * (sums - 1) + one.latency
            again = one.pace.start(size) - one.pace.start(0)
            b.memory_b(WRITE, at, [loop(count, again)], words.products + turn * stage.width + a, RESULT)


def _inputs(b: Planner, layout: Layout, m: Machine, one: Pass, a: int, *, old: bool) -> int:
    """Position a's inputs of every round to a register of all PEs; returns when they are broadcast, from its start.

    Both ways are the same in all rounds; the broadcast is as late as it can be without taking the buses and ports from
    those who wait for the cycles that the FMA has free between two rounds.
    """
    stage, beat, words = one.stage, one.stage.beat, layout.words[one.part.core]
    first_use = a * beat.pace + (beat.update if old else beat.forward)
    stage_word = words.staged + 2 * a + old
    slot = REGISTER + 2 * a + (not old)
    with b.account("update" if old else "forward"):
        for load in range(first_use - 1, first_use - 1 - beat.pace * stage.width, -1):
            if not b.ports_for(_cycles(one, load)):
                continue
            soonest, latest = load - 2 - one.pace.shortest, load - 2
            apart = max(soonest, latest - CLEAR)
            for at in (*range(apart, soonest, -1), *range(latest, apart, -1)):
                if _broadcast_fits(b, m, one, at):
                    _broadcast(b, layout, m, one, a, at, stage_word, old=old)
                    for start, _, many in one.runs():
                        b.memory_b(READ, start + load, [*many], stage_word, slot)
                    return at
    raise ScheduleError(f"inputs of layer {one.part.layer} find no way")


def _cycles(one: Pass, offset: int) -> np.ndarray:
    """That many cycles after each round's start."""
    return np.concatenate([Instruction("fma", at + offset, (), many).cycles() for at, _, many in one.runs()])


def _broadcast_fits(b: Planner, m: Machine, one: Pass, at: int) -> bool:
    cycles = _cycles(one, at)
    busy = (cycles[:, None] + np.arange(sram_beat_cycles(m))).ravel()
    return (
        b.nothing_at("row_bus", cycles)
        and not b.held("core SRAM", busy)
        and not b.held("row latch", cycles)
        and b.ports_for(cycles + 1)
    )


def _broadcast(b: Planner, layout: Layout, m: Machine, one: Pass, a: int, at: int, to: int, *, old: bool) -> None:
    layer, width = one.part.layer - 1, one.stage.width
    fields = {"row_from": FROM_SRAM, "row_to": ALL_COLUMNS}
    if old:
        register = layout.registers.late[layer]
        fields |= {"row_queue": register, "row_lag": layout.registers.behind(register, one.stage.delay)}
    base = (layout.late if old else layout.fresh)[layer] + a
    for start, number, many in one.runs():
        address = base + number * width
        b.issue("row_bus", start + at, stepped(many, "row_address", width), **fields, row_address=address)
        b.memory_b(WRITE, start + at + 1, [*many], to, ROW)
    cycles = _cycles(one, at)
    b.hold("row latch", cycles)
    b.hold("core SRAM", (cycles[:, None] + np.arange(sram_beat_cycles(m))).ravel())
