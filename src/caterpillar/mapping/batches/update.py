"""Update of a hidden layer: W <- W - (lr / b) G, with G summed over the batch, while the next update's inputs come in.

A block is K positions by O outputs, K O sums. The errors of its outputs, of the whole batch, lie in MEM B and serve all
positions; beside the last positions they are replaced by those of the next outputs, word by word.
"""

from __future__ import annotations

from typing import NamedTuple

from caterpillar.mapping.batches.gather import Gather, Put
from caterpillar.mapping.batches.layout import Layout
from caterpillar.mapping.batches.plan import NoRoom, Plan, Rounds
from caterpillar.mapping.builder import READ, WRITE, loop
from caterpillar.mapping.isa import (
    ACCUMULATOR,
    ALL_COLUMNS,
    COLUMN,
    FROM_PE,
    LATCH,
    MEM_A,
    NEGATE,
    RATE,
    REGISTER,
    ROW,
    UPDATE,
    ZERO,
)

ONCE = Rounds(1, 0)
ATTEMPTS = 20


class Rooms(NamedTuple):
    """MEM B's regions: errors of a block's outputs; own words to send, of two samples."""

    errors: int
    stage: int
    words: int


def update_rooms(layout: Layout, index: int) -> Rooms:
    """Where the pass keeps what in MEM B."""
    errors = layout.batch * layout.update_outputs
    own = layout.layers[index - 3].own if index > 2 else 0
    return Rooms(0, errors, errors + 2 * own)


def update_blocks(layout: Layout, index: int) -> int:
    """Blocks of sums: between two of them the FMA can pause."""
    return layout.layers[index - 1].rooms * layout.layers[index - 1].padded // layout.width


def update_pass(p: Plan, layout: Layout, index: int, start: int, *, pause: int = 0) -> int:
    """Layer `index` updated, and the inputs of layer index - 1 gathered; returns when both are done.

    pause: cycles between blocks that are left to others, at least.
    """
    least = max(pause, int(index > 2))
    for pause in range(least, least + 2 * layout.width + ATTEMPTS):  # own words go to the ring in pauses
        saved = p.save()
        try:
            with p.phase(f"update {index}", UPDATE):
                return _Pass(p, layout, index, start, pause).emit()
        except NoRoom:
            p.restore(saved)
    raise NoRoom(f"update {index}: no pause is long enough")


