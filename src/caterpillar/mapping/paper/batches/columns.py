"""Sums over the columns of PEs beside a pass: halving over the links, an addition wherever there is room for it.

As mapping/batches has it, but the word that is added to may wait in a register: near the passes' own results MEM B has
few ports free.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

from caterpillar.machine import Machine
from caterpillar.mapping.batches.plan import Need, NoRoom, Plan, Rounds
from caterpillar.mapping.builder import READ, WRITE, loop
from caterpillar.mapping.isa import LATCH, LINK, NONE, ONE, REGISTER, RESULT, XOR_COLUMN, ZERO, link_hops

SENT, KEPT = LATCH + 2, LATCH + 3
WAITS = (2, 4, 6, 8, 12, 16)  # cycles that a word may wait in a register


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """N words of MEM B, the first at `source` (in each inner round `stride` further), summed over N columns: column c
    gets word c. The words are worked on where they lie.

    registers: numbers of those in which words may wait. Before the cycles that are locked by the name of "begin" links
    have long been free; near neighbours leave those to the farther ones.
    """

    plan: Plan
    machine: Machine
    rounds: Rounds
    source: int
    stride: int
    registers: range

    def emit(self, earliest: int, slot: int, *, before: int) -> int:
        """The words are ready at `earliest`; returns when the sum is in register `slot`, begun before `before`."""
        ready, apart, size = [earliest] * self.machine.pe_cols, 1, self.machine.pe_cols
        if size == 1:
            at, kept, read = self._find([("fma", 0, [])], earliest + 1, earliest, before)
            self._access(READ, read, 0, kept)
            self.plan.issue("fma", at, self.rounds.loops, fma_a=kept, fma_b=ONE, fma_c=ZERO, fma_to=slot)
            return at + self.machine.fma_latency
        while apart < size:
            for x in range(0, size, 2 * apart):
                last = 2 * apart == size
                at = self._add(x, apart, ready, slot if last else NONE, before)
                ready[x] = at + self.machine.fma_latency + (not last)
            apart *= 2
        return ready[0]

    def _add(self, x: int, apart: int, ready: list[int], slot: int, before: int) -> int:
        p, m, rounds = self.plan, self.machine, self.rounds
        bit = apart.bit_length() - 1 + m.pe_rows.bit_length() - 1
        hops = link_hops(m, bit)
        needs: list[Need] = [
            ("fma", 0, []),
            ("link", -hops, []),
            ("links", -hops, [loop(hops, 1)]),
            ("sent", -hops - 1, []),
            ("mem_b", -hops - 1, []),
        ]
        if 8 * hops <= m.pe_cols:
            needs.append(("begin", 0, []))
        if slot == NONE:
            needs.append(("mem_b", m.fma_latency, []))
        at, kept, read = self._find(needs, max(ready[x] + 1, ready[x + apart] + hops + 1), ready[x], before)
        self._access(READ, at - hops - 1, x + apart, SENT)
        self._access(READ, read, x, kept)
        p.lock("sent", at - hops - 1, 1, rounds)
        p.lock("links", at - hops, hops, rounds)
        p.issue("link", at - hops, rounds.loops, link_bit=bit, link_slot=SENT)
        p.issue("fma", at, rounds.loops, fma_a=LINK, fma_b=ONE, fma_c=kept, fma_to=slot)
        if slot == NONE:
            self._access(WRITE, at + m.fma_latency, x, RESULT)
        return at

    def _find(self, needs: list[Need], earliest: int, ready: int, before: int) -> tuple[int, int, int]:
        """The cycle of an addition, where its other word waits, and when it is read."""
        at = earliest
        while True:
            at = self.plan.free_from(needs, self.rounds, at, before=before)
            waits = self._waits(at - ready)
            for ports, (slot, cycles) in product((2, 1), waits):  # first where the other port is free as well
                name = f"slot {slot}"
                wanted = [*needs, *[("mem_b", -cycles, [])] * ports, (name, -cycles, [loop(cycles, 1)])]
                try:
                    self.plan.free_from(wanted, self.rounds, at, before=at + 1)
                except NoRoom:
                    continue
                self.plan.lock(name, at - cycles, cycles, self.rounds)
                return at, slot, at - cycles
            at += 1

    def _waits(self, most: int) -> list[tuple[int, int]]:
        """(slot, cycles before the addition) in which a word can be read, the shortest first."""
        registers = [REGISTER + number for number in self.registers]
        return [(KEPT, 1), *((slot, cycles) for cycles in WAITS if cycles <= most for slot in registers)]

    def _access(self, op: int, at: int, word: int, slot: int) -> None:
        moves = {"mode": XOR_COLUMN, "offset": word, "stride": self.stride}
        self.plan.b(op, at, self.rounds, self.source, slot, **moves)
