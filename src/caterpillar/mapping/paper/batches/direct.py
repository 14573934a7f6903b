"""Direct feedback: each sample's output errors, through a fixed matrix, are the errors of a layer's own outputs."""

from __future__ import annotations

from caterpillar.machine import Machine
from caterpillar.mapping.batches.plan import Plan, Rounds
from caterpillar.mapping.builder import READ, WRITE, Builder, loop
from caterpillar.mapping.isa import BACKWARD, COLLECTIVE, LATCH, RESULT, SLOPE, XOR_ROW, sram_beat_cycles
from caterpillar.mapping.paper.batches.forward import keep, load_errors, products
from caterpillar.mapping.paper.batches.layout import BatchLayout
from caterpillar.mapping.paper.halving import halving

GATE = LATCH + 3


def direct_layer(p: Plan, layout: BatchLayout, m: Machine, index: int, ready: int) -> int:
    """All samples' own errors of a layer before the last, to core SRAM; returns when they are there.

    A sample's go there beside the sums over the rows of the next.
    """
    matrix, to = layout.matrix(index), -1
    for sample in range(layout.batch):
        with p.phase(f"backward {index}", BACKWARD):
            source, errors = layout.source(index + 1, sample), layout.output_errors_at + sample * matrix.beats
            ready = load_errors(p, m, ready, source=source, beats=matrix.sums, again=(1, 0), to=layout.gates)
            begun = products(p, m, matrix, ready, source=errors, to=layout.sums)
        with p.phase(f"reduce errors {index}", COLLECTIVE):
            ready = _reduce(p, layout, m, matrix.sums, begun, to=_words(layout, matrix.sums, sample))
        if sample:
            with p.phase(f"errors {index}", COLLECTIVE, "collective"):
                ready = max(ready, _store(p, layout, m, matrix.sums, begun, sample=sample - 1, to=to))
        to = layout.errors_of(index, sample)
    with p.phase(f"reduce errors {index}", COLLECTIVE):
        return _store(p, layout, m, matrix.sums, ready, sample=layout.batch - 1, to=to)


def _words(layout: BatchLayout, sums: int, sample: int) -> int:
    """Where in MEM B a sample's own errors are, those of two samples in turn."""
    return layout.reduced + sample % 2 * layout.words(sums)


def _store(p: Plan, layout: BatchLayout, m: Machine, sums: int, start: int, *, sample: int, to: int) -> int:
    """A sample's own errors from MEM B to core SRAM, when its ports are free; returns when they are there."""
    words = loop(layout.words(sums), layout.rows * sram_beat_cycles(m))
    at = p.free_from([("mem_b", 0, [words])], Rounds(1, 1), start)
    return keep(p, layout, m, sums, at + 2, words=_words(layout, sums, sample), to=to)


def _reduce(b: Builder, layout: BatchLayout, m: Machine, sums: int, start: int, *, to: int) -> int:
    """Sums over the rows of PEs; of each N, PE r of a column gets the r-th, if its output is above zero."""
    plan = halving(m, rows=True)
    for group in range(layout.words(sums)):
        b.memory_b(READ, start, [], layout.gates + group * layout.rows, GATE, mode=XOR_ROW)
        plan.emit(b, start, sums=layout.sums + group * layout.rows, flags=SLOPE, gate=GATE)
        b.memory_b(WRITE, start + plan.result, [], to + group, RESULT)
        start += plan.result + 1
    return start
