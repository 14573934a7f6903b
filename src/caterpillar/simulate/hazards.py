"""Walks the control words of a micro-program once: rejects what the hardware could not do, counts what it does.

Control does not depend on data and is the same for all PEs of a core, so one walk holds for all of them.
"""

# pyright: basic

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numba import njit

from caterpillar.checks import CaterpillarError
from caterpillar.counters import Counters
from caterpillar.machine import Machine
from caterpillar.mapping import isa
from caterpillar.mapping.isa import COLUMN_OF, SLOTS, Control

(
    NOT_READY,
    NO_RESULT,
    NO_SUCH_OPERAND,
    ADDRESS,
    QUEUE_EMPTY,
    QUEUE_FULL,
    RING_BUSY,
    LINK_BUSY,
    SRAM_BUSY,
    SOFTMAX_NOT_READY,
    IN_FLIGHT_AT_END,
    TWO_WRITERS,
) = range(1, 13)
SENTENCES = {
    NOT_READY: "{unit} reads {operand} before it is ready (ready in cycle {detail})",
    NO_RESULT: "{unit} takes the FMA's result, and none comes out",
    NO_SUCH_OPERAND: "{unit} names operand {detail}, which this machine has not",
    ADDRESS: "{unit} is given address {detail}, outside its memory",
    QUEUE_EMPTY: "{unit} takes a beat off the ring, and none has arrived",
    QUEUE_FULL: "{unit} sends a beat on the ring to a core whose queue is full",
    RING_BUSY: "{unit} sends on a ring link that is busy until cycle {detail}",
    LINK_BUSY: "{unit} starts an exchange while the links are busy until cycle {detail}",
    SRAM_BUSY: "{unit} reads the core SRAM, which is busy until cycle {detail}",
    SOFTMAX_NOT_READY: "{unit} reads the softmax unit before it is ready (ready in cycle {detail})",
    IN_FLIGHT_AT_END: "{unit}: results are still in flight when the program ends, until cycle {detail}",
    TWO_WRITERS: "{unit} writes {operand}, which another result in flight will write until cycle {detail}",
}
UNITS = tuple(isa.UNITS)
EVENTS = Counters.names()
EVENT = {name: index for index, name in enumerate(EVENTS)}
NEVER = 1 << 40


class Hazard(CaterpillarError):
    """A micro-program asks for what the hardware cannot do; says the cycle and the place."""

    def __init__(self, *, cycle: int, unit: str, what: str) -> None:
        super().__init__(f"cycle {cycle}, {unit} of every core: {what}")
        self.cycle = cycle
        self.unit = unit


def operand_name(code: int) -> str:
    """How an operand code is called."""
    if code >= isa.HALF:
        return f"word {code - isa.HALF} of MEM A's group" if code < isa.STAGED else f"write latch {code - isa.STAGED}"
    if code >= isa.REGISTER:
        return f"register {code - isa.REGISTER}"
    if code >= isa.ACCUMULATOR:
        return f"accumulator {code - isa.ACCUMULATOR}"
    names = {isa.MEM_A: "MEM A's latch", isa.ROW: "the row latch", isa.COLUMN: "the column latch"}
    names[isa.LINK] = "the link latch"
    return names.get(code, f"latch {code - isa.LATCH}" if isa.LATCH <= code < isa.ROW else f"operand {code}")


