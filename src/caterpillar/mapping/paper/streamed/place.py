"""place for the paper's mapping where weights stream: what fits, and the order of its sums."""

from __future__ import annotations

from caterpillar.checks import Infeasible
from caterpillar.machine import Machine
from caterpillar.mapping.paper.feedback import direct_order
from caterpillar.mapping.paper.halving import reversed_bits
from caterpillar.mapping.paper.streamed.layout import StreamedLayout, make_layout
from caterpillar.mapping.paper.streamed.tick import streamed_tick
from caterpillar.mapping.room import MEM_A, MEM_B, QUEUE, REGISTERS, SRAM, too_small
from caterpillar.mapping.schedule import Schedule
from caterpillar.numerics import GemvOrder, Order
from caterpillar.program import Program


def place_streamed(program: Program, machine: Machine) -> Schedule | Infeasible:
    """The micro-program of a sample of sgd or dfa, or what does not fit."""
    layout = make_layout(program.network, machine, direct=program.rule == "dfa")
    short = _too_small(layout, machine)
    if short:
        return short
    return Schedule(
        network=program.network,
        machine=machine,
        rule=program.rule,
        mapping="paper",
        layout=layout,
        order=_order(layout, machine),
        steady=streamed_tick(layout, machine),
        sample_beats=layout.layers[0].positions,
        sram_beats=layout.sram_beats,
        streamed_weights=layout.streamed_weights,
        macs_per_sample=program.macs_per_sample,
    )


def _too_small(layout: StreamedLayout, machine: Machine) -> Infeasible | None:
    arriving = layout.layers[0].positions  # beats of the next sample
    needs = {
        MEM_A: layout.mem_a_words,
        SRAM: (layout.sram_beats + arriving) * machine.pe_rows,
        MEM_B: layout.mem_b_words,
        REGISTERS: machine.pe_rows // 2,
        QUEUE: max(layer.chunk for layer in layout.layers[1:]) * machine.pe_rows,
    }
    hints = {
        SRAM: "raise core_sram_bytes, or, for what does not fit MEM A lies there, pe_sram_bytes or the number of cores",
    }
    return too_small(machine, needs, hints)


def _order(layout: StreamedLayout, machine: Machine) -> Order:
    cores, rows, name = layout.cores, layout.rows, reversed_bits(machine)
    orders: list[GemvOrder] = []
    before = (0, layout.layers[0].inputs)  # the first layer's inputs are one chunk
    for layer in layout.layers:
        chunk = [core for core in range(len(before) - 1) for _ in range(before[core], before[core + 1])]
        bounds = tuple(min(core * layer.panel, layer.outputs) for core in range(cores + 1))
        orders.append(
            GemvOrder(
                bounds=bounds,
                forward_lanes=rows,
                forward_combine="tree",
                forward_first=tuple(start % before[-1] for start in before[:-1]) if orders else None,
                forward_sums=tuple(name[(i - before[core]) % rows] for i, core in enumerate(chunk)),
                backward_lanes=rows,
                backward_combine="tree",
                backward_first=tuple((core + 1) % cores for core in chunk) if orders else None,
                backward_sums=tuple(name[j % layer.panel % rows] for j in range(layer.outputs)),
            )
        )
        before = bounds
    fixed = (matrix and direct_order(matrix, machine) for matrix in layout.fixed)
    return Order(layers=tuple(orders), feedback=tuple(fixed))
