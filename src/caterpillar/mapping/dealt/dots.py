"""Sums over what is dealt, for a core's own outputs (inputs): forward of odd layers, errors through even ones.

A round is N own outputs, of a sub-batch: their sums lie in MEM B. A tile's hand comes to all PEs, and its weights from
the core SRAM to the window, while the tile before is worked on. Then the sums are added over the lanes.
"""

from __future__ import annotations

from typing import NamedTuple

from caterpillar.mapping.batches.halving import Halving
from caterpillar.mapping.batches.plan import NoRoom, Plan, Rounds
from caterpillar.mapping.builder import READ, WRITE, ScheduleError, loop
from caterpillar.mapping.dealt.hand import gather
from caterpillar.mapping.dealt.layout import Block, Layout
from caterpillar.mapping.dealt.products import Chains, width
from caterpillar.mapping.isa import (
    FROM_SRAM,
    MEM_A,
    ONE,
    REGISTER,
    RELU,
    RESULT,
    ROW,
    SLOPE,
    ZERO,
    Loop,
)
from caterpillar.mapping.tiled.ways import beats, latched, spacing, taken

ATTEMPTS = 40


class Rooms(NamedTuple):
    """MEM B's regions: sums, a sample after the other; hands of two tiles; the own units of the next."""

    sums: int
    inputs: int
    own: int
    words: int


def dot_rooms(layout: Layout) -> Rooms:
    """Where a round keeps what in MEM B."""
    sizes = (layout.lanes * layout.samples, 2 * layout.hand, layout.units)
    return Rooms(*(sum(sizes[:i]) for i in range(len(sizes) + 1)))


class State(NamedTuple):
    """Between rounds: when words of the next one may come, in which room of two; when products end; when all does."""

    free: int
    room: int
    products: int
    end: int


def dot_pass(p: Plan, layout: Layout, index: int, start: int, places: range, to: int, *, errors: bool) -> int:
    """Own sums of some places for the whole batch to MEM A, from word `to` on; returns when they are there."""
    state = State(start, 0, start, start)
    for place in places:
        for part in range(layout.parts):
            where = to + (place - places.start) * layout.batch + part * layout.samples
            state = _round(p, layout, index, place, part, state, where, errors=errors)
    return state.end


def _round(p: Plan, layout: Layout, index: int, place: int, part: int, state: State, to: int, *, errors: bool) -> State:
    why = ScheduleError()
    for pad in range(ATTEMPTS):
        saved = p.save()
        try:
            return _Round(p, layout, index, place, part, state, to, errors, pad).emit()
        except ScheduleError as short:
            p.restore(saved)
            why = short
    raise NoRoom(f"layer {index}: no step is long enough ({why})")


