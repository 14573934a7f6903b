"""A batch forward through a layer: a sample's products with the ring beside them, and its sums over the rows of PEs."""

from __future__ import annotations

from caterpillar.machine import Machine
from caterpillar.mapping.builder import READ, WRITE, Builder, loop
from caterpillar.mapping.isa import (
    ALL_COLUMNS,
    BACKWARD_UPDATE,
    COLLECTIVE,
    COLUMN,
    DIAGONAL,
    FORWARD,
    FROM_PE,
    FROM_SOFTMAX,
    FROM_SRAM,
    LATCH,
    ROTATE_CORE,
    ROW,
    TO_SRAM,
    ZERO,
    beat_cycles,
    sram_beat_cycles,
)
from caterpillar.mapping.paper.batches.layout import BatchLayout, forward_blocks
from caterpillar.mapping.paper.batches.stream import around, blank
from caterpillar.mapping.paper.forward import all_gather, block, reduce_columns
from caterpillar.mapping.paper.layout import PaperLayer
from caterpillar.mapping.paper.tick import start_softmax


def forward_layer(b: Builder, layout: BatchLayout, m: Machine, index: int, ready: int) -> int:
    """A layer before the last, all samples; returns when their outputs are in core SRAM.

    A sample's outputs go there beside the next one's products, if there is room on the buses.
    """
    layer = layout.layers[index - 1]
    for sample in range(layout.batch):
        if sample:
            start = beside(m, layer, ready, beats=layer.sums)
            pace, to = start and pace_of(m, layer, 0), layout.source(index + 1, sample - 1)
            with b.phase(f"all-gather {index}", COLLECTIVE, "compute" if start is None else "collective"):
                at = start or ready + 2
                end = keep(b, layout, m, layer.sums, at, words=layout.reduced, to=to, pace=pace)
            ready = end if start is None else ready
        with b.phase(f"forward {index}", FORWARD):
            ready = products(b, m, layer, ready, source=layout.source(index, sample), to=layout.sums)
        with b.phase(f"reduce {index}", COLLECTIVE):
            ready = reduce_columns(b, layout, m, index, ready)
    with b.phase(f"all-gather {index}", COLLECTIVE):
        to = layout.source(index + 1, layout.batch - 1)
        return keep(b, layout, m, layer.sums, ready + 2, words=layout.reduced, to=to)


def pace_of(m: Machine, layer: PaperLayer, number: int) -> int:
    """Cycles a position, in a block of outputs."""
    _, count = forward_blocks(layer, m)[number]
    return max(count, sram_beat_cycles(m), beat_cycles(m) if layer.chunks > 1 else 0)


def products(b: Builder, m: Machine, layer: PaperLayer, start: int, *, source: int, to: int) -> int:
    """Partial sums of a sample's own outputs, to MEM B at `to`; returns when all are ready.

    Each core's inputs come from its SRAM, from beat `source` on, once for each block of outputs. The first multiply-add
    is issued at start + 2.
    """
    at, ready = start + 2, start
    for number, (first, count) in enumerate(forward_blocks(layer, m)):
        pace = pace_of(m, layer, number)
        period, inner = layer.chunk * pace, [loop(layer.beats, pace, row_address=1)]
        around(b, at - 1, chunks=layer.chunks, period=period, source=source, outer=[], inner=inner)
        padding = [loop(layer.chunks, period), loop(layer.chunk - layer.beats, pace)]
        blank(b, at - 1 + layer.beats * pace, loops=padding)
        ready = block(b, m, layer, at, first=first, count=count, pace=pace, to=to + first)
        at += layer.positions * pace
    return ready


def beside(m: Machine, layer: PaperLayer, start: int, *, beats: int) -> int | None:
    """When the first of some beats can go to core SRAM beside products that start then, one a position; None: never.

    Between two of the core's own beats, which come from that SRAM, or while the ring's beats are used.
    """
    pace, sram, first = pace_of(m, layer, 0), sram_beat_cycles(m), start + 1
    if 2 * sram <= pace and beats < layer.positions:
        return first + sram
    if pace > 1 and beats < (layer.chunks - 1) * layer.chunk:
        return first + layer.chunk * pace + 1
    return None


