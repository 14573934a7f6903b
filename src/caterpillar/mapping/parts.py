"""Parts of a machine that can work alone, so that more PEs than a small network needs do not make it slower."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

from caterpillar.checks import Infeasible, UsageError
from caterpillar.machine import Machine
from caterpillar.mapping.schedule import Schedule
from caterpillar.program import Program


def parts_of(machine: Machine) -> list[Machine]:
    """Parts of the machine that can work alone, from the most PEs on.

    Half the columns, a quarter, ...: the others do the same on words of +0, and nothing they hold goes anywhere. A half
    of the cores, a third, ...: the others hold copies and do the same, so each has neighbours as in a shorter ring.
    """
    columns = [machine.pe_cols >> halved for halved in range(machine.pe_cols.bit_length())]
    cores = [cores for cores in range(machine.cores, 0, -1) if machine.cores % cores == 0]
    some = [(a, b) for a in cores for b in columns if (a, b) != (machine.cores, machine.pe_cols)]
    rows = {a: math.gcd(a, machine.core_rows) for a in cores}
    parts = [replace(machine, core_rows=rows[a], cores_per_row=a // rows[a], pe_cols=b) for a, b in some]
    return sorted(parts, key=lambda part: -part.pes)


def on_all(schedule: Schedule, machine: Machine) -> Schedule:
    """A schedule for a part of the machine, as the whole does it."""
    copies, steady = machine.cores // schedule.machine.cores, schedule.steady
    steady = replace(steady, group_of=steady.group_of * copies)
    return replace(schedule, machine=machine, copies=copies, steady=steady)


def on_the_fastest_part(
    placed: Callable[[Program, Machine], Schedule | Infeasible], program: Program, machine: Machine
) -> Schedule | Infeasible:
    """The schedule with the shortest steady tick, of those for the machine and for its parts.

    Where the machine is too small, so are they. Raises the UsageError that `placed` raises for it if none does better.
    """
    best: Schedule | None = None
    raised: UsageError | None = None
    for part in (machine, *parts_of(machine)):
        if best and program.macs_per_sample * program.batch >= best.steady.cycles * part.pes:
            break  # fewer PEs would take as many cycles for the multiply-adds alone
        try:
            answer = placed(program, part)
        except UsageError as error:
            raised = raised or error
            continue
        if isinstance(answer, Infeasible):
            if part is machine:
                return answer
        elif best is None or answer.steady.cycles < best.steady.cycles:
            best = on_all(answer, machine)
    if best is None:
        raise raised or AssertionError("no part was tried")
    return best
