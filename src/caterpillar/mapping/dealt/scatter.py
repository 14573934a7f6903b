"""Sums over what the cores own, dealt: forward of even layers, errors through odd ones.

A round is a tile's positions and a sub-batch: a core adds up the products of all it owns, whose values come to all its
PEs, as many (a group) as there are rows at a time, while the group before is worked on. Then the sums are added over
the cores, beside the next round: those of a unit go up the ring from the core above its owner, each core adds its part,
in cycles that are left free between products, and the owner has the sum.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from caterpillar.mapping.batches.plan import Need, NoRoom, Plan
from caterpillar.mapping.builder import READ, WRITE, ScheduleError, loop
from caterpillar.mapping.dealt.hand import spread
from caterpillar.mapping.dealt.layout import Block, Layout
from caterpillar.mapping.dealt.products import Chains, Variant
from caterpillar.mapping.dealt.reduce import Rounds, reduce
from caterpillar.mapping.isa import FROM_SRAM, MEM_A, ROW, Loop
from caterpillar.mapping.tiled.ways import beats, latched, spacing, taken

ATTEMPTS = 60


class Rooms(NamedTuple):
    """MEM B's regions: sums of two rounds; own values of the sub-batch; those of two groups."""

    sums: int
    own: int
    copies: int
    words: int


def scatter_rooms(layout: Layout, index: int) -> Rooms:
    """Where a round keeps what in MEM B."""
    samples = layout.samples
    sizes = (2 * layout.hand, layout.layers[index - 1].places * samples, 2 * layout.machine.pe_rows * samples)
    return Rooms(*(sum(sizes[:i]) for i in range(len(sizes) + 1)))


class _State(NamedTuple):
    """Between strips: when products end, from when on values of the next group may come, rooms of groups and sums that
    are next, and the last round's sums, which are still to be added over the cores."""

    products: int
    free: int
    room: int
    sums: int
    pending: Rounds | None


