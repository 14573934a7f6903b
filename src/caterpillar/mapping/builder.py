"""Writes a micro-program: reserves a unit for each issue, and picks a free port of MEM B."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from caterpillar.checks import CaterpillarError
from caterpillar.mapping.isa import (
    COLLECTIVE,
    NONE,
    NOWHERE,
    READ,
    UNITS,
    WRITE,
    WRITE_GROUP,
    Instruction,
    Kind,
    Kinds,
    Loop,
    MicroProgram,
    Phase,
    Track,
    Unit,
)

PORTS: tuple[Unit, ...] = ("mem_b0", "mem_b1")
DEFAULTS = {"fma_gate": NONE, "fma_to": NONE, "row_to": NOWHERE}


class ScheduleError(CaterpillarError):
    """A mapping asked two things of one unit in one cycle: a defect of the mapping, never of the user's input."""


def loop(count: int, period: int, **strides: int) -> Loop:
    """Loop(count, period) with strides by field name."""
    return Loop(count, period, tuple(strides.items()))


class Builder:
    """Collects instructions; no two may use a unit in the same cycle."""

    def __init__(self) -> None:
        self._instructions: list[Instruction] = []
        self._busy: dict[str, NDArray[np.bool_]] = {unit: np.zeros(1024, np.bool_) for unit in UNITS}
        self._phases: list[Phase] = []
        self._kinds: Kinds = COLLECTIVE
        self._end = 0

    @contextmanager
    def phase(self, name: str, kinds: Kinds, track: Track = "compute") -> Generator[None]:
        """Instructions issued inside belong to the phase; its first and last issue bound it."""
        first = len(self._instructions)
        with self.account(*kinds):
            yield
        mine = self._instructions[first:]
        if mine:
            start, end = min(one.start for one in mine), max(one.last for one in mine) + 1
            self._phases.append(Phase(name=name, track=track, start=start, end=end, kinds=kinds))

    @contextmanager
    def account(self, *kinds: Kind) -> Generator[None]:
        """The events of instructions issued inside are shared evenly by these phases of the account."""
        before, self._kinds = self._kinds, kinds
        try:
            yield
        finally:
            self._kinds = before

    def mark(self, name: str, kinds: Kinds, track: Track, start: int, end: int) -> None:
        """Name the cycles start .. end - 1: of a unit that works on by itself."""
        self._phases.append(Phase(name=name, track=track, start=start, end=end, kinds=kinds))

    def issue(self, unit: Unit, start: int, loops: Sequence[Loop] = (), **fields: int) -> None:
        """Issue fields on a unit at cycle start, repeated by loops; nothing if a loop's count is 0."""
        if any(one.count <= 0 for one in loops):
            return
        for field in UNITS[unit]:
            if field in DEFAULTS:
                fields.setdefault(field, DEFAULTS[field])
        kept = tuple(one for one in loops if one.count > 1)
        one = Instruction(unit, start, tuple(fields.items()), kept, self._kinds)
        self._reserve(unit, one.cycles())
        self._instructions.append(one)
        self._end = max(self._end, one.last + 1)

    def memory_a(
        self, op: int, start: int, loops: Sequence[Loop], address: int, slot: int, *, queue: int = 0, lag: int = 0
    ) -> None:
        """Read MEM A into its latches, or write slot's word (WRITE_GROUP: the staged ones too).

        Strides name the field "address". queue: the number of an address register, from 1; 0: none.
        """
        fields = {"a_op": op, "a_address": address, "a_slot": slot} | _given(a_queue=queue, a_lag=lag)
        self.issue("mem_a", start, _renamed(loops, "a"), **fields)

    def memory_b(
        self,
        op: int,
        start: int,
        loops: Sequence[Loop],
        address: int,
        slot: int,
        *,
        mode: int = 0,
        offset: int = 0,
        bits: int = 0,
        queue: int = 0,
        lag: int = 0,
    ) -> None:
        """Read MEM B into slot (a latch or register), or write slot's word, on ports that are free."""
        if any(one.count <= 0 for one in loops):
            return
        cycles = Instruction("mem_b0", start, (), tuple(loops)).cycles()
        port: Unit | None = next((one for one in PORTS if self._free(one, cycles)), None)
        if port is None and loops:  # neither port is free throughout: a round of the outermost loop after the other
            outer, *inner = loops
            strides = dict(outer.strides)
            for turn in range(outer.count):
                at, step = start + turn * outer.period, turn * strides.get("address", 0)
                shift = offset + turn * strides.get("offset", 0)
                self.memory_b(
                    op, at, inner, address + step, slot, mode=mode, offset=shift, bits=bits, queue=queue, lag=lag
                )
            return
        chosen: Unit = port or "mem_b1"
        name = chosen[-2:]
        fields = {
            f"{name}_op": op,
            f"{name}_address": address,
            f"{name}_slot": slot,
            f"{name}_mode": mode,
            f"{name}_offset": offset,
        }
        fields |= _given(**{f"{name}_bits": bits, f"{name}_queue": queue, f"{name}_lag": lag})
        self.issue(chosen, start, _renamed(loops, name), **fields)

    def load_within(self, first: int, last: int, address: int, slot: int, loops: Sequence[Loop] = ()) -> None:
        """Read one word of MEM B into slot in the latest cycle first .. last that has a free port, in all rounds."""
        for cycle in range(last, first - 1, -1):
            cycles = Instruction("mem_b0", cycle, (), tuple(loops)).cycles()
            if all(any(self._free(port, cycles[i : i + 1]) for port in PORTS) for i in range(len(cycles))):
                self.memory_b(READ, cycle, loops, address, slot)
                return
        raise ScheduleError(f"no port of MEM B is free in cycles {first} to {last}")

    def store_within(self, first: int, last: int, address: int, slot: int) -> int | None:
        """Write slot's word to MEM B in the first cycle first .. last that has a free port; None if none has."""
        for cycle in range(first, last + 1):
            if any(self._free(port, np.array([cycle])) for port in PORTS):
                self.memory_b(WRITE, cycle, [], address, slot)
                return cycle
        return None

    @property
    def end(self) -> int:
        """The first cycle in which nothing is issued any more."""
        return self._end

    def program(self, cycles: int) -> MicroProgram:
        """The finished program, which must have ended by then."""
        if cycles < self._end:
            raise ScheduleError(f"a program of {cycles} cycles issues in cycle {self._end - 1}")
        return MicroProgram(cycles=cycles, instructions=tuple(self._instructions), phases=_clipped(self._phases))

    def _free(self, unit: str, cycles: NDArray[np.int64]) -> bool:
        busy = self._busy[unit]
        known = cycles[cycles < len(busy)]
        return not busy[known].any()

    def _reserve(self, unit: str, cycles: NDArray[np.int64]) -> None:
        busy = self._busy[unit]
        while int(cycles.max()) >= len(busy):
            busy = np.concatenate([busy, np.zeros_like(busy)])
        self._busy[unit] = busy
        taken = cycles[busy[cycles]]
        if len(taken) or repeats(cycles):
            raise ScheduleError(f"two issues on {unit} in cycle {taken[0] if len(taken) else '?'}")
        busy[cycles] = True


