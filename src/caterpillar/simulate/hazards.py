"""Walks the control words of micro-programs once: rejects what the hardware could not do, counts what it does.

Control does not depend on data and is the same for all PEs of a core, so one walk holds for all of them, and for all
cores of a group. Only on the ring must a core's beats come when its neighbour takes them: groups are walked together.
"""

# pyright: basic

from __future__ import annotations

from collections.abc import Iterable, Sequence

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

    def __init__(self, *, cycle: int, unit: str, what: str, where: str = "every core") -> None:
        super().__init__(f"cycle {cycle}, {unit} of {where}: {what}")
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
    """Check a micro-program that all cores run, given as stretches of control words. See walk_groups."""
    alone = [list(range(machine.cores))]
    return walk_groups((one[None] for one in stretches), machine, alone, warm=warm, sram_beats=sram_beats)


def walk_groups(
    stretches: Iterable[Control],
    machine: Machine,
    members: Sequence[Sequence[int]],
    *,
    warm: bool,
    sram_beats: int = 0,
) -> Counters:
    """Check groups' micro-programs, given as stretches of control words, and count events on all cores. Raises Hazard.

    stretches: (groups, cycles, fields). members: the numbers of each group's cores.
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
    groups = len(members)
    events, states = np.zeros((groups, len(EVENTS)), np.int64), np.zeros((groups, STATE_WORDS), np.int64)
    ready = np.full((groups, SLOTS), 0 if warm else NEVER, np.int64)  # first cycle in which a slot holds something
    pending = np.zeros((groups, SLOTS), np.int64)  # an FMA result is on its way into the slot until then
    result_at = np.full((groups, RESULTS), -1, np.int64)  # the cycles of the last results' issues
    ring = _ring(members, machine.cores)
    flow, arrivals = np.zeros((2, 2, machine.cores), np.int64), np.zeros((2, machine.cores, ARRIVALS), np.int64)
    states[:, SOFTMAX_READY] = NEVER
    for controls in stretches:
        found = _walk(controls, sizes, hops, softmax, events, states, ready, pending, result_at, ring, flow, arrivals)
        _refuse(members, *found)
    _refuse(members, *_at_end(states, ring, flow))
    events *= np.array([len(some) for some in members])[:, None]  # of one core each, so far
    total = events.sum(axis=0)
    total[E_PE] = machine.pes * states[0, CYCLE]
    return Counters(**{name: int(total[index]) for name, index in EVENT.items()})


def _ring(members: Sequence[Sequence[int]], cores: int) -> np.ndarray:
    """Of each core in turn: its group, its number, those of the cores below and above.

    Where all run one program, one stands for all, and is its own neighbour.
    """
    if len(members) == 1:
        return np.zeros((1, 4), np.int64)
    found = [(group, core) for group, some in enumerate(members) for core in some]
    return np.array([(group, core, (core - 1) % cores, (core + 1) % cores) for group, core in found], np.int64)


def _refuse(members: Sequence[Sequence[int]], group: int, code: int, cycle: int, unit: int, operand: int, detail: int):
    if code:
        name = UNITS[unit]
        what = SENTENCES[code].format(unit=name, operand=operand_name(operand), detail=detail)
        where = "every core" if len(members) == 1 else f"core {members[group][0]}"
        raise Hazard(cycle=int(cycle), unit=name, what=what, where=where)


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
def _walk(controls, sizes, hops, softmax, events, states, ready, pending, result_at, ring, flow, arrivals):
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


def _at_end(states, ring, flow):
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
