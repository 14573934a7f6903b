"""A Schedule: the micro-programs of a run, where its tensors lie, and the order of its sums."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from caterpillar.checks import SpecError
from caterpillar.machine import Machine
from caterpillar.mapping.isa import (
    COLUMN_OF,
    EXACT,
    FIELDS,
    NONE,
    NOWHERE,
    Control,
    Instruction,
    MicroProgram,
    Queue,
)
from caterpillar.network import Network
from caterpillar.numerics import Order

SWITCHES = {"fma": "fma", "link": "link_on", "column_bus": "column_on"}  # fields that an issue sets
QUEUED = {
    "mem_a": "a",
    "mem_b0": "b0",
    "mem_b1": "b1",
    "row_bus": "row",
}  # units whose addresses an address register can move
WINDOW = 1 << 16  # cycles that are expanded at once

Indices = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Places:
    """Which weight lies where: arrays that broadcast to one shape. row or column -1: padding, a word of +0.

    word: of MEM A; where streamed is true, the beat of core SRAM, of which a word belongs to a row of PEs.
    """

    core: Indices
    lane: Indices
    word: Indices
    row: Indices
    column: Indices
    streamed: NDArray[np.bool_] | None = None


class Layout(Protocol):
    """Where a mapping puts things, as far as the simulator must know."""

    @property
    def mem_a_words(self) -> int:
        """Words of MEM A in use."""
        ...

    @property
    def mem_b_words(self) -> int:
        """Words of MEM B in use."""
        ...

    def weight_places(self, index: int) -> Places:
        """The words of W_index (from 1), (inputs, outputs)."""
        ...

    def feedback_places(self, index: int) -> Places:
        """MEM A's words of B_index, for rules that have one."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """A run of n samples is n / batch + extra_ticks ticks, of which the first may differ, and then last.

    All cores run the same micro-program, or each group of them its own, the groups the same in all ticks. In extra
    ticks (a pipeline's fill and drain) the inputs are +0, so every activation and update is. order: the order of
    sums, for the trainer. queues: the address registers, from 1. sample_beats: beats of core SRAM from one sample of
    a batch to the next, the first at beat 0; or input_beats: of a sample or of each copy of it, the core and the beat
    of its SRAM of each beat of inputs, where not every core has all. sram_beats: beats in use. scaled_lag: ticks
    after which a sample comes once more, times the learning rate, to the second half of those beats; 0: it does not.
    label_lag: ticks after which a batch's labels are wanted. arrival: the address register by which batches arrive in
    core SRAM; 0: always at beat 0. streamed_weights: those that lie in core SRAM. copies: cores k, k + C / copies,
    ... of C hold and do the same, so that to each the ring looks as if it had C / copies cores; the layout and the
    order are those of so many.
    """

    network: Network
    machine: Machine
    rule: str
    mapping: str
    layout: Layout
    order: Order
    first: MicroProgram | None = None
    steady: MicroProgram
    last: MicroProgram | None = None
    batch: int = 1
    extra_ticks: int = 0
    queues: tuple[Queue, ...] = ()
    sample_beats: int
    input_beats: Callable[[int], tuple[Indices, Indices]] | None = None
    sram_beats: int
    scaled_lag: int = 0
    label_lag: int = 0
    arrival: int = 0
    streamed_weights: int = 0
    copies: int = 1
    macs_per_sample: int

    def ticks(self, samples: int) -> list[MicroProgram]:
        """The micro-program of each tick, and last. Raises SpecError where batches are not whole."""
        if samples < 1 or samples % self.batch:
            raise SpecError(
                f"samples must be a multiple of the batch of {self.batch}, from {self.batch}, got {samples}"
            )
        ticks = [self.steady] * (samples // self.batch + self.extra_ticks)
        if self.first is not None:
            ticks[0] = self.first
        return [*ticks, *([self.last] if self.last is not None else [])]

    def cycles(self, samples: int) -> int:
        """Machine cycles of a run, fill and drain included."""
        return sum(program.cycles for program in self.ticks(samples))

    @property
    def input_copies(self) -> int:
        """Cores whose SRAM a word of a sample goes to."""
        if self.input_beats is None:
            return self.machine.cores
        cores, _ = self.input_beats(0)
        return cores.size // cores.shape[-1]

    @property
    def cycles_per_sample(self) -> float:
        """A sample's share of a steady tick."""
        return self.steady.cycles / self.batch

    @property
    def utilization(self) -> float:
        """Useful MACs / (PEs x cycles) of a steady tick; the first layer's input error and padding are not useful."""
        return self.macs_per_sample / (self.machine.pes * self.cycles_per_sample)


def expand(program: MicroProgram, queues: tuple[Queue, ...] = (), *, tick: int = 0) -> Control:
    """The control words, (cycles, fields): what every unit is told in every cycle. A unit that idles has op 0.

    Addresses that an address register moves are those of the tick. Of the first group of cores alone: every group's
    program is expanded by itself.
    """
    return _window(program, queues, tick, 0, program.cycles)


def windows(program: MicroProgram, queues: tuple[Queue, ...] = (), *, tick: int = 0) -> Iterator[Control]:
    """The same, some cycles at a time, one stretch after the other."""
    for start in range(0, program.cycles, WINDOW):
        yield _window(program, queues, tick, start, min(start + WINDOW, program.cycles))


class Controls:
    """A micro-program's control words, tick after tick. Short ones are kept; only addresses that move are renewed."""

    def __init__(self, program: MicroProgram, queues: tuple[Queue, ...]) -> None:
        self._program, self._queues = program, queues
        self._kept = expand(program, queues) if program.cycles <= WINDOW else None
        self._moving = [one for one in program.instructions if _queue_of(one)]

    def at(self, tick: int) -> Iterator[Control]:
        """The tick's control words, some cycles at a time; each stretch holds until the next is asked for."""
        if self._kept is None:
            yield from windows(self._program, self._queues, tick=tick)
            return
        for one in self._moving:
            _emit(self._kept, one, self._queues, tick, 0)
        yield self._kept


def _queue_of(one: Instruction) -> int:
    return dict(one.fields).get(f"{QUEUED.get(one.unit)}_queue", 0)


def _window(program: MicroProgram, queues: tuple[Queue, ...], tick: int, start: int, end: int) -> Control:
    control = np.zeros((end - start, len(FIELDS)), np.int32)
    for field, idle in (("fma_to", NONE), ("fma_gate", NONE), ("row_to", NOWHERE), ("row_mask", EXACT)):
        control[:, COLUMN_OF[field]] = idle
    for one in program.instructions:
        if one.start < end and one.last >= start:
            _emit(control, one.between(start, end), queues, tick, start)
    return control


def _emit(control: Control, one: Instruction, queues: tuple[Queue, ...], tick: int, start: int) -> None:
    cycles = one.cycles() - start
    inside = (cycles >= 0) & (cycles < len(control))
    whole = bool(inside.all())
    at = cycles if whole else cycles[inside]
    if one.unit in SWITCHES:
        control[at, COLUMN_OF[SWITCHES[one.unit]]] = 1
    for field, base in _resolved(one, queues, tick):
        if any(field in dict(inner.strides) for inner in one.loops):
            values = one.values(field, base)
            control[at, COLUMN_OF[field]] = values if whole else values[inside]
        else:
            control[at, COLUMN_OF[field]] = base


def _resolved(one: Instruction, queues: tuple[Queue, ...], tick: int) -> list[tuple[str, int]]:
    """The fields, an address register's share added to the address; what names the register is left out."""
    prefix = QUEUED.get(one.unit)
    if prefix is None:
        return list(one.fields)
    values = dict(one.fields)
    queue, lag = values.pop(f"{prefix}_queue", 0), values.pop(f"{prefix}_lag", 0)
    if queue:
        register = queues[queue - 1]
        values[f"{prefix}_address"] += register.words * ((tick + lag) % register.slots)
    return list(values.items())
