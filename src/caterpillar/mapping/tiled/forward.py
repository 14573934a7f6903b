"""Forward through a hidden layer, a block of outputs and a sub-batch a round.

Sums of all the round's outputs and samples lie in MEM B. Some positions at a time (a tile) add their products to them:
each weight is read once for as many samples as there are accumulators, while the next tile's inputs come round the
ring, and its weights from the core SRAM into the window. Then sums are added over the lanes.
"""

from __future__ import annotations

from typing import NamedTuple

from caterpillar.mapping.batches.halving import Halving
from caterpillar.mapping.batches.plan import NoRoom, Plan, Rounds
from caterpillar.mapping.builder import READ, WRITE, ScheduleError, loop
from caterpillar.mapping.isa import (
    ACCUMULATOR,
    DOWN,
    FORWARD,
    FROM_DOWN,
    FROM_PE,
    FROM_SRAM,
    LATCH,
    MEM_A,
    NONE,
    REGISTER,
    RELU,
    RESULT,
    ROTATE_CORE,
    ROW,
    ZERO,
    Loop,
    accumulators,
)
from caterpillar.mapping.tiled.layout import Block, Layout
from caterpillar.mapping.tiled.ways import SENT, beats, deal, latched, sending, spacing, taken

ATTEMPTS = 40


class Rooms(NamedTuple):
    """MEM B's regions: sums, a sample after the other; inputs of two tiles; own words to send."""

    sums: int
    inputs: int
    stage: int
    words: int


def forward_rooms(layout: Layout, index: int) -> Rooms:
    """Where the pass keeps what in MEM B."""
    samples = layout.samples
    own = layout.layers[index - 2].own if index > 1 else 0
    sizes = (layout.lanes * samples, 2 * _slots(layout, index), own * samples)
    return Rooms(*(sum(sizes[:i]) for i in range(len(sizes) + 1)))


def _slots(layout: Layout, index: int) -> int:
    """Words that come round the ring for a tile, each of an input and a sample."""
    return layout.slots if index == 1 else layout.layers[index - 1].at_once * layout.samples


class _State(NamedTuple):
    """Between rounds: when words of the next one may come, in which room of two; when products end; when all does."""

    free: int
    room: int
    products: int
    end: int


def forward_pass(p: Plan, layout: Layout, index: int, start: int) -> int:
    """Own activations of layer `index` for the whole batch to MEM A; returns when they are there."""
    state = _State(start, 0, start, start)
    with p.phase(f"forward {index}", FORWARD):
        for number in range(len(layout.layers[index - 1].blocks)):
            for part in range(layout.parts):
                state = _round(p, layout, index, number, part, state)
    return state.end


def _round(p: Plan, layout: Layout, index: int, number: int, part: int, state: _State) -> _State:
    why = ScheduleError()
    for pad in range(ATTEMPTS):
        saved = p.save()
        try:
            return _Round(p, layout, index, number, part, state, pad).emit()
        except ScheduleError as short:
            p.restore(saved)
            why = short
    raise NoRoom(f"forward {index}: no step is long enough ({why})")


