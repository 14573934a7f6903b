"""A sample's tick where weights stream: forward through all layers, softmax, then backward and update."""

from __future__ import annotations

from caterpillar.machine import Machine
from caterpillar.mapping.builder import READ, WRITE, Builder, loop
from caterpillar.mapping.isa import (
    BACKWARD_UPDATE,
    COLLECTIVE,
    COLUMN,
    DIAGONAL,
    DOWN,
    FORWARD,
    FROM_DOWN,
    FROM_PE,
    LATCH,
    ROW,
    TO_SRAM,
    UPDATE,
    MicroProgram,
    beat_cycles,
    sram_beat_cycles,
)
from caterpillar.mapping.paper.feedback import direct_errors
from caterpillar.mapping.paper.forward import all_gather, reduce_columns
from caterpillar.mapping.paper.scatter import reduce_scatter
from caterpillar.mapping.paper.streamed.layout import StreamedLayout
from caterpillar.mapping.paper.streamed.passes import products, update
from caterpillar.mapping.paper.tick import output_errors
from caterpillar.mapping.phases import copy


def streamed_tick(layout: StreamedLayout, m: Machine) -> MicroProgram:
    """The micro-program of a sample; the next begins when it has ended."""
    b, depth, ready = Builder(), len(layout.layers), 0
    for index in range(1, depth + 1):
        ready = _forward(b, layout, m, index, ready)
    ready = output_errors(b, layout, m, ready)
    direct = layout.fixed[0] is not None
    for index in range(depth, 1, -1):
        ready = _direct(b, layout, m, index, ready) if direct else _backward(b, layout, m, index, ready)
    ready = _direct(b, layout, m, 1, ready)
    return b.program(ready)


def _direct(b: Builder, layout: StreamedLayout, m: Machine, index: int, ready: int) -> int:
    """A layer whose inputs' errors nobody needs: its own errors, if a fixed matrix makes them, and its update."""
    matrix = layout.fixed[index - 1]
    if matrix:
        ready = direct_errors(b, layout, m, index, ready, matrix=matrix, kept=layout.kept[index - 1])
    for part in _parts(layout, index):
        ready = _gather(b, layout, m, index, ready, part=part)
        with b.phase(f"update {index}", UPDATE):
            ready = update(b, layout, m, index, ready, **_positions(layout, index, part), back=False)
    return ready


def _parts(layout: StreamedLayout, index: int) -> list[tuple[int, int]]:
    """The chunks of a layer's inputs that core SRAM has room for at a time: first, and end."""
    chunks, step = layout.layers[index - 1].chunks, layout.gathered_chunks
    return [(begin, min(chunks, begin + step)) for begin in range(0, chunks, step)]


def _positions(layout: StreamedLayout, index: int, part: tuple[int, int]) -> dict[str, int]:
    """A part's positions, and where their inputs are in core SRAM."""
    (begin, end), chunk = part, layout.layers[index - 1].chunk
    return {
        "inputs": layout.inputs_at if index > 1 else 0,
        "first": begin * chunk,
        "positions": (end - begin) * chunk,
    }


def _forward(b: Builder, layout: StreamedLayout, m: Machine, index: int, ready: int) -> int:
    """One layer; returns when a core has its own outputs, or all the logits."""
    for part in _parts(layout, index):
        ready = _gather(b, layout, m, index, ready, part=part)
        with b.phase(f"forward {index}", FORWARD):
            ready = products(b, layout, m, index, ready, **_positions(layout, index, part))
    with b.phase(f"reduce {index}", COLLECTIVE):
        ready = reduce_columns(b, layout, m, index, ready)
    with b.phase(f"all-gather {index}", COLLECTIVE, "collective"):
        if index == len(layout.layers):
            return all_gather(b, layout, m, index, ready)
        if layout.fixed[index - 1]:
            words, kept = layout.words(layout.layers[index - 1].sums), layout.kept[index - 1]
            ready = copy(b, ready, source=layout.reduced, to=kept, words=words)
        return _transpose(b, layout, index, ready)


