"""Backward through a hidden layer and its update, in one pass; of layer 1 the update alone.

Positions of the inputs that a core owns are worked on in turns, those of the core below first, the core's own last:
the inputs, and what cores have added up of their errors, go up the ring by a core from turn to turn. A part of them is
worked on at a time. For a group of outputs, and each sample, a lane adds the products of weights and output errors to
the errors of its inputs, in MEM B, and those of inputs and output errors to the weights' gradients, in registers; then
the group is updated. Output errors come from the lanes that own them, over row and column buses, a sample at a time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import accumulate, pairwise
from typing import NamedTuple

from caterpillar.mapping.batches.plan import Need, NoRoom, Plan
from caterpillar.mapping.builder import READ, WRITE, ScheduleError, loop
from caterpillar.mapping.isa import (
    ACCUMULATOR,
    ALL_COLUMNS,
    BACKWARD_UPDATE,
    COLUMN,
    FIFO_BEATS,
    FROM_PE,
    FROM_SRAM,
    FROM_UP,
    LATCH,
    MEM_A,
    NEGATE,
    ONE,
    RATE,
    REGISTER,
    RESULT,
    RESULT_BEFORE,
    ROTATE_CORE,
    ROW,
    SLOPE,
    TO_SRAM,
    UP,
    UPDATE,
    ZERO,
    Loop,
)
from caterpillar.mapping.tiled.layout import Layout
from caterpillar.mapping.tiled.sweep import Part, Run, Shape, parts, shape
from caterpillar.mapping.tiled.ways import SENT, beats, deal, latched, send, spacing, taken

INPUT, SUM, ERROR = LATCH, LATCH + 2, LATCH + 3
PAUSES, SLACKS = 50, 4
TILES = 5  # rooms of the window: a tile comes while the two before it are used, and leaves while the next two are
WINDOW = 2 * TILES - 1


class Rooms(NamedTuple):
    """MEM B's regions: sums that go round; inputs; errors of the part's inputs; output errors of two samples; a word
    on its way to the core SRAM. input_rooms: of inputs, two if they cannot be replaced between two turns."""

    sums: int
    inputs: int
    errors: int
    outputs: int
    leaving: int
    words: int
    input_rooms: int


def shapes(layout: Layout, index: int, pieces: int) -> list[tuple[int, Shape]]:
    """The parts' first positions and shapes, where own positions are cut into so many pieces."""
    own = layout.layers[index - 2].own
    edges = [own - own * (pieces - n) // pieces for n in range(pieces + 1)]
    return [(a, shape(layout.machine, b - a, errors=True)) for a, b in pairwise(edges)]


def first_shapes(layout: Layout) -> list[tuple[int, Shape, int]]:
    """Of layer 1, (first position, shape, turns): whole tiles, and what is left."""
    size, positions = layout.layers[0].at_once, layout.layers[0].positions
    whole, rest = divmod(positions, size)
    found = [(0, size, whole), (whole * size, rest, 1)]
    return [(a, shape(layout.machine, b, errors=False), turns) for a, b, turns in found if b and turns]


def backward_rooms(layout: Layout, index: int, pieces: int) -> Rooms:
    """Where the pass keeps what in MEM B."""
    batch = layout.batch
    if index == 1:
        outputs = max(kind.outputs for _, kind, _ in first_shapes(layout))
        rooms, sizes = 2, (0, 2 * layout.layers[0].at_once * batch, 0, 2 * outputs, 1)
    else:
        kinds = [kind for _, kind in shapes(layout, index, pieces)]
        positions, outputs = max(kind.positions for kind in kinds), max(kind.outputs for kind in kinds)
        own, rooms = layout.layers[index - 2].own * batch, 2 if pieces == 1 else 1
        sizes = (own, rooms * own, positions * batch, 2 * outputs, 1)
    sums, inputs, errors, of_outputs, leaving, words = accumulate(sizes, initial=0)
    return Rooms(sums, inputs, errors, of_outputs, leaving, words, rooms)


def pieces(layout: Layout, index: int) -> int:
    """The fewest pieces in which own positions fit MEM B and registers; as many as can be if none.

    Of more than a latency, sums would come out of the FMA while MEM B's ports bring what is added to others.
    """
    own, m = layout.layers[index - 2].own if index > 1 else 1, layout.machine
    for n in range(1, own):
        most = -(-own // n)
        fits = backward_rooms(layout, index, n).words <= m.pe_mem_b_bytes // 2
        if fits and most <= min(m.fma_latency, m.pe_registers):
            return n
    return own


def backward_pass(p: Plan, layout: Layout, index: int, start: int) -> int:
    """Errors of layer index - 1 in place of its activations, layer `index` updated; returns when all is done."""
    if index > 1:
        kinds = shapes(layout, index, pieces(layout, index))
        return _sweep(p, layout, index, start, kinds, layout.machine.cores, 0)
    tile = 0
    for first, kind, turns in first_shapes(layout):
        start = _sweep(p, layout, index, start, [(first, kind)], turns, tile)
        tile += turns
    return start


def _sweep(
    p: Plan, layout: Layout, index: int, start: int, kinds: list[tuple[int, Shape]], turns: int, tile: int
) -> int:
    name = f"backward, update {index}" if index > 1 else "update 1"
    why = ScheduleError()
    for slack in range(SLACKS):  # in case MEM B's ports are wanted three times
        shaped = [(first, replace(kind, pace=kind.pace + slack)) for first, kind in kinds]
        pause = 0
        for _ in range(PAUSES):
            saved = p.save()
            try:
                with p.phase(name, BACKWARD_UPDATE if index > 1 else UPDATE):
                    return _Sweep(p, layout, index, start, shaped, turns, tile, pause).emit()
            except NoRoom as short:
                p.restore(saved)
                why, pause = short, pause + 1 + pause // 8
            except ScheduleError as taken:
                p.restore(saved)
                why = taken
                break
    raise NoRoom(f"{name}: no pause is long enough ({why})")


class _Move(NamedTuple):
    """A word that goes up the ring: loops; where from and where to, (later by, address in MEM B, loops); from when on
    it may, and by when it must be there. All is `early` cycles before what it goes with."""

    loops: list[Loop]
    source: list[tuple[int, int, list[Loop]]]
    to: list[tuple[int, int, list[Loop]]]
    earliest: int
    before: int
    early: int = 0


class _Sweep:
    def __init__(
        self,
        p: Plan,
        layout: Layout,
        index: int,
        start: int,
        kinds: list[tuple[int, Shape]],
        turns: int,
        tile: int,
        pause: int,
    ) -> None:
        self.p, self.layout, self.index, self.start = p, layout, index, start
        self.m, self.latency, self.batch = layout.machine, layout.machine.fma_latency, layout.batch
        self.layer, self.turns, self.tile, self.errors = layout.layers[index - 1], turns, tile, index > 1
        self.rooms = backward_rooms(layout, index, len(kinds) if self.errors else 1)
        self.parts = parts(self.layer.blocks, kinds, self.batch, pause)
        self.period = sum(part.cycles for part in self.parts)
        self.outputs = max(kind.outputs for _, kind in kinds)
        self.tiles = sum(run.number * run.block.streamed for part in self.parts for run in part.runs)

    def emit(self) -> int:
        with self.p.account("collective"):
            ready = self._own() if self.errors else self._units(self.tile, 1, self.start, self.start + (1 << 14))
        longest = max(run.sample + part.shape.pace for part in self.parts for run in part.runs)
        groups = [run.group for part in self.parts for run in part.runs for _ in range(min(2, run.number))]
        come = groups[-1] + groups[-2 % len(groups)] if self.tiles else 0
        self.main = max(ready + come, self.start + longest + self.outputs + 4) + 4
        for part in self.parts:
            for run in part.runs:
                self._products(part, run)
        for part in self.parts:
            for run in part.runs:
                self._output_errors(part, run)
        kept = {id(run): self._updates(part, run) for part in self.parts for run in part.runs}
        end = self.main + self.turns * self.period + self.latency + 1
        for part in self.parts:
            for run in part.runs:
                end = max(end, self._stream(part, run, kept[id(run)]))
        with self.p.account("collective"):
            if not self.errors:
                self._units(self.tile + 1, self.turns - 1, self.main, self.main + self.period)
                return end
            self._rotate()
            return max(end, self._keep())

    # loops

    def _turns(self, **strides: int) -> Loop:
        return loop(self.turns, self.period, **strides)

    def _parities(self, first: int, count: int) -> Iterator[tuple[int, int, Loop]]:
        """(room of inputs, later by, loop) of turns first .. first + count - 1."""
        rooms = self.rooms.input_rooms
        for turn in range(first, min(first + rooms, first + count)):
            turns = loop(-(-(first + count - turn) // rooms), rooms * self.period)
            yield turn % rooms, (turn - first) * self.period, turns

    def _samples(self, run: Run) -> tuple[list[Loop], int]:
        """Loops over samples that step the address of an input, and what a position adds to it."""
        if self.errors:
            return [loop(self.batch, run.sample, address=1)], self.batch
        many, size = self.layout.samples, self.layer.at_once
        outer = loop(self.layout.parts, many * run.sample, address=size * many)
        return [outer, loop(many, run.sample, address=1)], many

    def _input(self, part: Part, room: int) -> int:
        """Where a part's inputs begin in MEM B."""
        if not self.errors:
            return self.rooms.inputs + room * self.layer.at_once * self.batch
        own = self.layout.layers[self.index - 2].own
        return self.rooms.inputs + (room * own + part.first) * self.batch

    def _position(self, part: Part, k: int) -> tuple[int, int]:
        """The number of a part's position in the first turn, and what a turn adds to it."""
        if self.errors:
            return (part.first + k) * self.m.cores + self.m.cores - 1, -1
        return part.first + k, self.layer.at_once

    def _weights(self, part: Part, run: Run, o: int, k: int) -> Iterator[tuple[int, int, list[Loop]]]:
        """(later by, address in MEM A, loops) of a weight in all turns and groups."""
        block, outputs = run.block, part.shape.outputs
        position, step = self._position(part, k)
        if not block.streamed:
            address = block.address + position * block.count + run.first + o
            yield 0, address, [self._turns(address=step * block.count), loop(run.number, run.group, address=outputs)]
            return
        v = o * part.shape.positions + k
        regular = max(0, min(run.number, self.tiles - self.tiles % TILES - run.tile)) if self.tiles >= TILES else 0
        for number in range(min(TILES, regular)):
            groups = loop(-(-(regular - number) // TILES), TILES * run.group)
            address = self.layout.window + self._room(0, run.tile + number) * self.m.pe_registers + v
            yield number * run.group, address, [self._turns(), groups]
        for number in range(regular, run.number):
            for later, address, turns in self._weight(part, run, number, v):
                yield later + number * run.group, address, [*turns, loop(1, 0)]

    def _weight(self, part: Part, run: Run, number: int, v: int) -> Iterator[tuple[int, int, list[Loop]]]:
        """The same of one group."""
        o, k = divmod(v, part.shape.positions)
        if not run.block.streamed:
            for later, address, (turns, _) in self._weights(part, run, o, k):
                yield later, address + number * part.shape.outputs, [turns]
            return
        turns = TILES if self.tiles < TILES else 1
        for turn in range(min(turns, self.turns)):
            room = self._room(turn, run.tile + number)
            some = loop(-(-(self.turns - turn) // turns), turns * self.period)
            yield turn * self.period, self.layout.window + room * self.m.pe_registers + v, [some]

    def _room(self, turn: int, tile: int) -> int:
        """Of the window, for a tile: of any TILES one after the other, also from turn to turn, each has another."""
        if self.tiles < TILES:
            return (turn * self.tiles + tile) % TILES
        rest = self.tiles % TILES
        return tile % TILES if tile < self.tiles - rest else TILES + tile - (self.tiles - rest)

    # products

    def _products(self, part: Part, run: Run) -> None:
        p, kind, at = self.p, part.shape, self.main + run.start
        groups, every = loop(run.number, run.group), loop(self.batch, run.sample)
        outer = [self._turns(), groups]
        pairs = [loop(self.batch // 2, 2 * run.sample), loop(2, run.sample, address=self.outputs)]
        for o in range(run.outputs):
            when = at + o * kind.pace
            p.memory_b(READ, when - 1, [*outer, *pairs], self.rooms.outputs + o, ERROR)
            for k in range(kind.positions):
                if self.errors:
                    self._error(part, run, o, k, when + k, [*outer, every])
                self._gradient(part, run, o, k, when + k + (kind.positions if self.errors else 0), outer)
        if self.errors and run.last_group:
            self._add_cores(part, run, at + run.outputs * kind.pace)

    def _gradient(self, part: Part, run: Run, o: int, k: int, at: int, outer: list[Loop]) -> None:
        p, sum_ = self.p, REGISTER + o * part.shape.positions + k
        samples, stride = self._samples(run)
        for room, later, turns in self._parities(0, self.turns):
            p.memory_b(READ, at + later - 1, [turns, outer[1], *samples], self._input(part, room) + k * stride, INPUT)
        each = {"fma_a": INPUT, "fma_b": ERROR, "fma_to": sum_}
        p.issue("fma", at, outer, fma_c=ZERO, **each)
        others = loop(self.batch - 1, run.sample)
        p.issue("fma", at + run.sample, [*outer, others], fma_c=sum_, **each)

    def _error(self, part: Part, run: Run, o: int, k: int, at: int, loops: list[Loop]) -> None:
        p, sum_ = self.p, ACCUMULATOR + k
        word, along = self.rooms.errors + k * self.batch, [*loops[:-1], loop(self.batch, run.sample, address=1)]
        for later, address, some in self._weights(part, run, o, k):
            p.memory_a(READ, at + later - 1, [*some, loops[-1]], address, MEM_A)
        c = sum_ if o else ZERO if run.first_group else SUM
        if c == SUM:
            p.memory_b(READ, at - 1, along, word, SUM)
        p.issue("fma", at, loops, fma_a=MEM_A, fma_b=ERROR, fma_c=c, fma_to=sum_)
        if o == run.outputs - 1 and not run.last_group:
            done, wanted = at + self.latency, at - o * part.shape.pace + run.sample
            plain = [Loop(one.count, one.period) for one in along]
            written = p.free_in([("mem_b", 0, [])], plain, done, before=wanted + 1)
            p.memory_b(WRITE, written, along, word, sum_)

    def _add_cores(self, part: Part, run: Run, at: int) -> None:
        """The sums of all outputs meet what the cores before have added up; at the owner ReLU's slope is applied."""
        p, last = self.p, self.turns - 1
        every = loop(self.batch, run.sample)
        for k in range(part.shape.positions):
            word, when = self.rooms.sums + (part.first + k) * self.batch, at + k
            along = [self._turns(), loop(self.batch, run.sample, address=1)]
            p.memory_b(READ, when - 1, along, word, SUM)
            each = {"fma_a": SUM, "fma_b": ONE, "fma_c": ACCUMULATOR + k}
            p.issue("fma", when, [loop(last, self.period), every], **each)
            later = last * self.period
            source = self._input(part, last % self.rooms.input_rooms) + k * self.batch
            p.memory_b(READ, when + later - 1, along[1:], source, INPUT)
            p.issue("fma", when + later, [every], fma_flags=SLOPE, fma_gate=INPUT, **each)
            plain = [Loop(one.count, one.period) for one in along]
            done = when + self.latency
            written = p.free_in([("mem_b", 0, [])], plain, done, before=done + 2)
            p.memory_b(WRITE, written, along, word, RESULT if written == done else RESULT_BEFORE)

    # updates

    def _updates(self, part: Part, run: Run) -> list[list[int]]:
        """W <- W - (lr / b) G; returns when each new weight of each group is in MEM A in the first turn."""
        p, kind, at = self.p, part.shape, self.main + run.start
        loops, made = [self._turns(), loop(run.number, run.group)], list[int]()
        ready, end = at + self.batch * run.sample, at + run.group
        for v in range(kind.positions * run.outputs):
            o, k = divmod(v, kind.positions)
            last = ready - run.sample + o * kind.pace + k + (kind.positions if self.errors else 0)
            earliest = max(made[-1] + 1 if made else ready, last + self.latency)
            when = p.free_in([("fma", 0, []), ("mem_a", -1, [])], loops, earliest, before=end)
            for later, address, some in self._weights(part, run, o, k):
                p.memory_a(READ, when + later - 1, some, address, MEM_A)
            each = {"fma_a": RATE, "fma_b": REGISTER + v, "fma_c": MEM_A, "fma_flags": NEGATE}
            p.issue("fma", when, loops, fma_to=REGISTER + v, **each)
            made.append(when)
        kept = (self._keep_weight(part, run, v, when + self.latency, end) for v, when in enumerate(made))
        return list(kept)

    def _keep_weight(self, part: Part, run: Run, v: int, earliest: int, end: int) -> list[int]:
        """A new weight of each group from its register to MEM A, before the next group's gradient takes it."""
        p, done = self.p, list[int]()
        for number in range(run.number):
            kind, later = self._following(part, run, number), number * run.group
            o, k = divmod(v, kind.positions)
            before = end + later + o * kind.pace + k + (kind.positions if self.errors else 0) + 1
            at = p.free_in([("mem_a", 0, [])], [self._turns()], earliest + later, before=before)
            for turn, address, some in self._weight(part, run, number, v):
                p.memory_a(WRITE, at + turn, some, address, REGISTER + v)
            done.append(at + 1)
        return done

    def _following(self, part: Part, run: Run, number: int) -> Shape:
        """Of the group after one of a run: it takes the registers."""
        if run is not part.runs[-1] or number < run.number - 1:
            return part.shape
        return self.parts[(self.parts.index(part) + 1) % len(self.parts)].shape

    # what comes and goes

    def _output_errors(self, part: Part, run: Run) -> None:
        """The errors of a group's outputs to all PEs, a sample's while the one before is worked on."""
        around = self.m.pe_rows // part.shape.outputs  # groups that share a beat
        for number in range(min(around, run.number)):
            try:
                self._spread(part, run, number, around, 1)
            except NoRoom:
                self._spread(part, run, number, around, 2)

    def _spread(self, part: Part, run: Run, number: int, around: int, pace: int) -> None:
        """Those of groups number, number + around, ..., from their owners to all PEs' MEM B, `pace` cycles each."""
        p, kind = self.p, part.shape
        own = self.layout.own[self.index] + run.block.first // self.layout.lanes * self.batch
        outputs = loop(run.outputs, pace)
        needs: list[Need] = [("mem_a", 0, []), ("row_bus", 1, []), ("rows", 2, [loop(pace * (run.outputs - 1) + 1, 1)])]
        needs += [("column_bus", 2, [outputs]), ("mem_b", 3, [outputs])]
        column, row = divmod(run.first + number * kind.outputs, self.m.pe_rows)
        groups = loop(-(-(run.number - number) // around), around * run.group)
        outer, every = [self._turns(), groups], loop(self.batch, run.sample)
        begins = self.main + run.start + number * run.group
        earliest = begins - run.sample - kind.pace - run.outputs - 2
        at = p.place(needs, [*outer, every], earliest, before=begins - 4)
        p.memory_a(READ, at, [*outer, loop(self.batch, run.sample, address=1)], own, MEM_A)
        along = [self._turns(), loop(groups.count, groups.period, row_column=1), every]
        p.issue("row_bus", at + 1, along, row_from=FROM_PE, row_column=column, row_slot=MEM_A, row_to=ALL_COLUMNS)
        columns = [*outer, every, loop(run.outputs, pace, column_row=1)]
        p.issue("column_bus", at + 2, columns, column_row=row, column_slot=ROW)
        pairs = [loop(self.batch // 2, 2 * run.sample), loop(2, run.sample, address=self.outputs)]
        p.memory_b(WRITE, at + 3, [*outer, *pairs, loop(run.outputs, pace, address=1)], self.rooms.outputs, COLUMN)

    def _stream(self, part: Part, run: Run, kept: list[list[int]]) -> int:
        """A run's weights from the core SRAM before they are used, and back after; returns when the last is there."""
        end = max(done for one in kept for done in one)
        for number in range(run.number if run.block.streamed else 0):
            ready, gone = self.main + run.start + number * run.group - self._before(run, number), 0
            for v, done in enumerate(kept):
                ready = self._bring(part, run, number, v, ready)
                gone = self._leave(part, run, number, v, max(gone, done[number]))
            end = max(end, gone)
        return end + (self.turns - 1) * self.period

    def _beat(self, part: Part, run: Run, number: int, v: int) -> tuple[int, Loop]:
        """The first beat of a weight in the core SRAM, and the turns that step it."""
        position, step = self._position(part, v % part.shape.positions)
        output = run.first + number * part.shape.outputs + v // part.shape.positions
        word = run.block.address + position * run.block.count + output
        return word * self.m.pe_cols, self._turns(row_address=step * run.block.count * self.m.pe_cols)

    def _bring(self, part: Part, run: Run, number: int, v: int, earliest: int) -> int:
        """A weight from the core SRAM to the window; returns when another may follow."""
        p, m = self.p, self.m
        sigma, begins = spacing(m, sram=True, ring=False), self.main + run.start + number * run.group
        length, (beat, turns) = latched(m, sigma), self._beat(part, run, number, v)
        needs = [*beats(m, 0, sram=True), *taken(m, 0, sigma, "a")]
        at = p.place(needs, [self._turns()], earliest, before=begins - length - 1)
        loops = [turns, loop(m.pe_cols, sigma, row_to=1, row_address=1)]
        p.issue("row_bus", at, loops, row_from=FROM_SRAM, row_to=0, row_address=beat)
        for later, address, some in self._weight(part, run, number, v):
            p.memory_a(WRITE, at + length + later, some, address, ROW)
        return at + m.pe_cols * sigma

    def _leave(self, part: Part, run: Run, number: int, v: int, earliest: int) -> int:
        """A new weight from MEM A by way of MEM B to the core SRAM, a beat whenever the row buses are free."""
        p, m, outer = self.p, self.m, [self._turns()]
        before = self.main + run.start + (number + 1) * run.group + self._after(run, number)
        read, cycles = send(p, m, outer, earliest + 2, before, sram=True)
        for later, address, some in self._weight(part, run, number, v):
            p.memory_a(READ, read + later - 2, some, address, MEM_A)
        p.memory_b(WRITE, read - 1, outer, self.rooms.leaving, MEM_A)
        p.memory_b(READ, read, outer, self.rooms.leaving, SENT)
        beat, turns = self._beat(part, run, number, v)
        for column, cycle in enumerate(cycles):
            each = {"row_column": column, "row_slot": SENT, "row_to": TO_SRAM, "row_address": beat + column}
            p.issue("row_bus", cycle, [turns], row_from=FROM_PE, **each)
        return cycles[-1] + 1

    def _before(self, run: Run, number: int) -> int:
        """Cycles of the two groups before one of a run."""
        groups, at = self._groups(run, number)
        return groups[at - 1] + groups[(at - 2) % len(groups)]

    def _after(self, run: Run, number: int) -> int:
        """Cycles of the two groups after one of a run."""
        groups, at = self._groups(run, number)
        return groups[(at + 1) % len(groups)] + groups[(at + 2) % len(groups)]

    def _groups(self, run: Run, number: int) -> tuple[list[int], int]:
        """Cycles of a turn's groups, and which of them this one is."""
        runs = [one for part in self.parts for one in part.runs]
        before = sum(one.number for one in runs[: runs.index(run)])
        return [one.group for one in runs for _ in range(one.number)], before + number

    def _units(self, tile: int, count: int, earliest: int, before: int) -> int:
        """Layer 1's inputs of `count` tiles from `tile` on, of all samples; returns when those of a tile are there."""
        p, m, layout = self.p, self.m, self.layout
        size, sigma = self.layer.at_once, spacing(m, sram=True, ring=True)
        if count < 1:
            return earliest
        ready, length, turns = earliest, latched(m, sigma), loop(count, self.period)
        needs = [*beats(m, 0, sram=True, ring="down"), *taken(m, 0, sigma, "b")]
        for part in range(layout.parts):
            for slot in range(size * layout.samples):
                at = p.place(needs, [turns], ready, before=before - length - 1)
                deal(p, layout, at, turns, part=part, tile=tile, slot=slot)
                distance, within = slot % m.cores, part * size * layout.samples + slot
                for room, later, some in self._parities(tile - self.tile, count):
                    to = self.rooms.inputs + room * size * self.batch + within - distance
                    p.memory_b(WRITE, at + length + later, [some], to, ROW, mode=ROTATE_CORE, offset=distance)
                ready = at + m.pe_cols * sigma
        return ready + length

    def _own(self) -> int:
        """Own inputs to MEM B, and by a core up the ring; no sums yet."""
        p, rooms, cores = self.p, self.rooms, self.m.cores
        words, first = self.layout.layers[self.index - 2].own * self.batch, self.start
        before = (rooms.input_rooms - 1) * words if cores > 1 else 0  # the room of the turn before the first
        p.memory_a(READ, first, [loop(words, 1, address=1)], self.layout.own[self.index - 1], MEM_A)
        p.memory_b(WRITE, first + 1, [loop(words, 1, address=1)], rooms.inputs + before, MEM_A)
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
            self._move([*(self._sum_on(part, word, ready) for word in words), *inputs])

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
        p.memory_a(WRITE, at + 1, [loop(words, 1, address=1)], self.layout.own[self.index - 1], SENT)
        return at + 1 + words
