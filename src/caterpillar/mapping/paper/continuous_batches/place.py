"""place for the paper's mapping of continuous propagation of batches: shares, all cores' programs, or why not."""

from __future__ import annotations

from collections.abc import Callable

from caterpillar.checks import Infeasible, UsageError
from caterpillar.machine import WORD_BYTES, Machine
from caterpillar.mapping.isa import MicroProgram
from caterpillar.mapping.paper.continuous.order import make_order
from caterpillar.mapping.paper.continuous.place import LEAST, PIECES, mark_spans, programs
from caterpillar.mapping.paper.continuous.planner import Planner, TooLate
from caterpillar.mapping.paper.continuous.ring import Ring
from caterpillar.mapping.paper.continuous.shares import Stage, least_words, share
from caterpillar.mapping.paper.continuous_batches.core import plan_core
from caterpillar.mapping.paper.continuous_batches.flow import Activations, Errors
from caterpillar.mapping.paper.continuous_batches.layout import Layout, evenly, finish, in_chains
from caterpillar.mapping.paper.continuous_batches.timing import cycles_of, make_stages, registers, timing_of
from caterpillar.mapping.room import ADDRESSES, HINTS, MEM_A, MEM_B, REGISTERS, SRAM, too_small
from caterpillar.mapping.schedule import Schedule
from caterpillar.network import Network
from caterpillar.program import Program

ATTEMPTS = 40
EXTRA = (0, 2)  # cycles that a pass leaves free after k positions of a sample, beyond those that additions take


def place_continuous_batches(program: Program, machine: Machine) -> Schedule | Infeasible:
    """The micro-programs of a tick of mbcp, a core's each, or what does not fit."""
    network, depth = program.network, program.network.depth
    layout = _layout(network, machine, program.batch)
    if isinstance(layout, Infeasible):
        return layout
    needs = {
        MEM_B: layout.mem_b_words,
        REGISTERS: registers(machine),
        SRAM: layout.sram_beats * machine.pe_rows,
        ADDRESSES: len(layout.queues),
    }
    hints = {what: f"lower the batch or {HINTS[what]}" for what in (MEM_B, SRAM)}
    short = too_small(machine, needs, hints | {REGISTERS: "raise pe_registers or lower fma_latency"})
    if short:
        return short
    return Schedule(
        network=network,
        machine=machine,
        rule=program.rule,
        mapping="paper",
        layout=layout,
        order=make_order(network.sizes, layout.parts, [1] * depth, machine),
        steady=_tick(layout, machine),
        batch=program.batch,
        extra_ticks=2 * depth - 1,
        queues=layout.queues,
        arrival=1,
        sample_beats=layout.positions(1),
        sram_beats=layout.sram_beats,
        label_lag=depth,
        macs_per_sample=program.macs_per_sample,
    )


def _layout(network: Network, machine: Machine, batch: int) -> Layout | Infeasible:
    """The shortest that fits; if none does, the smallest. Parts of a core work in the same words, in turn."""
    stages, found = make_stages(network, machine), list[tuple[bool, int, Layout]]()
    cycles = _cycles(batch)
    for most in sorted({-(-max(stage.groups for stage in stages) // pieces) for pieces in PIECES}):
        for least in LEAST:
            shared = share(stages, machine, most, least, cycles)
            if shared:
                parts = in_chains(evenly(shared[1]), lambda part: cycles(stages[part.layer - 1], part.sums, machine))
                layout = finish(network, machine, batch, parts)
                beats = layout.sram_beats * machine.pe_rows * WORD_BYTES
                fits = layout.mem_b_words * WORD_BYTES <= machine.pe_mem_b_bytes and beats <= machine.core_sram_bytes
                found.append((not fits, shared[0] if fits else layout.mem_b_words, layout))
    if not found:
        needs = least_words(stages, machine) * WORD_BYTES
        return Infeasible(what=MEM_A, needs_bytes=needs, has_bytes=machine.pe_sram_bytes, hint=HINTS[MEM_A])
    return min(found, key=lambda one: one[:2])[2]


def _cycles(batch: int) -> Callable[[Stage, int, Machine], int]:
    return lambda stage, sums, machine: cycles_of(stage, sums, machine, batch)


def _tick(layout: Layout, machine: Machine) -> MicroProgram:
    """The shortest tick found: error sums for which passes leave few cycles are added up after the last."""
    return min((_attempt(layout, machine, extra) for extra in EXTRA), key=lambda found: found.cycles)


def _attempt(layout: Layout, machine: Machine, extra: int) -> MicroProgram:
    """All cores' programs; more cycles are left free in a pass until what it makes is added up in time."""
    more, stages = dict.fromkeys(range(1, layout.depth + 1), extra), layout.stages
    for _ in range(ATTEMPTS):
        timings = {
            part: timing_of(stages[part.layer - 1], part.sums, machine, layout.batch, more[part.layer])
            for part in layout.parts
        }
        ring = Ring(machine, {core: Planner() for core in layout.on})
        try:
            plans = {core: plan_core(layout, machine, core, timings, ring) for core in layout.on}
        except TooLate as found:
            more[found.layer] += 1
            continue
        Activations(layout, ring, plans).begin()
        Errors(layout, machine, ring, plans).begin()
        ring.run()
        for core, plan in plans.items():
            mark_spans(plan.planner, [*plan.spans, *ring.spans(core)])
        return programs({core: plan.planner for core, plan in plans.items()}, machine)
    raise UsageError(f"mbcp on machine {machine.name}: no plan in which all sums come in time")
