"""Forward through one layer: products, reduction in the columns, transpose on the diagonal, ring all-gather."""

from __future__ import annotations

from caterpillar.machine import Machine
from caterpillar.mapping.builder import READ, WRITE, Builder, loop
from caterpillar.mapping.isa import (
    ACCUMULATOR,
    ALL_COLUMNS,
    COLUMN,
    DIAGONAL,
    DOWN,
    FROM_DOWN,
    FROM_PE,
    FROM_SRAM,
    LATCH,
    MEM_A,
    NONE,
    ONE,
    REGISTER,
    RELU,
    RESULT,
    ROTATE_CORE,
    ROW,
    ZERO,
    accumulators,
    beat_cycles,
    sram_beat_cycles,
)
from caterpillar.mapping.paper.halving import halving
from caterpillar.mapping.paper.layout import PaperLayer, PaperLayout, output_blocks


def products(b: Builder, layout: PaperLayout, m: Machine, index: int, start: int, *, beats: int | None) -> int:
    """Partial sums of the panel's outputs, to MEM B at layout.sums; returns when all are ready.

    Inputs are broadcast on the row buses: from core SRAM, from beat `beats` on, or (None) from the column that keeps
    them. A block of outputs is worked off at a time, for all inputs; the first multiply-add is issued at start + 2.
    """
    layer = layout.layers[index - 1]
    at, ready = start + 2, start
    for first, count in output_blocks(layer, m):
        pace = count if beats is None else max(count, sram_beat_cycles(m))
        if beats is not None:
            each = [loop(layer.positions, pace, row_address=1)]
            b.issue("row_bus", at - 1, each, row_from=FROM_SRAM, row_to=ALL_COLUMNS, row_address=beats)
        else:
            _broadcast(b, layout, layer, at, pace=pace, words=layout.gathered[index - 1])
        ready = block(b, m, layer, at, first=first, count=count, pace=pace, to=layout.sums + first)
        at += layer.positions * pace
    return ready


def _broadcast(b: Builder, layout: PaperLayout, layer: PaperLayer, at: int, *, pace: int, words: int) -> None:
    """Each position's beat on the row buses, in the cycle before its first multiply-add."""
    rows, period = layout.rows, layer.chunk * pace
    groups = layout.words(layer.chunk)
    each = [loop(layer.chunks, period, address=groups), loop(groups, rows * pace, address=1)]
    b.memory_b(READ, at - 2, each, words, LATCH + 2)
    for column in range(min(rows, layer.chunk)):
        each = [loop(layer.chunks, period), loop(len(range(column, layer.chunk, rows)), rows * pace)]
        when = at - 1 + column * pace
        b.issue("row_bus", when, each, row_from=FROM_PE, row_column=column, row_slot=LATCH + 2, row_to=ALL_COLUMNS)


def sum_places(m: Machine, number: int) -> list[int]:
    """Where a PE keeps so many sums: accumulators, then registers."""
    return [ACCUMULATOR + k if k < accumulators(m) else REGISTER + k - accumulators(m) for k in range(number)]


def block(b: Builder, m: Machine, layer: PaperLayer, at: int, *, first: int, count: int, pace: int, to: int) -> int:
    """`count` outputs over all positions, `pace` cycles each; returns when their sums are ready in MEM B."""
    ways, latency = layer.ways, m.fma_latency
    rounds = layer.positions // ways
    each = [loop(layer.positions, pace, address=layer.sums), loop(count, 1, address=1)]
    b.memory_a(READ, at - 1, each, layer.address + first, MEM_A)
    places = sum_places(m, ways * count)
    for k, place in enumerate(places):
        when = at + k // count * pace + k % count
        b.issue("fma", when, fma_a=ROW, fma_b=MEM_A, fma_c=ZERO, fma_to=place)
        more = [loop(rounds - 1, ways * pace)]
        b.issue("fma", when + ways * pace, more, fma_a=ROW, fma_b=MEM_A, fma_c=place, fma_to=place)
    last = at + (layer.positions - 1) * pace
    if ways == 1:
        b.memory_b(WRITE, last + latency, [loop(count, 1, address=1)], to, RESULT)
        return last + latency + count
    return _combine(b, m, last + count - 1 + latency, places=places, count=count, to=to)


