"""The update of a layer: a turn for each tile. Its hands come to MEM B, of all samples; then own values, group by group.

Products of dealt and own values add up to the weights' gradients in registers, sample after sample; then the group is
updated. It is the same for layers cut by outputs (own errors, dealt activations) and by inputs (the other way round).
"""

from __future__ import annotations

from dataclasses import replace
from itertools import accumulate
from typing import NamedTuple

from caterpillar.mapping.batches.plan import NoRoom, Plan
from caterpillar.mapping.builder import READ, WRITE, ScheduleError, loop
from caterpillar.mapping.dealt.hand import gather
from caterpillar.mapping.dealt.layout import Layout
from caterpillar.mapping.isa import MEM_A, UPDATE, Loop
from caterpillar.mapping.tiled.backward import PAUSES, SLACKS, Sweep
from caterpillar.mapping.tiled.layout import Block
from caterpillar.mapping.tiled.sweep import Run, Shape, parts, shape
from caterpillar.mapping.tiled.ways import spacing


class Rooms(NamedTuple):
    """MEM B's regions: the hands of a tile; own values of two samples; a word on its way to the core SRAM; own units."""

    inputs: int
    outputs: int
    leaving: int
    own: int
    words: int
    input_rooms: int


def update_rooms(layout: Layout) -> Rooms:
    """Where a turn keeps what in MEM B."""
    sizes = (layout.parts * layout.hand, 2 * layout.machine.pe_rows, 1, layout.parts * layout.units)
    return Rooms(*accumulate(sizes, initial=0), 1)


def update_pass(p: Plan, layout: Layout, index: int, start: int, tiles: range, places: range) -> int:
    """Weights of these tiles, and of own outputs (inputs) in these places; returns when all is done."""
    layer, m = layout.layers[index - 1], layout.machine
    blocks = tuple(one for one in layer.blocks if one.first // layout.lanes in places)
    whole, rest = min(tiles.stop, layer.positions // layer.at_once), layer.positions % layer.at_once
    for first, turns, size in ((tiles.start, whole - tiles.start, layer.at_once), (whole, tiles.stop - whole, rest)):
        if turns > 0:
            start = _turns(p, layout, index, start, range(first, first + turns), shape(m, size, errors=False), blocks)
    return start


def _turns(
    p: Plan, layout: Layout, index: int, start: int, tiles: range, kind: Shape, blocks: tuple[Block, ...]
) -> int:
    why = ScheduleError()
    for slack in range(SLACKS):  # in case MEM B's ports are wanted three times
        shaped, pause, lead = replace(kind, pace=kind.pace + slack), 0, _lead(layout, index)
        for _ in range(PAUSES):
            saved = p.save()
            try:
                with p.phase(f"update {index}", UPDATE):
                    return _Update(p, layout, index, start, tiles, shaped, blocks, pause, lead).emit()
            except _LateError as short:
                p.restore(saved)
                why, lead = short, lead + lead // 16 + 1
            except NoRoom as short:
                p.restore(saved)
                why, pause = short, pause + 1 + pause // 8
            except ScheduleError as taken:
                p.restore(saved)
                why = taken
                break
    raise NoRoom(f"update {index}: no pause is long enough ({why})")


def _lead(layout: Layout, index: int) -> int:
    """Cycles that the hands of a tile take, if nothing is in their way."""
    m = layout.machine
    beats = m.pe_cols * spacing(m, sram=index == 1, ring=True)
    return layout.parts * (layout.units * (m.cores * beats + 1) + 1) + beats + 8


class _LateError(NoRoom):
    """The hands do not come in time."""


class _Update(Sweep):
    def __init__(
        self,
        p: Plan,
        layout: Layout,
        index: int,
        start: int,
        tiles: range,
        kind: Shape,
        blocks: tuple[Block, ...],
        pause: int,
        lead: int,
    ) -> None:
        self.p, self.dealt, self.index, self.start = p, layout, index, start
        self.m, self.latency, self.batch = layout.machine, layout.machine.fma_latency, layout.batch
        self.layer, self.turns, self.tile, self.errors = layout.layers[index - 1], len(tiles), tiles.start, False
        self.layout = layout
        self.rooms = update_rooms(layout)
        self.lead = lead
        self.parts = parts(blocks, [(tiles.start * self.layer.at_once, kind)], self.batch, pause, self.lead)
        self.period = self.lead + sum(part.cycles for part in self.parts)
        self.outputs = kind.outputs
        self.tiles = sum(run.number * run.block.streamed for part in self.parts for run in part.runs)
        self.main = 0

    def emit(self) -> int:
        """Issue it all; returns when all is done."""
        groups = [run.group for part in self.parts for run in part.runs for _ in range(min(2, run.number))]
        come = groups[-1] + groups[-2 % len(groups)] if self.tiles else 0
        self.main = self.start + 4 + come
        for part in self.parts:
            for run in part.runs:
                self._products(part, run)
        for part in self.parts:
            for run in part.runs:
                self._output_errors(part, run)
        kept = {id(run): self._updates(part, run) for part in self.parts for run in part.runs}
        with self.p.account("collective"):
            try:
                self._hands()
            except NoRoom as late:
                raise _LateError(str(late)) from None
        end = self.main + self.turns * self.period + self.latency + 1
        for part in self.parts:
            for run in part.runs:
                end = max(end, self._stream(part, run, kept[id(run)]))
        return end

    def _hands(self) -> None:
        """Of all sub-batches, before a turn's first products."""
        p, layout, units = self.p, self.dealt, self.dealt.units
        ready, before, dealt = self.main, self.main + self.lead - 1, self.index - self.layer.by_outputs
        each, columns = layout.parts * units, self.m.pe_cols
        first = layout.values[dealt] + self.tile * each
        for number in range(each if dealt else 0):
            at = p.free_in([("mem_a", 0, []), ("mem_b", 1, [])], [self._turns()], ready, before=before)
            p.memory_a(READ, at, [self._turns(address=each)], first + number, MEM_A)
            p.memory_b(WRITE, at + 1, [self._turns()], self.rooms.own + number, MEM_A)
            ready = at + 1
        for part in range(layout.parts):
            beat = (self.tile * each + part * units) * columns
            source, to = ~(self.rooms.own + part * units) if dealt else beat, self.rooms.inputs + part * layout.hand
            rounds = self._turns(row_address=each * columns)
            ready, _ = gather(p, layout, rounds, source, [(0, to, self._turns())], ready + 1, before)

    def _before(self, run: Run, number: int) -> int:
        """The same where the hands come between two turns."""
        return super()._before(run, number) + (self.lead if self._groups(run, number)[1] < 2 else 0)

    def _after(self, run: Run, number: int) -> int:
        """The same where the hands come between two turns."""
        groups, at = self._groups(run, number)
        return super()._after(run, number) + (self.lead if at >= len(groups) - 2 else 0)

    def _owned(self, run: Run) -> tuple[int, int]:
        """Where the own values of a run begin in MEM A, and the lane of the first."""
        owned = self.index if self.layer.by_outputs else self.index - 1
        place, lane = divmod(run.block.first, self.layout.lanes)
        return self.layout.values[owned] + place * self.batch, lane + run.first

    def _samples(self, run: Run) -> tuple[list[Loop], int]:
        """Loops over samples that step the address of a dealt value, and what a position adds to it."""
        many = self.layout.samples
        outer = loop(self.layout.parts, many * run.sample, address=self.layout.hand)
        return [outer, loop(many, run.sample, address=1)], many

    def _input(self, part: object, room: int) -> int:
        return self.rooms.inputs