def repeats(cycles: NDArray[np.int64]) -> bool:
    """Whether a cycle is there twice. Most loops go on in time, and need no sorting."""
    return not (cycles[1:] > cycles[:-1]).all() and len(np.unique(cycles)) < len(cycles)


def _clipped(phases: Sequence[Phase]) -> tuple[Phase, ...]:
    """In order; what is still in flight when its track's next phase begins counts to that one."""
    found: list[Phase] = []
    for track in ("compute", "collective"):
        mine = sorted((one for one in phases if one.track == track), key=lambda one: one.start)
        ends = [*(one.start for one in mine[1:]), 1 << 62]
        found += [replace(one, end=min(one.end, end)) for one, end in zip(mine, ends, strict=False)]
    return tuple(found)


def _given(**fields: int) -> dict[str, int]:
    """Those that are not 0, which is what a field is that an instruction leaves out."""
    return {name: value for name, value in fields.items() if value}


def _renamed(loops: Sequence[Loop], prefix: str) -> list[Loop]:
    return [
        Loop(one.count, one.period, tuple((f"{prefix}_{field}", stride) for field, stride in one.strides))
        for one in loops
    ]


__all__ = ["READ", "WRITE", "WRITE_GROUP", "Builder", "ScheduleError", "loop", "repeats"]
