"""The micro-instruction set: what each unit of a core can be told in one cycle (docs/machine.md).

A control word has the fields of FIELDS, for all units of a core; all PEs of a core obey the same word. A micro-program
is a list of Instructions: one unit's fields at one cycle, repeated by nested loops that step the cycle and the fields.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from caterpillar.machine import Machine

# Operand codes: what an FMA, a memory write, a bus or a link can take its word from.
ZERO, ONE, RATE = 0, 1, 2  # constants: +0, 1 and the learning rate
MEM_A = 3  # MEM A's read latch
LATCH = 4  # LATCH + i, i in 0..3: MEM B's read latches
ROW, COLUMN, LINK = 8, 9, 10  # words taken from the row bus, the column bus, a neighbour
RESULT = 11  # the FMA result that comes out in this very cycle
RESULT_BEFORE = 12  # the one that came out in the cycle before
ACCUMULATOR = 16  # ACCUMULATOR + i
REGISTER = 32  # REGISTER + i, i in 0..255
HALF = 288  # HALF + i: word i of the group that MEM A's last read brought
STAGED = 296  # STAGED + i: write latches, words of a group on their way to MEM A
SLOTS = 304

LATCHES = 4
NONE = -1

# FMA flags
NEGATE, RELU, SLOPE = 1, 2, 4  # -a*b; result above zero or else +0; result if the gate operand is above zero, else +0

# MEM B addressing
# address; address + (offset ^ lane); address + (offset + core) mod cores; address + (offset ^ row); .. ^ column
# Of a lane's, row's or column's number only the lowest `bits` count (0: all).
PLAIN, XOR_LANE, ROTATE_CORE, XOR_ROW, XOR_COLUMN = 0, 1, 2, 3, 4

# Row bus sources
FROM_PE, FROM_DOWN, FROM_UP, FROM_SRAM, FROM_SOFTMAX = 1, 2, 3, 4, 5
# Row bus destinations in the core: the columns whose number, masked, is this one (the mask EXACT: one column), or
ALL_COLUMNS, TO_SOFTMAX, NOWHERE, TO_SRAM = -1, -2, -3, -4
EXACT = 63
DIAGONAL = 64  # the column, or row, of the PE that drives a bus: on each bus the one whose row and column are the same
# Ring directions: down is to the core with the next lower number, up to the next higher, both wrapping round
DOWN, UP = 1, 2

READ, WRITE, WRITE_GROUP = 1, 2, 3
QUEUES = 15  # address registers, numbered from 1
SOFTMAX_OUTPUTS = 4096  # logits that a softmax unit holds
FIFO_BEATS = 64  # beats that a core's receive queue of one ring direction holds

Track = Literal["compute", "collective"]
Kind = Literal["forward", "backward", "update", "collective", "off_core"]
Kinds = tuple[Kind, ...]
FORWARD: Kinds = ("forward",)
BACKWARD: Kinds = ("backward",)
UPDATE: Kinds = ("update",)
COLLECTIVE: Kinds = ("collective",)
OFF_CORE: Kinds = ("off_core",)
BACKWARD_UPDATE: Kinds = ("backward", "update")
UPDATE_FORWARD: Kinds = ("update", "forward")
Unit = Literal["mem_a", "mem_b0", "mem_b1", "fma", "row_bus", "column_bus", "link", "softmax"]
UNITS: dict[Unit, tuple[str, ...]] = {
    "mem_a": ("a_op", "a_address", "a_slot", "a_queue", "a_lag"),
    "mem_b0": ("b0_op", "b0_address", "b0_slot", "b0_mode", "b0_offset", "b0_bits", "b0_queue", "b0_lag"),
    "mem_b1": ("b1_op", "b1_address", "b1_slot", "b1_mode", "b1_offset", "b1_bits", "b1_queue", "b1_lag"),
    "fma": ("fma", "fma_a", "fma_b", "fma_c", "fma_to", "fma_flags", "fma_gate"),
    "row_bus": (
        "row_from",
        "row_column",
        "row_slot",
        "row_to",
        "row_mask",
        "row_send",
        "row_address",
        "row_queue",
        "row_lag",
    ),
    "column_bus": ("column_on", "column_row", "column_slot"),
    "link": ("link_on", "link_bit", "link_slot"),
    "softmax": ("softmax_on", "softmax_label"),
}
FIELDS: tuple[str, ...] = tuple(name for names in UNITS.values() for name in names)
COLUMN_OF: dict[str, int] = {name: index for index, name in enumerate(FIELDS)}

Control = NDArray[np.int32]


def power_of_two_at_least(n: int) -> int:
    """The smallest power of two that is n or more."""
    return 1 << max(0, n - 1).bit_length()


def accumulators(machine: Machine) -> int:
    """Accumulators of a PE: one a pipeline stage of the FMA, rounded up to a power of two."""
    return power_of_two_at_least(machine.fma_latency)


def beat_cycles(machine: Machine) -> int:
    """Cycles that a beat (one word for each row of PEs) takes over a ring link."""
    return -(-machine.pe_rows // machine.ring_words_per_cycle)


def sram_beat_cycles(machine: Machine) -> int:
    """Cycles that the core SRAM takes to give a beat."""
    return -(-machine.pe_rows // machine.core_sram_words_per_cycle)


def halves(machine: Machine) -> int:
    """Words of a group: what one access of MEM A moves."""
    return machine.pe_sram_word_bits // 16


def link_hops(machine: Machine, bit: int) -> int:
    """Hops between the two PEs whose lanes differ in one bit. Lane = column * pe_rows + row."""
    row_bits = machine.pe_rows.bit_length() - 1
    return 1 << (bit if bit < row_bits else bit - row_bits)


def softmax_cycles(machine: Machine, outputs: int) -> int:
    """Cycles from the start of the softmax unit until its results can be read (docs/machine.md, the softmax unit).

    It has an FMA for each row of PEs. In turn: the greatest logit, one comparison a cycle; difference and exponential
    in 9 rounds of dependent steps, each step at most two operations a logit; the sum, a chain; the division in 3
    rounds; the label taken off.
    """
    round_cycles = max(machine.fma_latency, 2 * -(-outputs // machine.pe_rows))
    return outputs + (9 + 3 + 1) * round_cycles + outputs * machine.fma_latency


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    """An address register: it steps through `slots` stretches of `words` words, one a tick, round and round.

    A value that lives for several ticks lies in one of the slots: an address with a lag becomes
    address + words ((tick + lag) mod slots). Of core SRAM, words are beats.
    """

    words: int
    slots: int


@dataclass(frozen=True, slots=True)
class Loop:
    """count rounds, period cycles apart; strides: what each round adds to a field."""

    count: int
    period: int
    strides: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Instruction:
    """One unit's fields at cycle start, repeated by loops (outermost first).

    kinds: the phases of an account (estimate) that share its events evenly.
    """

    unit: Unit
    start: int
    fields: tuple[tuple[str, int], ...]
    loops: tuple[Loop, ...]
    kinds: Kinds = COLLECTIVE

    @property
    def last(self) -> int:
        """The cycle of its last issue."""
        return self.start + sum((loop.count - 1) * loop.period for loop in self.loops)

    @property
    def issues(self) -> int:
        """How often it is issued."""
        total = 1
        for loop in self.loops:
            total *= loop.count
        return total

    def between(self, start: int, end: int) -> Instruction:
        """Itself with those rounds of the outermost loop only that may issue in cycles start .. end - 1."""
        if not self.loops or self.loops[0].period <= 0:
            return self
        outer, *inner = self.loops
        reach = sum((loop.count - 1) * loop.period for loop in inner)
        first = max(0, -((self.start + reach - start) // outer.period))
        last = min(outer.count - 1, (end - 1 - self.start) // outer.period)
        steps = dict(outer.strides)
        fields = tuple((name, value + first * steps.get(name, 0)) for name, value in self.fields)
        kept = Loop(max(0, last - first + 1), outer.period, outer.strides)
        return replace(self, start=self.start + first * outer.period, fields=fields, loops=(kept, *inner))

    def cycles(self) -> NDArray[np.int64]:
        """The cycle of each issue, in loop order."""
        return self._steps(self.start, [loop.period for loop in self.loops])

    def values(self, field: str, base: int) -> NDArray[np.int64]:
        """A field's value at each issue."""
        return self._steps(base, [dict(loop.strides).get(field, 0) for loop in self.loops])

    def _steps(self, base: int, strides: list[int]) -> NDArray[np.int64]:
        total = np.array([base], np.int64)
        for loop, stride in zip(self.loops, strides, strict=True):
            total = (total[:, None] + stride * np.arange(loop.count, dtype=np.int64)).ravel()
        return total


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """A named stretch of a program: cycles start .. end - 1. Stretches of one track do not overlap.

    kinds: the phases of an account that share its cycles evenly.
    """

    name: str
    track: Track
    start: int
    end: int
    kinds: Kinds = COLLECTIVE


@dataclass(frozen=True, slots=True, kw_only=True)
class MicroProgram:
    """What all cores do in lockstep in cycles 0 .. cycles - 1, or a group of them.

    others: the programs of further groups of cores, as long as this one. group_of: of each core the number of its
    program in `groups`; empty: all cores run this one.
    """

    cycles: int
    instructions: tuple[Instruction, ...]
    phases: tuple[Phase, ...]
    others: tuple[MicroProgram, ...] = ()
    group_of: tuple[int, ...] = ()

    @property
    def groups(self) -> tuple[MicroProgram, ...]:
        """The programs of all groups of cores, this one first."""
        return (self, *self.others)

    def members(self, cores: int) -> list[list[int]]:
        """Of each group, the numbers of its cores, in order."""
        of = self.group_of or (0,) * cores
        return [[core for core in range(cores) if of[core] == group] for group in range(len(self.groups))]
