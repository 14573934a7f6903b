"""A run as a Chrome JSON trace for the Perfetto UI: phases and collectives of each core, units' use over time."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np

from caterpillar.checks import OutputError
from caterpillar.mapping.isa import COLUMN_OF, UNITS, MicroProgram, Phase, Queue
from caterpillar.mapping.schedule import Schedule, windows

WINDOW = 32  # cycles that a unit's use is averaged over
TRACKS = {"compute": 1, "collective": 2}
Event = dict[str, object]


def trace_events(schedule: Schedule, samples: int) -> list[Event]:
    """Trace events of a run of n samples. Times are in microseconds, as the format wants; a cycle is 1 / clock_hz."""
    unit = 1e9 / schedule.machine.clock_hz
    events = [_name(core, "process_name", f"core {core}", 0) for core in range(schedule.machine.cores)]
    for core in range(schedule.machine.cores):
        events += [_name(core, "thread_name", track, number) for track, number in TRACKS.items()]
    at = 0
    for program in schedule.ticks(samples):
        for group, cores in zip(program.groups, program.members(schedule.machine.cores), strict=True):
            for core in cores:
                events += [_stretch(phase, core, at, unit) for phase in group.phases]
            events += _use(group, cores[0], schedule.queues, at, unit)
        at += program.cycles
    return events


def write_trace(path: Path, schedule: Schedule, samples: int) -> None:
    """Write the trace of a run. Raises OutputError if the path cannot be written."""
    document = {"displayTimeUnit": "ns", "traceEvents": trace_events(schedule, samples)}
    try:
        path.write_text(json.dumps(document), encoding="utf-8")
    except OSError as error:
        raise OutputError(f"--trace file {path} cannot be written: {error.strerror}") from None


def _name(core: int, kind: str, name: str, thread: int) -> Event:
    return {"name": kind, "ph": "M", "pid": core, "tid": thread, "args": {"name": name}}


def _stretch(phase: Phase, core: int, at: int, unit: float) -> Event:
    start, end = round((at + phase.start) * unit), round((at + phase.end) * unit)
    where = {"pid": core, "tid": TRACKS[phase.track]}
    return {"name": phase.name, "ph": "X", **where, "ts": _microseconds(start), "dur": _microseconds(end - start)}


def _microseconds(nanoseconds: int) -> float:
    """A number that is as many whole nanoseconds again once a reader has multiplied it and cut off the rest.

    Perfetto does so; a slice that is a nanosecond longer than its successor allows would be moved or dropped.
    """
    found = nanoseconds / 1000
    return found if int(found * 1000) == nanoseconds else math.nextafter(found, math.inf)


def _use(program: MicroProgram, core: int, queues: tuple[Queue, ...], at: int, unit: float) -> list[Event]:
    """Share of each window's cycles in which a unit is busy; a group's cores do the same, so one stands for all."""
    events: list[Event] = []
    for control in windows(program, queues):
        starts = np.arange(0, len(control), WINDOW)
        lengths = np.diff(np.append(starts, len(control)))
        for name, fields in UNITS.items():
            busy = np.add.reduceat(control[:, COLUMN_OF[fields[0]]] != 0, starts, dtype=np.int64) / lengths
            for start, share in zip(starts, busy, strict=True):
                when = _microseconds(round((at + int(start)) * unit))
                events.append(
                    {"name": f"{name} use", "ph": "C", "pid": core, "ts": when, "args": {"share": float(share)}}
                )
        at += len(control)
    return events
