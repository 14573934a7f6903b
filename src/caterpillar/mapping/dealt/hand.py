"""A hand of dealt units comes to all PEs, round the ring; and values of one core to all its PEs."""

from __future__ import annotations

from collections.abc import Sequence

from caterpillar.mapping.batches.plan import Need, Plan
from caterpillar.mapping.builder import READ, WRITE, loop
from caterpillar.mapping.dealt.layout import Layout
from caterpillar.mapping.isa import (
    ALL_COLUMNS,
    COLUMN,
    DOWN,
    FROM_DOWN,
    FROM_PE,
    FROM_SRAM,
    ROTATE_CORE,
    ROW,
    Loop,
)
from caterpillar.mapping.tiled.ways import SENT, beats, latched, sending, spacing, taken


def gather(
    p: Plan,
    layout: Layout,
    rounds: Loop,
    source: int,
    to: Sequence[tuple[int, int, Loop]],
    earliest: int,
    before: int,
) -> tuple[int, int]:
    """The units of a hand in every round, of each core one after the other.

    Returns when another hand may follow, and when the last unit is there.

    source: beat of the core SRAM (rounds step row_address), or word of MEM B as ~word (one word a unit).
    to: (later by, word of MEM B, loop over some of the rounds).
    """
    ready, at, m = earliest, earliest, layout.machine
    sram = source >= 0
    sigma = spacing(m, sram=sram, ring=True)
    plain = loop(rounds.count, rounds.period)
    for number in range(layout.units):
        for distance in range(m.cores):
            needs = [*beats(m, 1, sram=sram, ring="down"), *taken(m, 1, sigma, "b")]
            own = distance == 0 and not sram
            needs += sending(m, sigma) if own else []
            at = p.place(needs, [plain], ready, before=before - latched(m, sigma) - 1)
            send = {"row_send": DOWN} if distance < m.cores - 1 else {}
            if own:
                p.memory_b(READ, at, [plain], ~source + number, SENT)
                loops = [plain, loop(m.pe_cols, sigma, row_to=1, row_column=1)]
                p.issue("row_bus", at + 1, loops, row_from=FROM_PE, row_column=0, row_slot=SENT, row_to=0, **send)
            elif distance == 0:
                loops = [rounds, loop(m.pe_cols, sigma, row_to=1, row_address=1)]
                beat = source + number * m.pe_cols
                p.issue("row_bus", at + 1, loops, row_from=FROM_SRAM, row_to=0, row_address=beat, **send)
            else:
                p.issue("row_bus", at + 1, [plain, loop(m.pe_cols, sigma, row_to=1)], row_from=FROM_DOWN, row_to=0, **send)
            for later, word, some in to:
                when, where = at + 1 + latched(m, sigma) + later, word + number * m.cores
                p.memory_b(WRITE, when, [some], where, ROW, mode=ROTATE_CORE, offset=distance)
            ready = at + m.pe_cols * sigma
    return ready, at + latched(m, sigma) + 2


def spread(
    p: Plan, layout: Layout, rounds: Sequence[Loop], source: int, first: int, count: int, to: int, earliest: int, before: int
) -> int:
    """Word `source` of MEM B of lanes first .. first + count - 1, of one column of PEs, to all PEs.

    They go to words to, to + samples, ...; returns when another may follow.
    """
    rows = layout.machine.pe_rows
    column, row = divmod(first, rows)
    many = loop(count, 1)
    needs: list[Need] = [("mem_b", 0, []), ("beats sent", 0, []), ("row_bus", 1, []), ("rows", 2, [many])]
    needs += [("column_bus", 2, [many]), ("mem_b", 3, [many])]
    at = p.place(needs, rounds, earliest, before=before - 3 - count)
    p.memory_b(READ, at, rounds, source, SENT)
    p.issue("row_bus", at + 1, rounds, row_from=FROM_PE, row_column=column, row_slot=SENT, row_to=ALL_COLUMNS)
    p.issue("column_bus", at + 2, [*rounds, loop(count, 1, column_row=1)], column_row=row, column_slot=ROW)
    p.memory_b(WRITE, at + 3, [*rounds, loop(count, 1, address=layout.samples)], to, COLUMN)
    return at + 1
