"""Beats between cores, planned for all cores together, in the order of time.

Both directions pass through cores on the way over their row buses. A queue gives beats in the order in which they were
sent: so they are planned in the order in which they arrive, and those that belong together stay together.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from heapq import heappop, heappush
from itertools import count

from caterpillar.machine import Machine
from caterpillar.mapping.isa import (
    COLUMN,
    DIAGONAL,
    DOWN,
    EXACT,
    FIFO_BEATS,
    FROM_DOWN,
    FROM_PE,
    FROM_UP,
    LATCH,
    ROW,
    TO_SRAM,
    UP,
    beat_cycles,
    sram_beat_cycles,
)
from caterpillar.mapping.paper.continuous.parts import Address, Hold, Part, read, use, write
from caterpillar.mapping.paper.continuous.planner import Planner

RINGS = {UP: "ring up", DOWN: "ring down"}
TAKEN_FROM = {UP: FROM_UP, DOWN: FROM_DOWN}
AGAIN = 16  # cycles after which a beat is tried again that finds a queue full, or others before it

Action = Callable[[int], None]
SramBeat = tuple[int, int, int]  # a beat of core SRAM, its address register (0: none), and the lag


class Ring:
    """The cores' plans, what is to be planned, by the cycle in which it can begin, and the beats under way."""

    def __init__(self, m: Machine, planners: dict[int, Planner]) -> None:
        self._m, self.planners = m, planners
        self._events: list[tuple[int, int, Action]] = []
        self._number = count()
        self._sent: dict[tuple[int, int], int] = {}  # the last cycle in which a core has sent, by direction
        self._sends: dict[tuple[int, int], int] = {}  # beats sent to a core; when each was taken
        self._takes: dict[tuple[int, int], list[int]] = {}
        self._spans: dict[tuple[int, str], tuple[int, int]] = {}

    def after(self, ready: int, action: Action) -> None:
        """Plan something that can begin in a cycle; it is told the cycle."""
        heappush(self._events, (ready, next(self._number), action))

    def run(self) -> None:
        """Plan all, and what comes of it."""
        while self._events:
            ready, _, action = heappop(self._events)
            action(ready)

    def note(self, core: int, name: str, first: int, last: int) -> None:
        """A core has had to do with a collective in these cycles."""
        low, high = self._spans.get((core, name), (first, last))
        self._spans[core, name] = min(low, first), max(high, last)

    def spans(self, core: int) -> list[tuple[int, int, str]]:
        """First and last cycle and name of each collective that a core has to do with."""
        return [(first, last, name) for (of, name), (first, last) in self._spans.items() if of == core]

    # Queues

    def _link(self, core: int, way: int) -> tuple[int, int]:
        return (core + (1 if way == UP else -1)) % self._m.cores, way

    def when_room(self, ready: int, core: int, way: int, beats: int, action: Action) -> None:
        """Plan to send so many beats, when the next core's queue has room and what was sent before has gone."""
        link = self._link(core, way)
        last, takes = self._sends.get(link, 0) + beats - 1 - FIFO_BEATS, self._takes.get(link, [])
        if last >= len(takes):
            self.after(ready + AGAIN, lambda again: self.when_room(again, core, way, beats, action))
            return
        room = takes[last] + 1 if last >= 0 else 0
        action(max(ready, room, self._sent.get((core, way), -1) + 1))

    def when_sent(
        self, core: int, way: int, times: Sequence[int], action: Callable[[int, list[int]], None], later: int = 0
    ) -> None:
        """Plan to take what a core has sent, in its turn; told also when each beat arrives.

        later: beats that the core has sent after these.
        """
        link = self._link(core, way)
        number, arrivals = self._sends[link] - len(times) - later, [at + beat_cycles(self._m) for at in times]

        def go(ready: int) -> None:
            if len(self._takes.get(link, ())) == number:
                action(ready, arrivals)
            else:
                self.after(ready + AGAIN, go)

        self.after(max(at - i for i, at in enumerate(arrivals)), go)

    def _first_take(self, core: int, way: int, arrivals: Sequence[int]) -> int:
        """When beats can be taken one a cycle."""
        before = self._takes.get((core, way), [-1])[-1]
        return max(before + 1, *(at - i for i, at in enumerate(arrivals)))

    def _note_sent(self, core: int, way: int, times: Sequence[int]) -> None:
        self._sent[core, way] = times[-1]
        link = self._link(core, way)
        self._sends[link] = self._sends.get(link, 0) + len(times)

    def _note_taken(self, core: int, way: int, times: Sequence[int]) -> None:
        self._takes.setdefault((core, way), []).extend(times)

    # Beats

    def _onward(self, at: int, fields: dict[str, int], way: int, to: SramBeat | None) -> list[Part]:
        """A beat on the row buses that goes on along the ring (way not 0), and to core SRAM."""
        m, held = self._m, list[Part]()
        if way:
            fields = fields | {"row_send": way}
            held.append(Hold(at, RINGS[way], beat_cycles(m)))
        if to is not None:
            address, register, lag = to
            fields = fields | {"row_to": TO_SRAM, "row_address": address}
            fields |= {"row_queue": register} if register else {}
            fields |= {"row_lag": lag} if lag else {}
            held.append(Hold(at, "core SRAM", sram_beat_cycles(m)))
        return [use(at, "row_bus", **fields), *held]

    def from_pes(
        self,
        core: int,
        start: int,
        word: Address | int,
        columns: range,
        way: int,
        to: Sequence[SramBeat] | None = None,
    ) -> list[int]:
        """Beats of a word, one of each of some columns, onto the ring, or (way 0) to the core's SRAM, or both.

        word: of MEM B, or a register. Returns when each goes.
        """
        m = self._m
        spacing = max(beat_cycles(m) if way else 1, sram_beat_cycles(m) if to else 1)
        length = (len(columns) - 1) * spacing
        slot = word if isinstance(word, int) else LATCH + 3
        beats: list[Part] = []
        for i, column in enumerate(columns):
            fields = {"row_from": FROM_PE, "row_column": column, "row_slot": slot}
            beats += self._onward(i * spacing, fields, way, to[i] if to else None)
        variants = [beats]
        if not isinstance(word, int):
            variants = [[*read(-early, word, 3, length), *beats] for early in (1, 2, 3, 4, 6, 8)]
        _, at = self.planners[core].best_fit(start, variants)
        times = [at + i * spacing for i in range(len(columns))]
        if way:
            self._note_sent(core, way, times)
        return times

    def from_diagonal(
        self, core: int, start: int, word: Address, rows: Sequence[int], way: int, to: Sequence[SramBeat]
    ) -> list[int]:
        """A beat of each of some rows of PEs, through the diagonal, to the core's SRAM and (way not 0) onto the ring.

        Returns when each goes.
        """
        m, n = self._m, len(rows)
        spacing = max(beat_cycles(m) if way else 1, sram_beat_cycles(m))
        parts: list[Part] = [*read(0, word, 3, (n - 1) * spacing + 1)]
        for i, row in enumerate(rows):
            at, fields = i * spacing, {"row_from": FROM_PE, "row_column": DIAGONAL, "row_slot": COLUMN}
            parts += [use(at + 1, "column_bus", column_row=row, column_slot=LATCH + 3), Hold(at + 1, "column latch", 1)]
            parts += self._onward(at + 2, fields, way, to[i])
        at = self.planners[core].first_fit(start, parts) + 2
        times = [at + i * spacing for i in range(n)]
        if way:
            self._note_sent(core, way, times)
        return times

    def through(
        self, core: int, start: int, way: int, arrivals: Sequence[int], *, on: bool, to: SramBeat | None = None
    ) -> list[int]:
        """Take beats and send them on, or store one in core SRAM, or both. Returns when."""
        spacing = beat_cycles(self._m) if on else 1
        fields = {"row_from": TAKEN_FROM[way]}
        parts = [part for i in range(len(arrivals)) for part in self._onward(i * spacing, fields, way if on else 0, to)]
        at = self.planners[core].first_fit(max(start, self._first_take(core, way, arrivals)), parts)
        times = [at + i * spacing for i in range(len(arrivals))]
        self._note_taken(core, way, times)
        if on:
            self._note_sent(core, way, times)
        return times

    def into_columns(self, core: int, arrivals: Sequence[int], columns: range, to: Address) -> int:
        """Beats that come down, one to each of some columns, then all to a word of MEM B; returns when it is there."""
        n = len(columns)
        variants = [[*_taken(columns, n + wait), write(n + wait, to, ROW)] for wait in (0, 1, 2, 3, 5)]
        end, at = self.planners[core].best_fit(self._first_take(core, DOWN, arrivals), variants)
        self._note_taken(core, DOWN, [at + i for i in range(n)])
        return end

    def added_on_the_way(
        self, core: int, start: int, arrivals: Sequence[int], columns: range, own: Address, fields: dict[str, int]
    ) -> int:
        """Beats that come down, one to each of some columns, and at once a multiply-add with a word of MEM B.

        That comes through latch 3. Returns when the multiply-add is issued.
        """
        n = len(columns)
        variants = [
            [*_taken(columns, n + wait), *read(n + wait - early, own, 3, n + wait), use(n + wait, "fma", **fields)]
            for wait in (0, 1, 2, 3, 4, 5)
            for early in (1, 2, 3)
        ]
        first = max(start - n, self._first_take(core, DOWN, arrivals))
        end, at = self.planners[core].best_fit(first, variants)
        self._note_taken(core, DOWN, [at + i for i in range(n)])
        return end - 1


def _taken(columns: range, held: int) -> list[Part]:
    """Beats that come down, one to each of some columns, and the cycles for which the row latches hold them."""
    parts: list[Part] = [Hold(0, "row latch", held)]
    for i, column in enumerate(columns):
        parts.append(use(i, "row_bus", row_from=FROM_DOWN, row_to=column, row_mask=EXACT))
    return parts
