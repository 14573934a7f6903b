"""A hand of dealt units comes to all PEs, round the ring; and values of one core to all its PEs."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from caterpillar.mapping.batches.plan import Need, NoRoom, Plan
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

MOST_WAITS = 8


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
                p.issue(
                    "row_bus", at + 1, [plain, loop(m.pe_cols, sigma, row_to=1)], row_from=FROM_DOWN, row_to=0, **send
                )
            for later, word, some in to:
                when, where = at + 1 + latched(m, sigma) + later, word + number * m.cores
                p.memory_b(WRITE, when, [some], where, ROW, mode=ROTATE_CORE, offset=distance)
            ready = at + m.pe_cols * sigma
    return ready, at + latched(m, sigma) + 2


def spread(
    p: Plan,
    layout: Layout,
    rounds: Loop,
    source: int,
    first: int,
    count: int,
    to: Sequence[tuple[int, int, Loop]],
    earliest: int,
    before: int,
) -> tuple[int, int]:
    """Word `source` of MEM B of lanes first .. first + count - 1, of one column of PEs, to all PEs, in every round.

    They go to words to, to + samples, ..., where to is as in `gather`. Returns when another may follow, and when the
    last is there.
    """
    column, row = divmod(first, layout.machine.pe_rows)
    many, found = loop(count, 1), list[tuple[int, int, list[Need]]]()
    for waits in range(MOST_WAITS):  # in the latch of MEM B, for the row latches
        needs: list[Need] = [("mem_b", 0, []), ("beats sent", 0, [loop(waits + 1, 1)]), ("row_bus", waits + 1, [])]
        needs += [("rows", waits + 2, [many]), ("column_bus", waits + 2, [many]), ("mem_b", waits + 3, [many])]
        with suppress(NoRoom):
            at = p.free_in(needs, [rounds], earliest, before=before - waits - 3 - count)
            found.append((at + waits, at, needs))
            if at == earliest:
                break
    if not found:
        raise NoRoom(f"no way for own values to all PEs before {before}")
    row_bus, at, needs = min(found, key=lambda one: one[:2])
    p.place(needs, [rounds], at, before=at + 1)
    p.memory_b(READ, at, [rounds], source, SENT)
    p.issue("row_bus", row_bus + 1, [rounds], row_from=FROM_PE, row_column=column, row_slot=SENT, row_to=ALL_COLUMNS)
    columns = [rounds, loop(count, 1, column_row=1)]
    p.issue("column_bus", row_bus + 2, columns, column_row=row, column_slot=ROW)
    for later, word, some in to:
        along = [some, loop(count, 1, address=layout.samples)]
        p.memory_b(WRITE, row_bus + 3 + later, along, word, COLUMN)
    return at + 1, row_bus + 3 + count
