"""Reduction inside a core: N words of each PE of a line (a row or a column) become one, over the neighbour links.

The paper reduces with links in log2(N) steps. PEs exchange words with their direct neighbours, those that differ in the
lowest bit of their place in the line, then across the next bit: first N / 2 words, then half of that; PE x ends up with
the sum of word x. An exchange takes its hops.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from caterpillar.machine import Machine
from caterpillar.mapping.builder import READ, Builder, loop
from caterpillar.mapping.isa import (
    LATCH,
    LINK,
    NONE,
    ONE,
    REGISTER,
    XOR_COLUMN,
    XOR_ROW,
    ZERO,
    Loop,
    link_hops,
)


@dataclass(frozen=True, slots=True)
class Level:
    """An exchange of `words` words across a bit, from cycle `start` on, `spacing` cycles apart.

    number: of the bit in the PE's place. PE x keeps what is x xor a multiple of 2^(number + 1); it lies in register
    multiple / 2 (of the first level: in MEM B), what it sends 2^number further.
    """

    number: int
    bit: int
    words: int
    start: int
    spacing: int
    hops: int

    def add(self, k: int) -> int:
        """The cycle in which the k-th word that came is added."""
        return self.start + k * self.spacing + self.hops

    def registers(self, k: int) -> tuple[int, int]:
        """The number of the register that the k-th word is added to, and of the one that is sent meanwhile."""
        step = 1 << self.number
        kept = (self.words - 1 - k) * step  # from the last on: what is sent next comes first
        return kept, kept + step // 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Halving:
    """The exchanges, in cycles from the first read of MEM B on. Additions are issued in multiples of `pitch`."""

    machine: Machine
    mode: int
    pitch: int
    levels: tuple[Level, ...]

    @property
    def result(self) -> int:
        """The cycle in which the sum comes out of the FMA."""
        return (self.levels[-1].add(0) if self.levels else self.pitch) + self.machine.fma_latency

    def repeats(self, period: int) -> bool:
        """Whether another one can begin every `period` cycles: no link, FMA or register is wanted twice at a time."""
        links = [
            (level.start + k * level.spacing + hop) % period
            for level in self.levels
            for k in range(level.words)
            for hop in range(level.hops)
        ]
        adds = [level.add(k) % period for level in self.levels for k in range(level.words)]
        free = all(len(set(times)) == len(times) for times in (links, adds))
        return free and period % self.pitch == 0 and all(last <= first + period for first, last in self._lives())

    def _lives(self) -> list[tuple[int, int]]:
        """For each register the cycle of the first addition into it, and of the last use."""
        begin: dict[int, int] = {}
        last: dict[int, int] = {}
        for level in self.levels:
            for k in range(level.words):
                kept, sent = level.registers(k)
                begin.setdefault(kept, level.add(k))
                last[kept] = level.add(k)
                if level.number:
                    last[sent] = level.add(k) - level.hops
        return [(begin[register], last[register]) for register in begin]

    def emit(
        self, b: Builder, start: int, *, sums: int, loops: Sequence[Loop] = (), flags: int = 0, gate: int = NONE
    ) -> None:
        """Halve N words of MEM B from `sums` on, the first read at `start`; the sum comes out `result` cycles later.

        loops: repeat it; strides of "address" step sums. flags, gate: of the FMA as it makes the sum.
        """
        plain = [Loop(one.count, one.period) for one in loops]
        if not self.levels:
            b.memory_b(READ, start + self.pitch - 1, loops, sums, LATCH)
            b.issue(
                "fma", start + self.pitch, plain, fma_a=LATCH, fma_b=ONE, fma_c=ZERO, fma_flags=flags, fma_gate=gate
            )
        for level in self.levels:
            at = start + level.start
            kept, sent = level.registers(0)
            step = -1 << level.number if level.number else 0
            if level.number == 0:
                each, top = [*loops, loop(level.words, level.spacing, offset=-2)], 2 * level.words - 1
                b.memory_b(READ, at - 1, each, sums, LATCH, mode=self.mode, offset=top)
                b.memory_b(READ, at + level.hops - 1, each, sums, LATCH + 1, mode=self.mode, offset=top - 1)
            each = [*plain, loop(level.words, level.spacing, link_slot=step)]
            slot, c = (REGISTER + sent, REGISTER + kept) if level.number else (LATCH, LATCH + 1)
            b.issue("link", at, each, link_bit=level.bit, link_slot=slot)
            each = [*plain, loop(level.words, level.spacing, fma_c=step, fma_to=-1 << level.number)]
            fields = {"fma_to": REGISTER + kept} if level.words > 1 else {"fma_flags": flags, "fma_gate": gate}
            b.issue("fma", start + level.add(0), each, fma_a=LINK, fma_b=ONE, fma_c=c, **fields)


def halving(machine: Machine, *, rows: bool, pitch: int = 1) -> Halving:
    """The exchanges along the rows of PEs, or the columns."""
    bits = machine.pe_rows.bit_length() - 1
    levels: list[Level] = []
    ready: dict[int, int] = {}  # when each register's sum is there
    words, free = machine.pe_rows // 2, 1
    for number in range(bits):
        bit = number + (0 if rows else bits)
        hops = link_hops(machine, bit)
        level = Level(number, bit, words, 0, -(-hops // pitch) * pitch, hops)
        start = free
        for k in range(words if levels else 0):
            kept, sent = level.registers(k)
            start = max(start, ready[sent] - k * level.spacing, ready[kept] - level.add(k))
        start += -(start + hops) % pitch
        levels.append(replace(level, start=start))
        ready = {levels[-1].registers(k)[0]: levels[-1].add(k) + machine.fma_latency for k in range(words)}
        free = start + (words - 1) * level.spacing + hops
        words //= 2
    return Halving(machine=machine, mode=XOR_ROW if rows else XOR_COLUMN, pitch=pitch, levels=tuple(levels))


def reversed_bits(machine: Machine) -> list[int]:
    """For each place in a line the number of its sum, in an order that adds the halves of them all, then of those."""
    bits = machine.pe_rows.bit_length() - 1
    return [sum((place >> k & 1) << (bits - 1 - k) for k in range(bits)) for place in range(machine.pe_rows)]
