"""Backward and update in one pass over the weights, with the ring reduce-scatter of the errors beside it."""

from __future__ import annotations

from dataclasses import dataclass

from caterpillar.machine import Machine
from caterpillar.mapping.builder import READ, WRITE, Builder, loop
from caterpillar.mapping.isa import (
    ACCUMULATOR,
    BACKWARD,
    BACKWARD_UPDATE,
    COLLECTIVE,
    FROM_PE,
    FROM_UP,
    LATCH,
    MEM_A,
    NEGATE,
    ONE,
    REGISTER,
    RESULT,
    ROW,
    SLOPE,
    UP,
    ZERO,
    accumulators,
    beat_cycles,
)
from caterpillar.mapping.layout import back_unit


@dataclass(frozen=True, slots=True, kw_only=True)
class Scatter:
    """One layer's pass. Positions are worked off from the last to the first, `width` at a time, output by output.

    A group's piece is `padded` weights of `step` cycles (two with an update, else one), with free cycles after the
    first `half` of them, where the sum of a position of the group before meets what came over the ring: its visit.
    """

    machine: Machine
    start: int
    positions: int
    blocks: int
    padded: int
    update: bool

    @property
    def step(self) -> int:
        """Cycles a weight takes."""
        return 2 if self.update else 1

    @property
    def width(self) -> int:
        """Positions in a group."""
        return back_unit(self.machine) if self.update else accumulators(self.machine)

    @property
    def sums(self) -> int:
        """The first of `width` registers for finished sums; scaled inputs lie before them."""
        return REGISTER + (self.width if self.update else 0)

    @property
    def half(self) -> int:
        """Weights of a piece before its visit: half or fewer, whole rounds; the last sums come after it."""
        return self.padded // (2 * self.width) * self.width

    @property
    def groups(self) -> int:
        """Groups of positions; the last may be padded."""
        return -(-self.positions // self.width)

    @property
    def transfer(self) -> int:
        """Cycles in which a chunk's word of every lane passes the row buses."""
        return self.machine.pe_cols * beat_cycles(self.machine)

    @property
    def shortest(self) -> int:
        """Cycles between two visits, at least: words in, one addition, words out."""
        return self.machine.fma_latency + 2 * self.transfer

    @property
    def piece(self) -> int:
        """Cycles of `padded` weights and one visit; a multiple of step, so that with updates reads stay in even cycles.

        The last bound keeps a sum in its register until it has been sent.
        """
        step = self.step
        least = max(step * (self.padded + 1), self.shortest, step * (self.half + 1) + 1 + self.transfer)
        return -(-least // step) * step

    def weight(self, group: int, index: int) -> int:
        """The cycle in which weight `index` of a group is read."""
        piece, y = divmod(index, self.padded)
        gap = self.piece - self.step * self.padded if y >= self.half else 0
        return self.start + (group * self.width + piece) * self.piece + self.step * y + gap

    @property
    def visits(self) -> list[int]:
        """The cycle of each visit's addition, from the last position to the first."""
        times: list[int] = []
        for number in range(self.groups * self.width):
            group, a = divmod(number, self.width)
            if group < self.groups - 1:
                at = self.start + (number + self.width) * self.piece + self.step * self.half + 1
            else:
                ready = self.weight(group, (self.padded - 1) * self.width + a) + self.step + self.machine.fma_latency
                done = self.weight(group, self.padded * self.width - 1) + self.step + 1
                at = max(ready, done, times[-1] + self.shortest if times else 0)
            times.append(at)
        return times


def back_scatter(
    b: Builder, s: Scatter, *, scaled: int, own: int, errors: int, address: int, to: int, layer: int
) -> int:
    """Emit the pass: the matrix at MEM A `address`, scaled inputs and errors in MEM B; own errors go to MEM B at `to`.

    scaled is for an update alone. Returns when the errors are ready.
    """
    name = f"backward {layer}, update {layer}" if s.update else f"backward {layer}"
    with b.phase(name, BACKWARD_UPDATE if s.update else BACKWARD):
        _weights(b, s, scaled=scaled, errors=errors, address=address)
    with b.phase(f"reduce-scatter {layer}", COLLECTIVE, "collective"):
        return _visits(b, s, own=own, to=to)


def _weights(b: Builder, s: Scatter, *, scaled: int, errors: int, address: int) -> None:
    width, latency = s.width, s.machine.fma_latency
    update, back = (2, 1) if latency % 2 or not s.update else (1, 2)
    period = width * s.piece
    top = address + (s.groups * width - 1) * s.padded  # the last position
    across = [loop(s.groups, period, address=-width * s.padded)]
    for k in range(s.padded):
        at = s.weight(0, k * width)
        words = [*across, loop(width, s.step, address=-s.padded)]
        b.memory_a(READ, at, words, top + k, MEM_A)
        if s.update:
            with b.account("update"):
                b.memory_a(WRITE, at + update + latency, words, top + k, RESULT)
        b.memory_b(READ, at, [loop(s.groups, period)], errors + k, LATCH)
        for a in range(width):
            each = [loop(s.groups, period)]
            if s.update:
                with b.account("update"):
                    u, at_u = REGISTER + a, at + s.step * a + update
                    b.issue("fma", at_u, each, fma_a=u, fma_b=LATCH, fma_c=MEM_A, fma_flags=NEGATE)
            c = ZERO if k == 0 else ACCUMULATOR + a
            target = s.sums + a if k == s.padded - 1 else ACCUMULATOR + a
            with b.account("backward"):
                b.issue("fma", at + s.step * a + back, each, fma_a=MEM_A, fma_b=LATCH, fma_c=c, fma_to=target)
    if not s.update:
        return
    first = scaled + s.groups * width - 1
    with b.account("update"):
        for a in range(width):
            b.load_within(0, s.start, first - a, REGISTER + a)
            rest = [loop(s.groups - 1, period, address=-width)]
            b.memory_b(READ, s.weight(1, a), rest, first - width - a, REGISTER + a)


def _visits(b: Builder, s: Scatter, *, own: int, to: int) -> int:
    """Position s blocks + t of core k is block t of core k + s; its sum travels up, and ends at that core."""
    cores, columns, beat = s.machine.cores, s.machine.pe_cols, beat_cycles(s.machine)
    latency = s.machine.fma_latency
    carried = s.sums + s.width
    ready = 0
    for step, at in enumerate(s.visits):
        position = s.groups * s.width - 1 - step
        mine = s.sums + step % s.width
        distance, block = divmod(position, s.blocks)
        if distance >= cores:
            continue
        comes, goes = distance < cores - 1, distance > 0
        for column in range(columns if comes else 0):
            b.issue("row_bus", at - s.transfer + column * beat, row_from=FROM_UP, row_to=column)
        if goes:
            drive, slot = (at + latency, carried) if comes else (at, mine)
            if comes:
                b.issue("fma", at, fma_a=ROW, fma_b=ONE, fma_c=mine, fma_to=carried)
            for column in range(columns):
                when = drive + column * beat
                b.issue("row_bus", when, row_from=FROM_PE, row_column=column, row_slot=slot, row_send=UP)
            continue
        b.memory_b(READ, at - 1, [], own + block, LATCH + 3)
        a, c = (ROW, mine) if comes else (mine, ZERO)
        b.issue("fma", at, fma_a=a, fma_b=ONE, fma_c=c, fma_flags=SLOPE, fma_gate=LATCH + 3)
        b.memory_b(WRITE, at + latency, [], to + block, RESULT)
        ready = at + latency + 1
    return ready
