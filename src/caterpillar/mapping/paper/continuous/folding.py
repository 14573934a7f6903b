"""Issues that differ by equal steps become loops."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from caterpillar.mapping.isa import (
    UNITS,
    Instruction,
    Loop,
)


def folded(instructions: Sequence[Instruction]) -> Iterator[Instruction]:
    """Instructions of a unit without loops that differ by the same steps, as one with a loop."""
    for unit in UNITS:
        run: list[Instruction] = []
        for one in sorted((one for one in instructions if one.unit == unit), key=lambda one: one.start):
            if run and not _goes_on(run, one):
                yield _as_loop(run)
                run = []
            run.append(one)
        if run:
            yield _as_loop(run)


def _goes_on(run: list[Instruction], one: Instruction) -> bool:
    last = run[-1]
    alike = last.kinds == one.kinds and [name for name, _ in last.fields] == [name for name, _ in one.fields]
    if not alike or last.loops or one.loops:
        return False
    registers = [(before, after) for before, after in zip(last.fields, one.fields, strict=True) if _is_fixed(before[0])]
    if any(before != after for before, after in registers):
        return False
    return len(run) == 1 or _steps(run[-2], last) == _steps(last, one)


def _is_fixed(field: str) -> bool:
    """What a loop cannot step: which address register."""
    return field.endswith(("_queue", "_lag"))


def _steps(one: Instruction, other: Instruction) -> tuple[int, ...]:
    fields = (after - before for (_, before), (_, after) in zip(one.fields, other.fields, strict=True))
    return other.start - one.start, *fields


def _as_loop(run: list[Instruction]) -> Instruction:
    if len(run) == 1:
        return run[0]
    period, *steps = _steps(run[0], run[1])
    strides = tuple((name, step) for (name, _), step in zip(run[0].fields, steps, strict=True) if step)
    return replace(run[0], loops=(Loop(len(run), period, strides),))
