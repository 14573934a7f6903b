"""Backward through one layer with its update, and the first layer's update: passes over the weights.

The roles of rows and columns are swapped: errors lie along the columns, inputs and their errors along the rows.
"""

from __future__ import annotations

from caterpillar.machine import Machine
from caterpillar.mapping.builder import READ, WRITE, Builder, loop
from caterpillar.mapping.isa import (
    ACCUMULATOR,
    ALL_COLUMNS,
    FROM_PE,
    FROM_SRAM,
    LATCH,
    MEM_A,
    NEGATE,
    RATE,
    REGISTER,
    RESULT,
    ROW,
    ZERO,
    sram_beat_cycles,
)
from caterpillar.mapping.paper.layout import PaperLayer, PaperLayout, up
from caterpillar.mapping.split import back_unit


def _slots(m: Machine) -> tuple[int, int]:
    """Cycles from a weight's read to its update and to its input's error: what is written back meets no read."""
    return (2, 1) if m.fma_latency % 2 else (1, 2)


def backward_update(b: Builder, layout: PaperLayout, m: Machine, index: int, start: int, *, back: bool = True) -> int:
    """A pass over the weights: each is read once, adds to its input's error (back), is updated; two cycles a weight.

    Positions come `back_unit` at a time, output by output. Scaled inputs are broadcast on the row buses; a PE's share
    of an input's error goes to MEM B at layout.sums + position. The first weight is read at start + 2; returns when all
    is done.
    """
    layer, width, latency = layout.layers[index - 1], back_unit(m), m.fma_latency
    update, error = _slots(m)
    at, groups, period = start + 2, layer.positions // width, 2 * width * layer.sums
    _broadcast(b, layout, layer, at, first=at + update - 1, words=layout.gathered[index - 1], width=width)
    weights = [
        loop(groups, period, address=width * layer.sums),
        loop(layer.sums, 2 * width, address=1),
        loop(width, 2, address=layer.sums),
    ]
    b.memory_a(READ, at, weights, layer.address, MEM_A)
    b.memory_a(WRITE, at + update + latency, weights, layer.address, RESULT)
    b.memory_b(READ, at, [loop(groups, period), loop(layer.sums, 2 * width, address=1)], layout.errors, LATCH)
    plain = [loop(one.count, one.period) for one in weights]
    b.issue("fma", at + update, plain, fma_a=ROW, fma_b=LATCH, fma_c=MEM_A, fma_flags=NEGATE)
    each = [loop(groups, period)]
    for a in range(width if back else 0):
        when, total = at + error + 2 * a, ACCUMULATOR + a
        last = when + 2 * width * (layer.sums - 1)
        if layer.sums > 1:
            b.issue("fma", when, each, fma_a=MEM_A, fma_b=LATCH, fma_c=ZERO, fma_to=total)
            more = [*each, loop(layer.sums - 2, 2 * width)]
            b.issue("fma", when + 2 * width, more, fma_a=MEM_A, fma_b=LATCH, fma_c=total, fma_to=total)
        b.issue("fma", last, each, fma_a=MEM_A, fma_b=LATCH, fma_c=total if layer.sums > 1 else ZERO)
        b.memory_b(WRITE, last + latency, [loop(groups, period, address=width)], layout.sums + a, RESULT)
    return at + 2 * layer.positions * layer.sums + latency + 1


def _broadcast(
    b: Builder, layout: PaperLayout, layer: PaperLayer, at: int, *, first: int, words: int, width: int
) -> None:
    """A beat on the row buses for every weight, the first at `first`; words are read in odd cycles after `at`."""
    rows, period = layout.rows, 2 * width * layer.sums
    groups, a_word = layer.chunk // width, max(1, rows // width)
    again = [loop(layer.sums, 2 * width)]
    for turn in range(min(a_word, groups)):
        outer = [
            loop(layer.chunks, groups * period, address=layout.words(layer.chunk)),
            loop(len(range(turn, groups, a_word)), a_word * period, address=max(1, width // rows)),
        ]
        plain = [loop(one.count, one.period) for one in outer]
        for a in range(width):
            column = (turn * width + a) % rows
            if width > rows and column == 0:
                b.memory_b(READ, at - 1 + 2 * a, [*outer, *again], words + a // rows, LATCH + 2)
            fields = {"row_from": FROM_PE, "row_column": column, "row_slot": LATCH + 2, "row_to": ALL_COLUMNS}
            b.issue("row_bus", first + turn * period + 2 * a, [*plain, *again], **fields)
        if width <= rows and turn == 0:
            b.memory_b(READ, at - 1, outer, words, LATCH + 2)


def update_first(b: Builder, layout: PaperLayout, m: Machine, start: int) -> int:
    """The first layer's weights, updated; two cycles a weight. Returns when the next tick can begin.

    Then all are written, and the core SRAM, from which inputs come a second time, can give the next tick's first in its
    cycle 1. Inputs are multiplied by the learning rate between two updates.
    """
    layer, latency = layout.layers[0], m.fma_latency
    update, _ = _slots(m)
    ahead = latency + 1 - latency % 2  # from the scaling to the first update: an odd number
    period = up(max(2 * layer.sums, sram_beat_cycles(m)), 2)
    at = start + max(0, ahead + 1 - update)
    beats = [loop(layer.beats, period, row_address=1)]
    b.issue("row_bus", at + update - ahead - 1, beats, row_from=FROM_SRAM, row_to=ALL_COLUMNS, row_address=0)
    registers = update_registers(layer, m)
    for turn in range(registers):
        each = [loop(len(range(turn, layer.beats, registers)), registers * period)]
        when = at + update + turn * period
        b.issue("fma", when - ahead, each, fma_a=RATE, fma_b=ROW, fma_c=ZERO, fma_to=REGISTER + turn)
        own = [*each, loop(layer.sums, 2)]
        b.issue("fma", when, own, fma_a=REGISTER + turn, fma_b=LATCH, fma_c=MEM_A, fma_flags=NEGATE)
    weights = [loop(layer.beats, period, address=layer.sums), loop(layer.sums, 2, address=1)]
    b.memory_a(READ, at, weights, layer.address, MEM_A)
    b.memory_a(WRITE, at + update + latency, weights, layer.address, RESULT)
    b.memory_b(READ, at + update - 1, [loop(layer.beats, period), loop(layer.sums, 2, address=1)], layout.errors, LATCH)
    last = at + (layer.beats - 1) * period + update
    return max(last + 2 * (layer.sums - 1) + latency + 1, last - ahead - 1 + sram_beat_cycles(m) - 1)


def update_registers(layer: PaperLayer, m: Machine) -> int:
    """Registers for scaled inputs: one is written while another is in use."""
    ahead = m.fma_latency + 1 - m.fma_latency % 2
    period = up(max(2 * layer.sums, sram_beat_cycles(m)), 2)
    return -(-(2 * (layer.sums - 1) + ahead) // period)
