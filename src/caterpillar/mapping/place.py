"""place: a Program on a Machine -> a Schedule, or what does not fit."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from caterpillar.checks import Infeasible, UsageError
from caterpillar.machine import Machine
from caterpillar.mapping.arrange import make_layouts
from caterpillar.mapping.batches import place_batches
from caterpillar.mapping.descent import first_tick, last_update, registers, steady_tick
from caterpillar.mapping.isa import SOFTMAX_OUTPUTS, MicroProgram, accumulators, halves
from caterpillar.mapping.layout import Layout
from caterpillar.mapping.paper import place_paper
from caterpillar.mapping.parts import on_all, on_the_fastest_part, parts_of
from caterpillar.mapping.pipeline import place_pipeline
from caterpillar.mapping.room import MEM_A, MEM_B, QUEUE, REGISTERS, SRAM, too_small
from caterpillar.mapping.schedule import Schedule
from caterpillar.mapping.streamed import place_streamed
from caterpillar.mapping.sum_order import sum_order
from caterpillar.mapping.tiled import TILED, place_tiled
from caterpillar.program import Program, Update

MAPPINGS = ("best", "paper")
RULES = ("sgd", "mbgd", "fa", "dfa", "cp", "mbcp")
SINGLE = {"mbgd": "sgd", "mbcp": "cp"}  # what these are with a batch of one sample
STREAMED = ("sgd", "dfa", "cp")  # rules whose weights may lie in core SRAM, where one of the memories is too small


def place(program: Program, machine: Machine, *, mapping: str = "best") -> Schedule | Infeasible:
    """The micro-programs of a run. Raises UsageError for what no mapping here can do."""
    if mapping not in MAPPINGS:
        raise UsageError(f"--mapping must be one of {', '.join(MAPPINGS)}, got {mapping!r}")
    _check_supported(program, machine)
    if mapping == "paper":
        if halves(machine) > 1:
            raise UsageError(
                "Machine.pe_sram_word_bits must be 16 for a simulation of mapping paper,"
                f" got {machine.pe_sram_word_bits}"
            )
        return place_paper(program, machine)
    if program.batch > 1:
        rule = rule_of(program)
        found = on_the_fastest_part(lambda program, part: place_batches(program, part, rule), program, machine)
        tiled = isinstance(found, Infeasible) and rule_of(program) in TILED
        return place_tiled(program, machine, rule_of(program)) if tiled else found
    program = replace(program, rule=SINGLE.get(program.rule, program.rule))
    pipelined = program.rule == "cp"
    answer = on_the_fastest_part(place_pipeline, program, machine) if pipelined else _fastest(program, machine)
    if isinstance(answer, Infeasible) and program.rule in STREAMED and answer.what in (MEM_A, MEM_B, SRAM):
        return _rather(place_streamed(program, machine), answer)
    return answer


def rule_of(program: Program) -> str:
    """The rule's name without its batch."""
    return program.rule.removesuffix(str(program.batch)) if program.batch > 1 else program.rule


def _rather(second: Schedule | Infeasible, first: Infeasible) -> Schedule | Infeasible:
    """The second answer, unless it is short of the same memory and needs no less of it."""
    if isinstance(second, Infeasible) and second.what == first.what and second.needs_bytes >= first.needs_bytes:
        return first
    return second


@dataclass(frozen=True, slots=True)
class _Found:
    """A part of the machine, a layout for it that fits, and its steady tick."""

    part: Machine
    layout: Layout
    steady: MicroProgram


