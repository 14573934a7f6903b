"""Backward through a hidden layer and its update, in one pass; of layer 1, and in direct feedback alignment, the update
alone.

Positions of the inputs that a core owns are worked on in turns, those of the core below first, the core's own last:
the inputs, and what cores have added up of their errors, go up the ring by a core from turn to turn. A part of them is
worked on at a time. For a group of outputs, and each sample, a lane adds the products of weights and output errors to
the errors of its inputs, in MEM B, and those of inputs and output errors to the weights' gradients, in registers; then
the group is updated. Output errors come from the lanes that own them, over row and column buses, a sample at a time.
"""

from __future__ import annotations

from dataclasses import replace

from caterpillar.mapping.batches.plan import NoRoom, Plan
from caterpillar.mapping.builder import READ, WRITE, ScheduleError, loop
from caterpillar.mapping.isa import (
    ACCUMULATOR,
    BACKWARD_UPDATE,
    LATCH,
    MEM_A,
    NEGATE,
    ONE,
    RATE,
    REGISTER,
    RESULT,
    RESULT_BEFORE,
    SLOPE,
    UPDATE,
    ZERO,
    Loop,
)
from caterpillar.mapping.tiled.layout import Layout
from caterpillar.mapping.tiled.rooms import first_shapes, pieces, shapes
from caterpillar.mapping.tiled.rotation import Rotation
from caterpillar.mapping.tiled.streams import Streams
from caterpillar.mapping.tiled.sweep import Part, Run, Shape

INPUT, SUM, ERROR = LATCH, LATCH + 2, LATCH + 3
PAUSES, SLACKS = 50, 4


def backward_pass(p: Plan, layout: Layout, index: int, start: int) -> int:
    """Layer `index` updated, and, but for direct feedback alignment, errors of layer index - 1 in place of its
    activations; returns when all is done."""
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
    """The shortest of some: samples take longer, or FMAs pause between groups, so that all else finds room beside."""
    errors, before, best = index > 1 and not layout.direct, p.save(), None
    name = f"backward, update {index}" if errors else f"update {index}"
    end, shortest, why = start, 0, ScheduleError()
    for slack in range(SLACKS):
        shaped = [(first, replace(kind, pace=kind.pace + slack)) for first, kind in kinds]
        pause = 0
        for _ in range(PAUSES):
            p.restore(before)
            sweep = Sweep(p, layout, index, start, shaped, turns, tile, pause)
            if best and sweep.period >= shortest:
                break
            try:
                with p.phase(name, BACKWARD_UPDATE if errors else UPDATE):
                    end = sweep.emit()
                best, shortest = p.save(), sweep.period
                break
            except NoRoom as short:
                why, pause = short, pause + 1 + pause // 8
            except ScheduleError as taken:  # MEM B's ports are wanted three times
                why = taken
                break
    if best is None:
        raise NoRoom(f"{name}: no pause is long enough ({why})")
    p.restore(best)
    return end


class Sweep(Streams, Rotation):
    """All of the pass."""

    def emit(self) -> int:
        """Issue it all; returns when all is done."""
        with self.p.account("collective"):
            ready = self._own() if self.ring else self._units(self.tile, 1, self.start, self.start + (1 << 14))
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
            if not self.ring:
                self._units(self.tile + 1, self.turns - 1, self.main, self.main + self.period)
                return end
            self._rotate()
            return max(end, self._keep()) if self.errors else end

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
