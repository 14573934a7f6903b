"""A batch backward through a layer: each sample's products, then its sums over rows of PEs and over the ring."""

from __future__ import annotations

from caterpillar.machine import Machine
from caterpillar.mapping.batches.plan import Plan
from caterpillar.mapping.builder import READ, WRITE, Builder, loop
from caterpillar.mapping.isa import (
    ACCUMULATOR,
    BACKWARD,
    COLLECTIVE,
    FROM_SRAM,
    LATCH,
    MEM_A,
    RESULT,
    ROW,
    ZERO,
    accumulators,
    sram_beat_cycles,
)
from caterpillar.mapping.paper.batches.beside import backward_beside
from caterpillar.mapping.paper.batches.forward import load_errors
from caterpillar.mapping.paper.batches.layout import BatchLayout
from caterpillar.mapping.paper.layout import PaperLayer, PaperLayout
from caterpillar.mapping.paper.scatter import reduce_scatter


def backward_layer(p: Plan, layout: BatchLayout, m: Machine, index: int, ready: int) -> int:
    """All samples, from the errors of a layer's outputs to those of its inputs, in core SRAM both; returns when done.

    Sums beside the products, if there is room in MEM B and if that is sooner; else a sample after the other.
    """
    if layout.beside:
        saved = p.save()
        alone = _sample(p, layout, m, index, ready, sample=0) - ready
        p.restore(saved)
        done = backward_beside(p, layout, m, index, ready, before=ready + layout.batch * alone)
        if done is not None:
            return done
    for sample in range(layout.batch):
        ready = _sample(p, layout, m, index, ready, sample=sample)
    return ready


def _sample(b: Builder, layout: BatchLayout, m: Machine, index: int, ready: int, *, sample: int) -> int:
    layer = layout.layers[index - 1]
    with b.phase(f"backward {index}", BACKWARD):
        source = layout.errors_of(index, sample)
        ready = load_errors(b, m, ready, source=source, beats=layer.sums, again=(1, 0), to=layout.errors)
        ready = _own_inputs(b, layout, m, index, ready, sample)
        ready = input_errors(b, layout, m, layout.matrix(index), ready)
    with b.phase(f"reduce-scatter {index}", COLLECTIVE, "collective"):
        return reduce_scatter(b, layout, m, index, ready, store=layout.errors_of(index - 1, sample))


def input_errors(b: Builder, layout: PaperLayout, m: Machine, layer: PaperLayer, start: int) -> int:
    """A sample's shares of its inputs' errors, to MEM B at layout.sums + position: a multiply-add a cycle."""
    width = accumulators(m)
    at, groups, period = start + 2, layer.positions // width, width * layer.sums
    weights = [
        loop(groups, period, address=period),
        loop(layer.sums, width, address=1),
        loop(width, 1, address=layer.sums),
    ]
    b.memory_a(READ, at - 1, weights, layer.address, MEM_A)
    b.memory_b(READ, at - 1, [loop(groups, period), loop(layer.sums, width, address=1)], layout.errors, LATCH)
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


def _own_inputs(b: Builder, layout: BatchLayout, m: Machine, index: int, start: int, sample: int) -> int:
    """The core's own inputs of a layer from core SRAM to MEM B, for the slope; returns when done."""
    beats, pace, rows = layout.layers[index - 1].beats, sram_beat_cycles(m), layout.rows
    first = layout.source(index, sample)
    for column in range(min(rows, beats)):
        each = [loop(len(range(column, beats, rows)), rows * pace, row_address=rows)]
        at = start + column * pace
        b.issue("row_bus", at, each, row_from=FROM_SRAM, row_to=column, row_address=first + column)
    for group in range(layout.words(beats)):
        at = start + (min(beats, (group + 1) * rows) - 1) * pace + 1
        b.memory_b(WRITE, at, [], layout.own[index - 1] + group, ROW)
    return start + beats * pace
