"""Executes control words on values: all PEs of all cores in lockstep, one cycle after the other.

Values are half-precision numbers held in float32. S is (operands, lanes): a row for each operand code, then the stages
of the FMA's pipeline; A and B are the memories, (words, lanes). Lane = core P + column pe_rows + row.
"""

# pyright: basic, reportArgumentType=false, reportCallIssue=false

from __future__ import annotations

import numpy as np
from numba import njit

from caterpillar.mapping import isa
from caterpillar.numerics.functions import divide, exp_negative
from caterpillar.numerics.vector import add, fma, load, mul, number, splat, store
from caterpillar.simulate.hazards import (
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
    ROW_SEND,
    ROW_SLOT,
    ROW_TO,
    SOFTMAX_ON,
)

PIPELINE = isa.REGISTER + 256  # first row of the FMA's pipeline in S


@njit(inline="always")
def _row_of(code, t, stages, latency):
    """The row of S where an operand lies in cycle t."""
    if code == isa.RESULT:
        return PIPELINE + (t - latency) % stages
    if code == isa.RESULT_BEFORE:
        return PIPELINE + (t - 1 - latency) % stages
    return code


@njit
def _multiply_add(ar, S, stage, a, b, c, negate):
    """A whole row: S[stage] = a b + c, one rounding."""
    width = S.shape[1]
    flat = S.reshape(S.size)
    to, x, y, z = stage * width, a * width, b * width, c * width
    if negate:
        minus = splat(ar, number(ar, -1.0))
        for i in range(0, width, 16):
            negative = mul(ar, load(ar, flat, x + i), minus)
            store(ar, flat, to + i, fma(ar, negative, load(ar, flat, y + i), load(ar, flat, z + i)))
    else:
        for i in range(0, width, 16):
            store(ar, flat, to + i, fma(ar, load(ar, flat, x + i), load(ar, flat, y + i), load(ar, flat, z + i)))


@njit
def _softmax(ar, logits, n, label, results):
    """Output errors: softmax less the one-hot label, for each core."""
    for core in range(logits.shape[0]):
        best = logits[core, 0]
        for j in range(1, n):
            if logits[core, j] > best:
                best = logits[core, j]
        total = number(ar, 0.0)
        for j in range(n):
            results[core, j] = exp_negative(ar, add(ar, logits[core, j], -best))
            total = add(ar, total, results[core, j])
        for j in range(n):
            h = divide(ar, results[core, j], total)
            results[core, j] = add(ar, h, number(ar, -1.0 if j == label else 0.0))
        results[core, n:] = 0


@njit
def _memory_b(S, B, word, fields, lanes, cores, held):
    """A port's read into its slot, or a write of the word held."""
    base, slot, mode, offset = word[fields[1]], word[fields[2]], word[fields[3]], word[fields[4]]
    used = lanes * cores
    reading = word[fields[0]] == isa.READ
    if mode == isa.PLAIN:
        if reading:
            S[slot] = B[base]
        else:
            B[base] = held
        return
    for lane in range(used):
        core, within = lane // lanes, lane % lanes
        at = base + ((offset ^ within) if mode == isa.XOR_LANE else (offset + core) % cores)
        if reading:
            S[slot, lane] = B[at, lane]
        else:
            B[at, lane] = held[lane]


@njit
def _row_bus(S, word, source, bus, queues, heads, tails, sample, logits, errors, taken, rows, columns, cores):
    """The row buses' cycle: one word each from a source to PEs, the softmax unit, the ring; returns logits taken."""
    lanes, kind, to = rows * columns, word[ROW_FROM], word[ROW_TO]
    way = kind - isa.FROM_DOWN
    for core in range(cores):
        for row in range(rows):
            at = core * rows + row
            if kind == isa.FROM_PE:
                bus[at] = source[core * lanes + word[ROW_COLUMN] * rows + row]
            elif kind == isa.FROM_SRAM:
                index = word[ROW_ADDRESS] * rows + row
                bus[at] = sample[index] if index < len(sample) else 0
            elif kind == isa.FROM_SOFTMAX:
                bus[at] = errors[core, word[ROW_ADDRESS] * rows + row]
            else:
                bus[at] = queues[way, core, heads[way] % isa.FIFO_BEATS, row]
    if kind == isa.FROM_DOWN or kind == isa.FROM_UP:
        heads[way] += 1
    if word[ROW_SEND]:
        way = word[ROW_SEND] - isa.DOWN
        step = cores - 1 if word[ROW_SEND] == isa.DOWN else 1
        for core in range(cores):
            queues[way, (core + step) % cores, tails[way] % isa.FIFO_BEATS] = bus[core * rows : core * rows + rows]
        tails[way] += 1
    if to == isa.TO_SOFTMAX:
        for core in range(cores):
            logits[core, taken : taken + rows] = bus[core * rows : core * rows + rows]
        taken += rows
    first, last = (0, columns) if to == isa.ALL_COLUMNS else (to, to + 1)
    if to >= 0 or to == isa.ALL_COLUMNS:
        for core in range(cores):
            for column in range(first, last):
                at = core * lanes + column * rows
                S[isa.ROW, at : at + rows] = bus[core * rows : core * rows + rows]
    return taken


