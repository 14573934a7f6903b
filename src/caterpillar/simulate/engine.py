"""Executes control words on values: all PEs of a group of cores in lockstep, one cycle of all groups after the other.

Values are half-precision numbers held in float32. S is (operands, lanes), flat: a row for each operand code, then the
stages of the FMA's pipeline. A and B are the memories, (words, lanes), flat, A as half-precision bits. PE p of the
group's k-th core is lane p cores + k, so that what all cores do to one PE is done to neighbours in memory. Each group
has all of this for itself; groups meet on the ring alone.
"""

# pyright: basic, reportArgumentType=false, reportCallIssue=false

from __future__ import annotations

import numpy as np
from numba import njit

from caterpillar.mapping import isa
from caterpillar.numerics.constants import number
from caterpillar.numerics.functions import divide, exp_negative
from caterpillar.numerics.vector import add, fma, load, load_weights, mul, splat, store, store_weights
from caterpillar.simulate.cycles import (
    A_ADDRESS,
    A_OP,
    A_SLOT,
    B_FIELDS,
    COLUMN_ON,
    COLUMN_ROW,
    COLUMN_SLOT,
    FMA,
    FMA_A,
    FMA_B,
    FMA_C,
    FMA_FLAGS,
    FMA_GATE,
    FMA_TO,
    LINK_BIT,
    LINK_ON,
    LINK_SLOT,
    ROW_ADDRESS,
    ROW_COLUMN,
    ROW_FROM,
    ROW_MASK,
    ROW_SEND,
    ROW_SLOT,
    ROW_TO,
    SOFTMAX_LABEL,
    SOFTMAX_ON,
)

PIPELINE = isa.SLOTS  # first row of the FMA's pipeline in S


@njit(inline="always")
def _row_of(code, t, stages, latency):
    """The row of S where an operand lies in cycle t."""
    if code == isa.RESULT:
        return PIPELINE + (t - latency) % stages
    if code == isa.RESULT_BEFORE:
        return PIPELINE + (t - 1 - latency) % stages
    return code


@njit(inline="always")
def _copy(ar, to, row, source, other, width):
    """Row `row` of one array = row `other` of another; arrays are flat, for NumPy's views cost more than the copy."""
    for i in range(0, width, 16):
        store(ar, to, row * width + i, load(ar, source, other * width + i))


@njit(inline="always")
def _load_row(ar, S, row, A, word, width):
    """S[row] = a word of MEM A in every PE."""
    for i in range(0, width, 16):
        store(ar, S, row * width + i, load_weights(ar, A, word * width + i))


@njit
def _load_group(ar, S, A, word, group, width):
    """A word of MEM A in every PE, and the whole group that it lies in."""
    _load_row(ar, S, isa.MEM_A, A, word, width)
    first = word - word % group
    for i in range(group):
        _load_row(ar, S, isa.HALF + i, A, first + i, width)


@njit
def _store_group(ar, A, word, S, row, group, width):
    """The group that a word lies in: its last word is S[row], those before it are staged."""
    first = word - word % group
    for i in range(group - 1):
        _store_row(ar, A, first + i, S, isa.STAGED + i, width)
    _store_row(ar, A, first + group - 1, S, row, width)


@njit(inline="always")
def _store_row(ar, A, word, S, row, width):
    """A word of MEM A in every PE = S[row]."""
    for i in range(0, width, 16):
        store_weights(ar, A, word * width + i, load(ar, S, row * width + i))


@njit
def _multiply_add(ar, S, to, a, b, c, negate, width):
    """A whole row: S[to] = a b + c, or -a b + c, one rounding."""
    to, a, b, c = to * width, a * width, b * width, c * width
    if negate:
        minus = splat(ar, number(ar, -1.0))
        for i in range(0, width, 16):
            store(ar, S, to + i, fma(ar, mul(ar, load(ar, S, a + i), minus), load(ar, S, b + i), load(ar, S, c + i)))
    else:
        for i in range(0, width, 16):
            store(ar, S, to + i, fma(ar, load(ar, S, a + i), load(ar, S, b + i), load(ar, S, c + i)))


@njit
def _softmax(ar, logits, n, label, results):
    """Output errors, (words, cores): softmax less the one-hot label."""
    for core in range(logits.shape[1]):
        best = logits[0, core]
        for j in range(1, n):
            if logits[j, core] > best:
                best = logits[j, core]
        total = number(ar, 0.0)
        for j in range(n):
            results[j, core] = exp_negative(ar, add(ar, logits[j, core], -best))
            total = add(ar, total, results[j, core])
        for j in range(n):
            h = divide(ar, results[j, core], total)
            results[j, core] = add(ar, h, number(ar, -1.0 if j == label else 0.0))
        results[n:, core] = 0