def _fastest(program: Program, machine: Machine) -> Schedule | Infeasible:
    """On all PEs, or on fewer columns of them or cores, where more only make ways longer.

    Of all layouts the one with the shortest steady tick is taken, so neither twice the columns, nor a multiple of the
    cores, nor wider links can make it longer.
    """
    found, shorts, least = list[_Found](), list[Infeasible](), math.inf
    for part in (machine, *parts_of(machine)):
        if program.macs_per_sample >= least * part.pes:
            break  # fewer PEs would take as many cycles for the multiply-adds alone
        for layout in make_layouts(program.network, part, program.rule):
            short = _too_small(layout, part, program.rule)
            if short:
                shorts += [short] if part is machine else []
            elif _multiply_adds(layout) <= least:
                found.append(_Found(part, layout, steady_tick(layout, part, program.rule)))
                least = min(least, found[-1].steady.cycles)
    if not found:
        return min(shorts, key=lambda short: short.needs_bytes / max(1, short.has_bytes))
    shortest = [_scheduled(program, machine, one) for one in found if one.steady.cycles == least]
    return min(shortest, key=lambda schedule: schedule.cycles(1))


def _multiply_adds(layout: Layout) -> int:
    """Forward and update of a PE's weights of the hidden layers: so many cycles a tick takes at least."""
    return sum(2 * layer.positions * layer.padded for layer in layout.layers[:-1])


def _scheduled(program: Program, machine: Machine, found: _Found) -> Schedule:
    layout, part = found.layout, found.part
    schedule = Schedule(
        network=program.network,
        machine=part,
        rule=program.rule,
        mapping="best",
        layout=layout,
        order=sum_order(layout, part, program.rule),
        first=first_tick(layout, part, program.rule),
        steady=found.steady,
        last=last_update(layout, part),
        sample_beats=sample_beats(layout, part),
        sram_beats=sample_beats(layout, part),
        macs_per_sample=program.macs_per_sample,
    )
    return on_all(schedule, machine)


def sample_beats(layout: Layout, machine: Machine) -> int:
    """Beats of core SRAM that a sample takes."""
    return layout.layers[0].positions * (layout.layers[0].lanes // machine.pe_rows)


def _check_supported(program: Program, machine: Machine) -> None:
    if rule_of(program) not in RULES:
        raise UsageError(f"--rule must be one of {', '.join(RULES)} for a simulation, got {program.rule!r}")
    if any(isinstance(op, Update) and op.momentum for op in program.ops):
        raise UsageError("--momentum must be 0 for a simulation")
    if program.network.activation != "relu":
        raise UsageError(f"Network.activation must be relu for a simulation, got {program.network.activation!r}")
    if program.network.depth < 2:
        raise UsageError("Network.sizes must have at least 3 entries for a simulation, got 2")
    if program.network.outputs > SOFTMAX_OUTPUTS:
        raise UsageError(
            f"Network.sizes must end in at most {SOFTMAX_OUTPUTS} for a simulation, got {program.network.outputs}"
        )
    if not machine.neighbour_links:
        raise UsageError("Machine.neighbour_links must be true for a simulation, got false")
    most = accumulators(machine) * (2 if accumulators(machine) > 1 else 1)
    if halves(machine) > most:
        raise UsageError(
            f"Machine.pe_sram_word_bits must be at most {16 * most} with fma_latency {machine.fma_latency} for a"
            f" simulation, got {machine.pe_sram_word_bits}"
        )
    for name in ("pe_rows", "pe_cols"):
        size = getattr(machine, name)
        if size & (size - 1):
            raise UsageError(f"Machine.{name} must be a power of two for a simulation, got {size}")


def _too_small(layout: Layout, machine: Machine, rule: str) -> Infeasible | None:
    last, hidden = layout.layers[-1], layout.layers[1:-1]
    waiting = [(layer.chunk + 1) * layer.lanes // machine.pe_rows for layer in hidden]
    beats = max(*waiting, last.own * -(-last.owners // machine.pe_rows), 1)
    needs = {
        MEM_A: layout.mem_a_words,
        MEM_B: layout.mem_b_words,
        REGISTERS: registers(layout, machine, rule),
        SRAM: sample_beats(layout, machine) * machine.pe_rows,
        QUEUE: beats * machine.pe_rows,
    }
    return too_small(machine, needs, {REGISTERS: "raise pe_registers or lower pe_rows or pe_cols"})