def walk(stretches: Iterable[Control], machine: Machine, *, warm: bool, sram_beats: int = 0) -> Counters:
    """Check a micro-program, given as stretches of control words, and count its events on all cores. Raises Hazard.

    warm: another micro-program has run before, so latches and registers hold something (stale, but legal to read).
    sram_beats: beats of core SRAM that may be named.
    """
    sizes = np.array(
        [
            machine.pe_sram_words,
            machine.pe_mem_b_bytes // 2,
            machine.fma_latency,
            isa.accumulators(machine),
            machine.pe_registers,
            isa.beat_cycles(machine),
            isa.sram_beat_cycles(machine),
            machine.pe_rows,
            machine.pe_cols,
            machine.cores,
            isa.halves(machine),
            sram_beats,
        ],
        np.int64,
    )
    bits = max(1, machine.pes_per_core.bit_length() - 1)
    hops = np.array([isa.link_hops(machine, bit) for bit in range(bits)] if machine.pes_per_core > 1 else [1], np.int64)
    softmax = np.array([isa.softmax_cycles(machine, n) for n in range(isa.SOFTMAX_OUTPUTS + 1)], np.int64)
    events, state = np.zeros(len(EVENTS), np.int64), np.zeros(STATE_WORDS, np.int64)
    ready = np.full(SLOTS, 0 if warm else NEVER, np.int64)  # first cycle in which a slot holds something
    pending = np.zeros(SLOTS, np.int64)  # an FMA result is on its way into the slot until then
    result_at = np.full(RESULTS, -1, np.int64)  # the cycles of the last results' issues
    arrivals = np.zeros((2, ARRIVALS), np.int64)
    state[SOFTMAX_READY] = NEVER
    for control in stretches:
        found = _walk(control, sizes, hops, softmax, events, state, ready, pending, result_at, arrivals)
        _refuse(*found)
    _refuse(*_at_end(state, machine.pes, events))
    return Counters(**{name: int(events[index]) for name, index in EVENT.items()})


def _refuse(code: int, cycle: int, unit: int, operand: int, detail: int) -> None:
    if code:
        name = UNITS[unit]
        what = SENTENCES[code].format(unit=name, operand=operand_name(operand), detail=detail)
        raise Hazard(cycle=int(cycle), unit=name, what=what)


# What is under way, besides operands: the cycle; the last in which a result is in flight; beats sent and taken, when a
# ring link, the core SRAM, the neighbour links are free again, and when the softmax unit has its results.
CYCLE, FLIGHT, SENT, TAKEN, RING_FREE, SRAM_FREE, LINK_FREE, SOFTMAX_READY = 0, 1, 2, 4, 6, 8, 9, 10
STATE_WORDS = 11
RESULTS, ARRIVALS = 32, 2 * isa.FIFO_BEATS  # more than the FMA's longest latency; than a queue holds


A_OP, A_ADDRESS, A_SLOT = (COLUMN_OF[name] for name in isa.UNITS["mem_a"][:3])
B_FIELDS = np.array([[COLUMN_OF[name] for name in isa.UNITS[unit]] for unit in ("mem_b0", "mem_b1")])
FMA, FMA_A, FMA_B, FMA_C, FMA_TO, FMA_FLAGS, FMA_GATE = (COLUMN_OF[name] for name in isa.UNITS["fma"])
ROW_FROM, ROW_COLUMN, ROW_SLOT, ROW_TO, ROW_MASK, ROW_SEND, ROW_ADDRESS = (
    COLUMN_OF[name] for name in isa.UNITS["row_bus"][:7]
)
COLUMN_ON, COLUMN_ROW, COLUMN_SLOT = (COLUMN_OF[name] for name in isa.UNITS["column_bus"])
LINK_ON, LINK_BIT, LINK_SLOT = (COLUMN_OF[name] for name in isa.UNITS["link"])
SOFTMAX_ON, SOFTMAX_LABEL = COLUMN_OF["softmax_on"], COLUMN_OF["softmax_label"]
U_A, U_B0, U_B1, U_FMA, U_ROW, U_COLUMN, U_LINK, U_SOFTMAX = range(8)