class _Round:
    def __init__(self, p: Plan, layout: Layout, index: int, number: int, part: int, state: _State, pad: int) -> None:
        self.p, self.layout, self.index, self.part, self.state = p, layout, index, part, state
        self.number, self.m, self.samples = number, layout.machine, layout.samples
        self.layer = layout.layers[index - 1]
        self.block: Block = self.layer.blocks[number]
        self.rooms = forward_rooms(layout, index)
        self.width, self.latency = accumulators(self.m), self.m.fma_latency
        self.size, self.slots = self.layer.at_once, _slots(layout, index)
        self.tiles = -(-self.layer.positions // self.size)
        self.rest = self.layer.positions - (self.tiles - 1) * self.size  # positions of the last tile
        self.pad, self.groups = pad, -(-self.samples // self.width)
        self.period = self._cycles(self.size)
        # a shorter last tile has another rhythm: it waits for sums of the one before to be out of the way
        self.late = self.latency if 0 < self.rest < self.size and self.tiles > 1 else 0

    def _step(self, size: int) -> int:
        """Cycles for a tile of `size` positions, an output, and as many samples as accumulators.

        A port of MEM B reads inputs, one reads and writes sums.
        """
        return max(size, 2) * self.width + self.pad

    def _cycles(self, size: int) -> int:
        """Cycles of a tile: a sum has come out before it goes on."""
        step = self._step(size)
        return max(self.block.count * self.groups, 2 + -(-self.latency // step)) * step

    def emit(self) -> _State:
        staged = self._stage()
        with self.p.account("collective"):
            inputs = self._first_inputs(staged)
        self.main = max(inputs, self._first_weights(), self.state.end) + 1
        self._multiply(0, 1, self.size if self.tiles > 1 else self.rest)
        self._multiply(1, self.tiles - 2, self.size)
        if self.tiles > 1:
            self._multiply(self.tiles - 1, 1, self.rest)
        with self.p.account("collective"):
            self._inputs()
        self._weights()
        products = self.main + (self.tiles - 1) * self.period + self.late + self._cycles(self.rest)
        products += self.latency
        free = self.main + (self.tiles - 1) * self.period
        with self.p.account("collective"):
            end = self._reduce(products)
        return _State(free, self._room(self.tiles), products, end)

    def _room(self, tile: int) -> int:
        return (self.state.room + tile) % 2

    def _start(self, tile: int) -> int:
        return self.main + tile * self.period + (self.late if tile == self.tiles - 1 else 0)

    def _parities(self, first: int, count: int) -> list[tuple[int, int, Loop]]:
        """(room, first tile, loop over every second) of tiles first .. first + count - 1."""
        found = list[tuple[int, int, Loop]]()
        for tile in (first, first + 1):
            turns = (first + count - tile + 1) // 2
            if turns > 0:
                found.append((self._room(tile), tile, loop(turns, 2 * self.period)))
        return found

    def _weight(self, tile: int, k: int) -> int:
        """Where a tile's weights of a position begin, in MEM A."""
        if self.block.streamed:
            room = self._room(tile) * (self.layout.window_words // 2)
            return self.layout.window + room + k * self.block.count
        return self.block.address + (tile * self.size + k) * self.block.count

    def _multiply(self, first: int, count: int, size: int) -> None:
        """Tiles first .. first + count - 1, of `size` positions."""
        if count < 1:
            return
        p, block, step, at = self.p, self.block, self._step(size), self._start(first)
        outputs = loop(block.count, self.groups * step, address=1)
        every = loop(count, self.period)
        for k in range(size):
            inner = [outputs, loop(self.groups, step)]
            when = at + k * self.width - 1
            if block.streamed:
                for _, tile, turns in self._parities(first, count):
                    later = (tile - first) * self.period
                    p.memory_a(READ, when + later, [turns, *inner], self._weight(tile, k), MEM_A)
            else:
                along = loop(count, self.period, address=self.size * block.count)
                p.memory_a(READ, when, [along, *inner], self._weight(first, k), MEM_A)
        for group, groups, some in self._groups():
            self._products(at + group * step, first, group, groups, some, every, size)

    def _groups(self) -> list[tuple[int, int, int]]:
        """(first, how many, samples of each): as many samples as there are accumulators, and the rest."""
        whole, rest = divmod(self.samples, self.width)
        return [one for one in ((0, whole, self.width), (whole, 1, rest)) if one[1] and one[2]]

    def _products(self, at: int, first: int, group: int, groups: int, some: int, every: Loop, size: int) -> None:
        """Of a tile's positions, for some samples at a time: a chain each, from the sum so far."""
        p, width, step, rooms = self.p, self.width, self._step(size), self.rooms
        lanes, outputs = self.layout.lanes, loop(self.block.count, self.groups * step)
        for room, tile, turns in self._parities(first, every.count):
            inner = [outputs, loop(groups, step, address=width), loop(size, width, address=self.samples)]
            source = rooms.inputs + room * self.slots + group * width
            when = at + (tile - first) * self.period - 1
            p.memory_b(READ, when, [turns, *inner, loop(some, 1, address=1)], source, LATCH)
        loops = [every, outputs, loop(groups, step)]
        along = [
            every,
            loop(self.block.count, self.groups * step, address=1),
            loop(groups, step, address=width * lanes),
        ]
        for i in range(some):
            each = {"fma_a": MEM_A, "fma_b": LATCH}
            for k in range(size):
                c = ACCUMULATOR + i if k else (REGISTER + i if first else ZERO)
                to = ACCUMULATOR + i if k < size - 1 else NONE
                p.issue("fma", at + i + k * width, loops, fma_c=c, fma_to=to, **each)
            sum_ = rooms.sums + (group * width + i) * lanes
            p.memory_b(WRITE, at + i + (size - 1) * width + self.latency, along, sum_, RESULT)
        for i in range(some if first else 0):
            sum_ = rooms.sums + (group * width + i) * lanes
            earliest = at + i - step
            when = p.free_in([("mem_b", 0, [])], [Loop(o.count, o.period) for o in along], earliest, before=at + i)
            p.memory_b(READ, when, along, sum_, REGISTER + i)

    def _first_weights(self) -> int:
        """The first tile's from the core SRAM, as soon as they may; returns when they are there."""
        ready = self.state.free
        if self.block.streamed:
            for k in range(self.size if self.tiles > 1 else self.rest):
                for j in range(self.block.count):
                    ready = self._bring(0, 1, k, j, ready, ready + (1 << 14))
        return ready + latched(self.m, spacing(self.m, sram=True, ring=False))

    def _weights(self) -> None:
        """The others', while the tile before is worked on."""
        if not self.block.streamed:
            return
        ready = self.main
        for k in range(self.size):
            for j in range(self.block.count):
                count = self.tiles - 1 - (k >= self.rest)
                if count > 0:
                    until = self.main + self.period - 1 - latched(self.m, spacing(self.m, sram=True, ring=False))
                    ready = self._bring(1, count, k, j, ready, until)

    def _bring(self, tile: int, count: int, k: int, j: int, earliest: int, before: int) -> int:
        """One weight of tiles tile .. tile + count - 1 into the window; returns when another may follow."""
        p, m, block = self.p, self.m, self.block
        sigma = spacing(m, sram=True, ring=False)
        needs = [*beats(m, 0, sram=True), *taken(m, 0, sigma, "a")]
        at = p.place(needs, [loop(count, self.period)], earliest, before=before)
        first = (block.address + (tile * self.size + k) * block.count + j) * m.pe_cols
        step = self.size * block.count * m.pe_cols
        loops = [loop(count, self.period, row_address=step), loop(m.pe_cols, sigma, row_to=1, row_address=1)]
        p.issue("row_bus", at, loops, row_from=FROM_SRAM, row_to=0, row_address=first)
        for _, this, turns in self._parities(tile, count):
            when = at + latched(m, sigma) + (this - tile) * self.period
            p.memory_a(WRITE, when, [turns], self._weight(this, k) + j, ROW)
        return at + m.pe_cols * sigma

    def _stage(self) -> int:
        """Own words of the sub-batch to MEM B, when the FMA wants nothing of MEM A; returns when they are there."""
        if self.index == 1:
            return self.state.free
        p, layout = self.p, self.layout
        own, samples = layout.layers[self.index - 2].own, self.samples
        ready = self.state.products
        for i in range(own):
            for sample in range(samples):
                at = p.free_in([("mem_a", 0, []), ("mem_b", 1, [])], [], ready)
                source = layout.own[self.index - 1] + i * layout.batch + self.part * samples + sample
                p.memory_a(READ, at, [], source, MEM_A, **layout.past(self.index - 1, 0))
                p.memory_b(WRITE, at + 1, [], self.rooms.stage + i * samples + sample, MEM_A)
                ready = at + 1
        return ready + 1

    def _first_inputs(self, ready: int) -> int:
        for slot in range(self.slots):
            ready = self._gather(0, 1, slot, ready, ready + (1 << 14))
        return ready + latched(self.m, spacing(self.m, sram=self.index == 1, ring=True)) + 1

    def _inputs(self) -> None:
        ready, length = self.main, latched(self.m, spacing(self.m, sram=self.index == 1, ring=True))
        for slot in range(self.slots if self.tiles > 1 else 0):
            ready = self._gather(1, self.tiles - 1, slot, ready, self.main + self.period - 2 - length)

    def _gather(self, tile: int, count: int, slot: int, earliest: int, before: int) -> int:
        """One input (position, then sample) of tiles tile .. tile + count - 1; returns when another may follow."""
        p, m, first = self.p, self.m, self.index == 1
        sigma = spacing(m, sram=first, ring=True)
        needs = [*beats(m, 1, sram=first, ring="down"), *taken(m, 1, sigma, "b")]
        needs += sending(m, sigma) if not first and slot < self.samples else []  # others are never the core's own
        at = p.place(needs, [loop(count, self.period)], earliest, before=before)
        for room, this, turns in self._parities(tile, count):
            to = self.rooms.inputs + room * self.slots + slot
            when = at + 1 + latched(m, sigma) + (this - tile) * self.period
            if first:
                distance = slot % m.cores
                along = loop(turns.count, turns.period, offset=self.layout.offset(turns.period // self.period, 0))
                offset = self.layout.offset(this, distance)
                p.memory_b(WRITE, when, [along], to - distance, ROW, mode=ROTATE_CORE, offset=offset)
            else:
                p.memory_b(WRITE, when, [turns], to, ROW)
        if first:
            turns = loop(count, self.period)
            deal(p, self.layout, at + 1, turns, part=self.part, tile=tile, slot=slot, ago=0)
        else:
            self._passed_on(tile, count, slot, at, sigma)
        return at + m.pe_cols * sigma

    def _passed_on(self, tile: int, count: int, slot: int, at: int, sigma: int) -> None:
        """A word of the core's own from MEM B, or what comes from the core above, on to the core below."""
        p, m, (k, sample) = self.p, self.m, divmod(slot, self.samples)
        around = m.cores // self.size  # tiles until own words' turn comes again
        columns = m.pe_cols
        for turn in range(around):
            kind = "own" if turn == k == 0 else "last" if turn == around - 1 and k == self.size - 1 else "pass"
            mine = [n for n in range(tile, tile + count) if n % around == turn]
            if not mine:
                continue
            start, many = at + (mine[0] - tile) * self.period, loop(len(mine), around * self.period)
            send = {"row_send": DOWN} if m.cores > 1 and kind != "last" else {}
            if kind == "own":
                source = self.rooms.stage + mine[0] // around * self.samples + sample
                along = loop(len(mine), around * self.period, address=self.samples)
                p.memory_b(READ, start, [along], source, SENT)
                loops = [many, loop(columns, sigma, row_to=1, row_column=1)]
                p.issue("row_bus", start + 1, loops, row_from=FROM_PE, row_column=0, row_slot=SENT, row_to=0, **send)
            else:
                loops = [many, loop(columns, sigma, row_to=1)]
                p.issue("row_bus", start + 1, loops, row_from=FROM_DOWN, row_to=0, **send)

    def _reduce(self, ready: int) -> int:
        """Sums over rows, then over columns, sample after sample; ReLU; returns when all are in MEM A."""
        p, lanes, count = self.p, self.layout.lanes, self.block.count
        if count < lanes:
            unused = [loop(self.samples, lanes - count, address=lanes), loop(lanes - count, 1, address=1)]
            ready = p.free_in([("mem_b", 0, unused)], [], ready)
            p.memory_b(WRITE, ready, unused, self.rooms.sums + count, ZERO)
            ready += self.samples * (lanes - count)
        for period in range(lanes, 40 * lanes):
            saved = p.save()
            try:
                return self._halve(ready, Rounds(self.samples, period))
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
        one = Halving(machine=m, rows=False, source=self.rooms.sums, moves=moves, flags=RELU)
        at = one.emit(p, rounds, done, 0, {}, slot=REGISTER)
        written = p.free_in([("mem_a", 0, [])], rounds.loops, at)
        if written - at + self.latency > rounds.period:
            raise NoRoom("a register is wanted too early")
        to = self.layout.own[self.index] + self.number * self.layout.batch + self.part * self.samples
        p.a(WRITE, written, rounds, to, REGISTER, step=1, **self.layout.past(self.index, 0))
        return written + 1 + (rounds.count - 1) * rounds.period
