"""Direct feedback: each sample's output errors, through a fixed matrix, are the errors of a layer's own outputs."""

from __future__ import annotations

from caterpillar.machine import Machine
from caterpillar.mapping.builder import READ, WRITE, Builder
from caterpillar.mapping.isa import BACKWARD, COLLECTIVE, LATCH, RESULT, SLOPE, XOR_ROW
from caterpillar.mapping.paper.batches.forward import keep, load_errors, products
from caterpillar.mapping.paper.batches.layout import BatchLayout
from caterpillar.mapping.paper.halving import halving

GATE = LATCH + 3


def direct_layer(b: Builder, layout: BatchLayout, m: Machine, index: int, ready: int) -> int:
    """All samples' own errors of a layer before the last, to core SRAM; returns when they are there."""
    matrix = layout.matrix(index)
    beats = matrix.beats
    for sample in range(layout.batch):
        with b.phase(f"backward {index}", BACKWARD):
            source = layout.source(index + 1, sample)
            ready = load_errors(b, m, ready, source=source, beats=matrix.sums, again=(1, 0), to=layout.gates)
            ready = products(b, m, matrix, ready, source=layout.output_errors_at + sample * beats, to=layout.sums)
        with b.phase(f"reduce errors {index}", COLLECTIVE):
            ready = _reduce(b, layout, m, matrix.sums, ready)
            ready = keep(b, layout, m, matrix.sums, ready + 2, to=layout.errors_of(index, sample))
    return ready


def _reduce(b: Builder, layout: BatchLayout, m: Machine, sums: int, start: int) -> int:
    """Sums over the rows of PEs; of each N, PE r of a column gets the r-th, if its output is above zero."""
    plan = halving(m, rows=True)
    for group in range(layout.words(sums)):
        b.memory_b(READ, start, [], layout.gates + group * layout.rows, GATE, mode=XOR_ROW)
        plan.emit(b, start, sums=layout.sums + group * layout.rows, flags=SLOPE, gate=GATE)
        b.memory_b(WRITE, start + plan.result, [], layout.reduced + group, RESULT)
        start += plan.result + 1
    return start
