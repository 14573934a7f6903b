"""One cycle after another of control words: what no hardware could do is found, what it does is counted.

Compiled; hazards.py says what is found in words. Each unit's function gives 0, or what is wrong, and the operand and a
detail that go with it. All in one file, for a change of another would leave compiled code as it was cached.
"""

# pyright: basic

from __future__ import annotations

from numba import njit

from caterpillar.mapping import isa
from caterpillar.simulate import codes as c
from caterpillar.simulate import fields as f


@njit(cache=True)
def go_on(controls, sizes, hops, softmax, events, states, ready, pending, result_at, ring, flow, arrivals):
    """The group, and what is wrong with what its cores are told, if anything is: code, cycle, unit, operand, detail."""
    for step in range(controls.shape[1]):
        for g in range(controls.shape[0]):
            units = states[g], ready[g], pending[g], result_at[g]
            t = states[g, c.CYCLE]
            states[g, c.CYCLE] += 1
            bad, unit, slot, detail = _word(
                controls[g, step], t, sizes, hops, softmax, events[g], units, g, (ring, flow, arrivals)
            )
            if bad:
                return g, bad, t, unit, slot, detail
    return 0, 0, 0, 0, 0, 0


@njit(cache=True)
def _word(word, t, sizes, hops, softmax, events, units, group, queues):
    """A group's control word: 0, or what is wrong with it, and where. Counts the events of one core."""
    if word[f.FMA]:
        bad, slot, detail = _fma_reads(word, t, sizes, events, units)
        if bad:
            return bad, c.U_FMA, slot, detail
    if word[f.LINK_ON]:
        bad, slot, detail = _exchange(word, t, sizes, hops, events, units)
        if bad:
            return bad, c.U_LINK, slot, detail
    if word[f.COLUMN_ON]:
        bad, slot, detail = _column_bus(word, t, sizes, events, units)
        if bad:
            return bad, c.U_COLUMN, slot, detail
    if word[f.ROW_FROM]:
        bad, slot, detail = _row_bus(word, t, sizes, events, units, group, queues)
        if bad:
            return bad, c.U_ROW, slot, detail
    if word[f.SOFTMAX_ON]:
        bad, slot, detail = _softmax(word, t, softmax, units)
        if bad:
            return bad, c.U_SOFTMAX, slot, detail
    if word[f.A_OP]:
        bad, slot, detail = _mem_a(word, t, sizes, events, units)
        if bad:
            return bad, c.U_A, slot, detail
    for port in range(2):
        if word[f.B_FIELDS[port, 0]]:
            bad, slot, detail = _mem_b(word, f.B_FIELDS[port], t, sizes, events, units)
            if bad:
                return bad, c.U_B0 + port, slot, detail
    return _from_the_next_cycle(word, t, sizes, hops, events, units)


@njit(cache=True)
def _is_register(slot):
    return isa.REGISTER <= slot < isa.HALF


@njit(cache=True)
def _exists(slot, sizes):
    """Whether this machine has a place with this code that words can be put into."""
    if slot >= isa.HALF:
        return slot < isa.HALF + sizes[c.GROUP] or isa.STAGED <= slot < isa.STAGED + sizes[c.GROUP] - 1
    if slot >= isa.REGISTER:
        return slot < isa.REGISTER + sizes[c.REGISTERS]
    if slot >= isa.ACCUMULATOR:
        return slot < isa.ACCUMULATOR + sizes[c.ACCUMULATORS]
    return isa.MEM_A <= slot < isa.RESULT


@njit(cache=True)
def _drives(chosen, along, buses):
    """Whether on every bus there is a PE that is chosen: one of `along`, or the one on the diagonal."""
    return 0 <= chosen < along or (chosen == isa.DIAGONAL and buses <= along)


@njit(cache=True)
def _read(slot, t, sizes, units):
    """0, or what is wrong with reading an operand in cycle t, and a detail."""
    _, ready, pending, result_at = units
    if slot == isa.ZERO or slot == isa.ONE or slot == isa.RATE:
        return 0, 0
    if slot == isa.RESULT or slot == isa.RESULT_BEFORE:
        at = t - (slot - isa.RESULT) - sizes[c.LATENCY]
        if at < 0 or result_at[at % c.RESULTS] != at:
            return c.NO_RESULT, 0
        return 0, 0
    if slot < 0 or not _exists(slot, sizes):
        return c.NO_SUCH_OPERAND, slot
    if pending[slot] > t and slot < isa.STAGED:  # a staged word may be taken while its next is under way
        return c.NOT_READY, pending[slot]
    if ready[slot] > t:
        return c.NOT_READY, ready[slot]
    return 0, 0


