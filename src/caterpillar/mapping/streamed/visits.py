"""Error sums of a pass on their way over chains and cores: each visit adds a core's share of one position.

Positions come from the last to the first, so a core's own come at the end of the pass; those of the core above have
been round the whole ring by then. A visit falls into the gap after its position, behind the next position's inputs,
which go the same way, so that every core sends and takes beats in one order.
"""

from __future__ import annotations

from caterpillar.mapping.builder import ScheduleError
from caterpillar.mapping.isa import EXACT, FROM_PE, FROM_UP, LATCH, NONE, NOWHERE, ONE, RESULT, ROW, SLOPE, UP, ZERO
from caterpillar.mapping.streamed.passes import CARRIED, SUMS, Pass

GATE = LATCH + 3


def visits(p: Pass, *, gates: int, to: int) -> int:
    """Errors of the core's own inputs to MEM B at `to`; returns when all are ready. gates: own activations."""
    b, t, chunk, cores = p.b, p.t, p.t.layer.chunk, p.t.machine.cores
    at, outer = p.rounds()
    with b.account("backward"):
        for first, count in t.halvings:
            for k in range(count):
                begun = count < t.chains // 2
                other, kept = (SUMS + i if begun or i < t.share.outputs else ZERO for i in (count + k, k))
                b.issue("fma", at + first + k, [outer], fma_a=other, fma_b=ONE, fma_c=kept, fma_to=SUMS + k)
    if cores > 1:
        _send(p, 0, chunk, SUMS)
        _take(p, chunk, cores * chunk)
        at, outer = p.rounds(chunk, (cores - 1) * chunk)
        when = at + t.period + t.visit
        b.issue("fma", when, [outer], fma_a=ROW, fma_b=ONE, fma_c=SUMS, fma_to=CARRIED)
        _send(p, chunk, (cores - 1) * chunk, CARRIED)
    ready = 0
    for i in range(chunk):
        at, _ = p.rounds((cores - 1) * chunk + i)
        when, word = at + t.period + t.visit, chunk - 1 - i
        b.load_within(when - t.period + 1, when - 1, gates + word, GATE)
        a, c = (ROW, SUMS) if cores > 1 else (SUMS, ZERO)
        out = when + t.machine.fma_latency
        stored = b.store_within(out, out, to + word, RESULT)
        carried = CARRIED if stored is None else NONE
        b.issue("fma", when, fma_a=a, fma_b=ONE, fma_c=c, fma_flags=SLOPE, fma_gate=GATE, fma_to=carried)
        if stored is None:
            stored = b.store_within(out, when + t.period, to + word, CARRIED)
        if stored is None:
            raise ScheduleError(f"no port of MEM B is free for an error after cycle {out}")
        ready = max(ready, stored + 1)
    return ready


def _take(p: Pass, first: int, last: int) -> None:
    """What the core below sent of these positions."""
    at, outer = p.rounds(first, last)
    for g in range(p.t.machine.pe_cols):
        when = at + p.t.period + p.t.taken + g * p.t.pace
        p.b.issue("row_bus", when, [outer], row_from=FROM_UP, row_to=g, row_mask=EXACT)


def _send(p: Pass, first: int, last: int, slot: int) -> None:
    """Sums of these positions up the ring."""
    at, outer = p.rounds(first, last)
    for g in range(p.t.machine.pe_cols):
        when = at + p.t.period + p.t.leaves + g * p.t.pace
        fields = {"row_column": g, "row_slot": slot, "row_to": NOWHERE, "row_send": UP}
        p.b.issue("row_bus", when, [outer], row_from=FROM_PE, **fields)
