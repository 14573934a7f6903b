"""Backward and update: inputs and sums of errors go up the ring, from turn to turn."""

from __future__ import annotations

from typing import NamedTuple

from caterpillar.mapping.batches.plan import Need
from caterpillar.mapping.builder import READ, WRITE, loop
from caterpillar.mapping.isa import (
    FIFO_BEATS,
    FROM_PE,
    FROM_UP,
    MEM_A,
    ROTATE_CORE,
    ROW,
    UP,
    ZERO,
    Loop,
)
from caterpillar.mapping.tiled.sweep import Part
from caterpillar.mapping.tiled.turns import Turns
from caterpillar.mapping.tiled.ways import SENT, beats, deal, latched, send, spacing, taken


class _Move(NamedTuple):
    """A word that goes up the ring: loops; where from and where to, (later by, address in MEM B, loops); from when on
    it may, and by when it must be there. All is `early` cycles before what it goes with."""

    loops: list[Loop]
    source: list[tuple[int, int, list[Loop]]]
    to: list[tuple[int, int, list[Loop]]]
    earliest: int
    before: int
    early: int = 0


class Rotation(Turns):
    """What goes from core to core: layer 1's inputs as they are dealt, others' inputs and sums by a core a turn."""

    def _units(self, tile: int, count: int, earliest: int, before: int) -> int:
        """Layer 1's inputs of `count` tiles from `tile` on, of all samples; returns when those of a tile are there."""
        p, m, layout = self.p, self.m, self.layout
        slots, sigma = layout.slots, spacing(m, sram=True, ring=True)
        if count < 1:
            return earliest
        ready, length, turns = earliest, latched(m, sigma), loop(count, self.period)
        needs = [*beats(m, 0, sram=True, ring="down"), *taken(m, 0, sigma, "b")]
        for part in range(layout.parts):
            for slot in range(slots):
                at = p.place(needs, [turns], ready, before=before - length - 1)
                deal(p, layout, at, turns, part=part, tile=tile, slot=slot, ago=self.ago)
                distance, within = slot % m.cores, part * slots + slot
                for room, later, some in self._parities(tile - self.tile, count):
                    to = self.rooms.inputs + room * slots * layout.parts + within - distance
                    offset = layout.offset(tile + later // self.period, distance)
                    along = loop(some.count, some.period, offset=layout.offset(some.period // self.period, 0))
                    p.memory_b(WRITE, at + length + later, [along], to, ROW, mode=ROTATE_CORE, offset=offset)
                ready = at + m.pe_cols * sigma
        return ready + length

    def _own(self) -> int:
        """Own inputs to MEM B, and by a core up the ring; no sums yet."""
        p, rooms, cores = self.p, self.rooms, self.m.cores
        words, first = self.layout.layers[self.index - 2].own * self.batch, self.start
        before = (rooms.input_rooms - 1) * words if cores > 1 else 0  # the room of the turn before the first
        source, past = self.layout.own[self.index - 1], self.layout.past(self.index - 1, self.ago)
        p.memory_a(READ, first, [loop(words, 1, address=1)], source, MEM_A, **past)
        p.memory_b(WRITE, first + 1, [loop(words, 1, address=1)], rooms.inputs + before, MEM_A)
        if self.errors:
            p.memory_b(WRITE, first, [loop(words, 1, address=1)], rooms.sums, ZERO)
        ready = first + 1 + words
        moves = [
            _Move([], [(0, word + before, [])], [(0, word, [])], ready, ready + (1 << 16))
            for word in range(rooms.inputs, rooms.inputs + words)
        ]
        return self._move(moves) if cores > 1 else ready

    def _rotate(self) -> None:
        """From turn to turn, inputs and sums go up by a core, a part's while the part after it is worked on."""
        if self.turns < 2:
            return
        for part, after in zip(self.parts, (*self.parts[1:], self.parts[0]), strict=True):
            words = range(part.first * self.batch, (part.first + part.shape.positions) * self.batch)
            ready, before = self._summed(part), self._summed(after) + (self.period if after.start <= part.start else 0)
            before = min(before, self.main + part.start + self.period - 1) if len(self.parts) > 1 else before
            inputs = [self._input_on(word, ready, before) for word in words]
            sums = [self._sum_on(part, word, ready) for word in words if self.errors]
            self._move([*sums, *inputs])

    def _summed(self, part: Part) -> int:
        """When a part's sums are there, in the first turn."""
        last = part.runs[-1]
        return self.main + last.start + self.batch * last.sample + self.latency + 1

    def _sum_on(self, part: Part, word: int, ready: int) -> _Move:
        """In time for the sample's sum in the next turn."""
        turns, room, last = [loop(self.turns - 1, self.period)], self.rooms.sums + word, part.runs[-1]
        k, sample = divmod(word - part.first * self.batch, self.batch)
        before = self.main + self.period + last.start + sample * last.sample + last.outputs * part.shape.pace + k - 1
        return _Move(turns, [(0, room, turns)], [(0, room, turns)], ready, before)

    def _input_on(self, word: int, ready: int, before: int) -> _Move:
        """If there are two rooms, inputs are sent while they are used: in the turn before the one in which sums go."""
        rooms, own = self.rooms, self.layout.layers[self.index - 2].own * self.batch
        early = -self.period if rooms.input_rooms == 2 else 0
        ready = max(ready, self.main - early)
        source, to = list[tuple[int, int, list[Loop]]](), list[tuple[int, int, list[Loop]]]()
        for room, later, some in self._parities(0, self.turns - 1):
            source.append((early + later, rooms.inputs + room * own + word, [some]))
            to.append((early + later, rooms.inputs + (room + 1) % rooms.input_rooms * own + word, [some]))
        return _Move([loop(self.turns - 1, self.period)], source, to, ready, before, early)

    def _move(self, moves: list[_Move]) -> int:
        """Words from MEM B to the core above, one after the other; returns when those from below are there."""
        p, m, sigma = self.p, self.m, spacing(self.m, sram=False, ring=True)
        ready, ends, length, most = (
            moves[0].earliest,
            [moves[0].earliest],
            latched(m, sigma),
            max(1, FIFO_BEATS // m.pe_cols),
        )
        needs: list[Need] = [("row_bus", 0, [loop(m.pe_cols, sigma)]), *taken(m, 0, sigma, "b")]
        for number, one in enumerate(moves):
            ready = max(ready, one.earliest, ends[max(0, number + 1 - most)])  # so many words fit the receive queue
            read, cycles = send(p, m, one.loops, ready + one.early, one.before + one.early, sram=False)
            for later, address, some in one.source:
                p.memory_b(READ, read + later - one.early, some, address, SENT)
            for column, cycle in enumerate(cycles):
                each = {"row_column": column, "row_slot": SENT, "row_send": UP}
                p.issue("row_bus", cycle, one.loops, row_from=FROM_PE, **each)
            arrived = max(cycle + sigma - column * sigma for column, cycle in enumerate(cycles))
            at = p.place(needs, one.loops, max(ends[-1] + one.early, arrived), before=one.before + one.early - length)
            p.issue("row_bus", at, [*one.loops, loop(m.pe_cols, sigma, row_to=1)], row_from=FROM_UP, row_to=0)
            for later, address, some in one.to:
                p.memory_b(WRITE, at + length + later - one.early, some, address, ROW)
            ready = cycles[-1] - one.early
            ends.append(at + m.pe_cols * sigma - one.early)
        return ends[-1] + length

    def _keep(self) -> int:
        """The errors that have come home to MEM A; returns when they are there."""
        p, words = self.p, self.layout.layers[self.index - 2].own * self.batch
        at = p.free_in(
            [("mem_b", 0, [loop(words, 1)]), ("beats sent", 0, [loop(words + 1, 1)]), ("mem_a", 1, [loop(words, 1)])],
            [],
            self.main + self.turns * self.period + self.latency + 1,
        )
        p.memory_b(READ, at, [loop(words, 1, address=1)], self.rooms.sums, SENT)
        to, past = self.layout.own[self.index - 1], self.layout.past(self.index - 1, self.ago)
        p.memory_a(WRITE, at + 1, [loop(words, 1, address=1)], to, SENT, **past)
        return at + 1 + words
