"""A Builder that finds the first cycle in which everything a small step of a collective needs is free."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np
from numpy.typing import NDArray

from caterpillar.checks import CaterpillarError
from caterpillar.mapping.builder import PORTS, READ, WRITE, Builder, ScheduleError
from caterpillar.mapping.isa import LATCH, Unit

AHEAD = 512  # cycles that are looked through at once

Busy = NDArray[np.bool_]


class TooLate(CaterpillarError):
    """What a pass needs is not there when it starts: by how many cycles."""

    def __init__(self, *, what: str, cycles: int) -> None:
        super().__init__(f"{what} comes {cycles} cycles too late")
        self.what = what
        self.cycles = cycles


@dataclass(frozen=True, slots=True)
class Use:
    """An issue on a unit, `at` cycles after the step's start."""

    at: int
    unit: Unit
    fields: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Access:
    """A read or write of MEM B, on either port."""

    at: int
    op: int
    address: int
    slot: int
    extra: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Hold:
    """Cycles at .. at + cycles - 1 in which a latch, a link or the core SRAM is spoken for."""

    at: int
    what: str
    cycles: int


Part = Use | Access | Hold


def use(at: int, unit: Unit, **fields: int) -> Use:
    """Use with its fields by name."""
    return Use(at, unit, tuple(fields.items()))


def read(at: int, address: int, latch: int, until: int, **extra: int) -> tuple[Part, ...]:
    """Read a word of MEM B into a latch; its last use is in cycle `until`."""
    return (Access(at, READ, address, LATCH + latch, tuple(extra.items())), Hold(at, f"latch {latch}", until - at))


def write(at: int, address: int, slot: int, **extra: int) -> Access:
    """Write a word of MEM B."""
    return Access(at, WRITE, address, slot, tuple(extra.items()))


class Planner(Builder):
    """Issues, and what they hold, cycle by cycle."""

    def __init__(self) -> None:
        super().__init__()
        self._held: dict[str, Busy] = {}

    def hold(self, what: str, cycles: NDArray[np.int64]) -> None:
        """Speak for something in given cycles; may be spoken for already."""
        self._map(what, int(cycles.max(initial=0)) + 1)[cycles] = True

    def first_fit(self, start: int, parts: Sequence[Part]) -> int:
        """The first cycle from start on in which a step with these parts can begin; it is issued then."""
        at = self._first(start, parts)
        self._issue_all(at, parts)
        return at

    def best_fit(self, start: int, variants: Sequence[Sequence[Part]]) -> int:
        """Issues the variant that ends first, begun at start or later; returns the cycle after its last part."""
        best: tuple[int, int, Sequence[Part]] | None = None
        for parts in variants:
            begin, length = -min(part.at for part in parts), 1 + max(part.at for part in parts)
            limit = None if best is None else best[0] - length
            at = self._first(start + begin, parts, limit)
            if at is not None and (best is None or at + length < best[0]):
                best = (at + length, at, parts)
        if best is None:
            raise ScheduleError("a step of a collective has no variants")
        self._issue_all(best[1], best[2])
        return best[0]

    @overload
    def _first(self, start: int, parts: Sequence[Part], limit: None = None) -> int: ...
    @overload
    def _first(self, start: int, parts: Sequence[Part], limit: int | None) -> int | None: ...
    def _first(self, start: int, parts: Sequence[Part], limit: int | None = None) -> int | None:
        """The first cycle from start on, and before the limit if there is one, in which a step can begin."""
        at = start
        while limit is None or at < limit:
            fits = self._fits(at, parts)
            if fits.any():
                return at + int(fits.argmax())
            at += AHEAD
        return None

    def fits(self, at: int, parts: Sequence[Part]) -> bool:
        """Whether a step can begin in this very cycle."""
        return bool(self._fits(at, parts)[0])

    def nothing_at(self, unit: Unit, cycles: NDArray[np.int64]) -> bool:
        """Whether a unit is free in all these cycles."""
        return self._free(unit, cycles)

    def ports_for(self, cycles: NDArray[np.int64]) -> bool:
        """Whether MEM B has a free port for an access in each of these cycles."""
        wanted = np.bincount(cycles)
        taken = sum(self._busy_from(port, 0, len(wanted)).astype(np.int64) for port in PORTS)
        return bool((wanted + taken)[wanted > 0].max(initial=0) <= len(PORTS))

    def _fits(self, at: int, parts: Sequence[Part]) -> Busy:
        good = np.ones(AHEAD, np.bool_)
        ports: dict[int, int] = {}
        for part in parts:
            first = at + part.at
            if isinstance(part, Use):
                good &= ~self._busy_from(part.unit, first, AHEAD)
            elif isinstance(part, Access):
                ports[part.at] = ports.get(part.at, 0) + 1
            elif part.cycles > 0:
                held = self._map(part.what, first + AHEAD + part.cycles)[first : first + AHEAD + part.cycles - 1]
                sums = np.concatenate([[0], np.cumsum(held)])
                good &= sums[part.cycles :] == sums[: -part.cycles]
        for offset, wanted in ports.items():
            first = at + offset
            free = 2 - (
                self._busy_from("mem_b0", first, AHEAD).astype(np.int8) + self._busy_from("mem_b1", first, AHEAD)
            )
            good &= free >= wanted
        return good

    def _issue_all(self, at: int, parts: Sequence[Part]) -> None:
        for part in parts:
            if isinstance(part, Use):
                self.issue(part.unit, at + part.at, [], **dict(part.fields))
            elif isinstance(part, Access):
                self.memory_b(part.op, at + part.at, [], part.address, part.slot, **dict(part.extra))
            elif part.cycles > 0:
                first = at + part.at
                self._map(part.what, first + part.cycles)[first : first + part.cycles] = True

    def _busy_from(self, unit: Unit, first: int, count: int) -> Busy:
        busy = self._busy[unit]
        if first + count > len(busy):
            busy = np.concatenate([busy, np.zeros(max(len(busy), first + count), np.bool_)])
            self._busy[unit] = busy
        return busy[first : first + count]

    def _map(self, what: str, length: int) -> Busy:
        found = self._held.get(what)
        if found is None or len(found) < length:
            grown = np.zeros(max(4096, 2 * length), np.bool_)
            if found is not None:
                grown[: len(found)] = found
            self._held[what] = found = grown
        return found
