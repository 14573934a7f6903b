"""Reduction inside a core: N words of each PE of a line (a row or a column) become one, over the neighbour links.

The paper reduces with links in log2(N) steps. PEs exchange words across the highest bit of their place in the line,
then the next: first N / 2 words, then half of that; PE x ends up with the sum of word x. An exchange takes its hops.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from caterpillar.machine import Machine
from caterpillar.mapping.builder import READ, Builder, loop
from caterpillar.mapping.isa import (
    LATCH,
    LINK,
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
    """An exchange of `words` words across a bit, from cycle `start` on, `spacing` cycles apart."""

    bit: int
    words: int
    start: int
    spacing: int
    hops: int

    def add(self, number: int) -> int:
        """The cycle in which the number-th word that came is added."""
        return self.start + number * self.spacing + self.hops


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
        for number, level in enumerate(self.levels):
            for k in range(level.words):
                kept, sent = level.words - 1 - k, 2 * level.words - 1 - k
                begin.setdefault(kept, level.add(k))
                last[kept] = level.add(k)
                if number:
                    last[sent] = level.add(k) - level.hops
        return [(begin[register], last[register]) for register in begin]

    def emit(self, b: Builder, start: int, *, sums: int, loops: Sequence[Loop] = (), flags: int = 0) -> None:
        """Halve N words of MEM B from `sums` on, the first read at `start`; the sum comes out `result` cycles later.

        loops: repeat it; strides of "address" step sums. flags: of the FMA as it makes the sum.
        """
        plain = [Loop(one.count, one.period) for one in loops]
        if not self.levels:
            b.memory_b(READ, start + self.pitch - 1, loops, sums, LATCH)
            b.issue("fma", start + self.pitch, plain, fma_a=LATCH, fma_b=ONE, fma_c=ZERO, fma_flags=flags)
        for number, level in enumerate(self.levels):
            words, spacing, at = level.words, level.spacing, start + level.start
            sent, kept, step = REGISTER + 2 * words - 1, REGISTER + words - 1, -1
            if number == 0:
                sent, kept, step = LATCH, LATCH + 1, 0
                each = [*loops, loop(words, spacing, offset=-1)]
                b.memory_b(READ, at - 1, each, sums, LATCH, mode=self.mode, offset=2 * words - 1)
                b.memory_b(READ, at + level.hops - 1, each, sums, LATCH + 1, mode=self.mode, offset=words - 1)
            b.issue("link", at, [*plain, loop(words, spacing, link_slot=step)], link_bit=level.bit, link_slot=sent)
            fields = {"fma_a": LINK, "fma_b": ONE, "fma_c": kept}
            fields |= {"fma_to": REGISTER + words - 1} if words > 1 else {"fma_flags": flags}
            each = [*plain, loop(words, spacing, fma_c=step, fma_to=-1)]
            b.issue("fma", start + level.add(0), each, **fields)


def halving(machine: Machine, *, rows: bool, pitch: int = 1) -> Halving:
    """The exchanges along the rows of PEs, or the columns."""
    bits = machine.pe_rows.bit_length() - 1
    levels: list[Level] = []
    ready: list[int] = []  # of each word that the level before has made
    words, free = machine.pe_rows // 2, 1
    for number in range(bits - 1, -1, -1):
        bit = number + (0 if rows else bits)
        hops = link_hops(machine, bit)
        spacing = -(-hops // pitch) * pitch
        start = free
        if ready:
            sends = max(ready[words + x] - (words - 1 - x) * spacing for x in range(words))
            adds = max(ready[x] - (words - 1 - x) * spacing - hops for x in range(words))
            start = max(free, sends, adds)
        start += -(start + hops) % pitch
        levels.append(Level(bit, words, start, spacing, hops))
        ready = [levels[-1].add(words - 1 - x) + machine.fma_latency for x in range(words)]
        free = start + (words - 1) * spacing + hops
        words //= 2
    return Halving(machine=machine, mode=XOR_ROW if rows else XOR_COLUMN, pitch=pitch, levels=tuple(levels))
