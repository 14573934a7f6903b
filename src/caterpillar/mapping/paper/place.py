"""place for the paper's mapping: what it takes, what fits, and the order of its sums."""

from __future__ import annotations

from functools import lru_cache

from caterpillar.checks import Infeasible, UsageError
from caterpillar.machine import Machine
from caterpillar.mapping.paper.backward import update_registers
from caterpillar.mapping.paper.batches import place_batches
from caterpillar.mapping.paper.continuous import place_continuous
from caterpillar.mapping.paper.continuous_batches import place_continuous_batches
from caterpillar.mapping.paper.feedback import FeedbackLayout, direct_order, feedback_layout, feedback_tick
from caterpillar.mapping.paper.halving import reversed_bits
from caterpillar.mapping.paper.layout import PaperLayer, PaperLayout, make_layout, sum_registers
from caterpillar.mapping.paper.streamed import place_streamed
from caterpillar.mapping.paper.tick import sample_tick
from caterpillar.mapping.room import MEM_A, MEM_B, QUEUE, REGISTERS, SRAM, too_small
from caterpillar.mapping.schedule import Schedule
from caterpillar.mapping.split import back_unit
from caterpillar.numerics import GemvOrder, Order
from caterpillar.program import Program


@lru_cache(maxsize=2)  # asked again for mapping best
def place_paper(program: Program, machine: Machine) -> Schedule | Infeasible:
    """The micro-programs of a run, or what does not fit.

    Raises UsageError for machines that this mapping has no programs for.
    """
    name = program.rule.removesuffix(str(program.batch)) if program.batch > 1 else program.rule
    if machine.pe_rows != machine.pe_cols:
        raise UsageError(
            f"Machine.pe_cols must equal pe_rows, {machine.pe_rows}, for mapping paper (it transposes on the diagonal),"
            f" got {machine.pe_cols}"
        )
    if name in ("cp", "mbcp"):
        return (place_continuous if program.batch == 1 else place_continuous_batches)(program, machine)
    if program.batch > 1:
        return place_batches(program, machine, name)
    if program.rule in ("fa", "dfa"):
        layout = feedback_layout(program.network, machine, direct=program.rule == "dfa")
    else:
        layout = make_layout(program.network, machine, back_unit(machine))
    short = _too_small(layout, machine)
    if short and short.what in (MEM_A, MEM_B) and program.rule != "fa":
        streamed = place_streamed(program, machine)
        if isinstance(streamed, Infeasible) and streamed.what == short.what:
            return min(short, streamed, key=lambda one: one.needs_bytes)
        return streamed
    if short:
        return short
    return Schedule(
        network=program.network,
        machine=machine,
        rule=program.rule,
        mapping="paper",
        layout=layout,
        order=_order(layout, machine),
        steady=feedback_tick(layout, machine) if isinstance(layout, FeedbackLayout) else sample_tick(layout, machine),
        sample_beats=layout.layers[0].positions,
        sram_beats=layout.sram_beats,
        macs_per_sample=program.macs_per_sample,
    )


def _too_small(layout: PaperLayout, machine: Machine) -> Infeasible | None:
    registers = max(
        machine.pe_rows // 2, sum_registers(layout.layers, machine), update_registers(layout.layers[0], machine)
    )
    sram = 2 * layout.sram_beats * machine.pe_rows  # the next sample arrives while this one is worked on
    queue = max(layer.chunk for layer in layout.layers[1:]) * machine.pe_rows
    needs = {
        MEM_A: layout.mem_a_words,
        MEM_B: layout.mem_b_words,
        REGISTERS: registers,
        SRAM: sram,
        QUEUE: queue,
    }
    return too_small(machine, needs)


def _bounds(layer: PaperLayer, cores: int) -> tuple[int, ...]:
    """Where each core's panel of outputs begins; cores past the last output have none."""
    return tuple(min(core * layer.panel, layer.outputs) for core in range(cores + 1))


def _order(layout: PaperLayout, machine: Machine) -> Order:
    cores, rows = layout.cores, layout.rows
    name = reversed_bits(machine)
    orders: list[GemvOrder] = []
    before = (0, layout.layers[0].inputs)  # the first layer's inputs are one chunk
    for layer in layout.layers:
        chunk = [core for core in range(len(before) - 1) for _ in range(before[core], before[core + 1])]
        within = [i - before[core] for i, core in enumerate(chunk)]
        bounds = _bounds(layer, cores)
        orders.append(
            GemvOrder(
                bounds=bounds,
                forward_lanes=rows * layer.ways,
                forward_combine="tree",
                forward_first=tuple(start % before[-1] for start in before[:-1]) if orders else None,
                forward_sums=tuple(o // rows % layer.ways * rows + name[o % rows] for o in within),
                backward_lanes=rows,
                backward_combine="tree",
                backward_first=tuple((core + 1) % cores for core in chunk) if orders else None,
                backward_sums=tuple(name[j % rows] for j in range(layer.outputs)),
            )
        )
        before = bounds
    fixed: list[GemvOrder | None] = [None] * len(orders)
    if isinstance(layout, FeedbackLayout):
        for number, matrix in enumerate(layout.fixed):
            if matrix:
                fixed[number] = direct_order(matrix, machine) if layout.direct else orders[number]
    return Order(layers=tuple(orders), feedback=tuple(fixed))