@njit
def _memory_b(ar, S, B, word, fields, rows, lanes, cores, ring, held, port, width):
    """A port's read into its slot, or a write of the word held."""
    base, slot, mode, offset = word[fields[1]], word[fields[2]], word[fields[3]], word[fields[4]]
    reading = word[fields[0]] == isa.READ
    if mode == isa.PLAIN and reading:
        _copy(ar, S, slot, B, base, width)
    elif mode == isa.PLAIN:
        _copy(ar, B, base, held, port, width)
    else:
        for lane in range(lanes):
            place = lane
            if mode == isa.XOR_ROW:
                place = lane % rows
            elif mode == isa.XOR_COLUMN:
                place = lane // rows
            crossed = offset ^ (place & ((1 << word[fields[5]]) - 1) if word[fields[5]] else place)
            for core in range(cores):
                at = base + ((offset + ring[0, core]) % ring[3, 0] if mode == isa.ROTATE_CORE else crossed)
                here = lane * cores + core
                if reading:
                    S[slot * width + here] = B[at * width + here]
                else:
                    B[at * width + here] = held[port * width + here]


@njit
def _onto_row_buses(S, word, slot, bus, queues, flow, sram, errors, rows, cores, ring, width):
    """A word on each row bus of each core, (rows, cores), from where the control word says."""
    kind = word[ROW_FROM]
    if kind == isa.FROM_PE:
        for row in range(rows):
            column = row if word[ROW_COLUMN] == isa.DIAGONAL else word[ROW_COLUMN]
            first = slot * width + (column * rows + row) * cores
            for core in range(cores):
                bus[row, core] = S[first + core]
    elif kind == isa.FROM_SRAM:
        for row in range(rows):
            for core in range(cores):
                bus[row, core] = sram[word[ROW_ADDRESS], row, core]
    elif kind == isa.FROM_SOFTMAX:
        for row in range(rows):
            for core in range(cores):
                bus[row, core] = errors[word[ROW_ADDRESS] * rows + row, core]
    else:
        way = kind - isa.FROM_DOWN
        beat = flow[HEADS + way] % isa.FIFO_BEATS
        for row in range(rows):
            for core in range(cores):
                bus[row, core] = queues[way, beat, row, ring[0, core]]
        flow[HEADS + way] += 1


@njit
def _row_bus(S, word, bus, queues, flow, sram, logits, rows, columns, cores, ring, width):
    """The words on the row buses go to PEs, the softmax unit, the core SRAM, the ring."""
    to = word[ROW_TO]
    if word[ROW_SEND]:
        way = word[ROW_SEND] - isa.DOWN
        beat = flow[TAILS + way] % isa.FIFO_BEATS
        for row in range(rows):
            for core in range(cores):
                if ring[0, core] >= 0:
                    queues[way, beat, row, ring[1 + way, core]] = bus[row, core]
        flow[TAILS + way] += 1
    if to == isa.TO_SOFTMAX:
        for row in range(rows):
            for core in range(cores):
                logits[flow[TAKEN] + row, core] = bus[row, core]
        flow[TAKEN] += rows
    if to == isa.TO_SRAM:
        for row in range(rows):
            for core in range(cores):
                sram[word[ROW_ADDRESS], row, core] = bus[row, core]
    if to >= 0 or to == isa.ALL_COLUMNS:
        for column in range(columns):
            if to >= 0 and column & word[ROW_MASK] != to:
                continue
            for row in range(rows):
                at = isa.ROW * width + (column * rows + row) * cores
                for core in range(cores):
                    S[at + core] = bus[row, core]


@njit
def _column_bus(S, slot, chosen, crossed, rows, columns, cores, width):
    """The chosen row's words, to all PEs of their columns."""
    for column in range(columns):
        source = slot * width + (column * rows + (column if chosen == isa.DIAGONAL else chosen)) * cores
        for row in range(rows):
            at = (column * rows + row) * cores
            for core in range(cores):
                crossed[at + core] = S[source + core]


@njit
def _exchange(S, slot, bit, linked, lanes, cores, width):
    """Lane p's word goes to lane p ^ 2^bit."""
    for lane in range(lanes):
        at, other = lane * cores, slot * width + (lane ^ (1 << bit)) * cores
        for core in range(cores):
            linked[at + core] = S[other + core]


@njit
def _gate(S, row, gate, width):
    """+0 where the gate is not above zero."""
    for lane in range(width):
        if not S[gate * width + lane] > 0:
            S[row * width + lane] = 0


# What is under way, besides values: counts of beats taken and sent, for both ring directions; the cycle in which an
# exchange arrives; logits taken; the cycle; then where the result of each stage of the FMA's pipeline goes.
HEADS, TAILS, ARRIVES, TAKEN, CYCLE, TO_SLOT = 0, 2, 4, 5, 6, 7


def new_flow(latency):
    """Nothing under way, before cycle 0."""
    flow = np.zeros(TO_SLOT + latency + 2, np.int64)
    flow[ARRIVES] = -1
    flow[TO_SLOT:] = isa.NONE
    return flow


