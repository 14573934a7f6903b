"""Beats of core SRAM onto all cores' row buses: each core's own, then over the ring those of the next cores in turn."""

from __future__ import annotations

from collections.abc import Sequence

from caterpillar.mapping.builder import Builder, loop
from caterpillar.mapping.isa import ALL_COLUMNS, DOWN, FROM_DOWN, FROM_PE, FROM_SRAM, ZERO, Loop


def around(
    b: Builder, at: int, *, chunks: int, period: int, source: int, outer: Sequence[Loop], inner: Sequence[Loop]
) -> None:
    """`chunks` cores' beats to all columns, core after core `period` cycles apart, the core's own at cycle `at`.

    Inner loops step the beats of a core, outer ones repeat all of it; strides of "row_address" step the core SRAM from
    beat `source` on. A beat that has been used goes on, unless the next core has had it.
    """
    send = DOWN if chunks > 1 else 0
    fields = {"row_to": ALL_COLUMNS}
    b.issue("row_bus", at, [*outer, *inner], row_from=FROM_SRAM, row_send=send, row_address=source, **fields)
    around_, within = ([Loop(one.count, one.period) for one in some] for some in (outer, inner))
    fields |= {"row_from": FROM_DOWN}
    passed = [*around_, loop(chunks - 2, period), *within]
    b.issue("row_bus", at + period, passed, row_send=DOWN, **fields)
    if chunks > 1:
        b.issue("row_bus", at + (chunks - 1) * period, [*around_, *within], **fields)


def blank(b: Builder, at: int, *, loops: Sequence[Loop]) -> None:
    """Beats of +0 to all columns, for positions that are padding."""
    b.issue("row_bus", at, loops, row_from=FROM_PE, row_column=0, row_slot=ZERO, row_to=ALL_COLUMNS)