@njit(cache=True)
def _take(t, group, way, ring, flow, arrivals):
    """A beat off the queue of each of a group's cores; False if one has none."""
    for n in range(len(ring)):
        if ring[n, 0] == group:
            core = ring[n, 1]
            taken = flow[c.TAKEN, way, core]
            if taken >= flow[c.SENT, way, core] or arrivals[way, core, taken % c.ARRIVALS] > t:
                return False
            flow[c.TAKEN, way, core] += 1
    return True


@njit(cache=True)
def _send(arrives, group, way, ring, flow, arrivals):
    """A beat to the neighbour of each of a group's cores; False if a queue is full."""
    for n in range(len(ring)):
        if ring[n, 0] == group:
            core = ring[n, 2 + way]
            if flow[c.SENT, way, core] - flow[c.TAKEN, way, core] >= isa.FIFO_BEATS:
                return False
            arrivals[way, core, flow[c.SENT, way, core] % c.ARRIVALS] = arrives
            flow[c.SENT, way, core] += 1
    return True


@njit(cache=True)
def _fma_reads(word, t, sizes, events, units):
    lanes = sizes[c.ROWS] * sizes[c.COLUMNS]
    for field in (f.FMA_A, f.FMA_B, f.FMA_C, f.FMA_GATE):
        slot = word[field]
        if field == f.FMA_GATE and slot < 0:
            continue
        bad, detail = _read(slot, t, sizes, units)
        if bad:
            return bad, slot, detail
        if _is_register(slot):
            events[c.E_RR] += lanes
    events[c.E_FMA] += lanes
    return 0, 0, 0


@njit(cache=True)
def _exchange(word, t, sizes, hops, events, units):
    state, slot, lanes = units[0], word[f.LINK_SLOT], sizes[c.ROWS] * sizes[c.COLUMNS]
    bad, detail = _read(slot, t, sizes, units)
    if bad:
        return bad, slot, detail
    if _is_register(slot):
        events[c.E_RR] += lanes
    if state[c.LINK_FREE] > t:
        return c.LINK_BUSY, slot, state[c.LINK_FREE]
    if word[f.LINK_BIT] < 0 or (1 << word[f.LINK_BIT]) >= lanes:
        return c.ADDRESS, slot, word[f.LINK_BIT]
    distance = hops[word[f.LINK_BIT]]
    state[c.LINK_FREE] = t + distance
    events[c.E_LINK] += lanes * distance
    return 0, 0, 0


@njit(cache=True)
def _column_bus(word, t, sizes, events, units):
    slot = word[f.COLUMN_SLOT]
    bad, detail = _read(slot, t, sizes, units)
    if bad:
        return bad, slot, detail
    if not _drives(word[f.COLUMN_ROW], sizes[c.ROWS], sizes[c.COLUMNS]):
        return c.ADDRESS, slot, word[f.COLUMN_ROW]
    if _is_register(slot):
        events[c.E_RR] += sizes[c.COLUMNS]
    events[c.E_COLUMN] += sizes[c.COLUMNS]
    return 0, 0, 0


@njit(cache=True)
def _row_bus(word, t, sizes, events, units, group, queues):
    """The row buses: where their words come from, the core c.SRAM and the softmax unit, and the ring."""
    rows = sizes[c.ROWS]
    if word[f.ROW_TO] >= sizes[c.COLUMNS] or word[f.ROW_TO] < isa.TO_SRAM:
        return c.ADDRESS, 0, word[f.ROW_TO]
    events[c.E_ROW] += rows
    bad, slot, detail = _row_source(word, t, sizes, events, units, group, queues)
    if bad:
        return bad, slot, detail
    if word[f.ROW_FROM] == isa.FROM_SRAM or word[f.ROW_TO] == isa.TO_SRAM:
        bad, detail = _core_sram(word, t, sizes, events, units[0])
        if bad:
            return bad, 0, detail
    if word[f.ROW_TO] == isa.TO_SOFTMAX or word[f.ROW_FROM] == isa.FROM_SOFTMAX:
        events[c.E_SOFTMAX] += rows
    if word[f.ROW_TO] == isa.TO_SOFTMAX and c.NEVER > units[0][c.SOFTMAX_READY] > t:
        return c.SOFTMAX_BUSY, 0, units[0][c.SOFTMAX_READY]
    if word[f.ROW_SEND]:
        way, state = word[f.ROW_SEND] - isa.DOWN, units[0]
        if state[c.RING_FREE + way] > t:
            return c.RING_BUSY, 0, state[c.RING_FREE + way]
        if not _send(t + sizes[c.BEAT], group, way, *queues):
            return c.QUEUE_FULL, 0, 0
        state[c.RING_FREE + way] = t + sizes[c.BEAT]
        events[c.E_RING] += rows
    return 0, 0, 0