class _Round:
    def __init__(
        self,
        p: Plan,
        layout: Layout,
        index: int,
        place: int,
        part: int,
        state: State,
        to: int,
        errors: bool,
        pad: int,
    ) -> None:
        self.p, self.layout, self.index, self.place, self.part = p, layout, index, place, part
        self.state, self.to, self.errors, self.pad = state, to, errors, pad
        self.m, self.layer, self.rooms = layout.machine, layout.layers[index - 1], dot_rooms(layout)
        lanes = layout.lanes
        self.blocks = [one for one in self.layer.blocks if one.first // lanes == place]
        self.count = sum(one.count for one in self.blocks)
        self.dealt = index if errors else index - 1  # whose values are dealt
        # cycles in which own units are read in place of weights, and sums of the tile before are out of the way
        self.gap = max(layout.units, width(self.m, layout.samples) + 1) if self.dealt else 0
        self.size = self.layer.at_once
        self.tiles = -(-self.layer.positions // self.size)
        self.rest = self.layer.positions - (self.tiles - 1) * self.size  # positions of the last tile
        self.latency = self.m.fma_latency
        self.period = self._cycles(self.size)
        # a shorter last tile has another rhythm: it waits for sums of the one before to be out of the way
        self.late = self.latency + 1 if self.rest < self.size and self.tiles > 1 else 0
        self.main = 0

    def _chains(self, block: Block, size: int) -> Chains:
        layout = self.layout
        return Chains(
            machine=self.m,
            samples=layout.samples,
            outs=block.count,
            size=size,
            per_out=1,
            per_term=block.count,
            out_step=1,
            sample_step=layout.lanes,
            pad=self.pad,
        )

    def _cycles(self, size: int) -> int:
        """Cycles of a tile: a sum has come out before it goes on."""
        chains = [self._chains(block, size) for block in self.blocks]
        return max(sum(one.cycles for one in chains), 2 * chains[0].step + self.latency + 1) + self.gap

    def emit(self) -> State:
        with self.p.account("collective"):
            inputs = self._first_inputs()
        self.main = max(inputs, self._first_weights(), self.state.end) + 1 + self.gap
        self._multiply(0, 1, self.size if self.tiles > 1 else self.rest)
        self._multiply(1, self.tiles - 2, self.size)
        if self.tiles > 1:
            self._multiply(self.tiles - 1, 1, self.rest)
        with self.p.account("collective"):
            self._inputs()
        self._weights()
        free = self._start(self.tiles - 1)
        products = free + self._cycles(self.rest) + self.latency + 1
        with self.p.account("collective"):
            end = self._reduce(products)
        return State(free, self._room(self.tiles), products, end)

    def _room(self, tile: int) -> int:
        return (self.state.room + tile) % 2

    def _start(self, tile: int) -> int:
        return self.main + tile * self.period + (self.late if tile == self.tiles - 1 else 0)

    def _parities(self, first: int, count: int) -> list[tuple[int, int, Loop]]:
        """(room, tiles later, loop over every second) of tiles first .. first + count - 1."""
        found = list[tuple[int, int, Loop]]()
        for tile in (first, first + 1):
            turns = (first + count - tile + 1) // 2
            if turns > 0:
                found.append((self._room(tile), tile - first, loop(turns, 2 * self.period)))
        return found

    def _window(self, room: int) -> int:
        return self.layout.window + room * (self.layout.window_words // 2)

    def _multiply(self, first: int, count: int, size: int) -> None:
        """Tiles first .. first + count - 1, of `size` positions."""
        at = self._start(first)
        for block in self.blocks if count > 0 else []:
            chains = self._chains(block, size)
            if block.streamed:
                weights = [
                    (later * self.period, self._window(room), turns)
                    for room, later, turns in self._parities(first, count)
                ]
            else:
                step = self.size * block.count
                weights = [(0, block.address + first * step, loop(count, self.period, address=step))]
            inputs = self.rooms.inputs
            factors = [
                (later * self.period, inputs + room * self.layout.hand, turns)
                for room, later, turns in self._parities(first, count)
            ]
            every = loop(count, self.period)
            sums = self.rooms.sums + block.first % self.layout.lanes
            chains.emit(self.p, at, every, weights, factors, [(0, sums, every)], first=first == 0)
            at += chains.cycles

    # weights

    def _first_weights(self) -> int:
        """The first tile's from the core SRAM, as soon as they may; returns when they are there."""
        ready, size = self.state.free, self.size if self.tiles > 1 else self.rest
        for block in (one for one in self.blocks if one.streamed):
            for word in range(size * block.count):
                ready = self._bring(block, 0, 1, word, ready, ready + (1 << 14))
        return ready + latched(self.m, spacing(self.m, sram=True, ring=False))

    def _weights(self) -> None:
        """The others', while the tile before is worked on."""
        ready = self.main
        for block in (one for one in self.blocks if one.streamed):
            for word in range(self.size * block.count):
                count = self.tiles - 1 - (word >= self.rest * block.count)
                if count > 0:
                    until = self.main + self.period - 1 - latched(self.m, spacing(self.m, sram=True, ring=False))
                    ready = self._bring(block, 1, count, word, ready, until)

    def _bring(self, block: Block, tile: int, count: int, word: int, earliest: int, before: int) -> int:
        """One weight of tiles tile .. tile + count - 1 into the window; returns when another may follow."""
        p, m = self.p, self.m
        sigma = spacing(m, sram=True, ring=False)
        needs = [*beats(m, 0, sram=True), *taken(m, 0, sigma, "a")]
        at = p.place(needs, [loop(count, self.period)], earliest, before=before)
        step = self.size * block.count
        first = (block.address + tile * step + word) * m.pe_cols
        loops = [loop(count, self.period, row_address=step * m.pe_cols)]
        loops += [loop(m.pe_cols, sigma, row_to=1, row_address=1)]
        p.issue("row_bus", at, loops, row_from=FROM_SRAM, row_to=0, row_address=first)
        for room, later, turns in self._parities(tile, count):
            p.memory_a(WRITE, at + latched(m, sigma) + later * self.period, [turns], self._window(room) + word, ROW)
        return at + m.pe_cols * sigma

    # dealt values

    def _first_inputs(self) -> int:
        """The first tile's hand; returns when it is there."""
        ready, units = self.state.free, self.layout.units
        if self.dealt:
            for number in range(units):
                at = self.p.free_in([("mem_a", 0, []), ("mem_b", 1, [])], [], max(ready, self.state.products))
                self._own(number, at, 0, 1)
                ready = at + 2
        return self._gather(0, 1, ready, ready + (1 << 14))

    def _own(self, number: int, at: int, tile: int, count: int) -> None:
        """A core's own unit of tiles tile .. tile + count - 1 to MEM B."""
        units, parts = self.layout.units, self.layout.parts
        source = self.layout.values[self.dealt] + (tile * parts + self.part) * units + number
        self.p.memory_a(READ, at, [loop(count, self.period, address=parts * units)], source, MEM_A)
        self.p.memory_b(WRITE, at + 1, [loop(count, self.period)], self.rooms.own + number, MEM_A)

    def _inputs(self) -> None:
        """The others', while the tile before is worked on; own units are read before its first product."""
        if self.tiles == 1:
            return
        for number in range(self.layout.units if self.dealt else 0):
            self._own(number, self.main - 1 - self.gap + number, 1, self.tiles - 1)
        self._gather(1, self.tiles - 1, self.main, self.main + self.period - self.gap - 1)

    def _gather(self, tile: int, count: int, earliest: int, before: int) -> int:
        layout, columns = self.layout, self.m.pe_cols
        stride = layout.parts * layout.units * columns
        source = tile * stride + self.part * layout.units * columns if not self.dealt else ~self.rooms.own
        rounds = loop(count, self.period, row_address=stride)
        to = [
            (later * self.period, self.rooms.inputs + room * layout.hand, turns)
            for room, later, turns in self._parities(tile, count)
        ]
        return gather(self.p, layout, rounds, source, to, earliest, before)[1]

    # sums over lanes

    def _reduce(self, ready: int) -> int:
        """Sums over rows, then over columns, sample after sample; returns when all are in MEM A."""
        p, lanes, count = self.p, self.layout.lanes, self.count
        if count < lanes:
            unused = [loop(self.layout.samples, lanes - count, address=lanes), loop(lanes - count, 1, address=1)]
            ready = p.free_in([("mem_b", 0, unused)], [], ready)
            p.memory_b(WRITE, ready, unused, self.rooms.sums + count, ZERO)
            ready += self.layout.samples * (lanes - count)
        for period in range(lanes, 40 * lanes):
            saved = p.save()
            try:
                return self._halve(ready, Rounds(self.layout.samples, period))
            except NoRoom:
                p.restore(saved)
        raise NoRoom("sums over lanes find no rhythm")

    def _halve(self, ready: int, rounds: Rounds) -> int:
        p, m, moves = self.p, self.m, {"step": self.layout.lanes}
        done = ready
        for beat in range(m.pe_cols):
            source = self.rooms.sums + beat * m.pe_rows
            one = Halving(machine=m, rows=True, source=source, moves=moves)
            over = one.emit(p, rounds, ready, self.rooms.sums + beat, moves)
            ready = over if beat == 0 else ready  # its words are where the other beats' sums go
            done = max(done, over)
        flags = 0 if self.errors else RELU
        one = Halving(machine=m, rows=False, source=self.rooms.sums, moves=moves, flags=flags)
        at = one.emit(p, rounds, done, 0, {}, slot=REGISTER)
        written = self._slope(at, rounds) if self.errors else p.free_in([("mem_a", 0, [])], rounds.loops, at)
        if written - at + self.latency > rounds.period:
            raise NoRoom("a register is wanted too early")
        p.a(WRITE, written, rounds, self.to, RESULT if self.errors else REGISTER, step=1)
        return written + 1 + (rounds.count - 1) * rounds.period

    def _slope(self, at: int, rounds: Rounds) -> int:
        """ReLU's slope at the activations; returns when the errors come out."""
        p, layout = self.p, self.layout
        needs = [("fma", 0, []), ("mem_a", -1, []), ("mem_a", self.latency, [])]
        when = p.free_in(needs, rounds.loops, at)
        source = layout.values[self.index - 1] + self.place * layout.batch + self.part * layout.samples
        p.a(READ, when - 1, rounds, source, MEM_A, step=1)
        each = {"fma_a": REGISTER, "fma_b": ONE, "fma_c": ZERO}
        p.issue("fma", when, rounds.loops, fma_flags=SLOPE, fma_gate=MEM_A, **each)
        return when + self.latency
