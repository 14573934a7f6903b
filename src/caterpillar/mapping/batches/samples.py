"""Samples at the last layer: forward, softmax, backward, and their share of the gradient.

A core works with the activations that it made; the cores' partial logits go round the ring, and every core adds them in
the same order.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import NamedTuple

from caterpillar.mapping.batches.gather import move_to_b, write_a
from caterpillar.mapping.batches.halving import KEPT, SENT, Halving
from caterpillar.mapping.batches.layout import Layout, up
from caterpillar.mapping.batches.plan import Need, NoRoom, Plan, Rounds
from caterpillar.mapping.builder import READ, WRITE, loop
from caterpillar.mapping.isa import (
    ACCUMULATOR,
    ALL_COLUMNS,
    COLUMN,
    DOWN,
    FROM_DOWN,
    FROM_PE,
    FROM_SOFTMAX,
    MEM_A,
    NONE,
    ONE,
    RESULT,
    ROTATE_CORE,
    ROW,
    SLOPE,
    TO_SOFTMAX,
    XOR_LANE,
    ZERO,
    beat_cycles,
    softmax_cycles,
)


class Rooms(NamedTuple):
    """MEM B's regions of a sample.

    Own outputs of the layers that get errors, the last layer's inputs first; partial logits of lanes, rows, the core,
    all cores; logits; errors.
    """

    inputs: int
    sums: int
    beats: int
    partial: int
    gathered: int
    logits: int
    errors: int
    words: int


def output_rooms(layout: Layout) -> Rooms:
    """Where a sample keeps what in MEM B, from word 0 on."""
    layer, m = layout.layers[-1], layout.machine
    sizes = (len(layout.erring), layer.padded, layer.own * m.pe_cols, layer.own, layer.own * m.cores, layer.own)
    sizes = (*sizes, layer.padded if layout.kept is None else up(layer.padded, m.pes_per_core))
    return Rooms(*(sum(sizes[:i]) for i in range(len(sizes) + 1)))


@dataclass
class Samples:
    """Samples at the last layer, `count` of them from number `first` on, `period` cycles apart.

    places: of MEM B, which samples take in turn, from word `base` on. registers: the first one, and how many. beside:
    whether other work goes on in the meantime: it has the accumulators.
    """

    p: Plan
    layout: Layout
    start: int
    period: int
    count: int
    registers: tuple[int, int]
    places: int = 1
    first: int = 0
    base: int = 0
    beside: bool = False

    def emit(self) -> int:
        """Returns when the first sample is done."""
        layout, layer = self.layout, self.layout.layers[-1]
        self.rounds = Rounds(self.count, self.period, first=self.first, rooms=self.places)
        self.rooms = Rooms(*(word + self.base for word in output_rooms(layout)))
        self.moves = {"flip": self.rooms.words - self.base if self.places > 1 else 0}
        self.latency = layout.machine.fma_latency
        self._spans: dict[int, list[list[int]]] = {}
        p, m = self.p, layout.machine
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
            kept = self._keep(ready)
        with p.account("backward"):
            end = max(kept, self._backward(ready))
        self._check_slots()
        with p.account("update"):
            return max(end, self._gradient(end if self.beside else ready))

    def _halving(self, source: int, *, rows: bool) -> Halving:
        return Halving(machine=self.layout.machine, rows=rows, source=source, moves=self.moves)

    def _fma(self, at: int, **fields: int) -> None:
        self.p.issue("fma", at, self.rounds.loops, **fields)

    def _held(self, slot: int, at: int, *, begins: bool = False) -> None:
        """A chain of sums has its accumulator or register from the cycle in which it begins to that of its last use."""
        if begins:
            self._spans.setdefault(slot, []).append([at, at])
        self._spans[slot][-1][1] = at

    def _check_slots(self) -> None:
        """Raises NoRoom if chains of samples that are under way at a time want the same slot."""
        for spans in self._spans.values() if self.count > 1 else ():
            begun = sorted((first % self.period, last - first) for first, last in spans)
            following = [first for first, _ in begun[1:]] + [begun[0][0] + self.period]
            if any(first + length >= after for (first, length), after in zip(begun, following, strict=True)):
                raise NoRoom("an accumulator or a register is wanted by another sample")

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
        """Core c's into sum c mod width from +0, then those by halving.

        The sums are in accumulators; beside other work, which has those, in MEM B, in place of the first cores' words.
        """
        p, m = self.p, self.layout.machine
        width = min(self.layout.width, m.cores)
        done = [ready + (m.cores - 1) * pace + 1] * width
        for core in range(m.cores):
            k = core % width
            done[k] = self._add(gathered, k, core, done[k], begins=core < width)
        half = 1 << (width - 1).bit_length()
        while half > 1:
            half //= 2
            for k in range(max(0, width - half)):
                done[k] = self._add(gathered, k, k + half, max(done[k], done[k + half]), halves=True)
            width = min(width, half)
        if self.beside:
            at = p.free_from([("mem_b", -1, []), ("kept", -1, []), ("mem_b", 0, [])], self.rounds, done[0] + 1)
            self._load(at, gathered, KEPT)
        else:
            at = p.free_from([("mem_b", 0, [])], self.rounds, done[0] + 1)
            self._held(ACCUMULATOR, at)
        p.b(WRITE, at, self.rounds, to, KEPT if self.beside else ACCUMULATOR, **self.moves)
        return at + 1

    def _add(self, gathered: int, k: int, n: int, ready: int, *, begins: bool = False, halves: bool = False) -> int:
        """Sum k takes core n's word, or, where sums are halved, sum n; returns the cycle before it is an operand."""
        loads = [] if halves and not self.beside else [(gathered + n, SENT)]
        loads += [(gathered + k, KEPT)] if self.beside and not begins else []
        needs: list[Need] = [("fma", 0, [])]
        for _, slot in loads:
            needs += [("mem_b", -1, []), ("sent" if slot == SENT else "kept", -1, [])]
        at = self.p.free_from([*needs, *([("mem_b", self.latency, [])] if self.beside else [])], self.rounds, ready + 1)
        for word, slot in loads:
            self._load(at, word, slot)
        sum_ = KEPT if self.beside else ACCUMULATOR + k
        a, c = SENT if loads else ACCUMULATOR + n, ZERO if begins else sum_
        self._fma(at, fma_a=a, fma_b=ONE, fma_c=c, fma_to=NONE if self.beside else sum_)
        if not self.beside:
            self._held(sum_, at, begins=begins)
            if halves:
                self._held(a, at)
            return at + self.latency - 1
        self.p.b(WRITE, at + self.latency, self.rounds, gathered + k, RESULT, **self.moves)
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

    def _keep(self, ready: int) -> int:
        """Each lane takes one of the output errors, or as many as there are positions of them, to MEM A."""
        p, layout, lanes, end = self.p, self.layout, self.layout.machine.pes_per_core, ready
        if layout.kept is None:
            return ready
        for position in range(-(-layout.layers[-1].outputs // lanes)):
            at = p.free_from([("mem_b", -1, []), ("sent", -1, []), ("mem_a", 0, [])], self.rounds, end + 1)
            read = {"mode": XOR_LANE, "offset": position * lanes}
            p.b(READ, at - 1, self.rounds, self.rooms.errors, SENT, **read, **self.moves)
            p.lock("sent", at - 1, 1, self.rounds)
            p.a(WRITE, at, self.rounds, layout.kept + position * layout.batch, SENT, step=1)
            end = at + 1
        return end

    def _backward(self, ready: int) -> int:
        """Own errors from the output errors: a chain over these for each own output, and ReLU's slope."""
        p, layer, rooms, layout = self.p, self.layout.layers[-1], self.rooms, self.layout
        end, (register, registers) = ready, self.registers
        needs = [("fma", 0, []), ("mem_a", -1, []), ("mem_b", -1, []), ("sent", -1, [])]
        gate = [("mem_b", -1, []), ("kept", -1, []), *self._out]
        for number, (index, position) in enumerate(layout.erring):
            at, sum_ = ready, register + number % registers
            if number >= registers:
                ready = at = end
            row = layout.through(index if layout.direct else index + 1) + position * layer.padded
            for j in range(layer.outputs):
                last = j == layer.outputs - 1
                at = p.free_from([*needs, *(gate if last else [])], self.rounds, at + (self.latency if j else 1))
                p.a(READ, at - 1, self.rounds, row + j, MEM_A)
                self._load(at, rooms.errors + j, SENT)
                c = sum_ if j else ZERO
                if layer.outputs > 1:
                    self._held(sum_, at, begins=not j)
                if not last:
                    self._fma(at, fma_a=MEM_A, fma_b=SENT, fma_c=c, fma_to=sum_)
            self._load(at, rooms.inputs + number, KEPT)
            fields = {"fma_a": MEM_A, "fma_b": SENT, "fma_c": sum_ if layer.outputs > 1 else ZERO}
            self._fma(at, **fields, fma_to=self._to(sum_), fma_flags=SLOPE, fma_gate=KEPT)
            to = layout.errors[index] + position * layout.batch
            end = max(end, self._write(at, sum_, to, step=1, **layout.past("errors", index, 0)))
        return end

    @property
    def _out(self) -> list[Need]:
        """Beside other work a result waits in a register for MEM A's port; else it goes there as it comes out."""
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
        end, free = ready, [ready] * self.registers[1]
        for position, j in product(range(layer.positions), range(layer.outputs)):
            which = (position * layer.outputs + j) % len(free)
            register = self.registers[0] + which
            at = p.free_from(needs, self.rounds, max(ready, free[which] if self.beside else 0) + 1)
            word = layout.gradient + position * layer.padded + j
            c = ZERO if self.beside and self.first == 0 else MEM_A
            if c == MEM_A:
                p.a(READ, at - 1, self.rounds, word, MEM_A)
            self._load(at, rooms.inputs + position, SENT)
            self._load(at, rooms.errors + j, KEPT)
            self._fma(at, fma_a=SENT, fma_b=KEPT, fma_c=c, fma_to=self._to(register))
            free[which] = self._write(at, register, word)
            end = max(end, free[which])
        return end