@njit(cache=True)
def _row_source(word, t, sizes, events, units, group, queues):
    source = word[f.ROW_FROM]
    if source == isa.FROM_PE:
        slot = word[f.ROW_SLOT]
        bad, detail = _read(slot, t, sizes, units)
        if bad:
            return bad, slot, detail
        if not _drives(word[f.ROW_COLUMN], sizes[c.COLUMNS], sizes[c.ROWS]):
            return c.ADDRESS, slot, word[f.ROW_COLUMN]
        if _is_register(slot):
            events[c.E_RR] += sizes[c.ROWS]
    elif source == isa.FROM_DOWN or source == isa.FROM_UP:
        if not _take(t, group, source - isa.FROM_DOWN, *queues):
            return c.QUEUE_EMPTY, 0, 0
    elif source == isa.FROM_SOFTMAX and units[0][c.SOFTMAX_READY] > t:
        return c.SOFTMAX_NOT_READY, 0, units[0][c.SOFTMAX_READY]
    return 0, 0, 0


@njit(cache=True)
def _core_sram(word, t, sizes, events, state):
    """A beat out of the core c.SRAM, or into it; 0, or what is wrong, and a detail."""
    reads = word[f.ROW_FROM] == isa.FROM_SRAM
    if reads and word[f.ROW_TO] == isa.TO_SRAM:
        return c.SRAM_BUSY, t + sizes[c.SRAM_BEAT]
    if state[c.SRAM_FREE] > t:
        return c.SRAM_BUSY, state[c.SRAM_FREE]
    if word[f.ROW_ADDRESS] < 0 or word[f.ROW_ADDRESS] >= sizes[c.BEATS]:
        return c.ADDRESS, word[f.ROW_ADDRESS]
    state[c.SRAM_FREE] = t + sizes[c.SRAM_BEAT]
    events[c.E_CORE_R if reads else c.E_CORE_W] += sizes[c.ROWS]
    return 0, 0


@njit(cache=True)
def _softmax(word, t, softmax, units):
    state = units[0]
    if c.NEVER > state[c.SOFTMAX_READY] > t:
        return c.SOFTMAX_BUSY, 0, state[c.SOFTMAX_READY]
    state[c.SOFTMAX_READY] = t + softmax[word[f.SOFTMAX_ON]]
    return 0, 0, 0


@njit(cache=True)
def _mem_a(word, t, sizes, events, units):
    moved = sizes[c.ROWS] * sizes[c.COLUMNS] * sizes[c.GROUP]
    if word[f.A_ADDRESS] < 0 or word[f.A_ADDRESS] >= sizes[c.A_WORDS]:
        return c.ADDRESS, 0, word[f.A_ADDRESS]
    if word[f.A_OP] == isa.READ:
        events[c.E_AR] += moved
        return 0, 0, 0
    staged = sizes[c.GROUP] - 1 if word[f.A_OP] == isa.WRITE_GROUP else 0
    for i in range(staged + 1):
        slot = word[f.A_SLOT] if i == staged else isa.STAGED + i
        bad, detail = _read(slot, t, sizes, units)
        if bad:
            return bad, slot, detail
    if _is_register(word[f.A_SLOT]):
        events[c.E_RR] += sizes[c.ROWS] * sizes[c.COLUMNS]
    events[c.E_AW] += moved
    return 0, 0, 0


