"""place for the paper's mapping of continuous propagation: shares, all cores' programs, or what does not fit."""

from __future__ import annotations

from dataclasses import replace

from caterpillar.checks import Infeasible, UsageError
from caterpillar.machine import WORD_BYTES, Machine
from caterpillar.mapping.isa import MicroProgram
from caterpillar.mapping.paper.continuous.activations import Activations, scale_inputs
from caterpillar.mapping.paper.continuous.core import CorePlan, finish_core, plan_core
from caterpillar.mapping.paper.continuous.errors import Errors
from caterpillar.mapping.paper.continuous.layout import Layout, finish
from caterpillar.mapping.paper.continuous.order import make_order
from caterpillar.mapping.paper.continuous.passes import Pass, plan_pass
from caterpillar.mapping.paper.continuous.planner import Planner, TooLate
from caterpillar.mapping.paper.continuous.ring import Ring
from caterpillar.mapping.paper.continuous.shares import least_words, make_stages, share
from caterpillar.mapping.room import ADDRESSES, HINTS, MEM_A, MEM_B, REGISTERS, SRAM, too_small
from caterpillar.mapping.schedule import Schedule
from caterpillar.network import Network
from caterpillar.program import Program

ATTEMPTS = 100
PIECES = (1, 2, 3, 4, 6, 8, 12, 16)  # of a layer's outputs on a core, worked off one after the other
LEAST = (1, 2, 4, 8)  # groups that a layer begins with on a core that has the end of another


def place_continuous(program: Program, machine: Machine) -> Schedule | Infeasible:
    """The micro-programs of a tick of cp, a core's each, or what does not fit."""
    network, depth = program.network, program.network.depth
    layout = _layout(network, machine)
    if isinstance(layout, Infeasible):
        return layout
    short = _too_small(layout, machine)
    if short:
        return short
    return Schedule(
        network=network,
        machine=machine,
        rule=program.rule,
        mapping="paper",
        layout=layout,
        order=make_order(network.sizes, layout.parts, [stage.width for stage in layout.stages], machine),
        steady=_tick(layout, machine),
        extra_ticks=2 * depth - 1,
        queues=layout.registers.queues,
        sample_beats=layout.stages[0].positions,
        sram_beats=layout.sram_beats,
        label_lag=depth,
        macs_per_sample=program.macs_per_sample,
    )


