"""Multiply-adds of dealt and own values with weights that are read once for some samples, sums kept in MEM B.

A **chain** of a few terms goes on from a sum of MEM B and ends in it; as many samples take turns as hide the FMA's
latency.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from caterpillar.machine import Machine
from caterpillar.mapping.batches.plan import Plan
from caterpillar.mapping.builder import READ, WRITE, loop
from caterpillar.mapping.isa import LATCH, MEM_A, NONE, REGISTER, RESULT_BEFORE, ZERO, Loop

Variant = tuple[int, int, Loop]  # later by, address, loop over some of the rounds


def width(machine: Machine, samples: int) -> int:
    """Samples that take turns: a latency or more, with a register each, so that few cycles are left over."""
    most = max(machine.fma_latency, machine.pe_registers - 1)
    return min(range(machine.fma_latency, most + 1), key=lambda n: (-(-samples // n) * n, n))


@dataclass(frozen=True, slots=True, kw_only=True)
class Chains:
    """`outs` sums for each sample, of `size` terms each.

    The weight of an out and a term is weights + out per_out + term per_term; the factor of a term and a sample is
    factors + term samples + sample; the sum is sums + out out_step + sample sample_step. weights, factors, sums: for
    variants of the rounds. pad: cycles left free for each out, in equal shares after the groups of samples and the rest
    after the last.
    """

    machine: Machine
    samples: int
    outs: int
    size: int
    per_out: int
    per_term: int
    out_step: int
    sample_step: int
    pad: int

    @property
    def width(self) -> int:
        """Samples that take turns."""
        return width(self.machine, self.samples)

    @property
    def groups(self) -> int:
        """Of samples."""
        return -(-self.samples // self.width)

    @property
    def step(self) -> int:
        """Cycles for an out and a group. A port of MEM B reads factors, one reads and writes sums."""
        return max(self.size, 2) * self.width + self.pad // self.groups

    @property
    def out(self) -> int:
        """Cycles for an out."""
        return self.groups * self.step + self.pad % self.groups

    @property
    def cycles(self) -> int:
        """Of all."""
        return self.outs * self.out

    def emit(
        self,
        p: Plan,
        at: int,
        rounds: Loop,
        weights: Sequence[Variant],
        factors: Sequence[Variant],
        sums: Sequence[Variant],
        *,
        first: bool,
    ) -> None:
        """From cycle `at` on, in every round. first: the sums begin with +0."""
        for later, address, some in weights:
            for term in range(self.size):
                loops = [
                    some,
                    loop(self.outs, self.out, address=self.per_out),
                    loop(self.groups, self.step),
                ]
                p.memory_a(READ, at + later + term * self.width - 1, loops, address + term * self.per_term, MEM_A)
        whole, rest = divmod(self.samples, self.width)
        for group, groups, some in ((0, whole, self.width), (whole, 1, rest)):
            if groups and some:
                self._groups(p, at + group * self.step, rounds, factors, sums, group, groups, some, first=first)

    def _groups(
        self,
        p: Plan,
        at: int,
        rounds: Loop,
        factors: Sequence[Variant],
        sums: Sequence[Variant],
        group: int,
        groups: int,
        some: int,
        *,
        first: bool,
    ) -> None:
        n, step, reads = self.width, self.step, list[tuple[int, int, int]]()
        outs, along = loop(self.outs, self.out), loop(groups, step, address=n)
        for later, address, turns in factors:
            inner = [outs, along, loop(self.size, n, address=self.samples), loop(some, 1, address=1)]
            p.memory_b(READ, at + later - 1, [turns, *inner], address + group * n, LATCH)
        plain = [rounds, outs, loop(groups, step)]
        kept = [
            loop(self.outs, self.out, address=self.out_step),
            loop(groups, step, address=n * self.sample_step),
        ]
        for i in range(some):
            for term in range(self.size):
                c = REGISTER + i if term or not first else ZERO
                to = REGISTER + i if term < self.size - 1 else NONE
                p.issue("fma", at + i + term * n, plain, fma_a=MEM_A, fma_b=LATCH, fma_c=c, fma_to=to)
            # a cycle late, so that another sum can be read in the last cycle of a step
            done = at + i + (self.size - 1) * n + self.machine.fma_latency + 1
            further = (group * n + i) * self.sample_step
            for later, word, turns in sums:
                p.memory_b(WRITE, done + later, [turns, *kept], word + further, RESULT_BEFORE)
            if not first:
                reads.append((at + i, further, REGISTER + i))
        for when, further, to in reads:
            self._read(p, when, rounds, sums, further, groups, to)

    def _read(
        self, p: Plan, at: int, rounds: Loop, sums: Sequence[Variant], further: int, groups: int, to: int
    ) -> None:
        """A sum of each step to a register; the first ones may have less room than the others."""
        step, n = self.step, self.width * self.sample_step
        for out, outs, group, some in ((0, 1, 0, 1), (0, 1, 1, groups - 1), (1, self.outs - 1, 0, groups)):
            if outs and some:
                inner = [loop(outs, self.out, address=self.out_step), loop(some, step, address=n)]
                before = at + out * self.out + group * step
                earliest = before - self.width - self.pad // self.groups  # when the chain before has taken the register
                plain = [rounds, *(Loop(one.count, one.period) for one in inner)]
                when = p.free_in([("mem_b", 0, [])], plain, earliest, before=before)
                for later, word, turns in sums:
                    where = word + further + out * self.out_step + group * n
                    p.memory_b(READ, when + later, [turns, *inner], where, to)