class _Pass:
    def __init__(self, p: Plan, layout: Layout, index: int, start: int, pause: int) -> None:
        self.p, self.layout, self.index = p, layout, index
        self.layer, self.rooms = layout.layers[index - 1], update_rooms(layout, index)
        self.width, self.latency, self.batch = layout.width, layout.machine.fma_latency, layout.batch
        self.outputs = layout.update_outputs
        self.positions = self.width // self.outputs
        self.blocks, self.groups = self.layer.padded // self.outputs, self.layer.rooms // self.positions
        # an update each, and cycles in which the FMA wants nothing of MEM A
        self.block = (self.batch + 1) * self.width + pause
        self.turn = self.groups * self.block + self.batch  # the last block takes a cycle more a sample
        self.start = start + 1
        self.main = self.start + self.batch * (self.width + 1) + self.outputs + 2

    def emit(self) -> int:
        self._refill(0, self.start)
        for last in (False, True):
            self._sums(last=last)
        for block in range(1, self.blocks):
            self._refill(block, self.main + (block - 1) * self.turn + (self.groups - 1) * self.block)
        end = self._write()
        if self.index == 1:
            return end
        with self.p.account("collective"):
            return self._afterwards(end) if self.layout.shared else max(end, self._inputs())

    def _sums(self, *, last: bool) -> None:
        """All blocks but the last of each outputs; or the last, whose steps are a cycle longer."""
        p, layout, layer, width = self.p, self.layout, self.layer, self.width
        at, step, batch = self.main + (self.groups - 1) * self.block * last, width + last, self.batch
        groups = 1 if last else self.groups - 1
        over = loop(self.blocks, self.turn), loop(groups, self.block)
        offset = (self.groups - 1) * self.positions * last
        inputs = layout.inputs[self.index] + offset * batch
        loops = [
            over[0],
            loop(groups, self.block, address=self.positions * batch),
            loop(batch, step, address=1),
            loop(self.positions, self.outputs, address=batch),
        ]
        past = layout.past("inputs", self.index, layout.delay[self.index])
        p.memory_a(READ, at - 1, loops, inputs, MEM_A, **past)
        errors = [loop(batch, step, address=self.outputs), loop(self.positions, self.outputs)]
        p.memory_b(READ, at - 1, [*over, *errors, loop(self.outputs, 1, address=1)], self.rooms.errors, LATCH)
        for i in range(width):
            each = {"fma_a": MEM_A, "fma_b": LATCH, "fma_to": ACCUMULATOR + i}
            p.issue("fma", at + i, over, fma_c=ZERO, **each)
            p.issue("fma", at + i + step, [*over, loop(batch - 1, step)], fma_c=ACCUMULATOR + i, **each)
        done = at + batch * step
        loops = [
            loop(self.blocks, self.turn, address=self.outputs),
            loop(groups, self.block, address=self.positions * layer.padded),
            loop(self.positions, self.outputs, address=layer.padded),
            loop(self.outputs, 1, address=1),
        ]
        p.memory_a(READ, done - 1, loops, layer.address + offset * layer.padded, MEM_A)
        for i in range(width):
            sum_ = {"fma_a": RATE, "fma_b": ACCUMULATOR + i, "fma_c": MEM_A, "fma_flags": NEGATE}
            p.issue("fma", done + i, over, fma_to=REGISTER + i, **sum_)

    def _write(self) -> int:
        """New weights from the registers to MEM A, in cycles of the next block in which its port is free."""
        p, layer, end = self.p, self.layer, 0
        done = self.main + self.batch * self.width
        last = done + (self.groups - 1) * self.block + self.batch
        kinds = ((done, 0, self.groups - 2), (done + (self.groups - 2) * self.block, self.groups - 2, 1))
        for first, group, count in (*kinds, (last, self.groups - 1, 1)):
            if group < 0 or count < 1:
                continue
            rounds, at = Rounds(self.blocks, self.turn, count, self.block), first + self.latency
            stride, until = self.positions * layer.padded, first + self.block
            for i in range(self.width):
                position, output = divmod(i, self.outputs)
                at = p.free_from([("mem_a", 0, [])], rounds, max(at, first + i + self.latency), before=until + i)
                to = layer.address + (group * self.positions + position) * layer.padded + output
                p.a(WRITE, at, rounds, to, REGISTER + i, step=self.outputs, stride=stride)
                at += 1
            end = max(end, at + (self.blocks - 1) * self.turn)
        return end

    def _refill(self, block: int, at: int) -> None:
        """The errors of a block's outputs to MEM B, a sample each width + 1 cycles, behind those who read them."""
        p, layout, m, batch = self.p, self.layout, self.layout.machine, self.batch
        beat, row = divmod(block * self.outputs, m.pe_rows)
        own, column = divmod(beat, m.pe_cols)
        step, at = self.width + 1, at + self.width
        along, past = [loop(batch, step, address=1)], layout.past("errors", self.index, layout.delay[self.index])
        p.memory_a(READ, at - 1, along, layout.errors[self.index] + own * batch, MEM_A, **past)
        each = {"row_column": column, "row_slot": MEM_A, "row_to": ALL_COLUMNS}
        p.issue("row_bus", at, [loop(batch, step)], row_from=FROM_PE, **each)
        p.lock("rows", at, batch * step + self.outputs, ONCE)
        turns = [loop(batch, step), loop(self.outputs, 1, column_row=1)]
        p.issue("column_bus", at + 1, turns, column_row=row, column_slot=ROW)
        along = [loop(batch, step, address=self.outputs), loop(self.outputs, 1, address=1)]
        p.memory_b(WRITE, at + 2, along, self.rooms.errors, COLUMN)

    def _inputs(self) -> int:
        """Inputs of layer index - 1, in every turn those of as many samples, if they fit so."""
        each = -(-self.batch // self.blocks)
        turns, rest = divmod(self.batch, each)
        for blocks in range(1, (self.groups - 1) // each + 1):
            saved, pace = self.p.save(), blocks * self.block
            try:
                end = self._in_turns(Rounds(turns, self.turn, each, pace), 0)
                return max(end, self._in_turns(Rounds(1, self.turn, rest, pace), turns) if rest else 0)
            except NoRoom:
                self.p.restore(saved)
        return self._one_by_one()

    def _gather(self, **where: int) -> Gather:
        """Of the layer that is updated next."""
        return Gather(layout=self.layout, index=self.index - 1, ago=self.layout.delay[self.index - 1], **where)

    def _afterwards(self, start: int) -> int:
        """Inputs of layer index - 1 where they take the room of this layer's: a round a sample."""
        p, layout = self.p, self.layout
        beats = layout.layers[0].positions * layout.machine.pe_cols
        one = self._gather(stage=self.rooms.stage, beat_step=beats)
        for longer in range(ATTEMPTS):
            saved, period = p.save(), one.cycles * (8 + longer) // 8 + 8
            try:
                rounds = Rounds(self.batch, period)
                staged = one.stage_own(p, rounds, start, sample=0, step=1)
                put = Put("a", layout.inputs[self.index - 1], self.batch, {"step": 1})
                end = one.emit(p, rounds, staged, [put])
                if end - start > period:
                    raise NoRoom("the next sample comes too early")
                return end + (self.batch - 1) * period
            except NoRoom:
                p.restore(saved)
        raise NoRoom(f"update {self.index}: inputs find no rhythm")

    def _in_turns(self, rounds: Rounds, first: int) -> int:
        """Samples of turn `first` and on."""
        p, layout, each = self.p, self.layout, -(-self.batch // self.blocks)
        beats = layout.layers[0].positions * layout.machine.pe_cols
        one = self._gather(stage=self.rooms.stage, beat=first * each * beats, beat_step=each * beats, beat_stride=beats)
        start = self.main + first * self.turn
        staged = one.stage_own(p, rounds, start, sample=first * each, step=each, stride=1)
        put = Put("a", layout.inputs[self.index - 1] + first * each, self.batch, {"step": each, "stride": 1})
        end = one.emit(p, rounds, staged, [put])
        if end - staged[-1] > rounds.pace:
            raise NoRoom("the next sample's inputs come too early")
        return end + (rounds.count - 1) * rounds.period + (rounds.times - 1) * rounds.pace

    def _one_by_one(self) -> int:
        """Wherever there is room."""
        p, layout = self.p, self.layout
        own = layout.layers[self.index - 3].own if self.index > 2 else 0
        beats = layout.layers[0].positions * layout.machine.pe_cols
        at, ready, sent = self.main, self.start, [self.start] * 2
        for sample in range(self.batch):
            stage = self.rooms.stage + sample % 2 * own
            one = self._gather(stage=stage, beat=sample * beats)
            staged = one.stage_own(p, ONCE, max(ready, sent[sample % 2]), sample=sample, step=0)
            ready = staged[-1]
            put = Put("a", layout.inputs[self.index - 1] + sample, self.batch, {})
            at = one.emit(p, ONCE, [*staged[:-1], max(at, ready)], [put])
            sent[sample % 2] = at
        return at