@njit(cache=True)
def _mem_b(word, fields, t, sizes, events, units):
    low, mode, bits, span = word[fields[1]], word[fields[3]], word[fields[5]], 1
    if mode == isa.XOR_LANE:
        span = sizes[c.ROWS] * sizes[c.COLUMNS]
    elif mode == isa.ROTATE_CORE:
        span = sizes[c.CORES]
    elif mode == isa.XOR_ROW:
        span = sizes[c.ROWS]
    elif mode == isa.XOR_COLUMN:
        span = sizes[c.COLUMNS]
    if bits and mode != isa.ROTATE_CORE:
        span = min(span, 1 << bits)
    if low < 0 or low + span > sizes[c.B_WORDS]:
        return c.ADDRESS, 0, low + span - 1
    lanes, slot = sizes[c.ROWS] * sizes[c.COLUMNS], word[fields[2]]
    if word[fields[0]] == isa.READ:
        events[c.E_BR] += lanes
        return 0, 0, 0
    bad, detail = _read(slot, t, sizes, units)
    if bad:
        return bad, slot, detail
    if _is_register(slot):
        events[c.E_RR] += lanes
    events[c.E_BW] += lanes
    return 0, 0, 0


@njit(cache=True)
def _from_the_next_cycle(word, t, sizes, hops, events, units):
    """What latches, registers and accumulators hold once this cycle is over; 0, or what is wrong, and where."""
    state, ready, pending, result_at = units
    if word[f.A_OP] == isa.READ:
        ready[isa.MEM_A] = min(ready[isa.MEM_A], t + 1)
        for i in range(sizes[c.GROUP]):
            ready[isa.HALF + i] = min(ready[isa.HALF + i], t + 1)
    for port in range(2):
        if word[f.B_FIELDS[port, 0]] == isa.READ:
            slot = word[f.B_FIELDS[port, 2]]
            bad, detail = _fill(slot, t, sizes, events, units)
            if bad:
                return bad, c.U_B0 + port, slot, detail
    if word[f.ROW_FROM] and (word[f.ROW_TO] >= 0 or word[f.ROW_TO] == isa.ALL_COLUMNS):
        ready[isa.ROW] = min(ready[isa.ROW], t + 1)
    if word[f.COLUMN_ON]:
        ready[isa.COLUMN] = min(ready[isa.COLUMN], t + 1)
    if word[f.LINK_ON]:
        ready[isa.LINK] = t + hops[word[f.LINK_BIT]]
    if word[f.FMA]:
        at = t + sizes[c.LATENCY]
        result_at[t % c.RESULTS] = t
        state[c.FLIGHT] = at
        slot = word[f.FMA_TO]
        if slot >= 0:
            target = isa.ACCUMULATOR <= slot < isa.HALF or slot >= isa.STAGED
            if not target or not _exists(slot, sizes):
                return c.NO_SUCH_OPERAND, c.U_FMA, slot, slot
            pending[slot] = at
            ready[slot] = min(ready[slot], at)
            if _is_register(slot):
                events[c.E_RW] += sizes[c.ROWS] * sizes[c.COLUMNS]
    return 0, 0, 0, 0


@njit(cache=True)
def _fill(slot, t, sizes, events, units):
    """A word of MEM B into a latch or register: 0, or what is wrong with that, and a detail."""
    _, ready, pending, _ = units
    latch = isa.LATCH <= slot < isa.LATCH + isa.LATCHES
    if not latch and not (_is_register(slot) and _exists(slot, sizes)):
        return c.NO_SUCH_OPERAND, slot
    if pending[slot] > t:
        return c.TWO_WRITERS, pending[slot]
    ready[slot] = min(ready[slot], t + 1)
    if _is_register(slot):
        events[c.E_RW] += sizes[c.ROWS] * sizes[c.COLUMNS]
    return 0, 0


def at_end(states, ring, flow):
    """The group, and what is wrong with ending here, if anything is. Links, core c.SRAM, softmax unit may go on."""
    for g in range(len(states)):
        if states[g, c.FLIGHT] > states[g, c.CYCLE]:
            return g, c.IN_FLIGHT_AT_END, states[g, c.CYCLE], c.U_FMA, 0, states[g, c.FLIGHT]
    for n in range(len(ring)):
        for way in range(2):
            if flow[c.TAKEN, way, ring[n, 1]] < flow[c.SENT, way, ring[n, 1]]:
                return ring[n, 0], c.BEATS_AT_END, states[ring[n, 0], c.CYCLE], c.U_ROW, 0, 0
    return 0, 0, 0, 0, 0, 0
