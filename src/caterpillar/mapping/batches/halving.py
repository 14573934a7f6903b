"""Sums over the rows, or the columns, of a core's PEs, by recursive halving over the neighbour links."""

from __future__ import annotations

from dataclasses import dataclass

from caterpillar.machine import Machine
from caterpillar.mapping.batches.plan import Need, Plan, Rounds
from caterpillar.mapping.builder import READ, WRITE, loop
from caterpillar.mapping.isa import LATCH, LINK, NONE, ONE, RESULT, XOR_COLUMN, XOR_ROW, ZERO, link_hops

SENT, KEPT = LATCH + 2, LATCH + 3  # each is read in the cycle after it was loaded, and in no other
Moves = dict[str, int]  # of an address, as in Rounds.split


@dataclass(frozen=True, slots=True, kw_only=True)
class Halving:
    """As many words as there are rows (or columns) in MEM B at `source`: row r gets word r, summed over all rows.

    The words are worked on where they lie; neighbours exchange most of them. flags: of the last addition.
    """

    machine: Machine
    rows: bool
    source: int
    moves: dict[str, int]
    flags: int = 0

    @property
    def size(self) -> int:
        """Words."""
        return self.machine.pe_rows if self.rows else self.machine.pe_cols

    @property
    def additions(self) -> int:
        """What it takes of the FMA."""
        return max(1, self.size - 1)

    def emit(
        self,
        p: Plan,
        rounds: Rounds,
        earliest: int,
        to: int,
        moves: Moves,
        *,
        slot: int = NONE,
        before: int | None = None,
    ) -> int:
        """The words are ready at `earliest`; returns when the sum is, in MEM B at `to`, or in register `slot`."""
        latency = self.machine.fma_latency
        out: list[Need] = [("mem_b", latency, [])] if slot == NONE else []
        if self.size == 1:
            needs: list[Need] = [("fma", 0, []), ("mem_b", -1, []), ("kept", -1, []), *out]
            at = p.free_from(needs, rounds, earliest + 1, before=before)
            p.b(READ, at - 1, rounds, self.source, KEPT, **self.moves)
            p.lock("kept", at - 1, 1, rounds)
            p.issue("fma", at, rounds.loops, fma_a=KEPT, fma_b=ONE, fma_c=ZERO, fma_to=slot, fma_flags=self.flags)
            if slot == NONE:
                p.b(WRITE, at + latency, rounds, to, RESULT, **moves)
            return at + latency + (slot == NONE)
        ready, apart = [earliest] * self.size, 1
        while apart < self.size:
            for x in range(0, self.size, 2 * apart):
                last = 2 * apart == self.size
                inner: list[Need] = [("mem_b", latency, [])]
                at = self._add(p, rounds, x, apart, ready, out if last else inner, before, slot if last else NONE)
                if not last:
                    self._access(p, WRITE, rounds, at + latency, x, RESULT)
                elif slot == NONE:
                    p.b(WRITE, at + latency, rounds, to, RESULT, **moves)
                ready[x] = at + latency + (slot == NONE or not last)
            apart *= 2
        return ready[0]

    def _add(
        self,
        p: Plan,
        rounds: Rounds,
        x: int,
        apart: int,
        ready: list[int],
        needs: list[Need],
        before: int | None,
        slot: int,
    ) -> int:
        m = self.machine
        bit = apart.bit_length() - 1 + (0 if self.rows else m.pe_rows.bit_length() - 1)
        hops = link_hops(m, bit)
        wanted: list[Need] = [
            ("fma", 0, []),
            ("link", -hops, []),
            ("links", -hops, [loop(hops, 1)]),
            ("sent", -hops - 1, []),
            ("kept", -1, []),
            ("mem_b", -hops - 1, []),
            ("mem_b", -1, []),
            *needs,
        ]
        at = p.free_from(wanted, rounds, max(ready[x] + 1, ready[x + apart] + hops + 1), before=before)
        self._access(p, READ, rounds, at - hops - 1, x + apart, SENT)
        self._access(p, READ, rounds, at - 1, x, KEPT)
        p.lock("sent", at - hops - 1, 1, rounds)
        p.lock("kept", at - 1, 1, rounds)
        p.lock("links", at - hops, hops, rounds)
        p.issue("link", at - hops, rounds.loops, link_bit=bit, link_slot=SENT)
        flags = self.flags if 2 * apart == self.size else 0
        p.issue("fma", at, rounds.loops, fma_a=LINK, fma_b=ONE, fma_c=KEPT, fma_to=slot, fma_flags=flags)
        return at

    def _access(self, p: Plan, op: int, rounds: Rounds, at: int, word: int, slot: int) -> None:
        mode = XOR_ROW if self.rows else XOR_COLUMN
        p.b(op, at, rounds, self.source, slot, mode=mode, offset=word, **self.moves)
