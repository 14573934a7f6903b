"""The sums of a hand's units over all cores: each goes round the ring and ends where it is dealt to."""

from __future__ import annotations

from dataclasses import dataclass, replace

from caterpillar.mapping.batches.plan import Need, Plan
from caterpillar.mapping.builder import READ, WRITE, loop
from caterpillar.mapping.dealt.layout import Layout
from caterpillar.mapping.dealt.products import width
from caterpillar.mapping.isa import (
    FROM_PE,
    FROM_UP,
    LATCH,
    MEM_A,
    ONE,
    REGISTER,
    RELU,
    RESULT,
    ROTATE_CORE,
    ROW,
    SLOPE,
    UP,
    ZERO,
    beat_cycles,
)

PART = LATCH + 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Rounds:
    """Hands, `period` cycles apart, whose sums lie in two rooms of MEM B in turn. ready: when the first one's do.

    to: where the first one's units go in MEM A; gate: where the activations for ReLU's slope are; None: ReLU.
    """

    ready: int
    period: int
    count: int
    sums: tuple[int, int]
    to: int
    gate: int | None
    first: int = 0

    @property
    def but_last(self) -> Rounds:
        """All but the last."""
        return replace(self, count=self.count - 1)

    @property
    def last(self) -> Rounds:
        """The last alone."""
        later = self.count - 1
        sums = self.sums if later % 2 == 0 else (self.sums[1], self.sums[0])
        ready = self.ready + later * self.period
        return replace(self, ready=ready, count=1, sums=sums, first=self.first + later)


def reduce(p: Plan, layout: Layout, rounds: Rounds, earliest: int, before: int) -> int:
    """Add up the sums of all units, when they are ready, from cycle `earliest` on; returns when they are in MEM A.

    Raises NoRoom where that would be after `before`.
    """
    end = max(earliest, rounds.ready)
    time = max(0, min(rounds.period, before - end)) // layout.units
    for number in range(layout.units):
        end = _Reduction(p, layout, rounds, number, before, time // (layout.machine.cores + 1)).emit(end)
    return end


class _Reduction:
    """Of one unit a core. pace: cycles from step to step, that there is room for other words between them."""

    def __init__(self, p: Plan, layout: Layout, rounds: Rounds, number: int, before: int, pace: int) -> None:
        self.p, self.layout, self.rounds, self.number, self.before = p, layout, rounds, number, before
        self.pace = pace
        self.m = layout.machine
        self.loops = [loop(rounds.count, rounds.period)]

    def emit(self, ready: int) -> int:
        """From cycle ready on; returns when the sums are there."""
        cores = self.m.cores
        if cores == 1:
            return self._last(None, ready)
        register = REGISTER + width(self.m, self.layout.samples)
        arrived = self._start(ready, register)
        for step in range(1, cores - 1):
            arrived = self._pass(step, max(arrived, ready + step * self.pace), register)
        return self._last(arrived, ready)

    def _part(self, at: int, step: int, slot: int) -> None:
        """A core's part of the sum that it has in a step, from MEM B."""
        rounds, cores = self.rounds, self.m.cores
        for turn in range(min(2, rounds.count)):
            some = loop(-(-(rounds.count - turn) // 2), 2 * rounds.period)
            word = rounds.sums[turn] + self.number * cores
            mode = {"mode": ROTATE_CORE, "offset": (-1 - step) % cores} if cores > 1 else {}
            self.p.memory_b(READ, at + turn * rounds.period, [some], word, slot, **mode)

    def _send(self, earliest: int, slot: int) -> int:
        """A word's beats up the ring, whenever they can go; returns when they can be taken one after the other."""
        m, sigma, arrived, at = self.m, beat_cycles(self.m), 0, earliest
        for column in range(m.pe_cols):
            needs: list[Need] = [("row_bus", 0, []), ("up", 0, [loop(sigma, 1)])]
            at = self.p.place(needs, self.loops, at, before=self.before)
            self.p.issue("row_bus", at, self.loops, row_from=FROM_PE, row_column=column, row_slot=slot, row_send=UP)
            arrived = max(arrived, at + sigma - column)
            at += sigma
        return arrived

    def _take(self, step: int, arrived: int, needs: list[Need]) -> int:
        """What has come, and a core's own part of it; returns when the FMA has both."""
        length = self.m.pe_cols
        wanted: list[Need] = [("row_bus", 0, [loop(length, 1)]), ("rows", 1, [loop(length, 1)])]
        wanted += [("fma", length, []), ("mem_b", length - 1, []), *needs]
        at = self.p.place(wanted, self.loops, arrived, before=self.before)
        self.p.issue("row_bus", at, [*self.loops, loop(length, 1, row_to=1)], row_from=FROM_UP, row_to=0)
        self._part(at + length - 1, step, PART)
        return at + length

    def _start(self, ready: int, register: int) -> int:
        """A core's part of the sum of the core below it goes up, by way of a register."""
        at = self.p.free_in([("mem_b", 0, [])], self.loops, ready, before=self.before)
        self._part(at, 0, register)
        return self._send(at + 1, register)

    def _pass(self, step: int, arrived: int, register: int) -> int:
        """A core adds its part and sends the sum on."""
        at = self._take(step, arrived, [])
        self.p.issue("fma", at, self.loops, fma_a=ROW, fma_b=ONE, fma_c=PART, fma_to=register)
        return self._send(at + self.m.fma_latency, register)

    def _last(self, arrived: int | None, ready: int) -> int:
        """The owner adds its part, and applies ReLU, or its slope; returns when the sum is in MEM A."""
        p, latency, rounds = self.p, self.m.fma_latency, self.rounds
        after: list[Need] = [("mem_a", latency, []), *([] if rounds.gate is None else [("mem_a", -1, [])])]
        if arrived is None:
            at = p.free_in([("fma", 0, []), ("mem_b", -1, []), *after], self.loops, ready + 1, before=self.before)
            self._part(at - 1, 0, PART)
            each = {"fma_a": PART, "fma_b": ONE, "fma_c": ZERO}
        else:
            shifted: list[Need] = [(unit, self.m.pe_cols + when, inner) for unit, when, inner in after]
            at = self._take(self.m.cores - 1, arrived, shifted)
            each = {"fma_a": ROW, "fma_b": ONE, "fma_c": PART}
        first = rounds.first * self.layout.parts * self.layout.units + self.number
        along = [loop(rounds.count, rounds.period, address=self.layout.parts * self.layout.units)]
        p.memory_a(WRITE, at + latency, along, rounds.to + first, RESULT)
        if rounds.gate is None:
            p.issue("fma", at, self.loops, fma_flags=RELU, **each)
        else:
            p.memory_a(READ, at - 1, along, rounds.gate + first, MEM_A)
            p.issue("fma", at, self.loops, fma_flags=SLOPE, fma_gate=MEM_A, **each)
        return at + latency + 1