def _combine(b: Builder, m: Machine, at: int, *, places: list[int], count: int, to: int) -> int:
    """The partial sums of each output added, the further half to the nearer; all are ready at `at`."""
    while len(places) > count:
        half = len(places) // 2
        for k in range(half):
            to_slot = places[k] if half > count else NONE
            b.issue("fma", at + k, fma_a=places[half + k], fma_b=ONE, fma_c=places[k], fma_to=to_slot)
        places = places[:half]
        at += half - 1 + m.fma_latency
    start = at - count + 1
    b.memory_b(WRITE, start, [loop(count, 1, address=1)], to, RESULT)
    return at + 1


def reduce_columns(b: Builder, layout: PaperLayout, m: Machine, index: int, start: int) -> int:
    """Sums over the rows of PEs; of each N outputs, PE r of a column gets the r-th. Returns when they are in MEM B.

    Where there are fewer than N, what else lies there is added up too, and goes nowhere.
    """
    layer = layout.layers[index - 1]
    plan = halving(m, rows=True)
    flags = RELU if index < len(layout.layers) else 0
    for group in range(layout.words(layer.sums)):
        plan.emit(b, start, sums=layout.sums + group * layout.rows, flags=flags)
        b.memory_b(WRITE, start + plan.result, [], layout.reduced + group, RESULT)
        start += plan.result + 1
    return start


def all_gather(b: Builder, layout: PaperLayout, m: Machine, index: int, start: int) -> int:
    """Outputs, reduced and ready at `start`, to all cores; returns when the last is ready in MEM B.

    A row of PEs puts its outputs on the column buses; those on the diagonal put them on the row buses, where inputs of
    the next layer belong, and onto the ring. Beats go down; the last layer's are kept by core, for all cores alike.
    After the core's own beats MEM B has a free port.
    """
    pace, rows = beat_cycles(m), layout.rows
    sums = layout.layers[index - 1].sums
    beats = sums if index == len(layout.layers) else layout.layers[index].chunk
    own, period = start + 2, beats * pace
    send = DOWN if m.cores > 1 else 0
    b.memory_b(READ, start, [loop(layout.words(sums), rows * pace, address=1)], layout.reduced, LATCH + 2)
    for row in range(min(rows, beats)):
        mine, at = [loop(len(range(row, sums, rows)), rows * pace)], own + row * pace
        b.issue("column_bus", at - 1, mine, column_row=row, column_slot=LATCH + 2)
        fields = {"row_from": FROM_PE, "row_to": row, "row_send": send}
        b.issue("row_bus", at, mine, **fields, row_column=DIAGONAL, row_slot=COLUMN)
        padding = len(range(row, beats, rows)) - mine[0].count
        at += mine[0].count * rows * pace
        b.issue("row_bus", at, [loop(padding, rows * pace)], **fields, row_column=0, row_slot=ZERO)
        each, at = [loop(len(range(row, beats, rows)), rows * pace)], own + row * pace
        passed = [loop(m.cores - 2, period), *each]
        b.issue("row_bus", at + period, passed, row_from=FROM_DOWN, row_to=row, row_send=DOWN)
        if m.cores > 1:
            b.issue("row_bus", at + (m.cores - 1) * period, each, row_from=FROM_DOWN, row_to=row)
    _keep(b, layout, m, index, own, beats=beats)
    return own + (m.cores * beats - 1) * pace + 2


def _keep(b: Builder, layout: PaperLayout, m: Machine, index: int, own: int, *, beats: int) -> None:
    """Beats from the row latches to MEM B: a word when each column has one."""
    pace, rows, words = beat_cycles(m), layout.rows, layout.words(beats)
    last = index == len(layout.layers)
    for group in range(words):
        at = own + (min(beats, (group + 1) * rows) - 1) * pace + 1
        if last:
            each = [loop(m.cores, beats * pace, offset=1)]
            b.memory_b(WRITE, at, each, layout.sums + group * m.cores, ROW, mode=ROTATE_CORE)
            continue
        each = [loop(m.cores, beats * pace, address=words)]
        b.memory_b(WRITE, at, each, layout.gathered[index] + group, ROW)
