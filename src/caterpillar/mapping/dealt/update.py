"""The update of a layer: a turn for each tile. Its hands come to MEM B, for all samples; own values by groups.

Products of dealt and own values add up to the weights' gradients in registers, sample after sample; then the group is
updated. It is the same for layers cut by outputs (own errors, dealt activations) and by inputs (the other way round).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import accumulate
from typing import NamedTuple

from caterpillar.machine import WORD_BYTES
from caterpillar.mapping.batches.plan import NoRoom, Plan
from caterpillar.mapping.builder import READ, WRITE, ScheduleError, loop
from caterpillar.mapping.dealt.hand import gather
from caterpillar.mapping.dealt.layout import Layout
from caterpillar.mapping.isa import MEM_A, UPDATE, Loop
from caterpillar.mapping.tiled.backward import PAUSES, SLACKS, Sweep
from caterpillar.mapping.tiled.layout import Block
from caterpillar.mapping.tiled.sweep import Part, Run, Shape, parts, shape
from caterpillar.mapping.tiled.ways import spacing


class Rooms(NamedTuple):
    """MEM B's regions: the hands of a tile that come before their turn, twice; those that come when it begins; own
    values of two samples; a word on its way to the core SRAM; own units. early: hands that come before their turn."""

    early_inputs: int
    inputs: int
    outputs: int
    leaving: int
    own: int
    words: int
    early: int


def update_rooms(layout: Layout) -> Rooms:
    """Where a turn keeps what in MEM B."""
    parts, rest = layout.parts, (2 * layout.machine.pe_rows, 1, layout.parts * layout.units)
    spare = layout.machine.pe_mem_b_bytes // WORD_BYTES - parts * layout.hand - sum(rest)
    early = max(0, min(parts, spare // layout.hand))
    sizes = (2 * early * layout.hand, (parts - early) * layout.hand, *rest)
    first, inputs, outputs, leaving, own, words = accumulate(sizes, initial=0)
    return Rooms(first, inputs, outputs, leaving, own, words, early)


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
                why, lead = short, lead + max(8, lead // 16)
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
    late = layout.parts - update_rooms(layout).early
    return late * (layout.units * (m.cores * beats + 1) + 1) + beats + 8 if late else 0


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
        self.ring, self.ago = False, 0
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
        with self.p.account("collective"):
            there = self._come(range(self.rooms.early), 0, 1, self.start, self.start + (1 << 16))
        ahead = max(run.sample + part.shape.pace + self.outputs + 8 for part in self.parts for run in part.runs)
        self.main = max(self.start + 4 + come, there + max(1, ahead - self.lead))
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
        """Of all sub-batches: the early ones in the turn before, the others when it begins."""
        early, parts, main, lead = self.rooms.early, self.dealt.parts, self.main, self.lead
        self._come(range(early, parts), 0, self.turns, main, main + lead - 1)
        self._come(range(early), 1, self.turns - 1, main + lead, main + self.period - 1)

    def _come(self, parts: range, turn: int, count: int, earliest: int, before: int) -> int:
        """Hands of some sub-batches, of turns turn .. turn + count - 1; returns when they are there."""
        p, layout, units = self.p, self.dealt, self.dealt.units
        dealt, each, columns = self.index - self.layer.by_outputs, layout.parts * units, self.m.pe_cols
        plain, ready, there = loop(count, self.period), earliest, earliest
        for part in parts if count > 0 else []:
            word, own = (self.tile + turn) * each + part * units, self.rooms.own + part * units
            for number in range(units if dealt else 0):
                at = p.free_in([("mem_a", 0, []), ("mem_b", 1, [])], [plain], ready, before=before)
                along = [loop(count, self.period, address=each)]
                p.memory_a(READ, at, along, layout.values[dealt] + word + number, MEM_A)
                p.memory_b(WRITE, at + 1, [plain], own + number, MEM_A)
                ready = at + 1
            source, to = ~own if dealt else word * columns, self._rooms(part, turn, count)
            rounds = loop(count, self.period, row_address=each * columns)
            ready, there = gather(p, layout, rounds, source, to, ready + 1, before)
        return there

    def _rooms(self, part: int, turn: int, count: int) -> list[tuple[int, int, Loop]]:
        """(later by, word of MEM B, loop) of a sub-batch's hand in turns turn .. turn + count - 1."""
        rooms, hand = self.rooms, self.dealt.hand
        if part >= rooms.early:
            return [(0, rooms.inputs + (part - rooms.early) * hand, loop(count, self.period))]
        return [
            (
                (one - turn) * self.period,
                rooms.early_inputs + (one % 2 * rooms.early + part) * hand,
                loop(-(-(turn + count - one) // 2), 2 * self.period),
            )
            for one in range(turn, min(turn + 2, turn + count))
        ]

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

    def _factors(self, part: Part, run: Run, k: int) -> Iterator[tuple[int, int, Loop, list[Loop]]]:  # noqa: ARG002
        """(later by, word of MEM B, loop over turns, loops over samples) of position k's dealt values."""
        many, early = self.dealt.samples, self.rooms.early
        for first, count in ((0, early), (early, self.dealt.parts - early)):
            samples = [loop(count, many * run.sample, address=self.dealt.hand), loop(many, run.sample, address=1)]
            for later, word, turns in self._rooms(first, 0, self.turns) if count else []:
                yield later + first * many * run.sample, word + k * many, turns, samples
