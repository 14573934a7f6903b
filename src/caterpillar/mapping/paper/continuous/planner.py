"""A Builder that finds the first cycles in which what a small step needs is free, beside the passes' loops."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from caterpillar.checks import CaterpillarError
from caterpillar.mapping.builder import Builder, ScheduleError
from caterpillar.mapping.isa import (
    ACCUMULATOR,
    LATCH,
    NONE,
    RESULT,
    Instruction,
    Loop,
    MicroProgram,
    Unit,
)
from caterpillar.mapping.paper.continuous.folding import folded
from caterpillar.mapping.paper.continuous.parts import Access, Address, Hold, Link, Part, Use, read, use, write

WAIT = 8  # cycles that a word waits in a latch, at most, or a sum in an accumulator

Cycles = NDArray[np.int64]


class TooLate(CaterpillarError):
    """Something is not there when a pass needs it, by so many cycles."""

    def __init__(self, *, layer: int, cycles: int) -> None:
        super().__init__(f"layer {layer}: {cycles} cycles too late")
        self.layer = layer
        self.cycles = cycles


class Planner(Builder):
    """Issues, and what they hold, cycle by cycle."""

    def __init__(self) -> None:
        super().__init__()
        self._held: dict[str, NDArray[np.bool_]] = {}

    def copy(self) -> Planner:
        """Another that has issued the same."""
        other = Planner()
        other._instructions = list(self._instructions)
        other._phases = list(self._phases)
        other._busy = {unit: busy.copy() for unit, busy in self._busy.items()}
        other._held = {what: held.copy() for what, held in self._held.items()}
        other._end = self._end
        return other

    # What is free

    def nothing_at(self, unit: Unit, cycles: Cycles) -> bool:
        """Whether a unit is free in all these cycles."""
        return self._free(unit, cycles)

    def ports_for(self, cycles: Cycles) -> bool:
        """Whether MEM B has a free port in each of these cycles."""
        length = int(cycles.max()) + 1
        return not (self._stretch("mem_b0", 0, length) & self._stretch("mem_b1", 0, length))[cycles].any()

    def held(self, what: str, cycles: Cycles) -> bool:
        """Whether something is spoken for in one of these cycles."""
        return bool(self._map(what, int(cycles.max(initial=0)) + 1)[cycles].any())

    def hold(self, what: str, cycles: Cycles) -> None:
        """Speak for something in given cycles."""
        self._map(what, int(cycles.max(initial=0)) + 1)[cycles] = True

    def held_until(self, what: str) -> int:
        """From when on nobody has spoken for it."""
        return 1 + int(np.flatnonzero(self._map(what, 1)).max(initial=-1))

    def taken(self, what: str, start: int, loops: Sequence[Loop], cycles: int) -> None:
        """Speak for something in so many cycles from each round's on."""
        rounds = Instruction("row_bus", start, (), tuple(loops)).cycles()
        self.hold(what, (rounds[:, None] + np.arange(cycles)).ravel())

    def _map(self, what: str, length: int) -> NDArray[np.bool_]:
        found = self._held.get(what)
        if found is None or len(found) < length:
            grown = np.zeros(max(4096, 2 * length), np.bool_)
            if found is not None:
                grown[: len(found)] = found
            self._held[what] = found = grown
        return found

    def _stretch(self, unit: Unit, first: int, end: int) -> NDArray[np.bool_]:
        busy = self._busy[unit]
        if end > len(busy):
            self._busy[unit] = busy = np.concatenate([busy, np.zeros(max(len(busy), end), np.bool_)])
        return busy[first:end]

    def _is_free(self, unit: Unit, at: int) -> bool:
        busy = self._busy[unit]
        return at >= len(busy) or not busy[at]

    def _ports(self, at: int) -> int:
        return self._is_free("mem_b0", at) + self._is_free("mem_b1", at)

    def _nobody_holds(self, what: str, first: int, end: int) -> bool:
        return end <= first or not self._map(what, end)[first:end].any()

    # Steps

    def first_fit(self, start: int, parts: Sequence[Part]) -> int:
        """Issues a step in the first cycle from start on in which all its parts find room; returns that cycle."""
        at = start
        while not self._fits(at, parts):
            at += 1
        self._issue_all(at, parts)
        return at

    def best_fit(self, start: int, variants: Sequence[Sequence[Part]]) -> tuple[int, int]:
        """Issues the variant of a step that ends first, its first part from start on.

        Returns the cycle after its last part, and the one that its parts' are counted from.
        """
        spans = [(min(part.at for part in parts), max(part.at for part in parts)) for parts in variants]
        end = start
        while True:
            for parts, (first, last) in zip(variants, spans, strict=True):
                at = end - 1 - last
                if at + first >= start and self._fits(at, parts):
                    self._issue_all(at, parts)
                    return end, at
            end += 1

    def _fits(self, at: int, parts: Sequence[Part]) -> bool:
        ports: dict[int, int] = {}
        for part in parts:
            first = at + part.at
            if first < 0:
                return False
            if isinstance(part, Use):
                if not self._is_free(part.unit, first):
                    return False
            elif isinstance(part, Access):
                ports[first] = ports.get(first, 0) + 1
                if self._ports(first) < ports[first]:
                    return False
            elif not self._nobody_holds(part.what, first, first + part.cycles):
                return False
        return True

    def _issue_all(self, at: int, parts: Sequence[Part]) -> None:
        for part in parts:
            first = at + part.at
            if isinstance(part, Use):
                self.issue(part.unit, first, [], **part.fields)
            elif isinstance(part, Access):
                address, how = part.word
                self.memory_b(part.op, first, [], address, part.slot, **how)
            elif part.cycles > 0:
                self._map(part.what, first + part.cycles)[first : first + part.cycles] = True

    def multiply_add(
        self,
        start: int,
        words: Sequence[Address],
        to: Address,
        *,
        latency: int,
        spare: Sequence[int],
        link: Link | None = None,
        **fields: int,
    ) -> int:
        """A multiply-add of words of MEM B, there at start, and of a partner's; returns when its result is at `to`.

        It goes to the first free cycle of the FMA about which all it needs finds room. The last word comes through
        latch 3, the first of two, or the partner's, through latch 2. spare: accumulators in which a result can wait.
        """
        for at in self._free_cycles("fma", start + 1):
            parts = self._around(at, start, words, link)
            if parts is None:
                continue
            out = self._outwards(at, latency, to, spare)
            if out:
                more, target = out
                self._issue_all(at, [use(0, "fma", **fields, fma_to=target), *parts, *more])
                return at + max(part.at for part in more) + 1
        raise ScheduleError("a step finds no cycle")

    def _free_cycles(self, unit: Unit, first: int) -> Iterator[int]:
        while True:
            for at in np.flatnonzero(~self._stretch(unit, first, first + 512)).tolist():
                yield first + at
            first += 512

    def _around(self, at: int, start: int, words: Sequence[Address], link: Link | None) -> list[Part] | None:
        """What brings the operands for a multiply-add in cycle `at`."""
        found: list[Part] = []
        taken: list[int] = []
        for word, latch in zip(reversed(words), (3, 2), strict=False):
            when = self._read_before(at, start, latch, taken)
            if when is None:
                return None
            taken.append(when)
            found += read(when - at, word, latch, 0)
        if link is None:
            return found
        for begin in range(at - link.hops, max(start, at - link.hops - WAIT), -1):
            if not self._nobody_holds("links", begin, at) or not self._is_free("link", begin):
                continue
            when = self._read_before(begin, start, 2, taken)
            if when is not None:
                found += read(when - at, link.word, 2, begin - at)
                found.append(use(begin - at, "link", link_bit=link.bit, link_slot=LATCH + 2))
                return [*found, Hold(begin - at, "links", at - begin)]
        return None

    def _read_before(self, at: int, start: int, latch: int, taken: list[int]) -> int | None:
        """The last cycle in which a word can be read that is used in cycle `at`."""
        for when in range(at - 1, max(start, at - WAIT) - 1, -1):
            if not self._nobody_holds(f"latch {latch}", when, when + 1):
                return None
            if self._ports(when) > taken.count(when):
                return when
        return None

    def _outwards(self, at: int, latency: int, to: Address, spare: Sequence[int]) -> tuple[list[Part], int] | None:
        """The write of a result, and where it waits."""
        for after in (0, 1):
            if self._ports(at + latency + after):
                return [write(latency + after, to, RESULT + after)], NONE
        for number in spare:
            what = f"accumulator {number}"
            for wait in range(2, WAIT):
                if self._ports(at + latency + wait) and self._nobody_holds(what, at, at + latency + wait + 1):
                    hold = Hold(0, what, latency + wait + 1)
                    return [hold, write(latency + wait, to, ACCUMULATOR + number)], ACCUMULATOR + number
        return None

    def program(self, cycles: int) -> MicroProgram:
        """The finished program; steps that follow each other evenly are one instruction, repeated."""
        whole = super().program(cycles)
        return replace(whole, instructions=tuple(folded(whole.instructions)))

    def _reserve(self, unit: str, cycles: Cycles) -> None:
        if len(cycles) > 1:
            super()._reserve(unit, cycles)
            return
        at = int(cycles[0])
        busy = self._stretch(unit, 0, at + 1)  # pyright: ignore[reportArgumentType]
        if busy[at]:
            raise ScheduleError(f"two issues on {unit} in cycle {at}")
        busy[at] = True