def _layout(network: Network, machine: Machine) -> Layout | Infeasible:
    """The shortest that fits MEM B; if none does, the smallest. Parts of a core work in the same words, in turn."""
    rows, found = machine.pe_rows, list[tuple[int, int, Layout]]()
    groups = max(-(-layer.outputs // rows) for layer in network.layers)
    for pieces in PIECES:
        most = -(-groups // (pieces * rows)) * rows
        for least in LEAST:
            shared = share(make_stages(network, machine), machine, most, least)
            if shared:
                layout = finish(network, machine, shared[1])
                fits = layout.mem_b_words * WORD_BYTES <= machine.pe_mem_b_bytes
                found.append((shared[0] if fits else 0, layout.mem_b_words, layout))
        if not found:
            least = least_words(make_stages(network, machine), machine)
            return Infeasible(
                what=MEM_A, needs_bytes=least * WORD_BYTES, has_bytes=machine.pe_sram_bytes, hint=HINTS[MEM_A]
            )
        fitting = [one for one in found if one[0]]
        if fitting:
            return min(fitting, key=lambda one: one[0])[2]
    return min(found, key=lambda one: one[1])[2]


def _too_small(layout: Layout, machine: Machine) -> Infeasible | None:
    needs = {
        MEM_B: layout.mem_b_words,
        REGISTERS: 2 * max(stage.width for stage in layout.stages) + 4,
        SRAM: layout.sram_beats * machine.pe_rows,
        ADDRESSES: len(layout.registers.queues),
    }
    return too_small(machine, needs, {REGISTERS: "raise pe_registers or lower fma_latency"})


def _tick(layout: Layout, machine: Machine) -> MicroProgram:
    """All cores' programs; passes begin later, or go slower, until all they need is there."""
    wait, more = 0, dict.fromkeys(range(1, layout.depth + 1), 0)
    for _ in range(ATTEMPTS):
        try:
            plans = _plans(layout, machine, wait, more)
        except TooLate as found:
            more[found.layer] += layout.stages[found.layer - 1].beat.pace
            continue
        ring = Ring(machine, {core: plan.planner for core, plan in plans.items()})
        activations = Activations(layout, ring, plans)
        activations.begin()
        Errors(layout, machine, ring, plans).begin()
        ring.run()
        late = _late(plans, activations.stored)
        if late <= wait:
            _finish(layout, machine, plans, ring)
            return programs({core: plan.planner for core, plan in plans.items()}, machine)
        wait = late
    raise UsageError(f"cp on machine {machine.name}: no plan in which all words come in time")


def _plans(layout: Layout, machine: Machine, wait: int, more: dict[int, int]) -> dict[int, CorePlan]:
    """What each core does by itself. Cores that do the same are planned once."""
    passes: dict[tuple[int, int], Pass] = {}
    for part in layout.parts:
        if (part.layer, part.sums) not in passes:
            passes[part.layer, part.sums] = plan_pass(layout, machine, part, more[part.layer])
    shapes = {part: passes[part.layer, part.sums] for part in layout.parts}
    alike: dict[object, CorePlan] = {}
    found: dict[int, CorePlan] = {}
    for core, parts in layout.on.items():
        same = (tuple((part.layer, part.sums, part.first % layout.rows) for part in parts), repr(layout.words[core]))
        if same not in alike:
            alike[same] = plan_core(layout, machine, core, shapes, wait)
        found[core] = alike[same].copy()
    return found


def _finish(layout: Layout, machine: Machine, plans: dict[int, CorePlan], ring: Ring) -> None:
    """What nobody waits for; and the collectives' names."""
    for core, plan in plans.items():
        finish_core(plan, layout, machine)
        if any(part.layer == 1 for part in layout.on[core]):
            scale_inputs(plan.planner, layout, machine)
        mark_spans(plan.planner, [*plan.spans, *ring.spans(core)])


def mark_spans(b: Planner, spans: list[tuple[int, int, str]]) -> None:
    """Name collectives, given by their last cycle or the one after, first, and name, in a core's program.

    They go on side by side: each is shown from where the one that ended before it ended.
    """
    end = 0
    for until, start, name in sorted((last + 1, first, name) for first, last, name in spans):
        if until > max(start, end):
            b.mark(name, ("collective",), "collective", max(start, end), until)
        end = max(end, until)


def _late(plans: dict[int, CorePlan], stored: dict[tuple[int, int, int], int]) -> int:
    """How long passes must wait so that all inputs come in time; 0: they do."""
    late = 0
    for core, plan in plans.items():
        for one in plan.passes:
            if one.stage.layer == 1:
                continue
            for position in range(one.stage.positions):
                behind = stored[core, one.stage.layer, position] + 4 - one.needs(position, old=False)
                if behind > 0:
                    late = max(late, plan.passes[0].start - plan.passes[0].lead + behind)
    return late


def programs(planners: dict[int, Planner], machine: Machine) -> MicroProgram:
    """All cores' programs, as long as the longest, and till the core SRAMs are free; those that are the same once."""
    cycles = max(max(planner.end + 1, planner.held_until("core SRAM")) for planner in planners.values())
    found: list[MicroProgram] = []
    group_of: list[int] = []
    for core in range(machine.cores):
        program = (
            planners[core].program(cycles)
            if core in planners
            else MicroProgram(cycles=cycles, instructions=(), phases=())
        )
        if program not in found:
            found.append(program)
        group_of.append(found.index(program))
    return replace(found[0], others=tuple(found[1:]), group_of=tuple(group_of))
