"""Direct feedback alignment: a hidden layer's errors from the output errors, in place of its activations.

The output errors of a sample come from the lanes that keep them over row and column buses, one after the other; each is
multiplied by the rows of B_l of a lane's own outputs.
"""

from __future__ import annotations

from caterpillar.mapping.batches.plan import Plan
from caterpillar.mapping.builder import READ, WRITE, loop
from caterpillar.mapping.isa import (
    ALL_COLUMNS,
    BACKWARD,
    COLUMN,
    FROM_PE,
    LATCH,
    MEM_A,
    REGISTER,
    ROW,
    SLOPE,
    ZERO,
)
from caterpillar.mapping.tiled.layout import Layout


def direct_errors(p: Plan, layout: Layout, index: int, start: int) -> int:
    """Own errors of hidden layer `index`, for the whole batch, to MEM A; returns when they are there."""
    own, registers = layout.layers[index - 1].own, layout.machine.pe_registers
    with p.phase(f"errors {index}", BACKWARD):
        for first in range(0, own, registers):
            start = _errors(p, layout, index, range(first, min(first + registers, own)), start)
    return start


def _errors(p: Plan, layout: Layout, index: int, positions: range, start: int) -> int:
    """Of some own positions. An output error's cycles have two in which MEM A's port brings the next beat of them."""
    m, outputs, batch, count = layout.machine, layout.last.layers[-1].outputs, layout.batch, len(positions)
    pace = max(m.fma_latency, count + 2)
    first, length = start + count + 3, (outputs - 1) * pace  # the first product; from there to the last output error's
    written = max(m.fma_latency, count)  # cycles from the last product on
    period = count + 3 + length + written + count
    every, along = [loop(batch, period)], [loop(batch, period, address=1)]
    for k, position in enumerate(positions):
        word, row = layout.own[index] + position * batch, layout.fixed[index] + position * layout.fixed_words(index)
        p.memory_a(READ, start + k, along, word, MEM_A)
        p.memory_b(WRITE, start + k + 1, every, k, MEM_A)
        end = first + length + k
        p.memory_a(READ, first + k - 1, [*every, loop(outputs, pace, address=1)], row, MEM_A)
        p.memory_b(READ, end - 1, every, k, LATCH)
        each = {"fma_a": COLUMN, "fma_b": MEM_A}
        p.issue("fma", first + k, every if outputs > 1 else [loop(0, 0)], fma_c=ZERO, fma_to=REGISTER + k, **each)
        middle = [*every, loop(outputs - 2, pace)]
        p.issue("fma", first + k + pace, middle, fma_c=REGISTER + k, fma_to=REGISTER + k, **each)
        sum_ = REGISTER + k if outputs > 1 else ZERO
        p.issue("fma", end, every, fma_c=sum_, fma_to=REGISTER + k, fma_flags=SLOPE, fma_gate=LATCH, **each)
        p.memory_a(WRITE, end + written, along, word, REGISTER + k)
    for beat in range(-(-outputs // m.pe_rows)):
        position, column = divmod(beat, m.pe_cols)
        at = first + beat * m.pe_rows * pace
        p.memory_a(READ, at - 3, along, (layout.last.kept or 0) + position * batch, MEM_A)
        p.issue("row_bus", at - 2, every, row_from=FROM_PE, row_column=column, row_slot=MEM_A, row_to=ALL_COLUMNS)
        rows = loop(min(m.pe_rows, outputs - beat * m.pe_rows), pace, column_row=1)
        p.issue("column_bus", at - 1, [*every, rows], column_row=0, column_slot=ROW)
    return start + batch * period
