"""A layer's errors with their sums beside the products: the same every step of the ring, in every sample.

A step is a chunk of positions, the farthest core's first. After each few positions the pass leaves some cycles of the
FMA free; there a planner (mapping/batches) finds room for what adds up the chunks of this step and the ones before:
sums over the columns of PEs, then what came over the ring and the own sum, on the PE whose column keeps the position.
"""

from __future__ import annotations

from dataclasses import dataclass

from caterpillar.machine import Machine
from caterpillar.mapping.batches.plan import NoRoom, Plan, Rounds
from caterpillar.mapping.builder import READ, WRITE, ScheduleError, loop
from caterpillar.mapping.isa import (
    ACCUMULATOR,
    ALL_COLUMNS,
    BACKWARD,
    COLLECTIVE,
    COLUMN,
    DIAGONAL,
    FROM_PE,
    FROM_SRAM,
    FROM_UP,
    LATCH,
    MEM_A,
    NOWHERE,
    ONE,
    REGISTER,
    RESULT,
    ROW,
    SLOPE,
    TO_SRAM,
    UP,
    XOR_COLUMN,
    ZERO,
    accumulators,
    beat_cycles,
    sram_beat_cycles,
)
from caterpillar.mapping.paper.batches.columns import Columns
from caterpillar.mapping.paper.batches.forward import load_errors
from caterpillar.mapping.paper.batches.layout import BatchLayout
from caterpillar.mapping.paper.layout import PaperLayer, up


