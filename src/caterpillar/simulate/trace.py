"""A run as a Chrome JSON trace for the Perfetto UI: each core's phases and collectives, its units' use over time."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from caterpillar.checks import OutputError, UsageError
from caterpillar.machine import Machine
from caterpillar.mapping.isa import COLUMN_OF, DOWN, FROM_SRAM, TO_SRAM, UP, Control, MicroProgram, Phase, link_hops
from caterpillar.mapping.schedule import Schedule, windows

WINDOW = 32  # cycles that counters are averages over, at least
SAMPLES = 1 << 16  # of counters, of all cores: windows grow with the run, that the file does not
SLICES = 10_000_000  # of a trace at most, a gigabyte
TRACKS = {"compute": 1, "collective": 2}
UNITS = {
    "FMA": "fma",
    "MEM A": "a_op",
    "MEM B port 0": "b0_op",
    "MEM B port 1": "b1_op",
    "row buses": "row_from",
    "column buses": "column_on",
}
Event = dict[str, object]


@dataclass(frozen=True, slots=True)
class _Sums:
    """What a core does in windows of a micro-program: (windows,) for each series of each counter."""

    starts: NDArray[np.int64]
    lengths: NDArray[np.int64]
    series: dict[str, dict[str, NDArray[np.int64]]]


def trace_events(schedule: Schedule, samples: int) -> Iterator[Event]:
    """Trace events of a run of n samples. Times are in microseconds, as the format wants; a cycle is 1 / clock_hz.

    Each core is a process with a track of slices for what it computes and one for collectives, and two counters,
    averages over windows of cycles: "use", the share of a window's cycles in which units work, and "words", words a
    cycle over the ring links that leave the core and out of and into its SRAM. A counter holds until the next value.
    """
    machine, unit = schedule.machine, 1e9 / schedule.machine.clock_hz
    for core in range(machine.cores):
        yield _name(core, "process_name", f"core {core}", 0)
        yield from (_name(core, "thread_name", track, number) for track, number in TRACKS.items())
    programs, members = schedule.ticks(samples), schedule.steady.members(machine.cores)
    window = _window(schedule.cycles(samples) * machine.cores)
    sums = {
        id(group): _sums(group, schedule, window)
        for program in {id(one): one for one in programs}.values()
        for group in program.groups
    }
    at, before = 0, dict[tuple[int, str], object]()
    for program in programs:
        for group, cores in zip(program.groups, members, strict=True):
            for core in cores:
                yield from (_stretch(phase, core, at, unit) for phase in group.phases)
                yield from _counters(sums[id(group)], core, at, unit, before)
        at += program.cycles
    for (core, name), values in before.items():
        if isinstance(values, dict):
            yield _counter(core, name, at, unit, dict.fromkeys(values, 0.0))


def write_trace(path: Path, schedule: Schedule, samples: int) -> None:
    """Write the trace of a run, an event a line.

    Raises OutputError if the path cannot be written, UsageError if the trace would have more than SLICES slices.
    """
    members = [len(cores) for cores in schedule.steady.members(schedule.machine.cores)]
    slices = sum(
        cores * len(group.phases)
        for program in schedule.ticks(samples)
        for cores, group in zip(members, program.groups, strict=True)
    )
    if slices > SLICES:
        raise UsageError(f"--trace would have {slices:,} slices, at most {SLICES:,} are allowed: lower --samples")
    try:
        with path.open("w", encoding="utf-8") as file:
            file.write('{"displayTimeUnit": "ns", "traceEvents": [')
            for number, event in enumerate(trace_events(schedule, samples)):
                file.write((",\n" if number else "\n") + json.dumps(event))
            file.write("\n]}\n")
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


def _window(core_cycles: int) -> int:
    """Cycles of a window: so many that all cores' counters have at most SAMPLES values, about."""
    return WINDOW << max(0, -(-core_cycles // (WINDOW * SAMPLES)) - 1).bit_length()


def _sums(program: MicroProgram, schedule: Schedule, window: int) -> _Sums:
    """Cycles in which units work, and words that move, in each window."""
    starts = np.arange(0, program.cycles, window)
    found = {name: dict[str, NDArray[np.int64]]() for name in ("use", "words")}
    at = 0
    for control in windows(program, schedule.queues):
        for name, series in _moving(control, schedule.machine).items():
            for one, (cycles, amount) in series.items():
                where = np.minimum(at + cycles, program.cycles - 1) // window
                more = amount * np.bincount(where, minlength=len(starts))
                found[name][one] = found[name].get(one, 0) + more
        at += len(control)
    return _Sums(starts, np.diff(np.append(starts, program.cycles)), found)


def _moving(control: Control, machine: Machine) -> dict[str, dict[str, tuple[NDArray[np.int64], int]]]:
    """The cycles in which a unit works, the links one for each hop of an exchange; or words move, and how many."""

    def column(field: str) -> NDArray[np.int32]:
        return control[:, COLUMN_OF[field]]

    def when(true: NDArray[np.bool_]) -> NDArray[np.int64]:
        return np.flatnonzero(true).astype(np.int64)

    hops = np.array([link_hops(machine, bit) for bit in range(machine.pes_per_core.bit_length() - 1)] or [1])
    exchanges = when(column("link_on") != 0)
    taken = hops[column("link_bit")[exchanges]]
    linked = np.repeat(exchanges - np.cumsum(taken) + taken, taken) + np.arange(taken.sum())
    send, source = column("row_send"), column("row_from")
    words = {
        "ring up": send == UP,
        "ring down": send == DOWN,
        "core SRAM read": source == FROM_SRAM,
        "core SRAM written": (source != 0) & (column("row_to") == TO_SRAM),
    }
    return {
        "use": {name: (when(column(field) != 0), 1) for name, field in UNITS.items()} | {"links": (linked, 1)},
        "words": {name: (when(true), machine.pe_rows) for name, true in words.items()},
    }


def _counters(sums: _Sums, core: int, at: int, unit: float, before: dict[tuple[int, str], object]) -> Iterator[Event]:
    """Values that differ from the core's before, which they become."""
    for name, series in sums.series.items():
        averages = np.stack(list(series.values()), axis=1) / sums.lengths[:, None]
        for start, row in zip(sums.starts.tolist(), averages.tolist(), strict=True):
            values = dict(zip(series, row, strict=True))
            if before.get((core, name)) != values:
                before[core, name] = values
                yield _counter(core, name, at + start, unit, values)


def _counter(core: int, name: str, at: int, unit: float, values: dict[str, float]) -> Event:
    return {"name": name, "ph": "C", "pid": core, "ts": _microseconds(round(at * unit)), "args": values}