def keep(
    b: Builder, layout: BatchLayout, m: Machine, sums: int, at: int, *, words: int, to: int, pace: int | None = None
) -> int:
    """A sample's finished sums from MEM B, at `words`, to core SRAM, from beat `to` on; returns when it is free again.

    A row of PEs puts its own on the column buses, the diagonal puts them on the row buses: the first at cycle `at`, in
    which they must have been ready for two cycles; the next `pace` cycles after.
    """
    pace, rows = pace or sram_beat_cycles(m), layout.rows
    b.memory_b(READ, at - 2, [loop(layout.words(sums), rows * pace, address=1)], words, LATCH + 2)
    for row in range(min(rows, sums)):
        each = loop(len(range(row, sums, rows)), rows * pace, row_address=rows)
        when = at + row * pace
        b.issue("column_bus", when - 1, [loop(each.count, each.period)], column_row=row, column_slot=LATCH + 2)
        fields = {"row_from": FROM_PE, "row_column": DIAGONAL, "row_slot": COLUMN, "row_to": TO_SRAM}
        b.issue("row_bus", when, [each], **fields, row_address=to + row)
    return at + (sums - 1) * pace + sram_beat_cycles(m)


def last_layer(b: Builder, layout: BatchLayout, m: Machine, ready: int) -> int:
    """All samples through the last layer, and their output errors, to core SRAM; returns when these are there.

    The softmax unit has a sample while the next one's logits are made.
    """
    index, done = len(layout.layers), 0
    for sample in range(layout.batch):
        with b.phase(f"forward {index}", FORWARD):
            source = layout.source(index, sample)
            ready = products(b, m, layout.layers[-1], ready, source=source, to=layout.sums)
        with b.phase(f"reduce {index}", COLLECTIVE):
            ready = reduce_columns(b, layout, m, index, ready)
        with b.phase(f"all-gather {index}", COLLECTIVE):
            ready = all_gather(b, layout, m, index, ready)
        if sample:
            ready = _output_errors(b, layout, m, max(ready, done), sample - 1)
        ready, done = start_softmax(b, layout, m, ready, sample=sample)
    return _output_errors(b, layout, m, max(ready, done), layout.batch - 1)


def _output_errors(b: Builder, layout: BatchLayout, m: Machine, start: int, sample: int) -> int:
    """A sample's errors from the softmax unit to core SRAM: the core's own, and all of them for direct feedback."""
    layer, rows, sram = layout.layers[-1], layout.rows, sram_beat_cycles(m)
    beats, spread = -(-layer.outputs // rows), layout.sums + layout.words(layer.sums) * m.cores
    pace = max(2, sram) if layout.direct else 1
    with b.phase("spread errors", BACKWARD_UPDATE):
        clear = layer.sums * m.cores
        b.memory_b(WRITE, start, [loop(clear, 1, address=1)], spread, ZERO)
        at = start + clear
        every = [loop(beats, pace, row_address=1)]
        b.issue("row_bus", at, every, row_from=FROM_SOFTMAX, row_to=ALL_COLUMNS, row_address=0)
        b.issue("column_bus", at + 1, [loop(beats, pace)], column_row=DIAGONAL, column_slot=ROW)
        for beat in range(beats):
            core, position = divmod(beat, layer.sums)
            b.memory_b(WRITE, at + 2 + beat * pace, [], spread + position * m.cores + core, COLUMN)
        if layout.direct:
            to = layout.output_errors_at + sample * beats
            fields = {"row_from": FROM_PE, "row_column": 0, "row_slot": ROW, "row_to": TO_SRAM}
            b.issue("row_bus", at + 1, every, **fields, row_address=to)
        at += beats * pace + 2
        each = [loop(layer.sums, sram, address=m.cores)]
        b.memory_b(READ, at, each, spread, LATCH + 2, mode=ROTATE_CORE)
        fields = {"row_from": FROM_PE, "row_column": DIAGONAL, "row_slot": LATCH + 2, "row_to": TO_SRAM}
        to = layout.errors_of(len(layout.layers), sample)
        b.issue("row_bus", at + 1, [loop(layer.sums, sram, row_address=1)], **fields, row_address=to)
    return at + 1 + layer.sums * sram


def load_errors(b: Builder, m: Machine, start: int, *, source: int, beats: int, again: tuple[int, int], to: int) -> int:
    """Beats of core SRAM to MEM B, a word in every PE of a column each; returns when they are there.

    `beats` from beat `source` on, and `again` = (count, stride): so often, as many beats further on each time.
    """
    count, stride = again
    pace = sram_beat_cycles(m)
    each = [loop(count, beats * pace, row_address=stride), loop(beats, pace, row_address=1)]
    b.issue("row_bus", start, each, row_from=FROM_SRAM, row_to=ALL_COLUMNS, row_address=source)
    b.issue("column_bus", start + 1, [loop(count * beats, pace)], column_row=DIAGONAL, column_slot=ROW)
    b.memory_b(WRITE, start + 2, [loop(count * beats, pace, address=1)], to, COLUMN)
    return start + (count * beats - 1) * pace + max(3, pace)