@dataclass(frozen=True, slots=True, kw_only=True)
class Overlap:
    """gap: cycles of the FMA left free after each few positions, whose last ones belong to the ring's beats."""

    p: Plan
    layout: BatchLayout
    machine: Machine
    index: int
    gap: int

    @property
    def layer(self) -> PaperLayer:
        """The layer, with its own chunks and positions."""
        return self.layout.layers[self.index - 1]

    @property
    def turn(self) -> int:
        """Cycles of the few positions that a PE works on at a time."""
        return accumulators(self.machine) * self.layer.sums + self.gap

    @property
    def step(self) -> int:
        """Cycles of a chunk."""
        return self.layer.chunk // accumulators(self.machine) * self.turn

    @property
    def period(self) -> int:
        """Cycles of a sample."""
        return self.layer.chunks * self.step

    @property
    def samples(self) -> Rounds:
        """Once a sample."""
        return Rounds(self.layout.batch, self.period)

    @property
    def steps(self) -> Rounds:
        """Once a step of every sample."""
        return Rounds(self.layout.batch, self.period, self.layer.chunks, self.step)

    @property
    def groups(self) -> int:
        """Groups of N positions in a chunk: registers for as many sums, for gates, and for errors on their way out."""
        return self.layout.words(self.layer.beats)

    @property
    def stride(self) -> int:
        """Words of MEM B from a chunk's sums to the next one's: whole groups if there is room."""
        layer, room = self.layer, self.layout.reduced - self.layout.sums
        whole = max(layer.chunk, self.groups * self.layout.rows)
        return whole if layer.chunks * whole <= room else layer.chunk

    @property
    def top(self) -> int:
        """The first word of the farthest chunk's sums."""
        return self.layout.sums + (self.layer.chunks - 1) * self.stride

    @property
    def last(self) -> int:
        """Cycles from the first step to the last."""
        return self.period - self.step

    def tried(self, start: int, late: int) -> tuple[int | None, int]:
        """emit; None and 0 where something finds no room."""
        try:
            return self.emit(start, late)
        except ScheduleError:
            return None, 0

    def emit(self, start: int, late: int) -> tuple[int | None, int]:
        """Returns when the last sample is done. Raises ScheduleError where something finds no room.

        late: stretches of positions by which the ring's beats come after their positions; None, and how many it takes,
        if they would come before the sums over the columns.
        """
        p, m, layer = self.p, self.machine, self.layer
        with p.phase(f"backward {self.index}", BACKWARD):
            source, again = self.layout.errors_of(self.index, 0), (1, 0)
            at = load_errors(p, m, start, source=source, beats=layer.sums, again=again, to=self.layout.errors) + 1
            self._products(at)
        with p.phase(f"reduce-scatter {self.index}", COLLECTIVE, "collective"):
            times = self._ring(at, late)
            halved = self._halved(at)
            first = [times[group * self.layout.rows] for group in range(self.groups)]
            more = max(-(-(done - time) // self.turn) for done, time in zip(halved, first, strict=True))
            if more > 0:
                return None, late + more
            for beat, time in enumerate(times):
                if time >= halved[beat // self.layout.rows] + self.step - m.fma_latency:
                    raise NoRoom("a sum is wanted longer than its register has it")
            gates = self._gates(times)
            read, done = self._out(times)
            self._own_inputs(max(start, read + 1 - self.period), gates - 2)
        with p.phase(f"errors {self.index}", BACKWARD, "collective"):
            self._next_errors(at)
        return done + (self.layout.batch - 1) * self.period, late

    def _products(self, at: int) -> None:
        """Shares of the inputs' errors, to MEM B at layout.sums + position, chunk by chunk; the first FMA at `at`."""
        p, width, rounds = self.p, accumulators(self.machine), self.steps
        layer = self.layout.matrix(self.index)
        few = loop(layer.chunk // width, self.turn, address=width * layer.sums)
        top = layer.address + (layer.chunks - 1) * layer.chunk * layer.sums
        weights = [few, loop(layer.sums, width, address=1), loop(width, 1, address=layer.sums)]
        p.a(READ, at - 1, rounds, top, MEM_A, weights, stride=-layer.chunk * layer.sums)
        errors = [loop(few.count, self.turn), loop(layer.sums, width, address=1)]
        p.b(READ, at - 1, rounds, self.layout.errors, LATCH, errors, flip=layer.sums)
        each = [*rounds.loops, loop(few.count, self.turn)]
        last = at + width * (layer.sums - 1)
        for a in range(width):
            total = ACCUMULATOR + a
            if layer.sums > 1:
                p.issue("fma", at + a, each, fma_a=MEM_A, fma_b=LATCH, fma_c=ZERO, fma_to=total)
                more = [*each, loop(layer.sums - 2, width)]
                p.issue("fma", at + a + width, more, fma_a=MEM_A, fma_b=LATCH, fma_c=total, fma_to=total)
            p.issue("fma", last + a, each, fma_a=MEM_A, fma_b=LATCH, fma_c=total if layer.sums > 1 else ZERO)
        written = [loop(few.count, self.turn, address=width), loop(width, 1, address=1)]
        p.b(WRITE, last + self.machine.fma_latency, rounds, self.top, RESULT, written, stride=-self.stride)

    def _ring(self, at: int, late: int) -> list[int]:
        """A chunk's beats, a few in each gap: each to the sum of this core, and on; returns the additions' cycles.

        What the last step adds up are the core's own errors, which go to MEM B in place of its own inputs.
        """
        m, width, pitch = self.machine, accumulators(self.machine), beat_cycles(self.machine)
        if self.step < m.fma_latency + pitch + 1:
            raise NoRoom("beats are wanted before they have come")
        times = list[int]()
        for few, first in enumerate(range(0, self.layer.beats, width)):
            count = min(width, self.layer.beats - first)
            at_ = at + (few + 1 + late) * self.turn - (count - 1) * pitch - 1
            times += [at_ + i * pitch for i in range(count)]
        for beat, time in enumerate(times):
            for first, count in self._stretches():
                self._add(beat, time + first * self.step, first, count)
        return times

    def _stretches(self) -> list[tuple[int, int]]:
        """(first step, steps): the first, to which nothing comes, those between, and the last, whose beats stay."""
        chunks = self.layer.chunks
        some = [(0, 1), (1, chunks - 2), (chunks - 1, 1)] if chunks > 1 else [(0, 1)]
        return [one for one in some if one[1]]

    def _add(self, beat: int, when: int, first: int, count: int) -> None:
        """A beat's addition in some steps, in the first of them at cycle `when`."""
        p, rows, out = self.p, self.layout.rows, self.machine.fma_latency
        each, (group, column) = [loop(self.layout.batch, self.period), loop(count, self.step)], divmod(beat, rows)
        own = REGISTER + group
        fields = {"fma_a": ROW, "fma_b": ONE, "fma_c": own} if first else {"fma_a": own, "fma_b": ONE, "fma_c": ZERO}
        if first:
            p.issue("row_bus", when - 1, each, row_from=FROM_UP, row_to=column)
        if first + count < self.layer.chunks:
            p.issue("fma", when, each, **fields)
            sent = {"row_to": NOWHERE, "row_send": UP}
            p.issue("row_bus", when + out, each, row_from=FROM_PE, row_column=column, row_slot=RESULT, **sent)
            return
        p.issue("fma", when, each, **fields, fma_flags=SLOPE, fma_gate=REGISTER + self.groups + group)
        p.b(WRITE, when + out, self.samples, self.layout.own[self.index - 1] + beat, RESULT)

    def _halved(self, at: int) -> list[int]:
        """Sums of each N positions of a step over the columns of PEs; returns when each is in its register.

        A last group of fewer positions reaches past its chunk's end, where chunks of the steps before lie: they must be
        done with, and the next sample's not have begun.
        """
        layer, rows, latency = self.layer, self.layout.rows, self.machine.fma_latency
        width = accumulators(self.machine)
        beyond = -(-max(0, up(layer.beats, rows) - self.stride) // self.stride)
        found, stretches = list[int](), loop(layer.chunk // width, self.turn)
        self.p.lock_loop("begin", at + width * layer.sums, self.steps, [stretches])
        for first in range(0, layer.beats, rows):
            few = -(-min(first + rows, layer.beats) // width)  # stretches of positions until all are there
            ready = at + latency + few * self.turn - self.gap
            columns = Columns(
                plan=self.p,
                machine=self.machine,
                rounds=self.steps,
                source=self.top + first,
                stride=-self.stride,
                registers=range(3 * self.groups, min(3 * self.groups + 4, self.machine.pe_registers)),
            )
            before = at + layer.sums + self.period - beyond * self.step
            if beyond:
                before = min(
                    before, at + latency + -(-layer.beats // width) * self.turn - self.gap + self.step + latency
                )
            soon = min(before, ready + 2 * self.step)
            found.append(columns.emit(ready, REGISTER + first // rows, before=soon))
        return found

    def _gates(self, times: list[int]) -> int:
        """The core's own inputs, a group's in a register, before its additions of the last step.

        Returns the cycle of the first read.
        """
        reads = list[int]()
        for group, beat in enumerate(range(0, self.layer.beats, self.layout.rows)):
            word = self.layout.own[self.index - 1] + beat
            some = [time + self.last for time in times[beat : beat + self.layout.rows]]
            at = next((at for at in range(some[0] - 1, some[-1] - self.period, -1) if self._port(at)), None)
            if at is None:
                raise NoRoom("no port of MEM B is free for own inputs")
            self.p.b(READ, at, self.samples, word, REGISTER + self.groups + group, mode=XOR_COLUMN)
            reads.append(at)
        return min(reads)

    def _port(self, at: int) -> bool:
        """Whether MEM B has a port free at a cycle of every sample."""
        try:
            self.p.free_from([("mem_b", 0, [])], self.samples, at, before=at + 1)
        except NoRoom:
            return False
        return True

    def _out(self, times: list[int]) -> tuple[int, int]:
        """The own errors to core SRAM; returns when the last has left MEM B, and when all are there."""
        p, rows, sram, rounds = self.p, self.layout.rows, sram_beat_cycles(self.machine), self.samples
        read = at = 0
        for group in range(self.groups):
            beats = range(group * rows, min(self.layer.beats, (group + 1) * rows))
            ready = times[beats[-1]] + self.last + self.machine.fma_latency + 1
            register = REGISTER + 2 * self.groups + group
            read = p.free_from([("mem_b", 0, [])], rounds, ready)
            p.b(READ, read, rounds, self.layout.own[self.index - 1] + beats[0], register, mode=XOR_COLUMN)
            at = max(at, read + 1)
            for beat in beats:
                at = p.free_from([("row_bus", 0, []), ("sram", 0, [loop(sram, 1)])], rounds, at)
                p.lock("sram", at, sram, rounds)
                each = [loop(self.layout.batch, self.period, row_address=self.layer.beats)]
                to = {"row_to": TO_SRAM, "row_address": self.layout.errors_of(self.index - 1, 0) + beat}
                p.issue("row_bus", at, each, row_from=FROM_PE, row_column=beat % rows, row_slot=register, **to)
                at += sram
            if at > read + self.period:
                raise NoRoom("errors leave their register too late")
        return read, at

    def _own_inputs(self, at: int, wanted: int) -> None:
        """The core's own inputs from core SRAM to MEM B, a word each, in cycles at .. wanted - 1."""
        p, sram, rounds = self.p, sram_beat_cycles(self.machine), self.samples
        for beat in range(self.layer.beats):
            needs = [("row_bus", 0, []), ("mem_b", 1, []), ("sram", 0, [loop(sram, 1)])]
            at = p.free_from(needs, rounds, at, before=wanted)
            p.lock("sram", at, sram, rounds)
            each = [loop(self.layout.batch, self.period, row_address=self.layer.beats)]
            to = {"row_to": beat % self.layout.rows, "row_address": self.layout.source(self.index, 0) + beat}
            p.issue("row_bus", at, each, row_from=FROM_SRAM, **to)
            p.b(WRITE, at + 1, rounds, self.layout.own[self.index - 1] + beat, ROW)
            at += sram

    def _next_errors(self, at: int) -> None:
        """The next sample's errors to MEM B, in every PE of their column, beside the products of this one."""
        p, sums, sram = self.p, self.layer.sums, sram_beat_cycles(self.machine)
        rounds, end = Rounds(self.layout.batch - 1, self.period), at + self.period - 4
        for beat in range(sums):
            needs = [("row_bus", 0, []), ("column_bus", 1, []), ("mem_b", 2, []), ("sram", 0, [loop(sram, 1)])]
            at = p.free_from(needs, rounds, at, before=end)
            p.lock("sram", at, sram, rounds)
            source = self.layout.errors_of(self.index, 1) + beat
            each = [loop(rounds.count, self.period, row_address=sums)]
            p.issue("row_bus", at, each, row_from=FROM_SRAM, row_to=ALL_COLUMNS, row_address=source)
            p.issue("column_bus", at + 1, rounds.loops, column_row=DIAGONAL, column_slot=ROW)
            p.b(WRITE, at + 2, rounds, self.layout.errors + sums + beat, COLUMN, flip=-sums)
            at += sram
