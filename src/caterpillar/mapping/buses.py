"""Phases that move words over the buses, the ring and the softmax unit.

Each writes its instructions and returns the cycle at which what it makes is ready: from then on it can be read.
"""

from __future__ import annotations

from collections.abc import Sequence

from caterpillar.machine import Machine
from caterpillar.mapping.builder import READ, WRITE, Builder, loop
from caterpillar.mapping.isa import (
    ALL_COLUMNS,
    COLUMN,
    DOWN,
    EXACT,
    FROM_DOWN,
    FROM_PE,
    FROM_SOFTMAX,
    FROM_SRAM,
    LATCH,
    ROTATE_CORE,
    ROW,
    TO_SOFTMAX,
    ZERO,
    beat_cycles,
    softmax_cycles,
    sram_beat_cycles,
)
from caterpillar.mapping.layout import LayerLayout, Source

Sources = Sequence[Source | None]


def gather_ring(
    b: Builder,
    m: Machine,
    start: int,
    *,
    own: int,
    sources: Sequence[Sources],
    to: int,
    pace: int,
    mask: int = EXACT,
    rotate: bool = False,
) -> int:
    """Ring all-gather: position s t + i gets the beats sources[i] of core k + s, t = len(sources).

    A source is (word of MEM B from `own` on, column); None: +0. Beat g of a position goes to the columns that give g
    under the mask. A position takes `pace` cycles, the first from `start` on; its word is ready gather_delay after its
    start, at to + position; rotate: at to + i C + (core's number). Returns when the last word is ready.
    """
    cores, period, held = m.cores, len(sources) * pace, -1
    columns = max(len(beats) for beats in sources)
    for i, beats in enumerate(sources):
        for g, source in enumerate(beats):
            at = start + i * pace + g * beat_cycles(m)
            if source is None:
                loops = [loop(cores, period)]
                b.issue("row_bus", at, loops, row_from=FROM_PE, row_column=0, row_slot=ZERO, row_to=g, row_mask=mask)
                continue
            if source[0] != held:
                held = source[0]
                b.memory_b(READ, at - 1, [], own + held, LATCH + 2)
            _beat_round_the_ring(b, m, at, period=period, column=source[1], to=g, mask=mask)
    delay = gather_delay(m, columns)
    for i in range(len(sources)):
        at = start + i * pace + delay - 1
        if rotate:
            b.memory_b(WRITE, at, [loop(cores, period, offset=1)], to + i * cores, ROW, mode=ROTATE_CORE)
        else:
            b.memory_b(WRITE, at, [loop(cores, period, address=len(sources))], to + i, ROW)
    return start + (cores * len(sources) - 1) * pace + delay


def _beat_round_the_ring(b: Builder, m: Machine, at: int, *, period: int, column: int, to: int, mask: int) -> None:
    """A column's words in LATCH + 2 to the columns `to` of all cores: of core k + s at `at` + s period."""
    there = {"row_to": to, "row_mask": mask}
    send = {"row_send": DOWN} if m.cores > 1 else {}
    b.issue("row_bus", at, [], row_from=FROM_PE, row_column=column, row_slot=LATCH + 2, **there, **send)
    b.issue("row_bus", at + period, [loop(m.cores - 2, period)], row_from=FROM_DOWN, row_send=DOWN, **there)
    if m.cores > 1:
        b.issue("row_bus", at + (m.cores - 1) * period, [], row_from=FROM_DOWN, **there)


def gather_delay(m: Machine, columns: int) -> int:
    """Cycles from a position's first beat until its word is ready in MEM B."""
    return (columns - 1) * beat_cycles(m) + 2


def gather_pace(m: Machine, columns: int, at_least: int) -> int:
    """Cycles a position takes when the ring or the loop that eats it sets the pace; two for the ports of MEM B."""
    return max(2, at_least, columns * beat_cycles(m))


