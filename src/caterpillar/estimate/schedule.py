"""Closed forms of schedules: the cycles and events that the simulator counts, from the loops of the micro-programs.

An instruction in nested loops is issued as often as the product of their counts, and each issue is the same events. So
a tick's events are a sum over its instructions, whatever its length, and no cycle is stepped through. The simulator
counts what it executes; the two are equal (tests/estimate).

Events belong to the phases of the account (PHASES) that their instruction says; several share them evenly, so halves
occur. A steady tick's cycles belong to the phases of the compute stretch they lie in, or else are collective.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from caterpillar.counters import Counters
from caterpillar.estimate.events import PHASES
from caterpillar.machine import Machine
from caterpillar.mapping import isa
from caterpillar.mapping.isa import Instruction, MicroProgram
from caterpillar.mapping.schedule import Schedule


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """A micro-program's cycles, and its events on the whole machine by phase (events.PHASES)."""

    cycles: int
    phases: dict[str, Counters]

    @property
    def counters(self) -> Counters:
        """Events of all phases."""
        return sum(self.phases.values(), start=Counters())


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """Cycles and events of a schedule. tick: a steady one, with the samples that arrive in it."""

    schedule: Schedule
    tick: Segment

    def cycles(self, samples: int) -> int:
        """Machine cycles of a run."""
        return self.schedule.cycles(samples)

    def phases(self, samples: int) -> dict[str, Counters]:
        """Events of a run by phase."""
        total = dict.fromkeys(PHASES, Counters())
        programs = self.schedule.ticks(samples)
        for program in {id(one): one for one in programs}.values():
            times = sum(one is program for one in programs)
            for phase, events in segment(program, self.schedule.machine).phases.items():
                total[phase] += events * times
        total["forward"] += arrivals(self.schedule) * samples
        return total


def predict(schedule: Schedule) -> Prediction:
    """Cycles and events, exactly, without executing anything."""
    steady = segment(schedule.steady, schedule.machine)
    forward = steady.phases["forward"] + arrivals(schedule) * schedule.batch
    return Prediction(
        schedule=schedule, tick=Segment(cycles=steady.cycles, phases=steady.phases | {"forward": forward})
    )


def arrivals(schedule: Schedule) -> Counters:
    """A sample and its label come from outside into core SRAM while those before are worked on."""
    inputs = schedule.network.inputs * (2 if schedule.scaled_lag else 1)
    return Counters(outside_words=inputs + 1, core_sram_write_words=inputs * schedule.input_copies)


def segment(program: MicroProgram, machine: Machine) -> Segment:
    """Cycles and events of a micro-program, of every group of cores its own."""
    phases = dict.fromkeys(PHASES, Counters())

    def add(kinds: isa.Kinds, events: Counters) -> None:
        share = _share(events, len(kinds))
        for kind in kinds[1:]:
            phases[kind] += share
        phases[kinds[0]] += events + share * (1 - len(kinds))

    for group, members in zip(program.groups, program.members(machine.cores), strict=True):
        part = machine if len(members) == machine.cores else replace(machine, core_rows=1, cores_per_row=len(members))
        for one in group.instructions:
            add(one.kinds, _events(one, part))
        rest = program.cycles
        for stretch in group.phases:
            if stretch.track == "compute":
                add(stretch.kinds, Counters(pe_cycles=part.pes * (stretch.end - stretch.start)))
                rest -= stretch.end - stretch.start
        add(isa.COLLECTIVE, Counters(pe_cycles=part.pes * rest))
    return Segment(cycles=program.cycles, phases=phases)


BETWEEN = "between phases"  # cycles in no phase: addresses and latches filled, results in flight


def cycles_by_name(program: MicroProgram) -> dict[str, int]:
    """A group's cycles by name of phase, layers' numbers left out; they sum to program.cycles.

    A phase of the compute track has all its cycles, one of the collective track those in which nothing is computed.
    """
    names = np.full(program.cycles, -1, np.int64)
    bare = {phase.name: re.sub(r" \d+( to \d+)?", "", phase.name) for phase in program.phases}
    kinds = list(dict.fromkeys(bare.values()))
    for track in ("collective", "compute"):
        for phase in program.phases:
            if phase.track == track:
                names[phase.start : phase.end] = kinds.index(bare[phase.name])
    taken = np.bincount(names + 1, minlength=len(kinds) + 1).tolist()
    return dict(zip((BETWEEN, *kinds), taken, strict=True))