def _transpose(b: Builder, layout: StreamedLayout, index: int, start: int) -> int:
    """A core's own outputs through the diagonal to where the next layer's inputs belong; returns when all are."""
    sums, rows = layout.layers[index - 1].sums, layout.rows
    for group in range(layout.words(sums)):
        at, count = start + group * rows, min(rows, sums - group * rows)
        b.memory_b(READ, at, [], layout.reduced + group, LATCH + 2)
        b.issue("column_bus", at + 1, [loop(count, 1, column_row=1)], column_row=0, column_slot=LATCH + 2)
        fields = {"row_from": FROM_PE, "row_column": DIAGONAL, "row_slot": COLUMN}
        b.issue("row_bus", at + 2, [loop(count, 1, row_to=1)], **fields, row_to=0)
        b.memory_b(WRITE, at + 2 + count, [], layout.own[index] + group, ROW)
    return start + sums + 4


def _gather(b: Builder, layout: StreamedLayout, m: Machine, index: int, start: int, *, part: tuple[int, int]) -> int:
    """Some chunks of the inputs of a layer after the first, to core SRAM; returns when it is free again.

    Chunk 0 is the core's own; the others come down the ring, and wait in its queue from one part to the next.
    """
    if index == 1:
        return start
    (begin, end), beats, to = part, layout.layers[index - 1].chunk, layout.inputs_at
    pace = max(beat_cycles(m), sram_beat_cycles(m))
    at, period = start + 1, beats * pace
    with b.phase(f"all-gather {index - 1}", COLLECTIVE, "collective"):
        if begin == 0:
            _send_own(b, layout, m, index, at, pace=pace)
        first, last = max(begin, 1), min(end, m.cores - 1)
        each = loop(beats, pace, row_address=1)
        fields = {"row_from": FROM_DOWN, "row_to": TO_SRAM}
        passed = [loop(last - first, period, row_address=beats), each]
        when, beat = at + (first - begin) * period, to + (first - begin) * beats
        b.issue("row_bus", when, passed, **fields, row_send=DOWN, row_address=beat)
        if end == m.cores > 1:
            when, beat = at + (last - begin) * period, to + (last - begin) * beats
            b.issue("row_bus", when, [each], **fields, row_address=beat)
    return at + ((end - begin) * beats - 1) * pace + sram_beat_cycles(m)


def _send_own(b: Builder, layout: StreamedLayout, m: Machine, index: int, at: int, *, pace: int) -> None:
    """A core's own inputs of a layer from MEM B to core SRAM and down the ring, the first at `at`."""
    beats, rows = layout.layers[index - 1].chunk, layout.rows
    words = [loop(layout.words(beats), rows * pace, address=1)]
    b.memory_b(READ, at - 1, words, layout.own[index - 1], LATCH + 2)
    for column in range(min(rows, beats)):
        each = [loop(len(range(column, beats, rows)), rows * pace, row_address=rows)]
        fields = {"row_from": FROM_PE, "row_column": column, "row_slot": LATCH + 2, "row_to": TO_SRAM}
        fields |= {"row_send": DOWN} if m.cores > 1 else {}
        b.issue("row_bus", at + column * pace, each, **fields, row_address=layout.inputs_at + column)


def _backward(b: Builder, layout: StreamedLayout, m: Machine, index: int, ready: int) -> int:
    """One layer after the first: its inputs gathered once more, then some chunks at a time, the farthest first."""
    ready = _gather(b, layout, m, index, ready, part=(0, m.cores))
    chunk, end = layout.layers[index - 1].chunk, m.cores
    while end:
        part = max(0, end - layout.part), end
        which = _positions(layout, index, part)
        which["inputs"] += part[0] * chunk
        with b.phase(f"backward {index}, update {index}", BACKWARD_UPDATE):
            ready = update(b, layout, m, index, ready, **which, back=True)
        with b.phase(f"reduce-scatter {index}", COLLECTIVE, "collective"):
            ready = reduce_scatter(b, layout, m, index, ready, part=part)
        end = part[0]
    return ready