E_FMA, E_AR, E_AW, E_BR, E_BW, E_RR, E_RW = (
    EVENT[name]
    for name in (
        "fma",
        "pe_sram_read_words",
        "pe_sram_write_words",
        "mem_b_read_words",
        "mem_b_write_words",
        "register_reads",
        "register_writes",
    )
)
E_ROW, E_COLUMN, E_LINK, E_RING, E_CORE_R, E_CORE_W, E_SOFTMAX, E_PE = (
    EVENT[name]
    for name in (
        "row_bus_words",
        "column_bus_words",
        "neighbour_words",
        "ring_word_hops",
        "core_sram_read_words",
        "core_sram_write_words",
        "activation_words",
        "pe_cycles",
    )
)


@njit(cache=True)
def _is_register(slot):
    return isa.REGISTER <= slot < isa.HALF


@njit(cache=True)
def _exists(slot, accumulators, registers, group):
    """Whether this machine has a place with this code that words can be put into."""
    if slot >= isa.HALF:
        return slot < isa.HALF + group or isa.STAGED <= slot < isa.STAGED + group - 1
    if slot >= isa.REGISTER:
        return slot < isa.REGISTER + registers
    if slot >= isa.ACCUMULATOR:
        return slot < isa.ACCUMULATOR + accumulators
    return isa.MEM_A <= slot < isa.RESULT


@njit(cache=True)
def _drives(chosen, along, buses):
    """Whether on every bus there is a PE that is chosen: one of `along`, or the one on the diagonal."""
    return 0 <= chosen < along or (chosen == isa.DIAGONAL and buses <= along)


@njit(cache=True)
def _read(slot, t, ready, pending, result_at, sizes):
    """0, or what is wrong with reading an operand in cycle t, and a detail."""
    latency, accumulators, registers, group = sizes[2], sizes[3], sizes[4], sizes[10]
    if slot == isa.ZERO or slot == isa.ONE or slot == isa.RATE:
        return 0, 0
    if slot == isa.RESULT or slot == isa.RESULT_BEFORE:
        at = t - (slot - isa.RESULT) - latency
        if at < 0 or result_at[at % RESULTS] != at:
            return NO_RESULT, 0
        return 0, 0
    if slot < 0 or not _exists(slot, accumulators, registers, group):
        return NO_SUCH_OPERAND, slot
    if pending[slot] > t and slot < isa.STAGED:  # a staged word may be taken while its next is under way
        return NOT_READY, pending[slot]
    if ready[slot] > t:
        return NOT_READY, ready[slot]
    return 0, 0


