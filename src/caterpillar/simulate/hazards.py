"""Walks the control words of a micro-program once: rejects what the hardware could not do, counts what it does.

Control does not depend on data and is the same for all PEs of a core, so one walk holds for all of them.
"""

# pyright: basic

from __future__ import annotations

import numpy as np
from numba import njit

from caterpillar.checks import CaterpillarError
from caterpillar.counters import Counters
from caterpillar.machine import Machine
from caterpillar.mapping import isa
from caterpillar.mapping.isa import COLUMN_OF, Control

SLOTS = isa.REGISTER + 256
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
    if code >= isa.REGISTER:
        return f"register {code - isa.REGISTER}"
    if code >= isa.ACCUMULATOR:
        return f"accumulator {code - isa.ACCUMULATOR}"
    names = {isa.MEM_A: "MEM A's latch", isa.ROW: "the row latch", isa.COLUMN: "the column latch"}
    names[isa.LINK] = "the link latch"
    return names.get(code, f"latch {code - isa.LATCH}" if isa.LATCH <= code < isa.ROW else f"operand {code}")


def walk(control: Control, machine: Machine, *, warm: bool) -> Counters:
    """Check a micro-program and count its events on all cores. Raises Hazard.

    warm: another micro-program has run before, so latches and registers hold something (stale, but legal to read).
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
        ],
        np.int64,
    )
    bits = max(1, machine.pes_per_core.bit_length() - 1)
    hops = np.array([isa.link_hops(machine, bit) for bit in range(bits)] if machine.pes_per_core > 1 else [1], np.int64)
    softmax = np.array([isa.softmax_cycles(machine, n) for n in range(isa.SOFTMAX_OUTPUTS + 1)], np.int64)
    events = np.zeros(len(EVENTS), np.int64)
    code, cycle, unit, operand, detail = _walk(control, sizes, hops, softmax, warm, events)
    if code:
        name = UNITS[unit]
        what = SENTENCES[code].format(unit=name, operand=operand_name(operand), detail=detail)
        raise Hazard(cycle=int(cycle), unit=name, what=what)
    return Counters(**{name: int(events[index]) for name, index in EVENT.items()})


A_OP, A_ADDRESS, A_SLOT = (COLUMN_OF[name] for name in isa.UNITS["mem_a"])
B_FIELDS = np.array([[COLUMN_OF[name] for name in isa.UNITS[unit]] for unit in ("mem_b0", "mem_b1")])
FMA, FMA_A, FMA_B, FMA_C, FMA_TO, FMA_FLAGS, FMA_GATE = (COLUMN_OF[name] for name in isa.UNITS["fma"])
ROW_FROM, ROW_COLUMN, ROW_SLOT, ROW_TO, ROW_SEND, ROW_ADDRESS = (COLUMN_OF[name] for name in isa.UNITS["row_bus"])
COLUMN_ON, COLUMN_ROW, COLUMN_SLOT = (COLUMN_OF[name] for name in isa.UNITS["column_bus"])
LINK_ON, LINK_BIT, LINK_SLOT = (COLUMN_OF[name] for name in isa.UNITS["link"])
SOFTMAX_ON = COLUMN_OF["softmax_on"]
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
E_ROW, E_COLUMN, E_LINK, E_RING, E_CORE_R, E_SOFTMAX, E_PE = (
    EVENT[name]
    for name in (
        "row_bus_words",
        "column_bus_words",
        "neighbour_words",
        "ring_word_hops",
        "core_sram_read_words",
        "activation_words",
        "pe_cycles",
    )
)


@njit(cache=True)
def _read(slot, t, ready, pending, result_at, latency, accumulators, registers):
    """0, or what is wrong with reading an operand in cycle t, and a detail."""
    if slot == isa.ZERO or slot == isa.ONE or slot == isa.RATE:
        return 0, 0
    if slot == isa.RESULT or slot == isa.RESULT_BEFORE:
        came = t - (slot - isa.RESULT)
        at = came - latency
        if at < 0 or not result_at[at]:
            return NO_RESULT, 0
        return 0, 0
    if slot < isa.MEM_A or (slot > isa.RESULT_BEFORE and slot < isa.ACCUMULATOR) or slot >= isa.REGISTER + registers:
        return NO_SUCH_OPERAND, slot
    if slot >= isa.ACCUMULATOR + accumulators and slot < isa.REGISTER:
        return NO_SUCH_OPERAND, slot
    if pending[slot] > t:
        return NOT_READY, pending[slot]
    if ready[slot] > t:
        return NOT_READY, ready[slot]
    return 0, 0


@njit(cache=True)
def _walk(control, sizes, hops, softmax, warm, events):
    a_words, b_words, latency, accumulators, registers, beat, sram_beat, rows, columns, cores = sizes
    lanes = rows * columns
    everywhere = lanes * cores
    cycles = control.shape[0]
    ready = np.full(SLOTS, NEVER, np.int64)  # first cycle in which a slot holds something
    if warm:
        ready[:] = 0
    pending = np.zeros(SLOTS, np.int64)  # an FMA result is on its way into the slot until then
    result_at = np.zeros(cycles, np.bool_)
    arrivals = np.zeros((3, cycles + 1), np.int64)
    sent, taken = np.zeros(3, np.int64), np.zeros(3, np.int64)
    ring_free, sram_free, link_free, softmax_ready = np.zeros(3, np.int64), 0, 0, NEVER
    last_flight = 0
    reads = np.zeros(8, np.int64)
    for t in range(cycles):
        word = control[t]
        count, unit = 0, U_FMA
        # FMA
        if word[FMA]:
            for field in (FMA_A, FMA_B, FMA_C):
                reads[count] = word[field]
                count += 1
            if word[FMA_GATE] >= 0:
                reads[count] = word[FMA_GATE]
                count += 1
            for i in range(count):
                bad, detail = _read(reads[i], t, ready, pending, result_at, latency, accumulators, registers)
                if bad:
                    return bad, t, unit, reads[i], detail
                if reads[i] >= isa.REGISTER:
                    events[E_RR] += everywhere
            events[E_FMA] += everywhere
        # link
        if word[LINK_ON]:
            slot = word[LINK_SLOT]
            bad, detail = _read(slot, t, ready, pending, result_at, latency, accumulators, registers)
            if bad:
                return bad, t, U_LINK, slot, detail
            if slot >= isa.REGISTER:
                events[E_RR] += everywhere
            if link_free > t:
                return LINK_BUSY, t, U_LINK, slot, link_free
            if word[LINK_BIT] < 0 or (1 << word[LINK_BIT]) >= lanes:
                return ADDRESS, t, U_LINK, slot, word[LINK_BIT]
            distance = hops[word[LINK_BIT]]
            link_free = t + distance
            events[E_LINK] += everywhere * distance
        # column bus
        if word[COLUMN_ON]:
            slot = word[COLUMN_SLOT]
            bad, detail = _read(slot, t, ready, pending, result_at, latency, accumulators, registers)
            if bad:
                return bad, t, U_COLUMN, slot, detail
            if word[COLUMN_ROW] < 0 or word[COLUMN_ROW] >= rows:
                return ADDRESS, t, U_COLUMN, slot, word[COLUMN_ROW]
            if slot >= isa.REGISTER:
                events[E_RR] += columns * cores
            events[E_COLUMN] += columns * cores
        # row bus and ring
        source = word[ROW_FROM]
        if source:
            if word[ROW_TO] >= columns or word[ROW_TO] < isa.NOWHERE:
                return ADDRESS, t, U_ROW, 0, word[ROW_TO]
            events[E_ROW] += rows * cores
            if source == isa.FROM_PE:
                slot = word[ROW_SLOT]
                bad, detail = _read(slot, t, ready, pending, result_at, latency, accumulators, registers)
                if bad:
                    return bad, t, U_ROW, slot, detail
                if word[ROW_COLUMN] < 0 or word[ROW_COLUMN] >= columns:
                    return ADDRESS, t, U_ROW, slot, word[ROW_COLUMN]
                if slot >= isa.REGISTER:
                    events[E_RR] += rows * cores
            elif source == isa.FROM_DOWN or source == isa.FROM_UP:
                way = source - isa.FROM_DOWN + 1
                if taken[way] >= sent[way] or arrivals[way, taken[way]] > t:
                    return QUEUE_EMPTY, t, U_ROW, 0, 0
                taken[way] += 1
            elif source == isa.FROM_SRAM:
                if sram_free > t:
                    return SRAM_BUSY, t, U_ROW, 0, sram_free
                sram_free = t + sram_beat
                events[E_CORE_R] += rows * cores
            elif source == isa.FROM_SOFTMAX and softmax_ready > t:
                return SOFTMAX_NOT_READY, t, U_ROW, 0, softmax_ready
            if word[ROW_TO] == isa.TO_SOFTMAX or source == isa.FROM_SOFTMAX:
                events[E_SOFTMAX] += rows * cores
            way = word[ROW_SEND]
            if way:
                if ring_free[way] > t:
                    return RING_BUSY, t, U_ROW, 0, ring_free[way]
                if sent[way] - taken[way] >= isa.FIFO_BEATS:
                    return QUEUE_FULL, t, U_ROW, 0, 0
                ring_free[way] = t + beat
                arrivals[way, sent[way]] = t + beat
                sent[way] += 1
                events[E_RING] += rows * cores
        # softmax
        if word[SOFTMAX_ON]:
            softmax_ready = t + softmax[word[SOFTMAX_ON]]
        # MEM A
        if word[A_OP]:
            if word[A_ADDRESS] < 0 or word[A_ADDRESS] >= a_words:
                return ADDRESS, t, U_A, 0, word[A_ADDRESS]
            if word[A_OP] == isa.READ:
                events[E_AR] += everywhere
            else:
                slot = word[A_SLOT]
                bad, detail = _read(slot, t, ready, pending, result_at, latency, accumulators, registers)
                if bad:
                    return bad, t, U_A, slot, detail
                if slot >= isa.REGISTER:
                    events[E_RR] += everywhere
                events[E_AW] += everywhere
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
            if low < 0 or low + span > b_words:
                return ADDRESS, t, U_B0 + port, 0, low + span - 1
            if word[fields[0]] == isa.WRITE:
                slot = word[fields[2]]
                bad, detail = _read(slot, t, ready, pending, result_at, latency, accumulators, registers)
                if bad:
                    return bad, t, U_B0 + port, slot, detail
                if slot >= isa.REGISTER:
                    events[E_RR] += everywhere
                events[E_BW] += everywhere
            else:
                events[E_BR] += everywhere
        # what holds from the next cycle on
        if word[A_OP] == isa.READ:
            ready[isa.MEM_A] = min(ready[isa.MEM_A], t + 1)
        for port in range(2):
            fields = B_FIELDS[port]
            if word[fields[0]] == isa.READ:
                slot = word[fields[2]]
                if slot >= isa.REGISTER + registers or slot < isa.LATCH:
                    return NO_SUCH_OPERAND, t, U_B0 + port, slot, slot
                if pending[slot] > t:
                    return TWO_WRITERS, t, U_B0 + port, slot, pending[slot]
                ready[slot] = min(ready[slot], t + 1)
                if slot >= isa.REGISTER:
                    events[E_RW] += everywhere
        if source and (word[ROW_TO] >= 0 or word[ROW_TO] == isa.ALL_COLUMNS):
            ready[isa.ROW] = min(ready[isa.ROW], t + 1)
        if word[COLUMN_ON]:
            ready[isa.COLUMN] = min(ready[isa.COLUMN], t + 1)
        if word[LINK_ON]:
            ready[isa.LINK] = t + hops[word[LINK_BIT]]
        if word[FMA]:
            result_at[t] = True
            slot = word[FMA_TO]
            last_flight = t + latency
            if slot >= 0:
                good = isa.ACCUMULATOR <= slot < isa.ACCUMULATOR + accumulators
                if not good and not isa.REGISTER <= slot < isa.REGISTER + registers:
                    return NO_SUCH_OPERAND, t, U_FMA, slot, slot
                pending[slot] = t + latency
                ready[slot] = min(ready[slot], t + latency)
                if slot >= isa.REGISTER:
                    events[E_RW] += everywhere
    if last_flight > cycles:
        return IN_FLIGHT_AT_END, cycles, U_FMA, 0, last_flight
    for way in range(1, 3):
        if taken[way] < sent[way]:
            return QUEUE_FULL, cycles, U_ROW, 0, 0
    events[E_PE] = cycles * everywhere
    return 0, 0, 0, 0, 0
