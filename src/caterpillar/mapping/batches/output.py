"""The last layer, a sample a round: forward, softmax, backward, and its share of the gradient; then the update.

A core works with the activations that it made; the cores' partial logits go round the ring, and every core adds them in
the same order. A sample begins before the one before has ended, so every region of MEM B is there several times. In
continuous propagation nothing waits for the output errors within the tick: samples go one by one beside the last update.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import NamedTuple

from caterpillar.mapping.batches.gather import move_to_b, write_a
from caterpillar.mapping.batches.halving import KEPT, SENT, Halving
from caterpillar.mapping.batches.layout import Layout
from caterpillar.mapping.batches.plan import Need, NoRoom, Plan, Rounds
from caterpillar.mapping.batches.update import update_rooms
from caterpillar.mapping.builder import READ, WRITE, loop
from caterpillar.mapping.isa import (
    ACCUMULATOR,
    ALL_COLUMNS,
    COLUMN,
    DOWN,
    FORWARD,
    FROM_DOWN,
    FROM_PE,
    FROM_SOFTMAX,
    MEM_A,
    NEGATE,
    NONE,
    ONE,
    RATE,
    REGISTER,
    RESULT,
    ROTATE_CORE,
    ROW,
    SLOPE,
    TO_SOFTMAX,
    UPDATE,
    ZERO,
    beat_cycles,
    softmax_cycles,
)

MOST_PLACES = 4


class Rooms(NamedTuple):
    """MEM B's regions of a sample: own outputs of the layers that get errors, the last layer's inputs first; partial logits of lanes, rows, the core, all cores; logits; errors."""

    inputs: int
    sums: int
    beats: int
    partial: int
    gathered: int
    logits: int
    errors: int
    words: int


def output_rooms(layout: Layout) -> Rooms:
    """Where a sample keeps what in MEM B, but for what is there before; a second sample lies `words` further."""
    layer, m = layout.layers[-1], layout.machine
    sizes = (len(layout.erring), layer.padded, layer.own * m.pe_cols, layer.own, layer.own * m.cores, layer.own)
    sizes = (*sizes, layer.padded)
    return Rooms(*(sum(sizes[:i]) for i in range(len(sizes) + 1)))


def output_places(layout: Layout) -> int:
    """Samples under way at a time."""
    return max(1, min(MOST_PLACES, layout.machine.pe_mem_b_bytes // 2 // output_rooms(layout).words))


def goes_beside(layout: Layout) -> bool:
    """Whether the last layer's samples can go beside the update of layer 1."""
    words = update_rooms(layout, 1).words + output_rooms(layout).words
    return bool(layout.delay[1]) and words <= layout.machine.pe_mem_b_bytes // 2 and _beside_registers(layout) > 0


def _beside_registers(layout: Layout) -> int:
    """Registers for the sums over cores, beside those of an update; 0 if they are too few."""
    room = layout.machine.pe_registers - layout.width
    return room if room >= min(layout.width, layout.machine.cores) else 0


def output_additions(layout: Layout) -> int:
    """What a sample takes of the FMA, at least."""
    layer, m = layout.layers[-1], layout.machine
    halved = layer.beats * max(1, m.pe_rows - 1) + layer.own * max(1, m.pe_cols - 1)
    return 2 * layer.positions * layer.outputs + len(layout.erring) * layer.outputs + halved + layer.own * (m.cores + 1)


def output_beside(p: Plan, layout: Layout, start: int) -> int:
    """As output_pass, beside other work, but for the update; returns when the last sample is done."""
    with p.phase(f"forward, backward {len(layout.layers)}", FORWARD, "collective"):
        for sample in range(layout.batch):
            start = _Samples(p, layout, start, 1 << 16, 1, first=sample, base=update_rooms(layout, 1).words).emit()
    return start