def load_input(b: Builder, m: Machine, start: int, *, layer: LayerLayout, to: int, pace: int) -> int:
    """The next sample from the core SRAM to MEM B, a position each `pace` cycles; returns when the first is ready."""
    beat, columns = sram_beat_cycles(m), layer.lanes // m.pe_rows
    for column in range(columns):
        loops = [loop(layer.positions, pace, row_address=columns)]
        there = {"row_to": column, "row_mask": columns - 1}
        b.issue("row_bus", start + column * beat, loops, row_from=FROM_SRAM, row_address=column, **there)
    delay = (columns - 1) * beat + 2
    b.memory_b(WRITE, start + delay - 1, [loop(layer.positions, pace, address=1)], to, ROW)
    return start + delay


def input_pace(m: Machine, layer: LayerLayout, at_least: int) -> int:
    """Cycles a position of a new sample takes."""
    return max(at_least, layer.lanes // m.pe_rows * sram_beat_cycles(m))


def softmax(b: Builder, m: Machine, start: int, *, layer: LayerLayout, logits: int) -> int:
    """The softmax unit takes the logits (ready at `start`) off the row buses; returns when it has the output errors."""
    held = -1
    for beat in range(layer.beats):
        word, column = divmod(beat, max(1, layer.owners // m.pe_rows))
        if word != held:
            held = word
            b.memory_b(READ, start + beat, [], logits + word, LATCH + 2)
        slot = LATCH + 2
        b.issue("row_bus", start + 1 + beat, row_from=FROM_PE, row_column=column, row_slot=slot, row_to=TO_SOFTMAX)
    b.issue("softmax", start + 1 + layer.beats, softmax_on=layer.outputs)
    return start + 1 + layer.beats + softmax_cycles(m, layer.outputs)


def spread_softmax(b: Builder, m: Machine, start: int, *, outputs: int, to: int) -> int:
    """The output errors from the softmax unit to every PE: MEM B at to + j. Returns when the first is ready."""
    beats = -(-outputs // m.pe_rows)
    loops = [loop(beats, m.pe_rows, row_address=1)]
    b.issue("row_bus", start, loops, row_from=FROM_SOFTMAX, row_to=ALL_COLUMNS, row_address=0)
    _spread_columns(b, m, start + 1, words=outputs, to=to, period=m.pe_rows)
    return start + 3


def spread_errors(
    b: Builder, m: Machine, start: int, *, layer: LayerLayout, own: int, sources: Sources, to: int, rate: int
) -> int:
    """A layer's errors (ready at `start`) to the lanes that own its outputs: MEM B at to + y, of each group its own.

    sources: where each beat of the panel's errors lies, (word of MEM B from `own` on, column). Returns the cycle from
    which on they can be read in order, one every `rate` cycles.
    """
    rows, groups, columns = m.pe_rows, layer.groups, layer.lanes // m.pe_rows
    blocks = -(-layer.padded // rows)
    several = len({source[0] for source in sources if source}) > 1
    # between two blocks the reads of own words would be a third access of MEM B, beside errors written and used
    period = rows + groups - 1 + (3 if several else 0)
    held = -1
    for block in range(blocks):
        for group in range(groups):
            at, beat = start + 1 + block * period + group, group * (layer.padded // rows) + block
            source = sources[beat] if beat < len(sources) else None
            if source and source[0] != held:
                held = source[0]
                b.memory_b(READ, at - 1, [], own + held, LATCH + 2)
            slot, column = (LATCH + 2, source[1]) if source else (ZERO, 0)
            there = {"row_to": group * columns, "row_mask": (m.pe_cols - 1) & ~(columns - 1)}
            b.issue("row_bus", at, [], row_from=FROM_PE, row_column=column, row_slot=slot, **there)
    first = start + 1 + groups
    _spread_columns(b, m, first, words=layer.padded, to=to, period=period)
    ready = [first + 2 + block * period + row for block in range(blocks) for row in range(rows)][: layer.padded]
    return max(at - rate * y for y, at in enumerate(ready))


def _spread_columns(b: Builder, m: Machine, start: int, *, words: int, to: int, period: int) -> None:
    """From the row latches (new ones every `period` cycles) to every PE of the columns, one row after the other."""
    for row in range(min(words, m.pe_rows)):
        loops = [loop(len(range(row, words, m.pe_rows)), period)]
        b.issue("column_bus", start + row, loops, column_row=row, column_slot=ROW)
        b.memory_b(WRITE, start + row + 1, [loop(loops[0].count, period, address=m.pe_rows)], to + row, COLUMN)
