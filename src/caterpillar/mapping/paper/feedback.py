"""Feedback alignment of a sample, direct or not: errors go through fixed matrices in MEM A."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

from caterpillar.machine import Machine
from caterpillar.mapping.builder import READ, WRITE, Builder, loop
from caterpillar.mapping.isa import (
    ALL_COLUMNS,
    BACKWARD,
    COLLECTIVE,
    COLUMN,
    FROM_PE,
    FROM_SOFTMAX,
    LATCH,
    RESULT,
    SLOPE,
    UPDATE,
    ZERO,
    MicroProgram,
    accumulators,
)
from caterpillar.mapping.paper.backward import backward_update, update_first
from caterpillar.mapping.paper.batches.backward import input_errors
from caterpillar.mapping.paper.forward import block
from caterpillar.mapping.paper.halving import halving, reversed_bits
from caterpillar.mapping.paper.layout import PaperLayer, PaperLayout, make_layout, output_blocks, places_of, up
from caterpillar.mapping.paper.scatter import reduce_scatter
from caterpillar.mapping.paper.tick import forward_layer, output_errors
from caterpillar.mapping.schedule import Places
from caterpillar.mapping.split import back_unit
from caterpillar.network import Network
from caterpillar.numerics import GemvOrder

GATE = LATCH + 3


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedbackLayout(PaperLayout):
    """fixed: B_l of each layer, where the rule has one; kept: of direct feedback, words of MEM B with a layer's own
    outputs where they were reduced, output r of each N in PE r of its column.
    """

    fixed: tuple[PaperLayer | None, ...]
    kept: tuple[int, ...]
    direct: bool

    def feedback_places(self, index: int) -> Places:
        """MEM A's words of B_index: as weight_places, with the matrix turned for direct feedback."""
        return fixed_places(self.fixed[index - 1], self.cores, self.rows, direct=self.direct)


def fixed_places(layer: PaperLayer | None, cores: int, rows: int, *, direct: bool) -> Places:
    """MEM A's words of a fixed matrix."""
    assert layer is not None  # noqa: S101  the simulator has checked that the rule has this matrix
    found = places_of(layer, cores, rows)
    return replace(found, row=found.column, column=found.row) if direct else found


