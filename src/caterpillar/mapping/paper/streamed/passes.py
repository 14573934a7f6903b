"""Passes over the weights of a layer, position by position: products forward; errors of inputs and updates."""

from __future__ import annotations

from collections.abc import Sequence

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
    RESULT,
    ROW,
    TO_SRAM,
    ZERO,
    Loop,
    sram_beat_cycles,
)
from caterpillar.mapping.paper.streamed.layout import Run, StreamedLayer, StreamedLayout
from caterpillar.mapping.paper.streamed.timing import Timing, forward_timing, update_timing

# of MEM B: a turn's sum or error; the position's input; a weight on its way back
VALUE, INPUT, BACK = LATCH, LATCH + 1, LATCH + 2


def products(
    b: Builder, layout: StreamedLayout, m: Machine, index: int, start: int, *, inputs: int, first: int, positions: int
) -> int:
    """Partial sums of the panel's outputs, to MEM B at layout.sums; returns when all are there.

    Of `positions` positions from `first` on, whose inputs are in core SRAM from beat `inputs` on; all but those from
    position 0 on go on from the sums that are there.
    """
    layer, begins = layout.layer(index), first == 0
    t = forward_timing(layer, m)
    every = [loop(positions, t.period)]
    b.issue(
        "row_bus",
        start,
        [loop(positions, t.period, row_address=1)],
        row_from=FROM_SRAM,
        row_to=ALL_COLUMNS,
        row_address=inputs,
    )
    _port(b, 0, WRITE, start + 1, every, layout.input_word, ROW)
    _port(b, 0, READ, start + 2, every, layout.input_word, INPUT)
    _bring(b, layout, m, layer, t, start, first=first, positions=positions)
    _read_resident(b, layer, t, start, first=first, positions=positions)
    for streamed in (True, False):
        weight = ROW if streamed else MEM_A
        for run in layer.runs(streamed=streamed):
            at, turns = _turns(t, start, run, streamed=streamed), loop(run.count, t.slot)
            sums = [loop(positions, t.period), loop(run.count, t.slot, address=run.stride)]
            more = [loop(positions - begins, t.period), sums[1]]
            again = at + begins * t.period
            _port(b, 0, READ, again - 1, more, layout.sums + run.sum, VALUE)
            if begins:
                b.issue("fma", at, [turns], fma_a=INPUT, fma_b=weight, fma_c=ZERO)
            later = [loop(positions - begins, t.period), turns]
            b.issue("fma", again, later, fma_a=INPUT, fma_b=weight, fma_c=VALUE)
            _port(b, 1, WRITE, at + m.fma_latency, sums, layout.sums + run.sum, RESULT)
    last = t.first + t.beside + (layer.slots - 1) * t.slot
    return start + (positions - 1) * t.period + max(last + m.fma_latency, t.period) + 1


def update(
    b: Builder,
    layout: StreamedLayout,
    m: Machine,
    index: int,
    start: int,
    *,
    inputs: int,
    first: int,
    positions: int,
    back: bool,
) -> int:
    """Update the weights of `positions` positions from `first` on with layout.errors; returns when all is done.

    inputs: the first beat of these positions' inputs in core SRAM. back: a PE's share of the errors of those inputs
    goes to MEM B from layout.sums on, made with the weights as they were.
    """
    layer = layout.layer(index)
    t, latency = update_timing(layer, m, back=back), m.fma_latency
    every = [loop(positions, t.period)]
    steps = [loop(positions, t.period, row_address=1)]
    b.issue("row_bus", start, steps, row_from=FROM_SRAM, row_to=ALL_COLUMNS, row_address=inputs)
    b.issue("fma", start + t.scale, every, fma_a=RATE, fma_b=ROW, fma_c=ZERO)
    _port(b, 1, WRITE, start + t.scale + latency, every, layout.input_word, RESULT)
    start += t.period
    _port(b, 0, READ, start + t.load, every, layout.input_word, INPUT)
    _bring(b, layout, m, layer, t, start, first=first, positions=positions)
    _read_resident(b, layer, t, start, first=first, positions=positions)
    for streamed in (True, False):
        weight = ROW if streamed else MEM_A
        for run in layer.runs(streamed=streamed):
            at = _turns(t, start, run, streamed=streamed)
            turns = [*every, loop(run.count, t.slot)]
            errors = [*every, loop(run.count, t.slot, address=run.stride)]
            _port(b, 0, READ, at - 1, errors, layout.errors + run.sum, VALUE)
            b.issue("fma", at, turns, fma_a=INPUT, fma_b=VALUE, fma_c=weight, fma_flags=NEGATE)
            if back:
                _add_errors(b, t, at + 1, every, run, weight=weight)
            if streamed:
                words = [*every, loop(run.count, t.slot, address=1)]
                _port(b, 1, WRITE, at + latency, words, layout.updated + run.number, RESULT)
            else:
                words = [
                    loop(positions, t.period, address=layer.resident),
                    loop(run.count, t.slot, address=1),
                ]
                address = layer.address + first * layer.resident + run.number
                b.memory_a(WRITE, at + latency, words, address, RESULT)
    _send_back(b, layout, m, layer, t, start, first=first, positions=positions)
    last = t.first + (layer.slots - 1) * t.slot + (t.beside if layer.slots == layer.resident else 0)
    last = max(last, t.first + t.beside + (layer.resident - 1) * t.slot)
    if back:
        each = [loop(positions, t.period, address=1)]
        _port(b, 1, WRITE, start + last + 1 + latency, each, layout.sums, RESULT)
    return max(b.end + sram_beat_cycles(m), start + (positions - 1) * t.period + last + latency + 2)


