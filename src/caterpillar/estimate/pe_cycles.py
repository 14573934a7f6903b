"""Where the cycles of the PEs go, from the loops of the micro-programs: the simulator counts the same.

What an issue of the FMA is follows from its operands, so those are counted like all events. Which cycles are idle
beside which others has no closed form; a bit for each cycle is marked, unit by unit, from the loops.
"""

from __future__ import annotations

from collections import Counter
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from caterpillar.counters import PeCycles
from caterpillar.machine import Machine
from caterpillar.mapping import isa
from caterpillar.mapping.isa import Instruction, MicroProgram
from caterpillar.mapping.schedule import Schedule, unhidden_collectives

Cycles = NDArray[np.bool_]
Operation = Literal["padding", "additions", "elementwise"]


def pe_cycles(schedule: Schedule, samples: int) -> PeCycles:
    """Of a run of n samples."""
    programs, total, filling = schedule.ticks(samples), PeCycles(), 0
    for program in {id(one): one for one in programs}.values():
        tick = _of_program(program, schedule.machine)
        total += tick * sum(one is program for one in programs)
        if program is schedule.steady:
            filling = tick.padding * schedule.extra_ticks
    return total.split(useful=schedule.macs_per_sample * samples, fill_and_drain=filling)


def steady_pe_cycles(schedule: Schedule) -> PeCycles:
    """Of a steady tick."""
    useful = schedule.macs_per_sample * schedule.batch
    return _of_program(schedule.steady, schedule.machine).split(useful=useful, fill_and_drain=0)


def _of_program(program: MicroProgram, machine: Machine) -> PeCycles:
    """Of one tick on all cores; all multiply-adds are padding as yet."""
    total = PeCycles()
    for group, members in zip(program.groups, program.members(machine.cores), strict=True):
        total += (_issued(group) + _idle(group, machine)) * (len(members) * machine.pes_per_core)
    return total


def _issued(program: MicroProgram) -> PeCycles:
    """Cycles in which the FMA is issued."""
    found: dict[Operation, int] = {"padding": 0, "additions": 0, "elementwise": 0}
    for one in program.instructions:
        if one.unit == "fma":
            for operands, issues in _issues_by(one, ("fma_a", "fma_b", "fma_c")):
                found[_operation(*operands)] += issues
    return PeCycles(**found)


def _operation(a: int, b: int, c: int) -> Operation:
    """What +-a b + c is, by its operands."""
    if isa.RATE in (a, b):
        return "elementwise"
    if isa.ONE in (a, b):
        return "elementwise" if c == isa.ZERO else "additions"
    return "padding"


def _values(one: Instruction, name: str) -> NDArray[np.int64]:
    """A field's value at each issue."""
    return one.values(name, dict(one.fields)[name])


def _issues_by(one: Instruction, names: tuple[str, ...]) -> list[tuple[tuple[int, ...], int]]:
    """How often an instruction issues which values of some fields."""
    fields = dict(one.fields)
    if not {name for loop in one.loops for name, _ in loop.strides}.intersection(names):
        return [(tuple(fields[name] for name in names), one.issues)]
    columns = (one.values(name, fields[name]).tolist() for name in names)
    return list(Counter(zip(*columns, strict=True)).items())


def _idle(program: MicroProgram, machine: Machine) -> PeCycles:
    """Cycles in which it is not, by cause."""
    fma = _marked(program, "fma")
    causes = {
        "idle_softmax": _softmax_works(program, machine),
        "idle_collective": unhidden_collectives(program),
        "idle_core_sram": _after(_marked(program, "row_bus"), isa.sram_beat_cycles(machine)),
        "idle_mem_a_port": _after(_marked(program, "mem_a"), 1),
        "idle_latency": _after(fma, machine.fma_latency),
        "idle_words": np.ones(program.cycles, np.bool_),
    }
    rest, found = ~fma, {}
    for cause, holds in causes.items():
        found[cause] = int((rest & holds).sum())
        rest &= ~holds
    return PeCycles(**found)


def _marked(program: MicroProgram, unit: isa.Unit) -> Cycles:
    """The cycles of a unit's issues: of the FMA all, of MEM A writes, of the row buses beats of the core SRAM."""
    marked = np.zeros(program.cycles, np.bool_)
    for one in program.instructions:
        if one.unit != unit:
            continue
        cycles = one.cycles()
        if unit == "mem_a":
            cycles = cycles[_values(one, "a_op") != isa.READ]
        elif unit == "row_bus":
            cycles = cycles[(_values(one, "row_from") == isa.FROM_SRAM) | (_values(one, "row_to") == isa.TO_SRAM)]
        marked[cycles] = True
    return marked


def _after(marked: Cycles, cycles: int) -> Cycles:
    """The so many cycles after each that is marked."""
    after = np.zeros_like(marked)
    for k in range(1, cycles + 1):
        after[k:] |= marked[:-k]
    return after


def _softmax_works(program: MicroProgram, machine: Machine) -> Cycles:
    """The cycles after its start until its results can be read."""
    works = np.zeros(program.cycles, np.bool_)
    for one in program.instructions:
        if one.unit == "softmax":
            sizes = one.values("softmax_on", dict(one.fields)["softmax_on"])
            for start, size in zip(one.cycles().tolist(), sizes.tolist(), strict=True):
                works[start + 1 : start + isa.softmax_cycles(machine, size)] = True
    return works
