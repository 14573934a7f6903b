"""Backward and update: what comes to the PEs, and goes, while products are added: output errors, streamed weights."""

from __future__ import annotations

from caterpillar.mapping.batches.plan import Need, NoRoom
from caterpillar.mapping.builder import READ, WRITE, loop
from caterpillar.mapping.isa import (
    ALL_COLUMNS,
    COLUMN,
    FROM_PE,
    FROM_SRAM,
    MEM_A,
    ROW,
    TO_SRAM,
    Loop,
)
from caterpillar.mapping.tiled.sweep import Part, Run
from caterpillar.mapping.tiled.turns import Turns
from caterpillar.mapping.tiled.ways import SENT, beats, latched, send, spacing, taken


class Streams(Turns):
    """Output errors to all PEs; weights from the core SRAM to the window in MEM A, and back."""

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
        outputs = loop(run.outputs, pace)
        needs: list[Need] = [("mem_a", 0, []), ("row_bus", 1, []), ("rows", 2, [loop(pace * (run.outputs - 1) + 1, 1)])]
        needs += [("column_bus", 2, [outputs]), ("mem_b", 3, [outputs])]
        own, lane = self._owned(run)
        column, row = divmod(lane + number * kind.outputs, self.m.pe_rows)
        groups = loop(-(-(run.number - number) // around), around * run.group)
        outer, every = [self._turns(), groups], loop(self.batch, run.sample)
        begins = self.main + run.start + number * run.group
        free = max(self._free(run, one, pace) for one in range(number, run.number, around))
        earliest = begins + max(-run.sample - kind.pace - run.outputs - 2, free)
        at = p.place(needs, [*outer, every], earliest, before=begins - 4)
        past = self.layout.past(self.index, self.ago)
        p.memory_a(READ, at, [*outer, loop(self.batch, run.sample, address=1)], own, MEM_A, **past)
        along = [self._turns(), loop(groups.count, groups.period, row_column=1), every]
        p.issue("row_bus", at + 1, along, row_from=FROM_PE, row_column=column, row_slot=MEM_A, row_to=ALL_COLUMNS)
        columns = [*outer, every, loop(run.outputs, pace, column_row=1)]
        p.issue("column_bus", at + 2, columns, column_row=row, column_slot=ROW)
        pairs = [loop(self.batch // 2, 2 * run.sample), loop(2, run.sample, address=self.outputs)]
        p.memory_b(WRITE, at + 3, [*outer, *pairs, loop(run.outputs, pace, address=1)], self.rooms.outputs, COLUMN)

    def _free(self, run: Run, number: int, pace: int) -> int:
        """When a group's first output errors may be on their way: the group before has read its last two samples'.

        In cycles from the group's first product on.
        """
        kinds = [(part.shape, one) for part in self.parts for one in part.runs for _ in range(one.number)]
        kind, before = kinds[self._groups(run, number)[1] - 1]
        late = max(-2 * before.sample, -before.sample - run.sample) + max(0, kind.pace - pace) * (before.outputs - 1)
        return self.batch * before.sample + late - before.group - 4

    def _stream(self, part: Part, run: Run, kept: list[list[int]]) -> int:
        """A run's weights from the core SRAM before they are used, and back after; returns when the last is there."""
        end = max(done for one in kept for done in one)
        for number in range(run.number if run.block.streamed else 0):
            ready, gone = self.main + run.start + number * run.group - self._before(run, number), 0
            for v, done in enumerate(kept):
                ready = self._bring(part, run, number, v, ready)
                gone = self._leave(part, run, number, v, max(gone, done[number] + 2))
            end = max(end, gone + 1)
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
        """A new weight from MEM A by way of MEM B to the core SRAM, a beat whenever the row buses are free.

        earliest: of its way out of MEM B; the next weight's may be as early as this one's last beat, which is returned.
        """
        p, m, outer = self.p, self.m, [self._turns()]
        before = self.main + run.start + (number + 1) * run.group + self._after(run, number)
        read, cycles = send(p, m, outer, earliest, before, sram=True)
        for later, address, some in self._weight(part, run, number, v):
            p.memory_a(READ, read + later - 2, some, address, MEM_A)
        p.memory_b(WRITE, read - 1, outer, self.rooms.leaving, MEM_A)
        p.memory_b(READ, read, outer, self.rooms.leaving, SENT)
        beat, turns = self._beat(part, run, number, v)
        for column, cycle in enumerate(cycles):
            each = {"row_column": column, "row_slot": SENT, "row_to": TO_SRAM, "row_address": beat + column}
            p.issue("row_bus", cycle, [turns], row_from=FROM_PE, **each)
        return cycles[-1]

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