@njit(nogil=True, cache=True)
def execute(ar, controls, S, A, B, sram, labels, sizes, hops, queues, softmax_words, moving, flow, ring):
    """Run control words of checked micro-programs on S, A, B and sram, in place, from the cycle in flow on.

    All but labels, sizes, hops and queues have a first axis, the groups of cores. controls: (cycles, fields) of each.
    sizes: width, FMA latency, rows, columns, cores of a group (the most there are), words of a group of MEM A. sram:
    (beats, rows, cores). queues: (directions, beats, rows, cores of all groups), what is under way on the ring.
    softmax_words: (2, words, cores), the softmax unit's logits and results. moving: (4, width), words between units
    within a cycle or on the links. flow: new_flow. ring: new_ring.
    """
    bus = np.zeros((sizes[2], sizes[4]), S.dtype)
    for step in range(controls.shape[1]):
        for g in range(controls.shape[0]):
            _step(
                ar,
                controls[g, step],
                S[g],
                A[g],
                B[g],
                sram[g],
                labels,
                sizes,
                hops,
                queues,
                softmax_words[g],
                moving[g],
                flow[g],
                ring[g],
                bus,
            )


def new_ring(members, cores, apart):
    """Of the groups' cores: their numbers, those of the cores below and above, and how many there are that differ.

    members: the numbers of each group's cores. (groups, 4, cores of a group): a number of -1 is a core that is none.
    """
    most = max(len(some) for some in members)
    found = np.zeros((len(members), 4, most), np.int64)
    for group, some in enumerate(members):
        numbers = np.full(most, -1, np.int64)
        numbers[: len(some)] = some
        found[group] = numbers, (numbers - 1) % cores, (numbers + 1) % cores, np.full(most, apart)
    return found


@njit(nogil=True)
def _step(ar, word, S, A, B, sram, labels, sizes, hops, queues, softmax_words, moving, flow, ring, bus):
    """A cycle of one group."""
    width, latency, rows, columns, cores, group = sizes
    lanes, stages = rows * columns, latency + 2
    to_slot = flow[TO_SLOT:]
    held, linked, crossed = moving[: 2 * width], moving[2 * width : 3 * width], moving[3 * width :]
    logits, errors = softmax_words
    t = flow[CYCLE]
    flow[CYCLE] += 1
    # what comes out of the FMA and off the links is there from the start of the cycle
    stage = (t - latency) % stages
    if to_slot[stage] >= 0:
        _copy(ar, S, to_slot[stage], S, PIPELINE + stage, width)
        to_slot[stage] = isa.NONE
    if flow[ARRIVES] == t:
        _copy(ar, S, isa.LINK, linked, 0, width)
    if word[FMA]:
        a, b = _row_of(word[FMA_A], t, stages, latency), _row_of(word[FMA_B], t, stages, latency)
        c, now = _row_of(word[FMA_C], t, stages, latency), t % stages
        flags = word[FMA_FLAGS]
        _multiply_add(ar, S, PIPELINE + now, a, b, c, flags & isa.NEGATE, width)
        if flags & (isa.RELU | isa.SLOPE):
            gate = _row_of(word[FMA_GATE], t, stages, latency) if flags & isa.SLOPE else PIPELINE + now
            _gate(S, PIPELINE + now, gate, width)
        to_slot[now] = word[FMA_TO]
    if word[LINK_ON]:
        _exchange(S, _row_of(word[LINK_SLOT], t, stages, latency), word[LINK_BIT], linked, lanes, cores, width)
        flow[ARRIVES] = t + hops[word[LINK_BIT]]
    # the words that this cycle writes, before anything changes
    for port in range(2):
        if word[B_FIELDS[port, 0]] == isa.WRITE:
            _copy(ar, held, port, S, _row_of(word[B_FIELDS[port, 2]], t, stages, latency), width)
    if word[A_OP] == isa.WRITE:
        _store_row(ar, A, word[A_ADDRESS], S, _row_of(word[A_SLOT], t, stages, latency), width)
    if word[A_OP] == isa.WRITE_GROUP:
        _store_group(ar, A, word[A_ADDRESS], S, _row_of(word[A_SLOT], t, stages, latency), group, width)
    if word[COLUMN_ON]:
        slot = _row_of(word[COLUMN_SLOT], t, stages, latency)
        _column_bus(S, slot, word[COLUMN_ROW], crossed, rows, columns, cores, width)
    if word[ROW_FROM]:
        slot = _row_of(word[ROW_SLOT], t, stages, latency)
        _onto_row_buses(S, word, slot, bus, queues, flow, sram, errors, rows, cores, ring, width)
        _row_bus(S, word, bus, queues, flow, sram, logits, rows, columns, cores, ring, width)
    if word[COLUMN_ON]:
        _copy(ar, S, isa.COLUMN, crossed, 0, width)
    if word[SOFTMAX_ON]:
        _softmax(ar, logits, word[SOFTMAX_ON], labels[word[SOFTMAX_LABEL]], errors)
        flow[TAKEN] = 0
    if word[A_OP] == isa.READ:
        _load_group(ar, S, A, word[A_ADDRESS], group, width)
    for operation in (isa.READ, isa.WRITE):
        for port in range(2):
            if word[B_FIELDS[port, 0]] == operation:
                _memory_b(ar, S, B, word, B_FIELDS[port], rows, lanes, cores, ring, held, port, width)
