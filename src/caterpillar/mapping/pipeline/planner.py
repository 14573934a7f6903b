"""A Builder that finds the first cycle in which everything a small step of a collective needs is free.

Cycles go on past the end of the tick: what finds no room before it is done by the next tick's program, which is the
same one. A step that begins in cycle t of a tick of T cycles is issued in cycle t mod T, and reads and writes the
address registers' words of t div T ticks ago.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from caterpillar.checks import CaterpillarError
from caterpillar.machine import Machine
from caterpillar.mapping.builder import PORTS, WRITE, Builder
from caterpillar.mapping.isa import ACCUMULATOR, LATCH, RESULT, MicroProgram, Queue, Unit, accumulators
from caterpillar.mapping.pipeline.each_core import EachCore
from caterpillar.mapping.pipeline.parts import Access, Hold, Link, Part, Use, Word, read, use

AHEAD = 1024  # cycles that are looked through at once, at most
NEVER = 1 << 40
WAIT = 12  # cycles that a word may wait in a latch or an accumulator for what comes next

Busy = NDArray[np.bool_]


class TooLate(CaterpillarError):
    """What a pass needs is not there when it starts: by how many cycles."""

    def __init__(self, *, what: str, cycles: int) -> None:
        super().__init__(f"{what} comes {cycles} cycles too late")
        self.what = what
        self.cycles = cycles


class Planner(Builder):
    """Issues, and what they hold, cycle by cycle. queues: the address registers, from 1.

    used: so many accumulators the passes use.
    """

    def __init__(self, queues: tuple[Queue, ...], used: int) -> None:
        super().__init__()
        self._accumulators = used
        self._held: dict[str, Busy] = {}
        self._queues = queues
        self._tick = NEVER
        self._begun = NEVER

    def close(self) -> int:
        """All passes are planned: the tick is so many cycles, and what follows may go on in the next one."""
        self._tick = self.end
        return self._tick

    def program(self, cycles: int) -> MicroProgram:
        """The finished program; where fields differ from core to core, one for each group of cores that do the same."""
        plan = super().program(cycles)
        varied = [
            (number, {name: value.cores for name, value in one.fields if isinstance(value, EachCore)})
            for number, one in enumerate(plan.instructions)
        ]
        varied = [(number, fields) for number, fields in varied if fields]
        if not varied:
            return plan
        told = list(zip(*(values for _, fields in varied for values in fields.values()), strict=True))
        firsts = list(dict.fromkeys(told))
        programs: list[MicroProgram] = []
        for core in map(told.index, firsts):
            mine = list(plan.instructions)
            for number, fields in varied:
                given = dict(mine[number].fields) | {name: values[core] for name, values in fields.items()}
                mine[number] = replace(mine[number], fields=tuple(given.items()))
            programs.append(replace(plan, instructions=tuple(mine)))
        return replace(programs[0], others=tuple(programs[1:]), group_of=tuple(map(firsts.index, told)))

    def hold(self, what: str, cycles: NDArray[np.int64]) -> None:
        """Speak for something in given cycles; may be spoken for already."""
        self._map(what, int(cycles.max(initial=0)) + 1)[cycles] = True

    def first_fit(self, start: int, parts: Sequence[Part]) -> int:
        """The first cycle from start on in which a step with these parts can begin; it is issued then."""
        at = self._first(start, parts, None)
        if at is None:
            raise TooLate(what="a step", cycles=self._tick)
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
            raise TooLate(what="a step", cycles=self._tick)
        self._issue_all(best[1], best[2])
        return best[0]

    def _first(self, start: int, parts: Sequence[Part], limit: int | None) -> int | None:
        """The first cycle from start on, and before the limit if there is one, in which a step can begin.

        All of a step is in one tick: this one or the next.
        """
        begin = -min(part.at for part in parts)
        length = max(part.at + (max(1, part.cycles) if isinstance(part, Hold) else 1) for part in parts)
        for tick in (0, 1):
            at, end = max(start, tick * self._tick + begin), (tick + 1) * self._tick - length + 1
            end = end if limit is None else min(end, limit)
            ahead = 16
            while at < end:
                ahead = min(4 * ahead, AHEAD)
                fits = self._fits(at - tick * self._tick, parts, min(ahead, end - at))
                if fits.any():
                    return at + int(fits.argmax())
                at += ahead
        return None

    def multiply_add(
        self, start: int, reads: Sequence[Word], link: Link | None, to: Word, m: Machine, **fields: int
    ) -> int:
        """A multiply-add of words of MEM B, there at start, and of a partner's; when the result is in MEM B at `to`.

        It goes to the first free cycle of the FMA around which its accesses find room. The words go through latch 3
        and, if there is no partner, 2, in their order; the partner's word through latch 2. A result may wait for a port
        in an accumulator that no pass uses.
        """
        for tick in (0, 1):
            first = max(start - tick * self._tick, 0)
            for at in self._candidates(first, link):
                parts = self._around(at, first, reads, link, to, m)
                if parts:
                    self._issue_all(tick * self._tick + at, [use(0, "fma", **fields, **parts[0]), *parts[1]])
                    return tick * self._tick + at + parts[2]
        raise TooLate(what="a multiply-add", cycles=self._tick)

    def _candidates(self, first: int, link: Link | None) -> Iterator[int]:
        """Cycles after the first in which the FMA is free, the links just before them for as long as a word goes."""
        at, ahead = first + 1, 64
        while at < self._tick:
            count = min(ahead, self._tick - at)
            free = ~self._busy_from("fma", at, count)
            if link:
                late = max(0, link.hops - (at - first - 1))  # cycles too early for a word that is sent after the first
                free[:late] = False
                held = self._map("links", at + count)[at + late - link.hops : at + count]
                sums = np.concatenate([[0], np.cumsum(held)])
                free[late:] &= sums[link.hops : -1] == sums[: -link.hops - 1]
            yield from (at + np.flatnonzero(free)).tolist()
            at, ahead = at + count, min(4 * ahead, AHEAD)

    def _around(
        self, at: int, first: int, reads: Sequence[Word], link: Link | None, to: Word, m: Machine
    ) -> tuple[dict[str, int], list[Part], int] | None:
        """What a multiply-add in cycle `at` needs besides: where it goes, the parts, and when all has been done."""
        parts: list[Part] = []
        taken: list[int] = []
        for latch, one in zip((3, 2), reads, strict=False):
            if not self._before(at, first, latch, one, at, parts, taken):
                return None
        if link and not self._linked(at, first, link, parts, taken):
            return None
        spare = range(self._accumulators, accumulators(m))
        for wait in range(WAIT if spare else 2):
            done = at + m.fma_latency + wait
            if done >= self._tick or not self._port(done, taken):
                continue
            if wait < 2:
                return {}, [*parts, Access(done - at, WRITE, to.address, RESULT + wait, to.how)], done - at + 1
            for one in spare:
                if self._unheld(f"accumulator {one}", at, done + 1):
                    slot = ACCUMULATOR + one
                    kept = Hold(0, f"accumulator {one}", done + 1 - at)
                    return (
                        {"fma_to": slot},
                        [*parts, kept, Access(done - at, WRITE, to.address, slot, to.how)],
                        done - at + 1,
                    )
        return None

    def _linked(self, at: int, first: int, link: Link, parts: list[Part], taken: list[int]) -> bool:
        """The exchange that ends in time for a multiply-add in cycle `at`, and the read before it."""
        for sent in range(at - link.hops, max(first, at - link.hops - WAIT), -1):
            if not self._unheld("links", sent, at):
                return False
            if self._busy_from("link", sent, 1)[0]:
                continue
            if self._before(sent, first, 2, link.word, at, parts, taken):
                parts.append(use(sent - at, "link", link_bit=link.bit, link_slot=LATCH + 2))
                parts.append(Hold(sent - at, "links", at - sent))
                return True
        return False

    def _before(
        self, until: int, first: int, latch: int, one: Word, at: int, parts: list[Part], taken: list[int]
    ) -> bool:
        """A read into a latch that is wanted in cycle `until`, as late as can be; parts are relative to `at`."""
        for cycle in range(until - 1, max(first, until - 1 - WAIT) - 1, -1):
            if not self._unheld(f"latch {latch}", cycle, until):
                return False
            if self._port(cycle, taken):
                taken.append(cycle)
                parts += read(cycle - at, one.address, latch, until - at, **dict(one.how))
                return True
        return False

    def _port(self, cycle: int, taken: list[int]) -> bool:
        busy = sum(bool(self._busy_from(port, cycle, 1)[0]) for port in PORTS)
        return busy + taken.count(cycle) < len(PORTS)

    def _unheld(self, what: str, first: int, end: int) -> bool:
        return not self._map(what, end)[first:end].any()

    def alone(self, start: int, what: str, plan: Callable[[int], int]) -> int:
        """plan(cycle) issues steps from a cycle on and returns their end: in one tick, while no other has `what`."""
        while True:
            kept = self._busy.copy(), self._held.copy(), len(self._instructions), self._end
            self._busy = {unit: busy.copy() for unit, busy in kept[0].items()}
            self._held = {name: held.copy() for name, held in kept[1].items()}
            outer, self._begun = self._begun, NEVER
            end = plan(start)
            first, self._begun = self._begun, min(outer, self._begun)
            tick, at = divmod(first, self._tick)
            taken = self._map(what, at + end - first)[at : at + end - first]
            if end <= (tick + 1) * self._tick and not taken.any():
                taken[:] = True
                return end
            self._busy, self._held, count, self._end = kept
            del self._instructions[count:]
            self._begun = outer
            start = first + 1 + int(taken.nonzero()[0][-1]) if taken.any() else (tick + 1) * self._tick
            if start >= 2 * self._tick:
                raise TooLate(what=what, cycles=self._tick)

    def fits(self, at: int, parts: Sequence[Part]) -> bool:
        """Whether a step can begin in this very cycle."""
        return bool(self._fits(at, parts, 1)[0])

    def nothing_at(self, unit: Unit, cycles: NDArray[np.int64]) -> bool:
        """Whether a unit is free in all these cycles."""
        return self._free(unit, cycles)

    def ports_for(self, cycles: NDArray[np.int64]) -> bool:
        """Whether MEM B has a free port for an access in each of these cycles."""
        wanted = np.bincount(cycles)
        taken = sum(self._busy_from(port, 0, len(wanted)).astype(np.int64) for port in PORTS)
        return bool((wanted + taken)[wanted > 0].max(initial=0) <= len(PORTS))

    def _fits(self, at: int, parts: Sequence[Part], count: int) -> Busy:
        """Whether a step can begin in each of so many cycles."""
        busy = np.zeros(count, np.bool_)
        ports: dict[int, int] = {}
        for part in parts:
            first = at + part.at
            if isinstance(part, Use):
                busy |= self._busy_from(part.unit, first, count)
            elif isinstance(part, Access):
                ports[part.at] = ports.get(part.at, 0) + 1
            elif part.cycles == 1:
                busy |= self._map(part.what, first + count)[first : first + count]
            elif part.cycles > 1:
                held = self._map(part.what, first + count + part.cycles)[first : first + count + part.cycles - 1]
                sums = np.concatenate([[0], np.cumsum(held)])
                busy |= sums[part.cycles :] != sums[: -part.cycles]
        for offset, wanted in ports.items():
            one, other = (self._busy_from(port, at + offset, count) for port in PORTS)
            busy |= (one & other) if wanted == 1 else (one | other)
        return ~busy

    def _issue_all(self, at: int, parts: Sequence[Part]) -> None:
        self._begun = min(self._begun, at + min(part.at for part in parts))
        ago, at = divmod(at, self._tick)
        for part in parts:
            if isinstance(part, Use):
                self.issue(part.unit, at + part.at, [], **self._ago(dict(part.fields), ago, "row_"))
            elif isinstance(part, Access):
                self.memory_b(part.op, at + part.at, [], part.address, part.slot, **self._ago(dict(part.extra), ago))
            elif part.cycles > 0:
                first = at + part.at
                self._map(part.what, first + part.cycles)[first : first + part.cycles] = True

    def _ago(self, fields: dict[str, int], ago: int, prefix: str = "") -> dict[str, int]:
        """The fields of an access, of words of some ticks ago."""
        register = fields.get(prefix + "queue", 0)
        if ago and register:
            slots = self._queues[register - 1].slots
            fields[prefix + "lag"] = (fields.get(prefix + "lag", 0) - ago) % slots
        return fields

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