@njit(nogil=True, cache=True)
def execute(ar, control, S, A, B, sample, label, latency, rows, columns, cores, hops, queues, softmax_words):
    """Run a checked micro-program from its first cycle to its last on S, A and B, in place.

    queues: (directions, cores, beats, rows), what is under way on the ring. softmax_words: (2, cores, words), the
    softmax unit's logits and results.
    """
    lanes, stages = rows * columns, latency + 2
    to_slot = np.full(stages, isa.NONE)
    held, linked, crossed, bus = S[:2].copy(), S[0].copy(), S[0].copy(), np.zeros(rows * cores, S.dtype)
    heads, tails = np.zeros(2, np.int64), np.zeros(2, np.int64)
    logits, errors = softmax_words
    arrives, taken = -1, 0
    for t in range(control.shape[0]):
        word = control[t]
        # what comes out of the FMA and off the links is there from the start of the cycle
        stage = (t - latency) % stages
        if to_slot[stage] >= 0:
            S[to_slot[stage]] = S[PIPELINE + stage]
            to_slot[stage] = isa.NONE
        if arrives == t:
            S[isa.LINK] = linked
        if word[FMA]:
            a, b = _row_of(word[FMA_A], t, stages, latency), _row_of(word[FMA_B], t, stages, latency)
            c, now = _row_of(word[FMA_C], t, stages, latency), t % stages
            flags = word[FMA_FLAGS]
            _multiply_add(ar, S, PIPELINE + now, a, b, c, flags & isa.NEGATE)
            if flags & (isa.RELU | isa.SLOPE):
                result = S[PIPELINE + now]
                gate = S[word[FMA_GATE]] if flags & isa.SLOPE else result
                for lane in range(lanes * cores):
                    if not gate[lane] > 0:
                        result[lane] = 0
            to_slot[now] = word[FMA_TO]
        if word[LINK_ON]:
            source = S[_row_of(word[LINK_SLOT], t, stages, latency)]
            for lane in range(lanes * cores):
                linked[lane] = source[lane ^ (1 << word[LINK_BIT])]
            arrives = t + hops[word[LINK_BIT]]
        # the words that this cycle writes, before anything changes
        for port in range(2):
            if word[B_FIELDS[port, 0]] == isa.WRITE:
                held[port] = S[_row_of(word[B_FIELDS[port, 2]], t, stages, latency)]
        if word[A_OP] == isa.WRITE:
            A[word[A_ADDRESS]] = S[_row_of(word[A_SLOT], t, stages, latency)]
        if word[COLUMN_ON]:
            source = S[_row_of(word[COLUMN_SLOT], t, stages, latency)]
            for first in range(word[COLUMN_ROW], lanes * cores, rows):
                crossed[first - word[COLUMN_ROW] : first - word[COLUMN_ROW] + rows] = source[first]
        if word[ROW_FROM]:
            source = S[_row_of(word[ROW_SLOT], t, stages, latency)]
            taken = _row_bus(
                S, word, source, bus, queues, heads, tails, sample, logits, errors, taken, rows, columns, cores
            )
        if word[COLUMN_ON]:
            S[isa.COLUMN] = crossed
        if word[SOFTMAX_ON]:
            _softmax(ar, logits, word[SOFTMAX_ON], label, errors)
            taken = 0
        if word[A_OP] == isa.READ:
            S[isa.MEM_A] = A[word[A_ADDRESS]]
        for operation in (isa.READ, isa.WRITE):
            for port in range(2):
                if word[B_FIELDS[port, 0]] == operation:
                    _memory_b(S, B, word, B_FIELDS[port], lanes, cores, held[port])
