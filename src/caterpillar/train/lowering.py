"""A Program as a short list of steps that the kernels' driver walks through every tick.

A pass becomes one step that goes through its matrix a block of rows at a time: error sums, update, forward. The sums of
a backward step lie in parts, one for each panel of outputs; a step of their own adds the parts and multiplies with
f' just before the error is read. With two threads each owns one panel; where one thread reads what the other has
written, the step has a barrier in front of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal, assert_never

from caterpillar.program import Backward, DirectBackward, Forward, OutputError, Pass, Program, Tensor, Update

Kind = Literal["matrix", "finish", "direct", "output"]
Buffer = tuple[Literal["activation", "error", "parts"], int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step of a tick.

    layer: of its matrix; for finish and output, of the error it makes. lag: of finish, direct and output.
    barrier: wait for the other thread first.
    """

    kind: Kind
    layer: int
    lag: int = 0
    output_layer: int = 0
    backward: Backward | None = None
    update: Update | None = None
    forward: Forward | None = None
    barrier: bool = False


@dataclass(frozen=True, slots=True)
class Access:
    """A buffer's value of the batch that entered lag ticks ago; shared: also what the other thread owns of it."""

    buffer: Buffer
    lag: int
    write: bool
    shared: bool


def lower(program: Program) -> tuple[Step, ...]:
    """The steps of one tick, with their barriers."""
    steps = [step for one_pass in program.passes for step in _steps(one_pass)]
    for backward in [step.backward for step in steps if step.backward]:
        _insert_finish(steps, backward)
    return _with_barriers(steps)


def slots(steps: Sequence[Step], buffer: Buffer) -> int:
    """Batches whose value of a buffer is alive at once; 0 if nothing uses it."""
    lags = [access.lag for step in steps for access in accesses(step) if access.buffer == buffer]
    return max(lags) - min(lags) + 1 if lags else 0


def _steps(one_pass: Pass) -> Iterator[Step]:
    """Operations in the order backward, update, forward share a step; another order needs more steps."""
    group: Step | None = None
    for op in one_pass.ops:
        match op:
            case Backward() | Update() | Forward():
                if group and not _fits(group, op):
                    yield group
                    group = None
                group = _add(group or Step(kind="matrix", layer=op.layer), op)
            case OutputError():
                yield Step(kind="output", layer=op.layer, lag=op.lag)
            case DirectBackward():
                yield Step(kind="direct", layer=op.layer, lag=op.lag, output_layer=op.output_layer)
            case _:
                assert_never(op)
    if group:
        yield group


def _fits(group: Step, op: Backward | Update | Forward) -> bool:
    if isinstance(op, Backward):
        return False
    if isinstance(op, Update):
        return group.update is None and group.forward is None
    return group.forward is None


def _add(group: Step, op: Backward | Update | Forward) -> Step:
    if isinstance(op, Backward):
        return replace(group, backward=op)
    return replace(group, update=op) if isinstance(op, Update) else replace(group, forward=op)


def _insert_finish(steps: list[Step], backward: Backward) -> None:
    """Make the error of layer - 1 just before its first reader, in the reader's tick."""
    source = next(i for i, step in enumerate(steps) if step.backward is backward)
    readers = [
        (lag, i)
        for i, step in enumerate(steps)
        for lag in _lags_of_reading(step, Tensor("error", backward.layer - 1))
        if (lag, i) > (backward.lag, source)
    ]
    if readers:
        lag, place = min(readers)
        steps.insert(place, Step(kind="finish", layer=backward.layer - 1, lag=lag))


def _lags_of_reading(step: Step, tensor: Tensor) -> list[int]:
    return [op.lag for op in (step.backward, step.update, step.forward) if op and tensor in op.reads]


def accesses(step: Step) -> Iterator[Access]:
    """What a step reads and writes of the buffers that hold one value a batch."""
    layer, lag = step.layer, step.lag
    match step.kind:
        case "matrix":
            yield from _matrix_accesses(step)
        case "finish":
            yield Access(("parts", layer + 1), lag, write=False, shared=True)
            yield Access(("activation", layer), lag, write=False, shared=False)
            yield Access(("error", layer), lag, write=True, shared=False)
        case "direct":
            yield Access(("error", step.output_layer), lag, write=False, shared=True)
            yield Access(("activation", layer), lag, write=False, shared=False)
            yield Access(("error", layer), lag, write=True, shared=False)
        case "output":
            yield Access(("activation", layer), lag, write=False, shared=True)
            yield Access(("error", layer), lag, write=True, shared=False)


def _matrix_accesses(step: Step) -> Iterator[Access]:
    for op in (step.backward, step.update):
        if op:
            yield Access(("error", op.layer), op.lag, write=False, shared=False)
            yield Access(("activation", op.layer - 1), op.lag, write=False, shared=True)
    if step.backward:
        yield Access(("parts", step.layer), step.backward.lag, write=True, shared=False)
    if step.forward:
        yield Access(("activation", step.layer - 1), step.forward.lag, write=False, shared=True)
        yield Access(("activation", step.layer), step.forward.lag, write=True, shared=False)


def _with_barriers(steps: list[Step]) -> tuple[Step, ...]:
    """Walk through full ticks until no barrier is missing; a barrier stands in every tick or in none."""
    lengths = {access.buffer: slots(steps, access.buffer) for step in steps for access in accesses(step)}
    barriers: set[int] = set()
    while True:
        missing = _first_missing(steps, lengths, barriers)
        if missing is None:
            return tuple(replace(step, barrier=i in barriers) for i, step in enumerate(steps))
        barriers.add(missing)


def _first_missing(steps: list[Step], lengths: dict[Buffer, int], barriers: set[int]) -> int | None:
    since: list[tuple[Buffer, int, bool, bool]] = []
    for tick in range(2 * max(lengths.values()) + 2):
        for i, step in enumerate(steps):
            if i in barriers:
                since = []
            now = [(a.buffer, (tick - a.lag) % lengths[a.buffer], a.write, a.shared) for a in accesses(step)]
            if any(_conflict(old, new) for old in since for new in now):
                return i
            since += now
    return None


def _conflict(old: tuple[Buffer, int, bool, bool], new: tuple[Buffer, int, bool, bool]) -> bool:
    """The same value, written by one of the two, and not only by the thread that owns it."""
    return old[:2] == new[:2] and (old[2] or new[2]) and (old[3] or new[3])
