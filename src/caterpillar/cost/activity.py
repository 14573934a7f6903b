"""What a micro-program, as executed, asks of the control word: the measurement behind control's constants."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from caterpillar.cost import control
from caterpillar.mapping import Schedule
from caterpillar.mapping.encoding import BITS
from caterpillar.mapping.isa import COLUMN_OF, UNITS, Control, MicroProgram
from caterpillar.mapping.schedule import windows

ON = {
    "mem_a": "a_op",
    "mem_b0": "b0_op",
    "mem_b1": "b1_op",
    "fma": "fma",
    "row_bus": "row_from",
    "column_bus": "column_on",
    "link": "link_on",
    "softmax": "softmax_on",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Activity:
    """A cycle's, on average: as CHANGED_BITS, TOGGLES, ISSUES and FETCHES of control."""

    changed_bits: float
    toggles: float
    issues: float
    fetches: float


MEASURES = tuple(field.name for field in fields(Activity))


def measured(schedule: Schedule, *, hold: bool = True) -> Activity:
    """Of a steady tick, expanded some cycles at a time. hold: an idle unit's fields stay; else they fall to 0.

    Where groups of cores run different programs, on average over the cores.
    """
    cores, steady = schedule.machine.cores, schedule.steady
    each = [
        (len(members) / cores, _of(group, schedule, hold=hold))
        for group, members in zip(steady.groups, steady.members(cores), strict=True)
    ]
    return Activity(**{name: sum(share * getattr(one, name) for share, one in each) for name in MEASURES})


def _of(program: MicroProgram, schedule: Schedule, *, hold: bool) -> Activity:
    changed = toggles = issues = 0.0
    for words in windows(program, schedule.queues):
        share = len(words) / program.cycles
        for unit in UNITS:
            on = words[:, COLUMN_OF[ON[unit]]] != 0
            issues += share * float(on.mean())
            more_changed, more_toggles = _flips(words, unit, on if hold else None)
            changed, toggles = changed + share * more_changed, toggles + share * more_toggles
    fetches = len(program.instructions) / program.cycles
    return Activity(changed_bits=changed, toggles=toggles, issues=issues, fetches=fetches)


def _flips(words: Control, unit: str, on: np.ndarray[tuple[int], np.dtype[np.bool_]] | None) -> tuple[float, float]:
    """A unit's bits of fields that change and bits that differ, a cycle."""
    changed = toggles = 0.0
    held = None if on is None else np.maximum.accumulate(np.where(on, np.arange(len(words)), 0))
    for name in set(UNITS[unit]) - set(control.CORE_FIELDS):  # pyright: ignore[reportArgumentType]
        column = words[:, COLUMN_OF[name]].astype(np.int64) & ((1 << BITS[name]) - 1)
        column = column if name in control.SWITCHES or held is None else column[held]
        flips = column[1:] ^ column[:-1]
        if len(flips):
            toggles += sum(float((flips >> bit & 1).mean()) for bit in range(BITS[name]))
            changed += 0.0 if name in control.SWITCHES else BITS[name] * float((flips != 0).mean())
    return changed, toggles
