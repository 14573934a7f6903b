"""One cycle after another of control words: what no hardware could do is found, what it does is counted.

Compiled; hazards.py says what is found in words.
"""

# pyright: basic

from __future__ import annotations

import numpy as np
from numba import njit

from caterpillar.counters import Counters
from caterpillar.mapping import isa
from caterpillar.mapping.isa import COLUMN_OF

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
EVENTS = Counters.names()
EVENT = {name: index for index, name in enumerate(EVENTS)}
NEVER = 1 << 40

# What is under way, besides operands: the cycle; the last in which a result is in flight; when a ring link, the core
# SRAM, the neighbour links are free again, and when the softmax unit has its results. On the ring: beats sent to each
# core, and taken by it.
CYCLE, FLIGHT, RING_FREE, SRAM_FREE, LINK_FREE, SOFTMAX_READY = 0, 1, 2, 4, 5, 6
STATE_WORDS = 7
SENT, TAKEN = 0, 1
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
def go_on(controls, sizes, hops, softmax, events, states, ready, pending, result_at, ring, flow, arrivals):
    """The group, and what is wrong with what its cores are told, if anything is."""
    reads = np.zeros(8, np.int64)
    for step in range(controls.shape[1]):
        for g in range(controls.shape[0]):
            bad, t, unit, slot, detail = _word(
                controls[g, step],
                sizes,
                hops,
                softmax,
                events[g],
                states[g],
                ready[g],
                pending[g],
                result_at[g],
                g,
                ring,
                flow,
                arrivals,
                reads,
            )
            if bad:
                return g, bad, t, unit, slot, detail
    return 0, 0, 0, 0, 0, 0


@njit(cache=True)
def _take(t, group, way, ring, flow, arrivals):
    """A beat off the queue of each of a group's cores; False if one has none."""
    for n in range(len(ring)):
        if ring[n, 0] == group:
            core = ring[n, 1]
            taken = flow[TAKEN, way, core]
            if taken >= flow[SENT, way, core] or arrivals[way, core, taken % ARRIVALS] > t:
                return False
            flow[TAKEN, way, core] += 1
    return True


@njit(cache=True)
def _send(arrives, group, way, ring, flow, arrivals):
    """A beat to the neighbour of each of a group's cores; False if a queue is full."""
    for n in range(len(ring)):
        if ring[n, 0] == group:
            core = ring[n, 2 + way]
            if flow[SENT, way, core] - flow[TAKEN, way, core] >= isa.FIFO_BEATS:
                return False
            arrivals[way, core, flow[SENT, way, core] % ARRIVALS] = arrives
            flow[SENT, way, core] += 1
    return True


@njit(cache=True)
def _word(word, sizes, hops, softmax, events, state, ready, pending, result_at, number, ring, flow, arrivals, reads):
    """A group's control word: 0, or what is wrong with it, and where. Counts the events of one core."""
    a_words, b_words, latency, accumulators, registers, beat, sram_beat, rows, columns, cores, group, beats = sizes
    lanes = rows * columns
    t = state[CYCLE]
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
                events[E_RR] += lanes
        events[E_FMA] += lanes
    # link
    if word[LINK_ON]:
        slot = word[LINK_SLOT]
        bad, detail = _read(slot, t, ready, pending, result_at, sizes)
        if bad:
            return bad, t, U_LINK, slot, detail
        if _is_register(slot):
            events[E_RR] += lanes
        if state[LINK_FREE] > t:
            return LINK_BUSY, t, U_LINK, slot, state[LINK_FREE]
        if word[LINK_BIT] < 0 or (1 << word[LINK_BIT]) >= lanes:
            return ADDRESS, t, U_LINK, slot, word[LINK_BIT]
        distance = hops[word[LINK_BIT]]
        state[LINK_FREE] = t + distance
        events[E_LINK] += lanes * distance
    # column bus
    if word[COLUMN_ON]:
        slot = word[COLUMN_SLOT]
        bad, detail = _read(slot, t, ready, pending, result_at, sizes)
        if bad:
            return bad, t, U_COLUMN, slot, detail
        if not _drives(word[COLUMN_ROW], rows, columns):
            return ADDRESS, t, U_COLUMN, slot, word[COLUMN_ROW]
        if _is_register(slot):
            events[E_RR] += columns
        events[E_COLUMN] += columns
    # row bus and ring
    source = word[ROW_FROM]
    if source:
        if word[ROW_TO] >= columns or word[ROW_TO] < isa.TO_SRAM:
            return ADDRESS, t, U_ROW, 0, word[ROW_TO]
        events[E_ROW] += rows
        if source == isa.FROM_PE:
            slot = word[ROW_SLOT]
            bad, detail = _read(slot, t, ready, pending, result_at, sizes)
            if bad:
                return bad, t, U_ROW, slot, detail
            if not _drives(word[ROW_COLUMN], columns, rows):
                return ADDRESS, t, U_ROW, slot, word[ROW_COLUMN]
            if _is_register(slot):
                events[E_RR] += rows
        elif source == isa.FROM_DOWN or source == isa.FROM_UP:
            way = source - isa.FROM_DOWN
            if not _take(t, number, way, ring, flow, arrivals):
                return QUEUE_EMPTY, t, U_ROW, 0, 0
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
            events[E_CORE_R if source == isa.FROM_SRAM else E_CORE_W] += rows
        if word[ROW_TO] == isa.TO_SOFTMAX or source == isa.FROM_SOFTMAX:
            events[E_SOFTMAX] += rows
        if word[ROW_SEND]:
            way = word[ROW_SEND] - isa.DOWN
            if state[RING_FREE + way] > t:
                return RING_BUSY, t, U_ROW, 0, state[RING_FREE + way]
            if not _send(t + beat, number, way, ring, flow, arrivals):
                return QUEUE_FULL, t, U_ROW, 0, 0
            state[RING_FREE + way] = t + beat
            events[E_RING] += rows
    # softmax
    if word[SOFTMAX_ON]:
        state[SOFTMAX_READY] = t + softmax[word[SOFTMAX_ON]]
    # MEM A
    if word[A_OP]:
        if word[A_ADDRESS] < 0 or word[A_ADDRESS] >= a_words:
            return ADDRESS, t, U_A, 0, word[A_ADDRESS]
        if word[A_OP] == isa.READ:
            events[E_AR] += lanes * group
        else:
            slot = word[A_SLOT]
            staged = group - 1 if word[A_OP] == isa.WRITE_GROUP else 0
            for i in range(staged + 1):
                slot = word[A_SLOT] if i == staged else isa.STAGED + i
                bad, detail = _read(slot, t, ready, pending, result_at, sizes)
                if bad:
                    return bad, t, U_A, slot, detail
            if _is_register(slot):
                events[E_RR] += lanes
            events[E_AW] += lanes * group
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
                events[E_RR] += lanes
            events[E_BW] += lanes
        else:
            events[E_BR] += lanes
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
                events[E_RW] += lanes
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
                events[E_RW] += lanes
    return 0, 0, 0, 0, 0


def at_end(states, ring, flow):
    """The group, and what is wrong with ending here, if anything is."""
    for g in range(len(states)):
        cycles = states[g, CYCLE]
        if states[g, FLIGHT] > cycles:
            return g, IN_FLIGHT_AT_END, cycles, U_FMA, 0, states[g, FLIGHT]
    for n in range(len(ring)):
        for way in range(2):
            if flow[TAKEN, way, ring[n, 1]] < flow[SENT, way, ring[n, 1]]:
                return ring[n, 0], QUEUE_FULL, cycles, U_ROW, 0, 0
    return 0, 0, 0, 0, 0, 0
