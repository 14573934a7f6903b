"""A batch's tick: each layer for all its samples before the next; a weight is updated once, with their mean gradient.

What a sample makes lies in core SRAM, and comes from there as the first layer's inputs do. The sums over rows, columns
and cores are those of a single sample, one sample after the other, as the paper has small batches.
"""

from __future__ import annotations

from caterpillar.machine import Machine
from caterpillar.mapping.builder import READ, WRITE, Builder, loop
from caterpillar.mapping.isa import (
    ACCUMULATOR,
    ALL_COLUMNS,
    BACKWARD,
    COLLECTIVE,
    COLUMN,
    DIAGONAL,
    DOWN,
    FORWARD,
    FROM_DOWN,
    FROM_PE,
    FROM_SRAM,
    LATCH,
    MEM_A,
    NEGATE,
    RATE,
    RESULT,
    RESULT_BEFORE,
    ROW,
    TO_SRAM,
    UPDATE,
    ZERO,
    MicroProgram,
    accumulators,
    beat_cycles,
    sram_beat_cycles,
)
from caterpillar.mapping.paper.forward import all_gather, products, reduce_columns, sum_places
from caterpillar.mapping.paper.layout import PaperLayout, output_blocks
from caterpillar.mapping.paper.scatter import reduce_scatter
from caterpillar.mapping.paper.tick import output_errors


def batch_tick(layout: PaperLayout, m: Machine) -> MicroProgram:
    """The micro-program of a batch; the next begins when it has ended."""
    b, depth, ready = Builder(), len(layout.layers), 0
    for index in range(1, depth + 1):
        for sample in range(layout.batch):
            ready = _forward(b, layout, m, index, ready, sample)
    for index in range(depth, 0, -1):
        for sample in range(layout.batch if index > 1 else 0):
            ready = _backward(b, layout, m, index, ready, sample)
        with b.phase(f"update {index}", UPDATE):
            if index < depth:
                ready = _load_errors(b, layout, m, index, ready, first=0, samples=layout.batch)
            ready = _update(b, layout, m, index, ready)
    return b.program(ready)


def _inputs(layout: PaperLayout, index: int, sample: int) -> int:
    """The first beat of core SRAM of a sample's inputs of a layer."""
    return layout.inputs_at[index - 1] + sample * layout.layers[index - 1].positions


def _forward(b: Builder, layout: PaperLayout, m: Machine, index: int, ready: int, sample: int) -> int:
    """One layer of one sample; of the last layer, the output errors as well."""
    with b.phase(f"forward {index}", FORWARD):
        ready = products(b, layout, m, index, ready, beats=_inputs(layout, index, sample))
    with b.phase(f"reduce {index}", COLLECTIVE):
        ready = reduce_columns(b, layout, m, index, ready)
    with b.phase(f"all-gather {index}", COLLECTIVE):
        if index < len(layout.layers):
            return _gather(b, layout, m, index, ready, to=_inputs(layout, index + 1, sample))
        ready = all_gather(b, layout, m, index, ready)
    return output_errors(b, layout, m, ready, sample=sample)


def _gather(b: Builder, layout: PaperLayout, m: Machine, index: int, start: int, *, to: int) -> int:
    """As all_gather, to core SRAM from beat `to` on; returns when it is free again."""
    pace, rows = max(beat_cycles(m), sram_beat_cycles(m)), layout.rows
    sums, beats = layout.layers[index - 1].sums, layout.layers[index].chunk
    own, period = start + 2, beats * pace
    send = DOWN if m.cores > 1 else 0
    b.memory_b(READ, start, [loop(layout.words(sums), rows * pace, address=1)], layout.reduced, LATCH + 2)
    for row in range(min(rows, sums)):
        each = loop(len(range(row, sums, rows)), rows * pace, row_address=rows)
        at = own + row * pace
        b.issue("column_bus", at - 1, [loop(each.count, each.period)], column_row=row, column_slot=LATCH + 2)
        fields = {"row_from": FROM_PE, "row_column": DIAGONAL, "row_slot": COLUMN, "row_send": send}
        b.issue("row_bus", at, [each], row_to=TO_SRAM, row_address=to + row, **fields)
    padding = [loop(beats - sums, pace, row_address=1)]
    fields = {"row_from": FROM_PE, "row_column": 0, "row_slot": ZERO, "row_send": send}
    b.issue("row_bus", own + sums * pace, padding, row_to=TO_SRAM, row_address=to + sums, **fields)
    each = loop(beats, pace, row_address=1)
    fields = {"row_from": FROM_DOWN, "row_to": TO_SRAM}
    passed = [loop(m.cores - 2, period, row_address=beats), each]
    b.issue("row_bus", own + period, passed, **fields, row_address=to + beats, row_send=DOWN)
    if m.cores > 1:
        last = (m.cores - 1) * beats
        b.issue("row_bus", own + last * pace, [each], **fields, row_address=to + last)
    return own + (m.cores * beats - 1) * pace + sram_beat_cycles(m)


