"""A Builder that finds room: work that may happen at any time goes into the cycles that the main loops leave free.

All times are those of a first round; rounds repeat it, so a place is free only if it is in every round.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from caterpillar.mapping.builder import PORTS, Builder, ScheduleError, loop, repeats
from caterpillar.mapping.isa import UNITS, Instruction, Loop, Phase

HORIZON = 1 << 14  # cycles after which a search gives up
WINDOW = 64  # cycles looked at in one step of a search, at most

Need = tuple[str, int, Sequence[Loop]]  # a unit (or lock), when, relative to the time sought, and inner loops


class NoRoom(ScheduleError):
    """Nothing is free soon enough; looser main loops would help."""


@dataclass(frozen=True, slots=True)
class Rounds:
    """Something done `count` times, `period` cycles apart; inside, `times` times, `pace` apart.

    first: the number of the first round, as far as addresses are concerned; 0 if there are several. rooms: of MEM B,
    which rounds take in turn.
    """

    count: int
    period: int
    times: int = 1
    pace: int = 0
    first: int = 0
    rooms: int = 2

    @property
    def last(self) -> Rounds:
        """The last of them alone; what is said of the first round's time is then said of its own."""
        return replace(self, count=1, first=self.first + self.count - 1)

    @property
    def but_last(self) -> Rounds:
        """All the others."""
        return replace(self, count=self.count - 1)

    @property
    def loops(self) -> list[Loop]:
        """Plain loops."""
        return [loop(self.count, self.period), loop(self.times, self.pace)]

    def split(self, *, step: int = 0, flip: int = 0, stride: int = 0) -> list[tuple[int, list[Loop], int]]:
        """(later by, loops, address further by): addresses go on by `step` a round, and round `rooms` places by `flip`.

        stride: what each of the inner times adds.
        """
        inner, rooms = loop(self.times, self.pace, address=stride), self.rooms
        before = self.first * step + self.first % rooms * flip
        if flip == 0 or self.count == 1:
            return [(0, [loop(self.count, self.period, address=step), inner], before)]
        whole, rest = divmod(self.count, rooms)
        turns = loop(whole, rooms * self.period, address=rooms * step)
        found = [(0, [turns, loop(rooms, self.period, address=step + flip), inner], 0)]
        found.append(
            (whole * rooms * self.period, [loop(rest, self.period, address=step + flip), inner], whole * rooms * step)
        )
        return [(later, loops, further) for later, loops, further in found if all(one.count for one in loops)]


