"""A sample's tick: forward through all layers, softmax, then backward and update; all PEs on one layer at a time."""

from __future__ import annotations

from caterpillar.machine import Machine
from caterpillar.mapping.builder import READ, WRITE, Builder, loop
from caterpillar.mapping.isa import (
    ALL_COLUMNS,
    BACKWARD,
    BACKWARD_UPDATE,
    COLLECTIVE,
    COLUMN,
    DIAGONAL,
    FORWARD,
    FROM_PE,
    FROM_SOFTMAX,
    LATCH,
    ROTATE_CORE,
    ROW,
    TO_SOFTMAX,
    UPDATE,
    ZERO,
    MicroProgram,
    softmax_cycles,
)
from caterpillar.mapping.paper.backward import backward_update, update_first
from caterpillar.mapping.paper.forward import all_gather, products, reduce_columns
from caterpillar.mapping.paper.layout import PaperLayout
from caterpillar.mapping.paper.scatter import reduce_scatter
from caterpillar.mapping.phases import copy, scale


def sample_tick(layout: PaperLayout, m: Machine) -> MicroProgram:
    """The micro-program of a sample; the next begins when it has ended."""
    b, depth = Builder(), len(layout.layers)
    ready = 0
    for index in range(1, depth + 1):
        ready = forward_layer(b, layout, m, index, ready)
    ready = output_errors(b, layout, m, ready)
    for index in range(depth, 1, -1):
        with b.phase(f"backward {index}, update {index}", BACKWARD_UPDATE):
            ready = backward_update(b, layout, m, index, ready)
        with b.phase(f"reduce-scatter {index}", COLLECTIVE, "collective"):
            ready = reduce_scatter(b, layout, m, index, ready)
    with b.phase("update 1", UPDATE):
        ready = update_first(b, layout, m, ready)
    return b.program(ready)


def forward_layer(
    b: Builder, layout: PaperLayout, m: Machine, index: int, ready: int, *, keep: int | None = None
) -> int:
    """One layer; returns when every core has the next one's inputs, or the last one's logits.

    keep: a word of MEM B; own outputs are copied there from where they were reduced.
    """
    with b.phase(f"forward {index}", FORWARD):
        ready = products(b, layout, m, index, ready, beats=0 if index == 1 else None)
    with b.phase(f"reduce {index}", COLLECTIVE):
        ready = reduce_columns(b, layout, m, index, ready)
        if keep is not None:
            words = layout.words(layout.layers[index - 1].sums)
            ready = copy(b, ready, source=layout.reduced, to=keep, words=words)
    with b.phase(f"all-gather {index}", COLLECTIVE, "collective"):
        gathered = all_gather(b, layout, m, index, ready)
    if index == 1:
        return gathered
    with b.account("update"):
        return max(gathered, _scale_inputs(b, layout, m, index, ready + (gathered - ready) // m.cores + 3))


def _scale_inputs(b: Builder, layout: PaperLayout, m: Machine, index: int, start: int) -> int:
    """A layer's inputs times the learning rate, in place; the core's own are kept as well. Returns when done."""
    layer, inputs = layout.layers[index - 1], layout.gathered[index - 1]
    words = layout.words(layer.chunk)
    b.memory_b(READ, start, [loop(words, 2, address=1)], inputs, LATCH + 3)
    b.memory_b(WRITE, start + 1, [loop(words, 2, address=1)], layout.own[index - 1], LATCH + 3)
    return scale(b, m, start + 2 * words, regions=[(inputs, inputs, layer.chunks * words)]) + 1


def start_softmax(b: Builder, layout: PaperLayout, m: Machine, ready: int, *, sample: int) -> tuple[int, int]:
    """Logits to the softmax unit of every core; returns when it has them all, and when its errors are ready."""
    outputs, sums = layout.layers[-1].outputs, layout.layers[-1].sums
    beats = -(-outputs // layout.rows)
    with b.account("backward"):
        for beat in range(beats):
            core, position = divmod(beat, sums)
            group, column = divmod(position, layout.rows)
            b.memory_b(READ, ready + beat, [], layout.sums + group * m.cores + core, LATCH + 2)
            at, slot = ready + beat + 1, LATCH + 2
            b.issue("row_bus", at, row_from=FROM_PE, row_column=column, row_slot=slot, row_to=TO_SOFTMAX)
        b.issue("softmax", ready + beats + 1, softmax_on=outputs, softmax_label=sample)
    return ready + beats + 2, ready + beats + 1 + softmax_cycles(m, outputs)


def output_errors(b: Builder, layout: PaperLayout, m: Machine, ready: int) -> int:
    """Logits to the softmax unit of every core, its errors to all PEs, of which a core keeps those of its panel."""
    outputs, sums, cores = layout.layers[-1].outputs, layout.layers[-1].sums, m.cores
    beats = -(-outputs // layout.rows)
    spread = layout.sums + layout.words(sums) * cores
    _, done = start_softmax(b, layout, m, ready, sample=0)
    b.mark("softmax", BACKWARD, "compute", ready, done)
    with b.account("backward"):
        b.memory_b(WRITE, ready, [loop(sums * cores, 1, address=1)], spread, ZERO)
    ready = max(done, ready + sums * cores)
    with b.phase("spread errors", BACKWARD_UPDATE):
        whole, rest = divmod(beats, sums)
        for position in range(sums):
            each = loop(whole + (position < rest), sums, row_address=sums)
            at = ready + position
            b.issue("row_bus", at, [each], row_from=FROM_SOFTMAX, row_to=ALL_COLUMNS, row_address=position)
            b.issue("column_bus", at + 1, [loop(each.count, sums)], column_row=DIAGONAL, column_slot=ROW)
            b.memory_b(WRITE, at + 2, [loop(each.count, sums, address=1)], spread + position * cores, COLUMN)
        ready += beats + 2
        own = [loop(sums, 2, address=cores)]
        b.memory_b(READ, ready, own, spread, LATCH + 2, mode=ROTATE_CORE)
        b.memory_b(WRITE, ready + 1, [loop(sums, 2, address=1)], layout.errors, LATCH + 2)
    return ready + 2 * sums