def _load_errors(
    b: Builder, layout: PaperLayout, m: Machine, index: int, start: int, *, first: int, samples: int
) -> int:
    """Some samples' errors of the core's own outputs, from core SRAM to every PE of their column; returns when done."""
    sums, pace = layout.layers[index - 1].sums, sram_beat_cycles(m)
    beats, at = samples * sums, layout.errors_at[index - 1] + first * sums
    each = loop(beats, pace, row_address=1)
    b.issue("row_bus", start, [each], row_from=FROM_SRAM, row_to=ALL_COLUMNS, row_address=at)
    b.issue("column_bus", start + 1, [loop(beats, pace)], column_row=DIAGONAL, column_slot=ROW)
    b.memory_b(WRITE, start + 2, [loop(beats, pace, address=1)], layout.errors, COLUMN)
    return start + (beats - 1) * pace + max(3, pace)


def _backward(b: Builder, layout: PaperLayout, m: Machine, index: int, ready: int, sample: int) -> int:
    """One layer of one sample, from the errors of its outputs to those of its inputs, in core SRAM."""
    before = layout.layers[index - 2]
    errors = layout.last_errors + sample * layout.layers[-1].sums
    with b.phase(f"backward {index}", BACKWARD):
        if index < len(layout.layers):
            ready, errors = _load_errors(b, layout, m, index, ready, first=sample, samples=1), layout.errors
        ready = _own_inputs(b, layout, m, index, ready, sample)
        ready = _input_errors(b, layout, m, index, ready, errors=errors)
    with b.phase(f"reduce-scatter {index}", COLLECTIVE):
        store = layout.errors_at[index - 2] + sample * before.sums
        return reduce_scatter(b, layout, m, index, ready, store=store)


def _input_errors(b: Builder, layout: PaperLayout, m: Machine, index: int, start: int, *, errors: int) -> int:
    """A sample's shares of its inputs' errors, to MEM B at layout.sums + position: a multiply-add a cycle."""
    layer, width = layout.layers[index - 1], accumulators(m)
    at, groups, period = start + 2, layer.positions // width, width * layer.sums
    weights = [
        loop(groups, period, address=period),
        loop(layer.sums, width, address=1),
        loop(width, 1, address=layer.sums),
    ]
    b.memory_a(READ, at - 1, weights, layer.address, MEM_A)
    b.memory_b(READ, at - 1, [loop(groups, period), loop(layer.sums, width, address=1)], errors, LATCH)
    each = [loop(groups, period)]
    last = at + width * (layer.sums - 1)
    for a in range(width):
        total = ACCUMULATOR + a
        if layer.sums > 1:
            b.issue("fma", at + a, each, fma_a=MEM_A, fma_b=LATCH, fma_c=ZERO, fma_to=total)
            more = [*each, loop(layer.sums - 2, width)]
            b.issue("fma", at + a + width, more, fma_a=MEM_A, fma_b=LATCH, fma_c=total, fma_to=total)
        b.issue("fma", last + a, each, fma_a=MEM_A, fma_b=LATCH, fma_c=total if layer.sums > 1 else ZERO)
    written = [loop(groups, period, address=width), loop(width, 1, address=1)]
    b.memory_b(WRITE, last + m.fma_latency, written, layout.sums, RESULT)
    return at + groups * period + m.fma_latency


