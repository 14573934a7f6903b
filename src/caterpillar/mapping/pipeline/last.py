"""The last layer's pass: a lane works with its own activations, and its error sums need nothing from other lanes."""

from __future__ import annotations

import numpy as np

from caterpillar.machine import Machine
from caterpillar.mapping.builder import READ, WRITE, WRITE_GROUP, loop
from caterpillar.mapping.isa import ACCUMULATOR, HALF, LATCH, MEM_A, NEGATE, RESULT, SLOPE, ZERO, halves
from caterpillar.mapping.pipeline.layout import Layout
from caterpillar.mapping.pipeline.passes import Beat, behind, load, registers
from caterpillar.mapping.pipeline.planner import Planner, TooLate
from caterpillar.mapping.pipeline.weights import by_half, kept, write_rest
from caterpillar.mapping.pipeline.words import gate_delay


def last_pass(b: Planner, layout: Layout, m: Machine, start: int, beat: Beat) -> int:
    """The last layer, block by block of the lane's own activations; returns when the next pass may begin."""
    depth, outputs, words = layout.depth, layout.sizes[-1], layout.words
    base, factors, pace = layout.addresses[depth], registers(layout), beat.pace
    blocks = len(layout.splits[-1].blocks)
    k, weights = halves(m), blocks * outputs
    with b.account("backward", "update", "forward"):
        b.memory_a(READ, start, [loop(-(-weights // k), k * pace, address=k)], base, MEM_A)
    with b.account("update"):
        written = start + (k - 1) * pace + beat.written
        b.memory_a(WRITE_GROUP, written, [loop(weights // k, k * pace, address=k)], base, RESULT)
    first = weights - weights % k
    write_rest(b, [(start + n * pace + beat.written, base + n) for n in range(first, weights)])
    for block in range(blocks):
        at = start + block * outputs * pace
        along, plain = [loop(outputs, pace, address=1)], [loop(outputs, pace)]
        first = block * outputs
        with b.account("backward", "update"):
            b.memory_b(READ, at + beat.update - 1, along, words.errors[depth], LATCH)
        fields = {"fma_a": factors[0], "fma_b": LATCH, "fma_flags": NEGATE}
        with b.account("update"):
            for turn, count, stride, half in by_half(k, 1, first, outputs):
                where, again = at + turn * pace + beat.update, [loop(count, stride * pace)]
                b.issue("fma", where, again, **fields, fma_c=HALF + half, fma_to=kept(k, half))
        with b.account("backward"):
            _last_backward(b, layout, m, at + beat.back, block, pace)
        with b.account("forward"):
            issue, sums = at + beat.forward, words.sums[depth]
            if block:
                b.memory_b(READ, issue - 1, along, sums, LATCH + 1)
            c = LATCH + 1 if block else ZERO
            b.issue("fma", issue, plain, fma_a=factors[1], fma_b=beat.result, fma_c=c)
            b.memory_b(WRITE, issue + m.fma_latency, along, sums, RESULT)
        _last_inputs(b, layout, at, block, beat)
    return start + blocks * outputs * pace


def _last_backward(b: Planner, layout: Layout, m: Machine, at: int, block: int, pace: int) -> None:
    """The error of a lane's own activation, through its slope; it needs nothing from other lanes."""
    outputs, depth, k = layout.sizes[-1], layout.depth, halves(m)
    first = block * outputs
    end = at + (outputs - 1) * pace
    c = ZERO
    if outputs > 1:
        c = ACCUMULATOR
        b.issue("fma", at, [], fma_a=HALF + first % k, fma_b=LATCH, fma_c=ZERO, fma_to=ACCUMULATOR)
        for turn, count, stride, half in by_half(k, 1, first + 1, outputs - 2):
            where, again = at + (1 + turn) * pace, [loop(count, stride * pace)]
            b.issue("fma", where, again, fma_a=HALF + half, fma_b=LATCH, fma_c=c, fma_to=ACCUMULATOR)
    register = layout.registers.gate[depth - 1]
    lag = behind(layout, register, gate_delay(depth, depth - 1))
    gate = layout.words.gate[depth - 1] + block
    b.memory_b(READ, end - 1, [], gate, LATCH + 2, queue=register, lag=lag)
    b.hold("latch 2", np.array([end - 1]))
    half = HALF + (first + outputs - 1) % k
    b.issue("fma", end, [], fma_a=half, fma_b=LATCH, fma_c=c, fma_flags=SLOPE, fma_gate=LATCH + 2)
    b.memory_b(WRITE, end + m.fma_latency, [], layout.words.own_errors[depth - 1] + block, RESULT)


def _last_inputs(b: Planner, layout: Layout, at: int, block: int, beat: Beat) -> None:
    """The block's activation of now, and the one it learns with, to their registers, just before they are needed."""
    depth, (factor, activation, _) = layout.depth, registers(layout)
    register = layout.registers.gate[depth - 1]
    lag = behind(layout, register, 1)
    with b.account("forward"):
        address = layout.words.gate[depth - 1] + block
        _load_or_wait(b, at + beat.forward, beat.pace, address, activation, register, lag)
    register = layout.registers.scaled
    lag = behind(layout, register, gate_delay(depth, depth - 1))
    with b.account("update"):
        _load_or_wait(b, at + beat.update, beat.pace, layout.words.scaled + block, factor, register, lag)


def _load_or_wait(b: Planner, first_use: int, window: int, address: int, register: int, queue: int, lag: int) -> None:
    if not load(b, first_use, window, address, register, queue, lag):
        raise TooLate(what="the last layer's inputs", cycles=1)