def turned(layer: PaperLayer, last: PaperLayer, machine: Machine, address: int) -> PaperLayer:
    """B_l of direct feedback, which takes all output errors to a core's outputs of a layer."""
    beats, ways = -(-last.outputs // machine.pe_rows), 1
    while ways * layer.sums < machine.fma_latency:
        ways *= 2
    return PaperLayer(
        inputs=last.outputs,
        outputs=layer.outputs,
        panel=layer.panel,
        sums=layer.sums,
        ways=ways,
        chunks=1,
        beats=beats,
        chunk=up(beats, ways),
        address=address,
    )


def turned_layers(
    layers: Sequence[PaperLayer], machine: Machine, address: int
) -> tuple[tuple[PaperLayer | None, ...], int]:
    """Direct feedback's matrices of all layers but the last, in MEM A from `address` on; the first word after them."""
    found: list[PaperLayer | None] = []
    for layer in layers[:-1]:
        one = turned(layer, layers[-1], machine, address)
        address += one.positions * one.sums
        found.append(one)
    return (*found, None), address


def feedback_layout(network: Network, machine: Machine, *, direct: bool) -> FeedbackLayout:
    """The placement, all in MEM A; it may exceed the memories."""
    plain = make_layout(network, machine, back_unit(machine) if direct else accumulators(machine))
    given = {field.name: getattr(plain, field.name) for field in fields(plain)}
    address, word, fixed, kept = plain.mem_a_words, plain.mem_b_words, list[PaperLayer | None](), list[int]()
    if direct:
        matrices, address = turned_layers(plain.layers, machine, address)
        fixed.extend(matrices)
    for number, layer in enumerate(plain.layers):
        if not direct:
            fixed.append(replace(layer, address=address) if number else None)
            address += layer.positions * layer.sums * (number > 0)
        kept.append(word)
        word += plain.words(layer.sums) if direct and fixed[number] else 0
    given |= {"mem_a_words": address, "mem_b_words": word}
    return FeedbackLayout(**given, fixed=tuple(fixed), kept=tuple(kept), direct=direct)


def feedback_tick(layout: FeedbackLayout, m: Machine) -> MicroProgram:
    """The micro-program of a sample under fa or dfa; the next begins when it has ended."""
    b, depth, ready = Builder(), len(layout.layers), 0
    for index in range(1, depth + 1):
        keep = layout.kept[index - 1] if layout.direct and index < depth else None
        ready = forward_layer(b, layout, m, index, ready, keep=keep)
    ready = output_errors(b, layout, m, ready)
    for index in range(depth, 0, -1):
        fixed = layout.fixed[index - 1]
        if layout.direct and fixed:
            ready = direct_errors(b, layout, m, index, ready, matrix=fixed, kept=layout.kept[index - 1])
        with b.phase(f"update {index}", UPDATE):
            if index == 1:
                ready = update_first(b, layout, m, ready)
            else:
                ready = backward_update(b, layout, m, index, ready, back=False)
        if fixed and not layout.direct:
            with b.phase(f"backward {index}", BACKWARD):
                ready = input_errors(b, layout, m, fixed, ready)
            with b.phase(f"reduce-scatter {index}", COLLECTIVE, "collective"):
                ready = reduce_scatter(b, layout, m, index, ready)
    return b.program(ready)


def direct_errors(
    b: Builder, layout: PaperLayout, m: Machine, index: int, start: int, *, matrix: PaperLayer, kept: int
) -> int:
    """Errors of a layer's own outputs, from the softmax unit's, to layout.errors; returns when all are there.

    The output errors are broadcast on the row buses, once a block of outputs. kept: the first word of own outputs.
    """
    ready, at = start, start + 2
    with b.phase(f"backward {index}", BACKWARD):
        for first, count in output_blocks(matrix, m):
            each = [loop(matrix.beats, count, row_address=1)]
            b.issue("row_bus", at - 1, each, row_from=FROM_SOFTMAX, row_to=ALL_COLUMNS, row_address=0)
            padded = [loop(matrix.chunk - matrix.beats, count)]
            fields = {"row_from": FROM_PE, "row_column": 0, "row_slot": ZERO, "row_to": ALL_COLUMNS}
            b.issue("row_bus", at - 1 + matrix.beats * count, padded, **fields)
            ready = block(b, m, matrix, at, first=first, count=count, pace=count, to=layout.sums + first)
            at += matrix.positions * count
    with b.phase(f"reduce errors {index}", COLLECTIVE):
        ready = _reduce(b, layout, m, matrix.sums, ready, kept)
        for group in range(layout.words(matrix.sums)):
            count, at = min(layout.rows, matrix.sums - group * layout.rows), ready + group * layout.rows
            b.memory_b(READ, at, [], layout.reduced + group, LATCH + 2)
            b.issue("column_bus", at + 1, [loop(count, 1, column_row=1)], column_row=0, column_slot=LATCH + 2)
            to = layout.errors + group * layout.rows
            b.memory_b(WRITE, at + 2, [loop(count, 1, address=1)], to, COLUMN)
    return ready + matrix.sums + 3


def _reduce(b: Builder, layout: PaperLayout, m: Machine, sums: int, start: int, kept: int) -> int:
    """Sums over the rows of PEs; of each N, PE r of a column gets the r-th, if its output is above zero."""
    plan = halving(m, rows=True)
    for group in range(layout.words(sums)):
        b.memory_b(READ, start, [], kept + group, GATE)
        plan.emit(b, start, sums=layout.sums + group * layout.rows, flags=SLOPE, gate=GATE)
        b.memory_b(WRITE, start + plan.result, [], layout.reduced + group, RESULT)
        start += plan.result + 1
    return start


def direct_order(matrix: PaperLayer, machine: Machine) -> GemvOrder:
    """The order in which direct feedback adds up a layer's errors: the products of a row of PEs, then the rows."""
    name, rows = reversed_bits(machine), machine.pe_rows
    return GemvOrder(
        bounds=(0, matrix.inputs),
        backward_lanes=rows * matrix.ways,
        backward_combine="tree",
        backward_sums=tuple(j // rows % matrix.ways * rows + name[j % rows] for j in range(matrix.inputs)),
    )