@dataclass(frozen=True, slots=True)
class Steps:
    """Steps of a block of sums, `width` cycles each, with `gap` idle cycles dealt out between them."""

    count: int
    width: int
    gap: int

    @property
    def cycles(self) -> int:
        """Of all."""
        return self.count * self.width + self.gap

    @property
    def runs(self) -> list[tuple[int, int, int]]:
        """(first step, steps, its cycle) of each stretch without a gap."""
        parts = min(self.gap, self.count)
        edges = [((2 * i + 1) * self.count + parts) // (2 * parts) for i in range(parts)]
        found, first, idle = list[tuple[int, int, int]](), 0, 0
        for i, edge in enumerate(edges):
            found.append((first, edge - first, first * self.width + idle))
            first, idle = edge, idle + self.gap // parts + (i < self.gap % parts)
        if first < self.count:
            found.append((first, self.count - first, first * self.width + idle))
        return found

    def at(self, step: int) -> int:
        """The cycle of a step."""
        return next(at + (step - first) * self.width for first, count, at in self.runs if step < first + count)

    @property
    def last(self) -> int:
        """The cycle of the last step."""
        return self.at(self.count - 1)


Lock = tuple[str, int, tuple[Loop, ...]]  # a name, its first cycle, loops


@dataclass(frozen=True, slots=True)
class Saved:
    """A Plan's state."""

    instructions: tuple[Instruction, ...]
    locks: tuple[Lock, ...]
    phases: tuple[Phase, ...]
    end: int


class Plan(Builder):
    """Reserves units as a Builder does, and locks: names for what must not be disturbed for some cycles."""

    def __init__(self) -> None:
        super().__init__()
        self._locks: list[Lock] = []

    def free_from(self, needs: Sequence[Need], rounds: Rounds, earliest: int, *, before: int | None = None) -> int:
        """The first time, from earliest on, at which all needs are free in every round. Raises NoRoom."""
        return self.free_in(needs, rounds.loops, earliest, before=before)

    def free_in(self, needs: Sequence[Need], loops: Sequence[Loop], earliest: int, *, before: int | None = None) -> int:
        """The same in all rounds of nested loops."""
        wanted = [_Wanted(unit, at, (*loops, *inner)) for unit, at, inner in needs]
        if any(one.repeats for one in wanted):
            raise NoRoom("the next round comes too early")
        last = earliest + HORIZON if before is None else before
        both = _both_ports(wanted)
        time, window = max(earliest, *(-one.at for one in wanted)), 4
        while time < last:
            free = self._free_at(wanted, both, time, min(window, last - time))
            if free.any():
                return time + int(free.argmax())
            time, window = time + window, min(4 * window, WINDOW)
        raise NoRoom(f"no free place in cycles {earliest} to {last}")

    def place(self, needs: Sequence[Need], loops: Sequence[Loop], earliest: int, *, before: int | None = None) -> int:
        """free_in, and all locks among the needs are taken."""
        at = self.free_in(needs, loops, earliest, before=before)
        for name, when, inner in needs:
            if name not in UNITS and name != "mem_b":
                self._take(name, at + when, (*loops, *inner))
        return at

    def lock(self, name: str, start: int, cycles: int, rounds: Rounds) -> None:
        """Take a lock for some cycles of every round."""
        self.lock_loop(name, start, rounds, [loop(cycles, 1)])

    def lock_loop(self, name: str, start: int, rounds: Rounds, inner: Sequence[Loop]) -> None:
        """Take a lock for the cycles of inner loops."""
        self._take(name, start, (*rounds.loops, *inner))

    def save(self) -> Saved:
        """What restore needs."""
        return Saved(tuple(self._instructions), tuple(self._locks), tuple(self._phases), self._end)

    def restore(self, saved: Saved) -> None:
        """Back to a state: what was issued since is forgotten, and what was forgotten since is issued again."""
        for mine, theirs in ((self._instructions, saved.instructions), (self._locks, saved.locks)):
            shared = bisect_left(range(min(len(mine), len(theirs))), True, key=lambda i: mine[i] is not theirs[i])
            for some, busy in ((mine[shared:], False), (theirs[shared:], True)):
                for one in some:
                    name, start, loops = (one.unit, one.start, one.loops) if isinstance(one, Instruction) else one
                    self._cells(name, start, loops, 1)[...] = busy
        self._instructions, self._locks = list(saved.instructions), list(saved.locks)
        self._phases, self._end = list(saved.phases), saved.end

    def steps(self, at: int, loops: Sequence[Loop], first: int, count: int, width: int, c: int, **fields: int) -> None:
        """Multiply-adds of a run of steps into fields["fma_to"]; step 0 of a block adds to c in place of it."""
        to = fields["fma_to"]
        if first == 0:
            self.issue("fma", at, loops, fma_c=c, **fields)
            at, count = at + width, count - 1
        self.issue("fma", at, [*loops, loop(count, width)], fma_c=to, **fields)

    def a(
        self,
        op: int,
        start: int,
        rounds: Rounds,
        address: int,
        slot: int,
        inner: Sequence[Loop] = (),
        /,
        *,
        queue: int = 0,
        lag: int = 0,
        **steps: int,
    ) -> None:
        """memory_a in every round; steps: of Rounds.split."""
        for later, outer, further in rounds.split(**steps):
            self.memory_a(op, start + later, [*outer, *inner], address + further, slot, queue=queue, lag=lag)

    def b(
        self,
        op: int,
        start: int,
        rounds: Rounds,
        address: int,
        slot: int,
        inner: Sequence[Loop] = (),
        /,
        *,
        mode: int = 0,
        offset: int = 0,
        **steps: int,
    ) -> None:
        """memory_b in every round; steps: of Rounds.split."""
        for later, outer, further in rounds.split(**steps):
            self.memory_b(op, start + later, [*outer, *inner], address + further, slot, mode=mode, offset=offset)

    def _free_at(self, wanted: list[_Wanted], both: list[bool], time: int, window: int) -> NDArray[np.bool_]:
        """Whether all that is wanted is free, for each time from `time` on."""
        busy = np.zeros(window, np.bool_)
        for one, two in zip(wanted, both, strict=True):
            if one.unit != "mem_b":
                busy |= self._unit_busy(one.unit, one, time, window)
            else:
                first, other = (self._unit_busy(port, one, time, window) for port in PORTS)
                busy |= first | other if two else first & other
            if busy.all():
                break
        return np.logical_not(busy)

    def _unit_busy(self, name: str, one: _Wanted, time: int, window: int) -> NDArray[np.bool_]:
        if name not in self._busy:
            return np.zeros(window, np.bool_)
        cells = self._cells(name, one.at + time, one.loops, window)
        return np.logical_or.reduce(cells, axis=tuple(range(cells.ndim - 1)))

    def _cells(self, name: str, start: int, loops: Sequence[Loop], window: int) -> NDArray[np.bool_]:
        """A view of what is taken in all rounds, and in a window after each: a dimension a loop, then the window."""
        end = start + window + sum((one.count - 1) * one.period for one in loops)
        busy = self._busy[name]
        if end > len(busy):
            self._busy[name] = busy = np.concatenate([busy, np.zeros(max(len(busy), end - len(busy)), np.bool_)])
        shape, strides = (*(one.count for one in loops), window), (*(one.period for one in loops), 1)
        return np.ndarray(shape, np.bool_, busy, start, strides)

    def _take(self, name: str, start: int, loops: tuple[Loop, ...]) -> None:
        self._busy.setdefault(name, np.zeros(1024, np.bool_))
        cells = self._cells(name, start, loops, 1)
        if cells.any() or _Wanted(name, start, loops).repeats:
            raise NoRoom(f"{name} is taken after cycle {start}")
        cells[...] = True
        self._locks.append((name, start, loops))


class _Wanted:
    """A unit in a cycle, relative to the time sought, and in all rounds of loops."""

    def __init__(self, unit: str, at: int, loops: tuple[Loop, ...]) -> None:
        self.unit, self.at = unit, at
        self.loops = tuple(one for one in loops if one.count != 1)

    @property
    def cycles(self) -> NDArray[np.int64]:
        """All of them."""
        return Instruction("fma", self.at, (), self.loops).cycles()

    @property
    def repeats(self) -> bool:
        """Whether a cycle is there twice."""
        reach = 0
        for one in sorted(self.loops, key=lambda one: one.period):
            if one.period <= reach or one.period == 0:
                return repeats(self.cycles)
            reach += (one.count - 1) * one.period
        return False


def _both_ports(wanted: list[_Wanted]) -> list[bool]:
    """Whether MEM B must have both ports free: two accesses in one cycle take both."""
    found, shared = list[bool](), list[NDArray[np.int64]]()
    several = sum(one.unit == "mem_b" for one in wanted) > 1
    for one in wanted:
        mine = one.unit == "mem_b" and several
        found.append(mine and any(np.isin(one.cycles, other).any() for other in shared))
        shared += [one.cycles] if mine else []
    return found