def _own_inputs(b: Builder, layout: PaperLayout, m: Machine, index: int, start: int, sample: int) -> int:
    """The core's own inputs of a layer, its first ones, from core SRAM to MEM B for the slope; returns when done."""
    beats, pace, rows = layout.layers[index - 1].beats, sram_beat_cycles(m), layout.rows
    first = _inputs(layout, index, sample)
    for column in range(min(rows, beats)):
        each = [loop(len(range(column, beats, rows)), rows * pace, row_address=rows)]
        at = start + column * pace
        b.issue("row_bus", at, each, row_from=FROM_SRAM, row_to=column, row_address=first + column)
    for group in range(layout.words(beats)):
        at = start + (min(beats, (group + 1) * rows) - 1) * pace + 1
        b.memory_b(WRITE, at, [], layout.own[index - 1] + group, ROW)
    return start + beats * pace


def _update(b: Builder, layout: PaperLayout, m: Machine, index: int, start: int) -> int:
    """Each weight's gradient over the batch, then W <- W - (lr / batch) G. Returns when all are written.

    A position's beat of every sample comes from core SRAM in turn; a PE adds up the gradients of a block of outputs.
    """
    layer, ready = layout.layers[index - 1], start
    at = start + 2
    for first, count in output_blocks(layer, m):
        at, ready = _update_block(b, layout, m, index, at, first=first, count=count)
    return ready


def _update_block(
    b: Builder, layout: PaperLayout, m: Machine, index: int, at: int, *, first: int, count: int
) -> tuple[int, int]:
    """`count` outputs, the first multiply-add at `at`; returns when the next block can begin, and when all is done.

    `ways` positions at a time, so that sums come back no sooner than the FMA gives them.
    """
    layer, batch = layout.layers[index - 1], layout.batch
    ways, pace = layer.ways, max(count, sram_beat_cycles(m))
    groups, turn = layer.positions // ways, ways * pace
    updates, latency = ways * count, m.fma_latency
    apart = 1 if updates <= latency + 1 else 2  # if writes begin before the last read, they take turns
    after = latency % 2 if apart == 2 else 0
    period = max(batch * turn + apart * updates, apart * updates + latency + after + 1)
    beats = [
        loop(groups, period, row_address=ways),
        loop(batch, turn, row_address=layer.positions),
        loop(ways, pace, row_address=1),
    ]
    source = layout.inputs_at[index - 1]
    b.issue("row_bus", at - 1, beats, row_from=FROM_SRAM, row_to=ALL_COLUMNS, row_address=source)
    errors = [loop(groups, period), loop(batch, turn, address=layer.sums), loop(ways, pace), loop(count, 1, address=1)]
    own = layout.errors if index < len(layout.layers) else layout.last_errors
    b.memory_b(READ, at - 1, errors, own + first, LATCH)
    update = at + batch * turn
    each = [loop(groups, period)]
    for k, place in enumerate(sum_places(m, updates)):
        when = at + k // count * pace + k % count
        b.issue("fma", when, each, fma_a=ROW, fma_b=LATCH, fma_c=ZERO, fma_to=place)
        more = [*each, loop(batch - 1, turn)]
        b.issue("fma", when + turn, more, fma_a=ROW, fma_b=LATCH, fma_c=place, fma_to=place)
        b.issue("fma", update + apart * k, each, fma_a=RATE, fma_b=place, fma_c=MEM_A, fma_flags=NEGATE)
    weights = [
        loop(groups, period, address=ways * layer.sums),
        loop(ways, apart * count, address=layer.sums),
        loop(count, apart, address=1),
    ]
    b.memory_a(READ, update - 1, weights, layer.address + first, MEM_A)
    written = RESULT_BEFORE if after else RESULT
    b.memory_a(WRITE, update + latency + after, weights, layer.address + first, written)
    end = at + groups * period
    return end + after, end + latency + after