def _share(events: Counters, kinds: int) -> Counters:
    """What each of several phases gets but the first, which takes the rest: halves, or else whole events."""
    if kinds < 3:
        return events * (1 / kinds)
    return Counters(**{name: value // kinds for name, value in events.as_dict().items()})


def _events(one: Instruction, machine: Machine) -> Counters:
    """Events of an instruction's issues on all cores. A field that loops step is taken issue by issue."""
    stepped = {name for loop in one.loops for name, stride in loop.strides if stride}
    fields = {name: value for name, value in one.fields if name in _COUNTED[one.unit]}
    if _columns_alone(one, fields):
        stepped.discard("row_to")
    if one.unit == "softmax" or not stepped & _COUNTED[one.unit]:
        return _of(machine, one.unit, tuple(sorted(fields.items()))) * one.issues
    names = sorted(stepped & _COUNTED[one.unit])
    columns = [one.values(name, fields[name]).tolist() for name in names]
    total = Counters()
    for values in zip(*columns, strict=True):
        total += _of(machine, one.unit, tuple(sorted((fields | dict(zip(names, values, strict=True))).items())))
    return total


def _columns_alone(one: Instruction, fields: dict[str, int]) -> bool:
    """Whether all its issues go to columns of PEs: which column does not matter."""
    steps = ((loop.count - 1) * dict(loop.strides).get("row_to", 0) for loop in one.loops)
    return fields.get("row_to", -1) + sum(min(0, step) for step in steps) >= 0


# Fields that decide which events an issue is; loops that step them are rare and short.
_COUNTED: dict[str, set[str]] = {
    "mem_a": {"a_op", "a_slot"},
    "mem_b0": {"b0_op", "b0_slot"},
    "mem_b1": {"b1_op", "b1_slot"},
    "fma": {"fma_a", "fma_b", "fma_c", "fma_to", "fma_gate"},
    "row_bus": {"row_from", "row_slot", "row_to", "row_send"},
    "column_bus": {"column_slot"},
    "link": {"link_bit", "link_slot"},
    "softmax": set(),
}


def _registers(*slots: int) -> int:
    return sum(isa.REGISTER <= slot < isa.HALF for slot in slots)


@cache
def _of(machine: Machine, unit: isa.Unit, items: tuple[tuple[str, int], ...]) -> Counters:
    """Events of one issue on all cores: what docs/machine.md says of the unit."""
    fields = dict(items)
    pes, rows, columns = machine.pes, machine.pe_rows * machine.cores, machine.pe_cols * machine.cores
    match unit:
        case "mem_a":
            moved = pes * isa.halves(machine)
            if fields["a_op"] == isa.READ:
                return Counters(pe_sram_read_words=moved)
            return Counters(pe_sram_write_words=moved, register_reads=pes * _registers(fields["a_slot"]))
        case "mem_b0" | "mem_b1":
            prefix = unit[-2:]
            register = pes * _registers(fields[f"{prefix}_slot"])
            if fields[f"{prefix}_op"] == isa.READ:
                return Counters(mem_b_read_words=pes, register_writes=register)
            return Counters(mem_b_write_words=pes, register_reads=register)
        case "fma":
            read = _registers(fields["fma_a"], fields["fma_b"], fields["fma_c"], fields["fma_gate"])
            return Counters(fma=pes, register_reads=pes * read, register_writes=pes * _registers(fields["fma_to"]))
        case "row_bus":
            return _row_bus(fields, rows)
        case "column_bus":
            return Counters(column_bus_words=columns, register_reads=columns * _registers(fields["column_slot"]))
        case "link":
            hops = isa.link_hops(machine, fields["link_bit"])
            return Counters(neighbour_words=pes * hops, register_reads=pes * _registers(fields["link_slot"]))
        case "softmax":
            return Counters()


def _row_bus(fields: dict[str, int], words: int) -> Counters:
    source, to = fields["row_from"], fields["row_to"]
    from_pe = source == isa.FROM_PE
    return Counters(
        row_bus_words=words,
        ring_word_hops=words * bool(fields.get("row_send", 0)),
        core_sram_read_words=words * (source == isa.FROM_SRAM),
        core_sram_write_words=words * (to == isa.TO_SRAM),
        activation_words=words * (to == isa.TO_SOFTMAX or source == isa.FROM_SOFTMAX),
        register_reads=words * (_registers(fields["row_slot"]) if from_pe else 0),
    )
