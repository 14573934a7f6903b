"""Backward through a hidden layer: a pair of samples a round, while the ring adds up what cores made before.

A lane adds up its inputs' errors over the panel's outputs, some outputs (a chunk) at a time, from the last position to
the first. A position's sum then travels up the ring, from the core next to the one that owns it, and ends there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from caterpillar.mapping.batches.gather import TooLate, move_to_b, write_a
from caterpillar.mapping.batches.halving import KEPT, SENT
from caterpillar.mapping.batches.layout import PAIR, Layout
from caterpillar.mapping.batches.plan import Need, NoRoom, Plan, Rounds, Steps
from caterpillar.mapping.builder import READ, WRITE, loop
from caterpillar.mapping.isa import (
    ACCUMULATOR,
    ALL_COLUMNS,
    BACKWARD,
    COLUMN,
    FROM_PE,
    FROM_UP,
    LATCH,
    MEM_A,
    ONE,
    REGISTER,
    RESULT,
    ROW,
    SLOPE,
    UP,
    ZERO,
    beat_cycles,
)

ATTEMPTS, LEADS = 60, 24


class Rooms(NamedTuple):
    """MEM B's regions: two chunks of a pair's errors; two rounds of sums; own errors to spread; two rounds of gates."""

    errors: int
    sums: int
    stage: int
    gates: int
    words: int


def chunk_outputs(layout: Layout, index: int) -> int:
    """Outputs whose errors lie in MEM B at a time."""
    layer = layout.layers[index - 1]
    whole = layer.padded // layout.unit
    for parts in range(1, whole + 1):
        if whole % parts == 0 and _rooms(layout, index, layer.padded // parts).words <= _mem_b(layout):
            return layer.padded // parts
    return layout.unit


def _mem_b(layout: Layout) -> int:
    return layout.machine.pe_mem_b_bytes // 2


def backward_rooms(layout: Layout, index: int) -> Rooms:
    """Where the pass keeps what in MEM B."""
    return _rooms(layout, index, chunk_outputs(layout, index))


def _rooms(layout: Layout, index: int, chunk: int) -> Rooms:
    layer, before = layout.layers[index - 1], layout.layers[index - 2]
    sizes = (2 * PAIR * chunk, 2 * PAIR * layer.rooms, PAIR * layer.own, 2 * PAIR * before.own)
    return Rooms(*(sum(sizes[:i]) for i in range(len(sizes) + 1)))


def backward_pass(p: Plan, layout: Layout, index: int, start: int) -> int:
    """Own errors of layer index - 1 for the whole batch to MEM A; returns when they are there."""
    layer, before, m = layout.layers[index - 1], layout.layers[index - 2], layout.machine
    blocks = layer.rooms // layout.outputs_a_block * (layer.padded // chunk_outputs(layout, index))
    beats, columns = before.beats, m.pe_cols
    visits = sum(-(-(k + 1) * beats // columns) - k * beats // columns for k in range(m.cores))
    gap = -(-PAIR * (visits - 1 + layer.own + before.own) // blocks)
    lead = 0
    for _ in range(ATTEMPTS):
        saved = p.save()
        try:
            with p.phase(f"backward {index}", BACKWARD):
                return _Pass(p, layout, index, start, gap, lead).emit()
        except NoRoom as short:
            p.restore(saved)
            longer = isinstance(short, TooLate) and lead < LEADS
            lead, gap = (lead + 2, gap) if longer else (0, gap + max(1, gap // 4))
    raise NoRoom(f"backward {index}: no gap is wide enough")


@dataclass(frozen=True, slots=True)
class _Visit:
    """Beats of one distance to their owner, inside a position, of a sample of the pair."""

    position: int
    distance: int
    first: int  # beat
    count: int
    sample: int


class _Pass:
    def __init__(self, p: Plan, layout: Layout, index: int, start: int, gap: int, lead: int) -> None:
        self.p, self.layout, self.index, self.start = p, layout, index, start
        self.layer, self.before = layout.layers[index - 1], layout.layers[index - 2]
        self.rooms = backward_rooms(layout, index)
        self.outputs = chunk_outputs(layout, index)
        self.chunks = self.layer.padded // self.outputs
        self.blocks = self.layer.rooms // layout.outputs_a_block
        self.steps = Steps(self.outputs, layout.width, gap)
        late = self.blocks == 1 < self.chunks  # a block goes on with its own sums, which must have come out
        self.block = self.steps.cycles + (layout.machine.fma_latency + 2 if late else 0)
        self.chunk = self.blocks * self.block
        self.rounds = Rounds(layout.batch // PAIR, self.chunks * self.chunk)
        beats = self.outputs // layout.machine.pe_rows
        lead = PAIR * (2 * self.layer.own + beats * (layout.machine.pe_rows + 2)) * (8 + lead) // 8 + 16
        self.main = start + min(lead, self.chunk)
        self.latency, self.ago = layout.machine.fma_latency, layout.delay[index]

    def emit(self) -> int:
        self._multiply()
        with self.p.account("collective"):
            staged = self._stage()
            end = self._ring()
            self._spread(staged)
            return end

    def _flip(self, chunk: int, size: int) -> int:
        return 0 if self.chunks % 2 == 0 else (-size if chunk % 2 else size)

    def _multiply(self) -> None:
        """Blocks of positions, one output after the other: each weight twice, for the two samples of a pair."""
        p, layout, layer, rooms = self.p, self.layout, self.layer, self.rooms
        width, positions = layout.width, layout.outputs_a_block
        size, top = PAIR * self.outputs, layout.through(self.index) + (layer.rooms - 1) * layer.padded
        for first, count, offset in self.steps.runs:
            at = self.main + offset
            loops = [
                *self.rounds.loops,
                loop(self.chunks, self.chunk, address=self.outputs),
                loop(self.blocks, self.block, address=-positions * layer.padded),
                loop(count, width, address=1),
                loop(positions, PAIR, address=-layer.padded),
            ]
            p.memory_a(READ, at - 1, loops, top + first, MEM_A)
            along = [loop(self.blocks, self.block), loop(count, width, address=1)]
            for parity in range(min(2, self.chunks)):
                for s in range(PAIR):
                    source = rooms.errors + parity * size + s * self.outputs + first
                    when, flip = at + parity * self.chunk - 1 + s, self._flip(parity, size)
                    p.b(READ, when, self._some(parity), source, LATCH + s, along, flip=flip)
            for i in range(width):
                each = {"fma_a": MEM_A, "fma_b": LATCH + i % PAIR, "fma_to": ACCUMULATOR + i}
                for chunk, chunks, c in ((0, 1, ZERO), (1, self.chunks - 1, REGISTER + i)):
                    some = [*self.rounds.loops, loop(chunks, self.chunk), loop(self.blocks, self.block)]
                    p.steps(at + i + chunk * self.chunk, some, first, count, width, c, **each)
        self._sums()

    def _some(self, parity: int) -> Rounds:
        """Every second chunk of every round."""
        return Rounds(self.rounds.count, self.rounds.period, -(-(self.chunks - parity) // 2), 2 * self.chunk)

    def _sums(self) -> None:
        """Blocks' sums to MEM B, and those of the chunk before back as the next one's first."""
        p, layout, layer, rooms = self.p, self.layout, self.layer, self.rooms
        positions, flip = layout.outputs_a_block, PAIR * layer.rooms
        last, on = self.main + self.steps.last + self.latency, self.main + self.chunk
        blocks = loop(self.blocks, self.block, address=-PAIR * positions)
        for s in range(PAIR):
            along = [loop(self.chunks, self.chunk), blocks, loop(positions, PAIR, address=-PAIR)]
            top = rooms.sums + (layer.rooms - 1) * PAIR + s
            p.b(WRITE, last + s, self.rounds, top, RESULT, along, flip=flip)
        for i in range(layout.width if self.chunks > 1 else 0):
            position, s = divmod(i, PAIR)
            some = [loop(self.chunks - 1, self.chunk), blocks]
            plain = [loop(one.count, one.period) for one in some]
            earliest = max(on + i + 1 - self.block, last + i + 1)
            at = p.free_from([("mem_b", 0, plain)], self.rounds, earliest, before=on + i)
            source = rooms.sums + (layer.rooms - 1 - position) * PAIR + s
            p.b(READ, at, self.rounds, source, REGISTER + i, some, flip=flip)

    def _stage(self) -> int:
        """Own errors of the pair to MEM B."""
        ready, past = self.start, self.layout.past("errors", self.index, self.ago)
        for s in range(PAIR):
            for position in range(self.layer.own):
                source = self.layout.errors[self.index] + position * self.layout.batch + s
                to = self.rooms.stage + s * self.layer.own + position
                ready = move_to_b(self.p, self.rounds, ready, source, to, step=PAIR, **past)
        return ready

    def _spread(self, ready: int) -> None:
        """A chunk's errors of the pair from their lanes to every PE, while the chunk before is worked on."""
        p, layer, rooms, m = self.p, self.layer, self.rooms, self.layout.machine
        rows, beats = m.pe_rows, self.outputs // m.pe_rows
        size, turn = PAIR * self.outputs, [loop(rows, 1)]
        needs: list[Need] = [("row_bus", 0, []), ("sent", -1, []), ("mem_b", -1, []), ("rows", 0, [loop(rows + 1, 1)])]
        needs += [("column_bus", 1, turn), ("mem_b", 2, turn)]
        for chunk in range(self.chunks):
            at = max(ready, self.main + (chunk - 1) * self.chunk) + 1
            limit = self.main + chunk * self.chunk - rows - 2
            for s in range(PAIR):
                for beat in range(beats):
                    own, column = divmod(chunk * beats + beat, m.pe_cols)
                    at = p.free_from(needs, self.rounds, at)
                    if at > limit:
                        longer = chunk == 0 and self.main - self.start < self.chunk
                        raise (TooLate if longer else NoRoom)("errors come too late")
                    p.b(READ, at - 1, self.rounds, rooms.stage + s * layer.own + own, SENT)
                    p.lock("sent", at - 1, 1, self.rounds)
                    p.lock("rows", at, rows + 1, self.rounds)
                    each = {"row_column": column, "row_slot": SENT, "row_to": ALL_COLUMNS}
                    p.issue("row_bus", at, self.rounds.loops, row_from=FROM_PE, **each)
                    turns = [*self.rounds.loops, loop(rows, 1, column_row=1)]
                    p.issue("column_bus", at + 1, turns, column_row=0, column_slot=ROW)
                    to = rooms.errors + chunk % 2 * size + s * self.outputs + beat * rows
                    flip = self._flip(chunk, size)
                    p.b(WRITE, at + 2, self.rounds, to, COLUMN, [loop(rows, 1, address=1)], flip=flip)

    def _visits(self) -> list[_Visit]:
        """Owner after owner, the farthest first, the samples in turn; of each the last beat first.

        So beats pass from core to core in one order, however positions cut them.
        """
        columns, beats, cores = self.layout.machine.pe_cols, self.before.beats, self.layout.machine.cores
        found: list[_Visit] = []
        for distance in reversed(range(cores)):
            low, high = distance * beats, (distance + 1) * beats
            for s in range(PAIR):
                for position in reversed(range(low // columns, -(-high // columns))):
                    first, end = max(low, position * columns), min(high, (position + 1) * columns)
                    found.append(_Visit(position, distance, first, end - first, s))
        return found

    def _ring(self) -> int:
        """Every position's visit; returns when the last own error is in MEM A."""
        p, layout, layer, rooms, rounds = self.p, self.layout, self.layer, self.rooms, self.rounds
        past = layout.past("activations", self.index - 1, self.ago)
        gates = [[0] * self.before.own for _ in range(PAIR)]
        for s in range(PAIR):
            for position in range(self.before.own):
                source = layout.activations[self.index - 1] + position * layout.batch + s
                to, flip = rooms.gates + s * self.before.own + position, PAIR * self.before.own
                gates[s][position] = move_to_b(p, rounds, self.main, source, to, flip=flip, step=PAIR, **past)
        self._sent: list[dict[int, int]] = [{} for _ in range(PAIR)]
        self._taken_until = self._sent_until = 0
        self._first_register = layout.width if self.chunks > 1 else 0  # others carry sums from chunk to chunk
        self._free_registers = [0] * min(8, layout.machine.pe_registers - self._first_register)
        end, first = 0, 0
        for number, visit in enumerate(self._visits()):
            block = (layer.rooms - 1 - visit.position) // layout.outputs_a_block
            ready = self.main + (self.chunks - 1) * self.chunk + block * self.block
            ready += self.steps.last + layout.width + self.latency
            if visit.distance == 0:
                ready = max(ready, gates[visit.sample][visit.position])
            end = self._visit(number, visit, ready)
            first = first or ready
        if end - first > rounds.period:
            raise NoRoom("the ring is too slow")
        return end + (rounds.count - 1) * rounds.period

    def _visit(self, number: int, v: _Visit, ready: int) -> int:
        p, layout, m, rooms, rounds = self.p, self.layout, self.layout.machine, self.rooms, self.rounds
        which = number % len(self._free_registers)
        register, beat, flip = self._register(which), beat_cycles(m), PAIR * self.layer.rooms
        word = rooms.sums + v.position * PAIR + v.sample
        final, incoming = v.distance == 0, v.distance < m.cores - 1
        high = (v.first + v.count - 1) % m.pe_cols
        if not incoming and not final:
            at = p.free_from([("mem_b", 0, [])], rounds, max(ready, self._free_registers[which]))
            p.b(READ, at, rounds, word, register, flip=flip)
            return self._send(which, v, high, at + 1)
        take = (v.count - 1) * beat + 1
        needs: list[Need] = [("fma", 0, []), ("kept", -1, []), ("mem_b", -1, [])]
        if incoming:
            needs += [("row_bus", -take, [loop(v.count, beat)]), ("rows", -take, [loop(take, 1)])]
            sent = self._sent[v.sample]
            own = self.before.beats
            arrive = [sent[v.first + k + own] + beat - (v.count - 1 - k) * beat for k in range(v.count)]
            ready = max(ready, take + max(*arrive, self._taken_until))
        if final:
            needs += [("mem_b", -1, []), ("sent", -1, [])]
        ready = max(ready, self._free_registers[which])
        at = p.free_from(needs, rounds, ready + 1)
        p.b(READ, at - 1, rounds, word, KEPT, flip=flip)
        p.lock("kept", at - 1, 1, rounds)
        if incoming:
            self._taken_until = at
            p.lock("rows", at - take, take, rounds)
            each = [*rounds.loops, loop(v.count, beat, row_to=-1)]
            p.issue("row_bus", at - take, each, row_from=FROM_UP, row_to=high)
        a, c = (ROW, KEPT) if incoming else (KEPT, ZERO)
        if not final:
            p.issue("fma", at, rounds.loops, fma_a=a, fma_b=ONE, fma_c=c, fma_to=register)
            return self._send(which, v, high, at + self.latency)
        gate = rooms.gates + v.sample * self.before.own + v.position
        p.b(READ, at - 1, rounds, gate, SENT, flip=PAIR * self.before.own)
        p.lock("sent", at - 1, 1, rounds)
        p.issue("fma", at, rounds.loops, fma_a=a, fma_b=ONE, fma_c=c, fma_to=register, fma_flags=SLOPE, fma_gate=SENT)
        past = layout.past("errors", self.index - 1, self.ago)
        to = layout.errors[self.index - 1] + v.position * layout.batch + v.sample
        self._free_registers[which] = write_a(p, rounds, at + self.latency, to, register, step=PAIR, **past)
        return self._free_registers[which]

    def _register(self, which: int) -> int:
        return REGISTER + self._first_register + which

    def _send(self, which: int, v: _Visit, high: int, earliest: int) -> int:
        """A sum from its register up the ring."""
        p, beat = self.p, beat_cycles(self.layout.machine)
        at = p.free_from([("row_bus", 0, [loop(v.count, beat)])], self.rounds, max(earliest, self._sent_until))
        each = [*self.rounds.loops, loop(v.count, beat, row_column=-1)]
        p.issue("row_bus", at, each, row_from=FROM_PE, row_column=high, row_slot=self._register(which), row_send=UP)
        for k in range(v.count):
            self._sent[v.sample][v.first + v.count - 1 - k] = at + k * beat
        self._sent_until = self._free_registers[which] = at + v.count * beat
        return self._sent_until