def scatter_pass(p: Plan, layout: Layout, index: int, start: int, tiles: range, to: int, *, errors: bool) -> int:
    """The sums of some tiles for the whole batch to MEM A, from word `to` on; returns when they are there."""
    layer, each = layout.layers[index - 1], layout.parts * layout.units
    whole = min(tiles.stop, layer.positions // layer.at_once)
    kinds = [
        (range(tiles.start, whole), layer.at_once),
        (range(max(whole, tiles.start), tiles.stop), layer.positions % layer.at_once),
    ]
    state, steps = _State(start, start, 0, 0, None), dict[int, tuple[int, int]]()
    for part in range(layout.parts):
        first = True
        for some, size in kinds:
            if some:
                where = to + (some.start - tiles.start) * each + part * layout.units
                state = _strip(p, layout, index, some, size, part, where, state, steps, errors=errors, first=first)
                first = False
    if state.pending is None:
        return start
    with p.account("collective"):
        return reduce(p, layout, state.pending, state.products, 1 << 40)


def _strip(
    p: Plan,
    layout: Layout,
    index: int,
    tiles: range,
    size: int,
    part: int,
    to: int,
    state: _State,
    steps: dict[int, tuple[int, int]],
    *,
    errors: bool,
    first: bool,
) -> _State:
    """steps: the pad and idle cycles that tiles of a size took in the sub-batch before, where the search begins."""
    why, (pad, idle) = ScheduleError(), steps.get(size, (1, 0))
    for _ in range(ATTEMPTS):
        saved = p.save()
        try:
            done = _Strip(p, layout, index, tiles, size, part, to, state, errors, first, pad, idle).emit()
            steps[size] = pad, idle
            return done
        except _LateError as late:
            p.restore(saved)
            why, idle = late, idle + idle // 4 + 16
        except ScheduleError as short:
            p.restore(saved)
            why, pad = short, pad + 1
    raise NoRoom(f"layer {index}: no step is long enough ({why})")


class _LateError(NoRoom):
    """A round is too short for what is beside it."""


class _Strip:
    """Rounds of tiles of equal size, one after the other. idle: cycles after a round's products."""

    def __init__(
        self,
        p: Plan,
        layout: Layout,
        index: int,
        tiles: range,
        size: int,
        part: int,
        to: int,
        state: _State,
        errors: bool,
        first: bool,
        pad: int,
        idle: int,
    ) -> None:
        self.p, self.layout, self.index, self.tiles, self.part = p, layout, index, tiles, part
        self.size, self.to, self.state, self.errors, self.first = size, to, state, errors, first
        self.m, self.layer, self.rooms = layout.machine, layout.layers[index - 1], scatter_rooms(layout, index)
        rows = self.m.pe_rows
        self.groups = [
            (block, j, min(rows, block.count - j)) for block in self.layer.blocks for j in range(0, block.count, rows)
        ]
        self.pad, self.main, self.period = pad, 0, 0
        self.starts = list[int]()
        for number, group in enumerate(self.groups):
            chains, before = self._chains(group), self._chains(self.groups[number - 1])
            # a chain of another length has another rhythm: it waits for sums of the one before to be out of the way
            self.period += self.m.fma_latency + 1 if before.size != chains.size else 0
            self.starts.append(self.period)
            self.period += max(chains.cycles, 2 * chains.step + self.m.fma_latency + 1)
        self.period += idle

    def _chains(self, group: tuple[Block, int, int]) -> Chains:
        block, _, count = group
        return Chains(
            machine=self.m,
            samples=self.layout.samples,
            outs=self.size,
            size=count,
            per_out=count if block.streamed else block.count,
            per_term=1,
            out_step=self.layout.samples,
            sample_step=1,
            pad=self.pad,
        )

    def emit(self) -> _State:
        """Issue it all but the last round's sums over the cores."""
        turns, many = len(self.tiles), len(self.groups)
        self._prologue()
        for number in range(many):
            self._multiply(number)
        mine = Rounds(
            ready=self.main + self.period + self.m.fma_latency + 1,
            period=self.period,
            count=turns,
            sums=(self._sums(0), self._sums(1)),
            to=self.to,
            gate=self._gate(),
        )
        with self.p.account("collective"):
            done = self.main + self.period - self.m.pe_cols - self.m.fma_latency - 1  # a sum is in MEM A so much later
            ready = self._reduce(None if self.first else self.state.pending, self.main, done)
            if turns > 1:
                self._reduce(mine.but_last, max(mine.ready, ready), done + self.period)
        for number in range(1, many):
            start, end = self.main + self.starts[number - 1], self.main + self.starts[number]
            self._next(number, 0, turns, start, end)
        try:
            self._next(0, 1, turns - 1, self.main + self.starts[-1], self.main + self.period)
        except NoRoom as late:
            raise _LateError(str(late)) from None
        end = self.main + turns * self.period
        last = self.main + (turns - 1) * self.period + self.starts[-1]
        room, sums = (self.state.room + turns * many) % 2, (self.state.sums + turns) % 2
        return _State(end, last, room, sums, mine.last)

    def _reduce(self, rounds: Rounds | None, earliest: int, before: int) -> int:
        if rounds is None:
            return earliest
        try:
            return reduce(self.p, self.layout, rounds, earliest, before)
        except NoRoom as late:
            raise _LateError(str(late)) from None

    def _gate(self) -> int | None:
        """Where the activations of the first round's units are."""
        layout = self.layout
        each = layout.parts * layout.units
        here = layout.values[self.index - 1] + self.tiles.start * each + self.part * layout.units
        return here if self.errors else None

    def _turns(self, first: int, count: int, number: int) -> Iterator[tuple[int, int, Loop]]:
        """(room of a group, turns later, loop) of turns first .. first + count - 1."""
        step = 1 + len(self.groups) % 2
        for turn in range(first, min(first + step, first + count)):
            room = (self.state.room + turn * len(self.groups) + number) % 2
            yield room, turn - first, loop(-(-(first + count - turn) // step), step * self.period)

    def _multiply(self, number: int) -> None:
        (block, first, _), turns = self.groups[number], len(self.tiles)
        chains, at, period = self._chains(self.groups[number]), self.main + self.starts[number], self.period
        rooms = list(self._turns(0, turns, number))
        if block.streamed:
            weights = [(later * period, self._window(room), some) for room, later, some in rooms]
        else:
            step = self.layer.at_once * block.count
            weights = [(0, block.address + self.tiles.start * step + first, loop(turns, period, address=step))]
        factors = [(later * period, self._copies(room), some) for room, later, some in rooms]
        sums = list[Variant]()
        for turn in range(min(2, turns)):
            sums.append((turn * period, self._sums(turn), loop(-(-(turns - turn) // 2), 2 * period)))
        chains.emit(self.p, at, loop(turns, period), weights, factors, sums, first=number == 0)

    def _window(self, room: int) -> int:
        return self.layout.window + room * (self.layout.window_words // 2)

    def _sums(self, turn: int) -> int:
        return self.rooms.sums + (self.state.sums + turn) % 2 * self.layout.hand

    def _copies(self, room: int) -> int:
        return self.rooms.copies + room * self.m.pe_rows * self.layout.samples

    def _prologue(self) -> None:
        """What the first round begins with; sets the cycle in which it does."""
        state, far, added = self.state, self.state.products + (1 << 14), 0
        with self.p.account("collective"):
            if self.first and state.pending:
                added = reduce(self.p, self.layout, state.pending, state.products, far)
            ready = self._own(state.products) if self.first else state.free
            there = self._values(0, 0, 1, ready, far)
        there = max(there, self._weights(0, 0, 1, state.free, far))
        self.main = max(there + 1, state.products + self.m.fma_latency + 1, added + 1)

    def _next(self, number: int, turn: int, count: int, start: int, end: int) -> None:
        """A group's values and weights, of turns turn .. turn + count - 1, while the group before is worked on."""
        if count < 1:
            return
        with self.p.account("collective"):
            self._values(number, turn, count, start, end)
        self._weights(number, turn, count, start, end)

    def _own(self, start: int) -> int:
        """Own values of the sub-batch to MEM B; returns when they are there."""
        p, layout, samples = self.p, self.layout, self.layout.samples
        value = layout.values[self.index if self.errors else self.index - 1] + self.part * samples
        ready, many = start, loop(samples, 1, address=1)
        for place in range(self.layer.places):
            needs: list[Need] = [("mem_a", 0, [many]), ("mem_b", 1, [many])]
            at = p.free_in(needs, [], ready)
            p.memory_a(READ, at, [many], value + place * layout.batch, MEM_A)
            p.memory_b(WRITE, at + 1, [many], self.rooms.own + place * samples, MEM_A)
            ready = at + samples
        return ready + 1

    def _values(self, number: int, turn: int, count: int, earliest: int, before: int) -> int:
        """A group's own values to all PEs; returns when they are there."""
        (block, first, many), layout = self.groups[number], self.layout
        place, lane = divmod(block.first + first, layout.lanes)
        ready = there = earliest
        for sample in range(layout.samples):
            source = self.rooms.own + place * layout.samples + sample
            to = [
                (later * self.period, self._copies(room) + sample, some)
                for room, later, some in self._turns(turn, count, number)
            ]
            rounds = loop(count, self.period)
            ready, done = spread(self.p, layout, rounds, source, lane, many, to, ready, before)
            there = max(there, done)
        return there

    def _weights(self, number: int, turn: int, count: int, earliest: int, before: int) -> int:
        """A group's streamed weights to the window; returns when they are there."""
        p, m, (block, first, many) = self.p, self.m, self.groups[number]
        if not block.streamed:
            return earliest
        sigma, ready, at = spacing(m, sram=True, ring=False), earliest, earliest
        needs = [*beats(m, 0, sram=True), *taken(m, 0, sigma, "a")]
        step = self.layer.at_once * block.count * m.pe_cols
        for k in range(self.size):
            for j in range(many):
                at = p.place(needs, [loop(count, self.period)], ready, before=before - latched(m, sigma) - 1)
                position = (self.tiles.start + turn) * self.layer.at_once + k
                beat = (block.address + position * block.count + first + j) * m.pe_cols
                loops = [loop(count, self.period, row_address=step), loop(m.pe_cols, sigma, row_to=1, row_address=1)]
                p.issue("row_bus", at, loops, row_from=FROM_SRAM, row_to=0, row_address=beat)
                for room, later, some in self._turns(turn, count, number):
                    when = at + latched(m, sigma) + later * self.period
                    p.memory_a(WRITE, when, [some], self._window(room) + k * many + j, ROW)
                ready = at + m.pe_cols * sigma
        return at + latched(m, sigma) + 1