def output_pass(p: Plan, layout: Layout, start: int) -> int:
    """All samples through the last layer, own errors of the layer before (dfa: of all) to MEM A; returns when done."""
    words = layout.layers[-1].positions * layout.layers[-1].padded
    p.memory_a(WRITE, start, [loop(words, 1, address=1)], layout.gradient, ZERO)
    start += words
    period = 1 << 16
    saved = p.save()
    length = _Samples(p, layout, start, period, 1).emit() - start
    p.restore(saved)
    rooms = output_places(layout)
    for period in range(-(-length // rooms), 2 * length, max(2, length // 32)):
        saved = p.save()
        try:
            with p.phase(f"forward, backward {len(layout.layers)}", FORWARD):
                end = _Samples(p, layout, start, period, layout.batch, rooms).emit()
                if end - start > rooms * period:
                    raise NoRoom("a later sample takes a room too early")
            return output_update(p, layout, end + (layout.batch - 1) * period)
        except NoRoom:
            p.restore(saved)
    raise NoRoom("the last layer finds no rhythm")


def output_update(p: Plan, layout: Layout, start: int) -> int:
    """W <- W - (lr / b) G of the last layer."""
    layer, latency = layout.layers[-1], layout.machine.fma_latency
    words = layer.positions * layer.padded
    pace = next(n for n in range(3, 9) if len({0, 2 % n, (3 + latency) % n}) == 3)
    along = [loop(words, pace, address=1)]
    with p.phase(f"update {len(layout.layers)}", UPDATE):
        p.memory_a(READ, start, along, layout.gradient, MEM_A)
        p.memory_b(WRITE, start + 1, [loop(words, pace)], 0, MEM_A)
        p.memory_b(READ, start + 2, [loop(words, pace)], 0, SENT)
        p.memory_a(READ, start + 2, along, layer.address, MEM_A)
        p.issue("fma", start + 3, [loop(words, pace)], fma_a=RATE, fma_b=SENT, fma_c=MEM_A, fma_flags=NEGATE)
        p.memory_a(WRITE, start + 3 + latency, along, layer.address, RESULT)
    return start + words * pace + 4 + latency


@dataclass
class _Samples:
    p: Plan
    layout: Layout
    start: int
    period: int
    count: int
    places: int = 1
    first: int = 0
    base: int = 0

    def emit(self) -> int:
        """Returns when the first sample is done."""
        layout, layer = self.layout, self.layout.layers[-1]
        self.rounds = Rounds(self.count, self.period, first=self.first, rooms=self.places)
        self.rooms = Rooms(*(word + self.base for word in output_rooms(layout)))
        self.size = self.rooms.words - self.base
        self.beside = self.base > 0
        self.registers = REGISTER + (layout.width if self.beside else 0)
        self.moves = {"flip": self.size if self.places > 1 else 0}
        self.latency = layout.machine.fma_latency
        p, m = self.p, layout.machine
        if self.first == 0:
            clear, once = [loop(self.places * self.size, 1, address=1)], Rounds(1, 0)
            self.start = p.free_from([("mem_b", 0, clear)], once, self.start)
            p.b(WRITE, self.start, once, self.base, ZERO, clear)
            self.start += self.places * self.size
        ready = self.start
        for number, (index, position) in enumerate(layout.erring):
            source, to = layout.activations[index] + position * layout.batch, self.rooms.inputs + number
            past = layout.past("activations", index, 0)
            ready = move_to_b(p, self.rounds, ready, source, to, **self.moves, step=1, **past)
        ready = self._forward(ready)
        with p.account("collective"):
            for beat in range(layer.beats):
                one = self._halving(self.rooms.sums + beat * m.pe_rows, rows=True)
                ready = max(ready, one.emit(p, self.rounds, ready, self.rooms.beats + beat, self.moves))
            for position in range(layer.own):
                one = self._halving(self.rooms.beats + position * m.pe_cols, rows=False)
                to = self.rooms.partial + position
                ready = max(ready, one.emit(p, self.rounds, ready, to, self.moves))
            for position in range(layer.own):
                ready = self._all_reduce(ready, position)
            ready = self._softmax(ready)
        with p.account("backward"):
            end = self._backward(ready)
        with p.account("update"):
            return max(end, self._gradient(end if self.beside else ready))

    def _halving(self, source: int, *, rows: bool) -> Halving:
        return Halving(machine=self.layout.machine, rows=rows, source=source, moves=self.moves)

    def _fma(self, at: int, **fields: int) -> None:
        self.p.issue("fma", at, self.rounds.loops, **fields)

    def _load(self, at: int, address: int, slot: int) -> None:
        """An operand for the FMA of cycle at, and of no other."""
        self.p.b(READ, at - 1, self.rounds, address, slot, **self.moves)
        self.p.lock("sent" if slot == SENT else "kept", at - 1, 1, self.rounds)

    def _forward(self, ready: int) -> int:
        """Partial logits of this lane's inputs."""
        p, layer, rooms = self.p, self.layout.layers[-1], self.rooms
        done = [ready] * layer.outputs
        needs = [("fma", 0, []), ("mem_a", -1, []), ("mem_b", -1, []), ("sent", -1, []), ("mem_b", self.latency, [])]
        for position in range(layer.positions):
            more = [("mem_b", -1, []), ("kept", -1, [])] if position else []
            for j in range(layer.outputs):
                at = p.free_from([*needs, *more], self.rounds, done[j] + 1)
                self._load(at, rooms.inputs + position, SENT)
                p.a(READ, at - 1, self.rounds, layer.address + position * layer.padded + j, MEM_A)
                if position:
                    self._load(at, rooms.sums + j, KEPT)
                self._fma(at, fma_a=SENT, fma_b=MEM_A, fma_c=KEPT if position else ZERO)
                p.b(WRITE, at + self.latency, self.rounds, rooms.sums + j, RESULT, **self.moves)
                done[j] = at + self.latency + 1
        return max(done)

    def _all_reduce(self, ready: int, position: int) -> int:
        """The cores' partial logits of a position to all cores, which add them."""
        p, layer, rooms, m = self.p, self.layout.layers[-1], self.rooms, self.layout.machine
        columns, sigma, cores = min(m.pe_cols, layer.beats - position * m.pe_cols), beat_cycles(m), m.cores
        pace, length = columns * sigma, (columns - 1) * sigma + 1
        steps, beats = loop(cores, pace), loop(columns, sigma)
        own = [("mem_b", -1, [beats]), ("sent", -1, [beats])]
        needs = [("row_bus", 0, [steps, beats]), ("rows", 0, [loop(cores * pace + 1, 1)]), *own]
        gathered = rooms.gathered + position * cores
        at = p.free_from([*needs, ("mem_b", length, [steps])], self.rounds, ready + 1)
        p.lock("rows", at, cores * pace + 1, self.rounds)
        p.b(READ, at - 1, self.rounds, rooms.partial + position, SENT, [beats], **self.moves)
        p.lock_loop("sent", at - 1, self.rounds, [beats])
        each = [*self.rounds.loops, loop(columns, sigma, row_to=1, row_column=1)]
        send = DOWN if cores > 1 else 0
        p.issue("row_bus", at, each, row_from=FROM_PE, row_column=0, row_slot=SENT, row_to=0, row_send=send)
        each = [*self.rounds.loops, loop(cores - 2, pace), loop(columns, sigma, row_to=1)]
        p.issue("row_bus", at + pace, each, row_from=FROM_DOWN, row_to=0, row_send=DOWN)
        if cores > 1:
            each = [*self.rounds.loops, loop(columns, sigma, row_to=1)]
            p.issue("row_bus", at + (cores - 1) * pace, each, row_from=FROM_DOWN, row_to=0)
        for step in range(cores):
            write = at + length + step * pace
            p.b(WRITE, write, self.rounds, gathered, ROW, mode=ROTATE_CORE, offset=step, **self.moves)
        return self._sum_cores(at + length, pace, gathered, rooms.logits + position)

    def _sum_cores(self, ready: int, pace: int, gathered: int, to: int) -> int:
        """Core c's into sum c mod width from +0, then those by halving."""
        p, m = self.p, self.layout.machine
        width, sums = min(self.layout.width, m.cores), self.registers if self.beside else ACCUMULATOR
        done = [0] * width
        for core in range(m.cores):
            k, since = core % width, ready + (m.cores - 1) * pace + 2
            at = p.free_from([("fma", 0, []), ("mem_b", -1, []), ("kept", -1, [])], self.rounds, max(done[k], since))
            self._load(at, gathered + core, KEPT)
            c = sums + k if core >= width else ZERO
            self._fma(at, fma_a=KEPT, fma_b=ONE, fma_c=c, fma_to=sums + k)
            done[k] = at + self.latency
        half = 1 << (width - 1).bit_length()
        while half > 1:
            half //= 2
            for k in range(max(0, width - half)):
                at = p.free_from([("fma", 0, [])], self.rounds, max(done[k], done[k + half]))
                self._fma(at, fma_a=sums + k + half, fma_b=ONE, fma_c=sums + k, fma_to=sums + k)
                done[k] = at + self.latency
            width = min(width, half)
        at = p.free_from([("fma", 0, []), ("mem_b", self.latency, [])], self.rounds, done[0])
        self._fma(at, fma_a=sums, fma_b=ONE, fma_c=ZERO)
        p.b(WRITE, at + self.latency, self.rounds, to, RESULT, **self.moves)
        if at - ready > self.period:
            raise NoRoom("the accumulators are wanted by the next sample")
        return at + self.latency + 1

    def _softmax(self, ready: int) -> int:
        """The softmax unit takes the logits, and its errors go to every PE; returns when they are in MEM B."""
        p, layer, rooms, m = self.p, self.layout.layers[-1], self.rooms, self.layout.machine
        rows, beats = m.pe_rows, layer.beats
        works = softmax_cycles(m, layer.outputs)
        took, spread = beats + 1 + works, beats * rows
        needs = [("row_bus", 0, [loop(beats, 1)]), ("sent", -1, [loop(beats, 1)]), ("mem_b", -1, [loop(beats, 1)])]
        needs += [("row_bus", took, [loop(beats, rows)]), ("rows", took, [loop(spread + 2, 1)])]
        needs += [("column_bus", took + 1, [loop(spread, 1)]), ("mem_b", took + 2, [loop(spread, 1)])]
        needs += [("softmax lock", 0, [loop(took + spread, 1)])]
        at = p.free_from(needs, self.rounds, ready + 1)
        p.lock("softmax lock", at, took + spread, self.rounds)
        for beat in range(beats):
            position, column = divmod(beat, m.pe_cols)
            self._load(at + beat, rooms.logits + position, SENT)
            each = {"row_column": column, "row_slot": SENT, "row_to": TO_SOFTMAX}
            p.issue("row_bus", at + beat, self.rounds.loops, row_from=FROM_PE, **each)
        labels = [loop(self.count, self.period, softmax_label=1)]
        p.issue("softmax", at + beats, labels, softmax_on=layer.outputs, softmax_label=self.first)
        at += took
        p.lock("rows", at, spread + 2, self.rounds)
        each = [*self.rounds.loops, loop(beats, rows, row_address=1)]
        p.issue("row_bus", at, each, row_from=FROM_SOFTMAX, row_to=ALL_COLUMNS, row_address=0)
        each = [*self.rounds.loops, loop(beats, rows), loop(rows, 1, column_row=1)]
        p.issue("column_bus", at + 1, each, column_row=0, column_slot=ROW)
        p.b(WRITE, at + 2, self.rounds, rooms.errors, COLUMN, [loop(spread, 1, address=1)], **self.moves)
        return at + 2 + spread

    def _backward(self, ready: int) -> int:
        """Own errors from the output errors: a chain over these for each own output, and ReLU's slope."""
        p, layer, rooms, layout = self.p, self.layout.layers[-1], self.rooms, self.layout
        end, registers = ready, layout.machine.pe_registers - (self.registers - REGISTER)
        needs = [("fma", 0, []), ("mem_a", -1, []), ("mem_b", -1, []), ("sent", -1, [])]
        gate = [("mem_b", -1, []), ("kept", -1, []), *self._out]
        for number, (index, position) in enumerate(layout.erring):
            at, sum_ = ready, self.registers + number % registers
            if number >= registers:
                ready = at = end
            row = layout.through(index if layout.direct else index + 1) + position * layer.padded
            for j in range(layer.outputs):
                last = j == layer.outputs - 1
                at = p.free_from([*needs, *(gate if last else [])], self.rounds, at + (self.latency if j else 1))
                p.a(READ, at - 1, self.rounds, row + j, MEM_A)
                self._load(at, rooms.errors + j, SENT)
                c = sum_ if j else ZERO
                if not last:
                    self._fma(at, fma_a=MEM_A, fma_b=SENT, fma_c=c, fma_to=sum_)
            self._load(at, rooms.inputs + number, KEPT)
            fields = {"fma_a": MEM_A, "fma_b": SENT, "fma_c": sum_ if layer.outputs > 1 else ZERO}
            self._fma(at, **fields, fma_to=self._to(sum_), fma_flags=SLOPE, fma_gate=KEPT)
            to = layout.errors[index] + position * layout.batch
            end = max(end, self._write(at, sum_, to, step=1, **layout.past("errors", index, 0)))
            if at - ready > self.period:
                raise NoRoom("the registers are wanted by the next sample")
        return end

    @property
    def _out(self) -> list[Need]:
        """Beside other work a result waits in a register until MEM A's port is free; else it goes there as it comes out."""
        return [] if self.beside else [("mem_a", self.latency, [])]

    def _to(self, register: int) -> int:
        return register if self.beside else NONE

    def _write(self, at: int, register: int, to: int, **moves: int) -> int:
        """The result of the FMA of cycle `at` to MEM A; returns when it is there."""
        if self.beside:
            return write_a(self.p, self.rounds, at + self.latency, to, register, **moves)
        self.p.a(WRITE, at + self.latency, self.rounds, to, RESULT, **moves)
        return at + self.latency + 1

    def _gradient(self, ready: int) -> int:
        """G <- G + h d; a first sample that goes by itself begins it."""
        p, layer, rooms, layout = self.p, self.layout.layers[-1], self.rooms, self.layout
        needs = [("fma", 0, []), ("mem_a", -1, []), ("mem_b", -1, []), ("mem_b", -1, [])]
        needs += [("sent", -1, []), ("kept", -1, []), *self._out]
        end, free = ready, [ready] * (layout.machine.pe_registers - (self.registers - REGISTER))
        for position, j in product(range(layer.positions), range(layer.outputs)):
            which = (position * layer.outputs + j) % len(free)
            at = p.free_from(needs, self.rounds, max(ready, free[which] if self.beside else 0) + 1)
            word = layout.gradient + position * layer.padded + j
            c = ZERO if self.beside and self.first == 0 else MEM_A
            if c == MEM_A:
                p.a(READ, at - 1, self.rounds, word, MEM_A)
            self._load(at, rooms.inputs + position, SENT)
            self._load(at, rooms.errors + j, KEPT)
            self._fma(at, fma_a=SENT, fma_b=KEPT, fma_c=c, fma_to=self._to(self.registers + which))
            free[which] = self._write(at, self.registers + which, word)
            end = max(end, free[which])
        return end