def _turns(t: Timing, start: int, run: Run, *, streamed: bool) -> int:
    """The cycle of a run's first multiply-add in the position that begins at `start`."""
    return start + t.first + run.number * t.slot + (0 if streamed else t.beside)


def _add_errors(b: Builder, t: Timing, at: int, every: Sequence[Loop], run: Run, *, weight: int) -> None:
    """A run's turns added to the error sum of the position, which the first of all begins."""
    fields = {"fma_a": weight, "fma_b": VALUE, "fma_to": ACCUMULATOR}
    begins = 1 if run.sum == 0 else 0
    if begins:
        b.issue("fma", at, every, **fields, fma_c=ZERO)
    rest = [*every, loop(run.count - begins, t.slot)]
    b.issue("fma", at + begins * t.slot, rest, **fields, fma_c=ACCUMULATOR)


def _bring(
    b: Builder,
    layout: StreamedLayout,
    m: Machine,
    layer: StreamedLayer,
    t: Timing,
    start: int,
    *,
    first: int,
    positions: int,
) -> None:
    """Streamed weights from core SRAM to the row latches of their columns; +0 where a column has no output."""
    rows, beat, per = layout.rows, sram_beat_cycles(m), layer.beats_of(layout.rows)
    with b.account("off_core"):
        for column in range(rows):
            number = layer.streamed - (column >= rows - layer.missing)
            at = start + t.gap + column * beat
            each = [loop(positions, t.period, row_address=per), loop(number, t.slot, row_address=rows)]
            address = layer.beat + first * per + column
            b.issue("row_bus", at, each, row_from=FROM_SRAM, row_to=column, row_address=address)
            padded = [loop(positions, t.period), loop(layer.streamed - number, t.slot)]
            fields = {"row_from": FROM_PE, "row_column": 0, "row_slot": ZERO}
            b.issue("row_bus", at + number * t.slot, padded, **fields, row_to=column)


def _send_back(
    b: Builder,
    layout: StreamedLayout,
    m: Machine,
    layer: StreamedLayer,
    t: Timing,
    start: int,
    *,
    first: int,
    positions: int,
) -> None:
    """Updated streamed weights from MEM B to where they came from."""
    rows, beat, per = layout.rows, sram_beat_cycles(m), layer.beats_of(layout.rows)
    wraps = int(t.out > t.spread and layer.streamed == layer.slots)
    with b.account("off_core"):
        for number, count, delay in ((0, layer.streamed - wraps, 0), (layer.streamed - 1, wraps, t.gap)):
            at = start + t.gap + number * t.slot + t.out + delay
            words = [loop(positions, t.period), loop(count, t.slot, address=1)]
            _port(b, 1, READ, at - 1 - t.early, words, layout.updated + number, BACK)
            for column in range(rows):
                here = count - (column >= rows - layer.missing and number + count == layer.streamed)
                each = [loop(positions, t.period, row_address=per), loop(here, t.slot, row_address=rows)]
                fields = {"row_from": FROM_PE, "row_column": column, "row_slot": BACK, "row_to": TO_SRAM}
                address = layer.beat + first * per + number * rows + column
                b.issue("row_bus", at + column * beat, each, **fields, row_address=address)


def _read_resident(b: Builder, layer: StreamedLayer, t: Timing, start: int, *, first: int, positions: int) -> None:
    """Resident weights from MEM A, each in the cycle before its multiply-add."""
    each = [loop(positions, t.period, address=layer.resident), loop(layer.resident, t.slot, address=1)]
    b.memory_a(READ, start + t.first + t.beside - 1, each, layer.address + first * layer.resident, MEM_A)


def _port(b: Builder, port: int, op: int, start: int, loops: Sequence[Loop], address: int, slot: int) -> None:
    """An access of MEM B on this port."""
    name = f"b{port}"
    renamed = [
        Loop(one.count, one.period, tuple((f"{name}_{key}", step) for key, step in one.strides)) for one in loops
    ]
    fields = {f"{name}_op": op, f"{name}_address": address, f"{name}_slot": slot}
    b.issue("mem_b0" if port == 0 else "mem_b1", start, renamed, **fields)
