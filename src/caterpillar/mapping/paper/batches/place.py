"""place for batches under mapping paper: what it takes, what fits, and the order of its sums."""

from __future__ import annotations

import numpy as np

from caterpillar.checks import Infeasible
from caterpillar.machine import Machine
from caterpillar.mapping.paper.batches.layout import BatchLayout, block_registers, make_layout, sram_words
from caterpillar.mapping.paper.batches.tick import batch_tick
from caterpillar.mapping.paper.halving import reversed_bits
from caterpillar.mapping.paper.layout import PaperLayer
from caterpillar.mapping.room import MEM_A, MEM_B, QUEUE, REGISTERS, SRAM, too_small
from caterpillar.mapping.schedule import Indices, Schedule
from caterpillar.numerics import GemvOrder, Order
from caterpillar.program import Program


def place_batches(program: Program, machine: Machine, rule: str) -> Schedule | Infeasible:
    """The micro-program of a batch of mbgd, fa or dfa, or what does not fit."""
    layout = make_layout(program.network, machine, program.batch, rule)
    short = _too_small(layout, machine)
    if short:
        return short
    first = layout.layers[0]

    def input_beats(sample: int) -> tuple[Indices, Indices]:
        """Of each copy of a sample, the core and the beat of its SRAM of each beat."""
        beat = np.arange(-(-first.inputs // layout.rows))
        share = np.arange(0, layout.cores, first.chunks)[:, None]
        return share + beat // first.beats, layout.source(1, sample) + np.tile(beat % first.beats, (len(share), 1))

    return Schedule(
        network=program.network,
        machine=machine,
        rule=program.rule,
        mapping="paper",
        layout=layout,
        order=_order(layout, machine),
        steady=batch_tick(layout, machine),
        batch=program.batch,
        sample_beats=first.beats,
        input_beats=input_beats if first.chunks > 1 else None,
        sram_beats=layout.sram_beats,
        macs_per_sample=program.macs_per_sample,
    )


def _too_small(layout: BatchLayout, machine: Machine) -> Infeasible | None:
    waiting = [layer.chunk for layer in layout.layers[1:]]
    waiting += [
        max(layer.beats, layer.ways * max(samples for _, samples in parts))
        for layer, parts in zip(layout.layers, layout.parts, strict=True)
        if layer.chunks > 1
    ]
    needs = {
        MEM_A: layout.mem_a_words,
        MEM_B: layout.mem_b_words,
        REGISTERS: max(machine.pe_rows // 2, block_registers(layout.layers, machine)),
        SRAM: sram_words(layout),
        QUEUE: max(waiting) * machine.pe_rows,
    }
    return too_small(machine, needs)


def _order(layout: BatchLayout, machine: Machine) -> Order:
    orders = [_gemv(layout, machine, number, layer) for number, layer in enumerate(layout.layers)]
    fixed: list[GemvOrder | None] = [None] * len(orders)
    for number, layer in enumerate(layout.fixed):
        if layer and layout.direct:
            fixed[number] = GemvOrder(
                bounds=(0, layer.inputs),
                backward_lanes=layout.rows * layer.ways,
                backward_combine="tree",
                backward_sums=_chains(layout, machine, layer, range(layer.inputs)),
            )
        elif layer:
            fixed[number] = orders[number]
    return Order(layers=tuple(orders), feedback=tuple(fixed))


def _gemv(layout: BatchLayout, machine: Machine, number: int, layer: PaperLayer) -> GemvOrder:
    cores, width = layout.cores, layer.beats * layout.rows
    starts = [min(chunk * width, layer.inputs) for chunk in range(layer.chunks)]
    within = [i % width for i in range(layer.inputs)]
    name = reversed_bits(machine)
    owners = [i // width for i in range(layer.inputs)]
    return GemvOrder(
        bounds=tuple(min(core * layer.panel, layer.outputs) for core in range(cores + 1)),
        forward_lanes=layout.rows * layer.ways,
        forward_combine="tree",
        forward_first=tuple(starts[core % layer.chunks] % layer.inputs for core in range(cores)),
        forward_sums=_chains(layout, machine, layer, within),
        backward_lanes=layout.rows,
        backward_combine="tree",
        backward_first=tuple((core + 1) % cores for core in owners) if number else None,
        backward_sums=tuple(name[j % layout.rows] for j in range(layer.outputs)),
    )


def _chains(layout: BatchLayout, machine: Machine, layer: PaperLayer, within: list[int] | range) -> tuple[int, ...]:
    """The partial sum of each input of a matrix, by its place in its core."""
    name = reversed_bits(machine)
    return tuple(o // layout.rows % layer.ways * layout.rows + name[o % layout.rows] for o in within)