@njit(cache=True)
def _walk(control, sizes, hops, softmax, events, state, ready, pending, result_at, arrivals):
    a_words, b_words, latency, accumulators, registers, beat, sram_beat, rows, columns, cores, group, beats = sizes
    lanes = rows * columns
    everywhere = lanes * cores
    reads = np.zeros(8, np.int64)
    for step in range(control.shape[0]):
        word, t = control[step], state[CYCLE]
        state[CYCLE] += 1
        # FMA
        if word[FMA]:
            count = 0
            for field in (FMA_A, FMA_B, FMA_C):
                reads[count] = word[field]
                count += 1
            if word[FMA_GATE] >= 0:
                reads[count] = word[FMA_GATE]
                count += 1
            for i in range(count):
                bad, detail = _read(reads[i], t, ready, pending, result_at, sizes)
                if bad:
                    return bad, t, U_FMA, reads[i], detail
                if _is_register(reads[i]):
                    events[E_RR] += everywhere
            events[E_FMA] += everywhere
        # link
        if word[LINK_ON]:
            slot = word[LINK_SLOT]
            bad, detail = _read(slot, t, ready, pending, result_at, sizes)
            if bad:
                return bad, t, U_LINK, slot, detail
            if _is_register(slot):
                events[E_RR] += everywhere
            if state[LINK_FREE] > t:
                return LINK_BUSY, t, U_LINK, slot, state[LINK_FREE]
            if word[LINK_BIT] < 0 or (1 << word[LINK_BIT]) >= lanes:
                return ADDRESS, t, U_LINK, slot, word[LINK_BIT]
            distance = hops[word[LINK_BIT]]
            state[LINK_FREE] = t + distance
            events[E_LINK] += everywhere * distance
        # column bus
        if word[COLUMN_ON]:
            slot = word[COLUMN_SLOT]
            bad, detail = _read(slot, t, ready, pending, result_at, sizes)
            if bad:
                return bad, t, U_COLUMN, slot, detail
            if not _drives(word[COLUMN_ROW], rows, columns):
                return ADDRESS, t, U_COLUMN, slot, word[COLUMN_ROW]
            if _is_register(slot):
                events[E_RR] += columns * cores
            events[E_COLUMN] += columns * cores
        # row bus and ring
        source = word[ROW_FROM]
        if source:
            if word[ROW_TO] >= columns or word[ROW_TO] < isa.TO_SRAM:
                return ADDRESS, t, U_ROW, 0, word[ROW_TO]
            events[E_ROW] += rows * cores
            if source == isa.FROM_PE:
                slot = word[ROW_SLOT]
                bad, detail = _read(slot, t, ready, pending, result_at, sizes)
                if bad:
                    return bad, t, U_ROW, slot, detail
                if not _drives(word[ROW_COLUMN], columns, rows):
                    return ADDRESS, t, U_ROW, slot, word[ROW_COLUMN]
                if _is_register(slot):
                    events[E_RR] += rows * cores
            elif source == isa.FROM_DOWN or source == isa.FROM_UP:
                way = source - isa.FROM_DOWN
                taken = state[TAKEN + way]
                if taken >= state[SENT + way] or arrivals[way, taken % ARRIVALS] > t:
                    return QUEUE_EMPTY, t, U_ROW, 0, 0
                state[TAKEN + way] += 1
            elif source == isa.FROM_SOFTMAX and state[SOFTMAX_READY] > t:
                return SOFTMAX_NOT_READY, t, U_ROW, 0, state[SOFTMAX_READY]
            if source == isa.FROM_SRAM or word[ROW_TO] == isa.TO_SRAM:
                if source == isa.FROM_SRAM and word[ROW_TO] == isa.TO_SRAM:
                    return SRAM_BUSY, t, U_ROW, 0, t + sram_beat
                if state[SRAM_FREE] > t:
                    return SRAM_BUSY, t, U_ROW, 0, state[SRAM_FREE]
                if word[ROW_ADDRESS] < 0 or word[ROW_ADDRESS] >= beats:
                    return ADDRESS, t, U_ROW, 0, word[ROW_ADDRESS]
                state[SRAM_FREE] = t + sram_beat
                events[E_CORE_R if source == isa.FROM_SRAM else E_CORE_W] += rows * cores
            if word[ROW_TO] == isa.TO_SOFTMAX or source == isa.FROM_SOFTMAX:
                events[E_SOFTMAX] += rows * cores
            if word[ROW_SEND]:
                way = word[ROW_SEND] - isa.DOWN
                if state[RING_FREE + way] > t:
                    return RING_BUSY, t, U_ROW, 0, state[RING_FREE + way]
                if state[SENT + way] - state[TAKEN + way] >= isa.FIFO_BEATS:
                    return QUEUE_FULL, t, U_ROW, 0, 0
                state[RING_FREE + way] = t + beat
                arrivals[way, state[SENT + way] % ARRIVALS] = t + beat
                state[SENT + way] += 1
                events[E_RING] += rows * cores
        # softmax
        if word[SOFTMAX_ON]:
            state[SOFTMAX_READY] = t + softmax[word[SOFTMAX_ON]]
        # MEM A
        if word[A_OP]:
            if word[A_ADDRESS] < 0 or word[A_ADDRESS] >= a_words:
                return ADDRESS, t, U_A, 0, word[A_ADDRESS]
            if word[A_OP] == isa.READ:
                events[E_AR] += everywhere * group
            else:
                slot = word[A_SLOT]
                staged = group - 1 if word[A_OP] == isa.WRITE_GROUP else 0
                for i in range(staged + 1):
                    slot = word[A_SLOT] if i == staged else isa.STAGED + i
                    bad, detail = _read(slot, t, ready, pending, result_at, sizes)
                    if bad:
                        return bad, t, U_A, slot, detail
                if _is_register(slot):
                    events[E_RR] += everywhere
                events[E_AW] += everywhere * group
        # MEM B, writes before latches change
        for port in range(2):
            fields = B_FIELDS[port]
            if word[fields[0]] == 0:
                continue
            low = word[fields[1]]
            span = 1
            if word[fields[3]] == isa.XOR_LANE:
                span = lanes
            elif word[fields[3]] == isa.ROTATE_CORE:
                span = cores
            elif word[fields[3]] == isa.XOR_ROW:
                span = rows
            elif word[fields[3]] == isa.XOR_COLUMN:
                span = columns
            if word[fields[5]] and word[fields[3]] != isa.ROTATE_CORE:
                span = min(span, 1 << word[fields[5]])
            if low < 0 or low + span > b_words:
                return ADDRESS, t, U_B0 + port, 0, low + span - 1
            if word[fields[0]] == isa.WRITE:
                slot = word[fields[2]]
                bad, detail = _read(slot, t, ready, pending, result_at, sizes)
                if bad:
                    return bad, t, U_B0 + port, slot, detail
                if _is_register(slot):
                    events[E_RR] += everywhere
                events[E_BW] += everywhere
            else:
                events[E_BR] += everywhere
        # what holds from the next cycle on
        if word[A_OP] == isa.READ:
            ready[isa.MEM_A] = min(ready[isa.MEM_A], t + 1)
            for i in range(group):
                ready[isa.HALF + i] = min(ready[isa.HALF + i], t + 1)
        for port in range(2):
            fields = B_FIELDS[port]
            if word[fields[0]] == isa.READ:
                slot = word[fields[2]]
                latch = isa.LATCH <= slot < isa.LATCH + isa.LATCHES
                if not latch and not (_is_register(slot) and _exists(slot, accumulators, registers, group)):
                    return NO_SUCH_OPERAND, t, U_B0 + port, slot, slot
                if pending[slot] > t:
                    return TWO_WRITERS, t, U_B0 + port, slot, pending[slot]
                ready[slot] = min(ready[slot], t + 1)
                if _is_register(slot):
                    events[E_RW] += everywhere
        if source and (word[ROW_TO] >= 0 or word[ROW_TO] == isa.ALL_COLUMNS):
            ready[isa.ROW] = min(ready[isa.ROW], t + 1)
        if word[COLUMN_ON]:
            ready[isa.COLUMN] = min(ready[isa.COLUMN], t + 1)
        if word[LINK_ON]:
            ready[isa.LINK] = t + hops[word[LINK_BIT]]
        if word[FMA]:
            result_at[t % RESULTS] = t
            slot = word[FMA_TO]
            state[FLIGHT] = t + latency
            if slot >= 0:
                target = isa.ACCUMULATOR <= slot < isa.HALF or slot >= isa.STAGED
                if not target or not _exists(slot, accumulators, registers, group):
                    return NO_SUCH_OPERAND, t, U_FMA, slot, slot
                pending[slot] = t + latency
                ready[slot] = min(ready[slot], t + latency)
                if _is_register(slot):
                    events[E_RW] += everywhere
    return 0, 0, 0, 0, 0


def _at_end(state, pes, events):
    """What is wrong with ending here; else the PEs' cycles are counted."""
    cycles = state[CYCLE]
    if state[FLIGHT] > cycles:
        return IN_FLIGHT_AT_END, cycles, U_FMA, 0, state[FLIGHT]
    for way in range(2):
        if state[TAKEN + way] < state[SENT + way]:
            return QUEUE_FULL, cycles, U_ROW, 0, 0
    events[E_PE] = cycles * pes
    return 0, 0, 0, 0, 0
