"""Phases that add partial sums: over the lanes of a group, and over the cores."""

from __future__ import annotations

from caterpillar.machine import Machine
from caterpillar.mapping.builder import READ, WRITE, Builder, loop
from caterpillar.mapping.isa import (
    ACCUMULATOR,
    LATCH,
    LINK,
    ONE,
    REGISTER,
    RELU,
    RESULT,
    XOR_LANE,
    ZERO,
    Loop,
    accumulators,
    link_hops,
)
from caterpillar.mapping.layout import LayerLayout


def clear_within(b: Builder, first: int, last: int, *, words: int, to: int) -> int:
    """+0 to MEM B in cycles first .. last - 1 if ports are free, else from `last` on; returns when done."""
    for word in range(words):
        if b.store_within(first, last - 1, to + word, ZERO) is None:
            b.memory_b(WRITE, last, [loop(words - word, 1, address=1)], to + word, ZERO)
            return last + words - word
    return last


def reduce_lanes(b: Builder, m: Machine, start: int, *, layer: LayerLayout, sums: int, to: int, relu: bool) -> int:
    """Adds a group's partial sums by recursive halving over the links; a lane gets the words it keeps.

    Partial sums are ready at `start`; word t goes to MEM B at to + t. Returns when all are ready.
    """
    for word in range(layer.own):
        at = sums + word * layer.owners
        start = _reduce_block(b, m, start, layer=layer, sums=at, to=to + word, flags=RELU if relu else 0)
    return start


def _reduce_block(b: Builder, m: Machine, start: int, *, layer: LayerLayout, sums: int, to: int, flags: int) -> int:
    """Words are numbered from the lane's own, z = word xor lane; in z's bits the first to be added is the highest."""
    latency = m.fma_latency
    if not layer.order:
        b.memory_b(READ, start, [], sums, LATCH)
        b.issue("fma", start + 1, fma_a=LATCH, fma_b=ONE, fma_c=ZERO, fma_flags=flags)
        b.memory_b(WRITE, start + 1 + latency, [], to, RESULT)
        return start + 2 + latency
    words, ready, free = layer.owners, [start] * layer.owners, start
    for number, bit in enumerate(layer.order):
        hops, halves = link_hops(m, bit), 1 << bit < layer.owners
        words = words // 2 if halves else words
        far = words if halves else 0  # the words that go are that much higher than the ones that stay
        # from the highest down: so the first to have been added are the first to go, and kept ones have a while longer
        exchange = max(free, start + 1, *(ready[z + far] - (words - 1 - z) * hops for z in range(words)))
        exchange = max(exchange, *(ready[z] - (words - z) * hops for z in range(words)))
        sent, kept, step = REGISTER + far + words - 1, REGISTER + words - 1, -1
        if number == 0:
            _read_sums(b, exchange, hops, sums=sums, layer=layer)
            sent, kept, step = LATCH, LATCH + 1, 0
        b.issue("link", exchange, [loop(words, hops, link_slot=step)], link_bit=bit, link_slot=sent)
        free = exchange + words * hops
        loops = [loop(words, hops, fma_c=step, fma_to=-1)]
        last = flags if number == len(layer.order) - 1 else 0
        to_slot = REGISTER + words - 1
        b.issue("fma", exchange + hops, loops, fma_a=LINK, fma_b=ONE, fma_c=kept, fma_to=to_slot, fma_flags=last)
        ready = [exchange + (words - z) * hops + latency for z in range(words)]
    b.memory_b(WRITE, ready[0], [], to, RESULT)
    return ready[0] + 1


def _read_sums(b: Builder, exchange: int, hops: int, *, sums: int, layer: LayerLayout) -> None:
    """The first level: words sent are read a cycle before each exchange, words kept a cycle before their use."""
    owners, first = layer.owners, 1 << layer.order[0]
    rest = [bit for bit in layer.order[1:] if 1 << bit < owners]
    loops: list[Loop] = []
    for place, bit in enumerate(rest):
        loops.append(loop(2, hops << (len(rest) - 1 - place), offset=-(1 << bit)))
    highest = sum(1 << bit for bit in rest)
    sent = highest + (first if first < owners else 0)
    for slot, at, offset in ((LATCH, exchange - 1, sent), (LATCH + 1, exchange - 1 + hops, highest)):
        how = {"mode": XOR_LANE, "offset": offset, "bits": owners.bit_length() - 1} if owners > 1 else {}
        b.memory_b(READ, at, loops, sums, slot, **how)


def sum_cores(b: Builder, m: Machine, start: int, *, gathered: int, to: int) -> int:
    """Adds the cores' partial sums, gathered at MEM B: core c into sum c mod A from +0, then those by halving."""
    width, latency, cores = min(accumulators(m), m.cores), m.fma_latency, m.cores
    stride = max(width, latency)
    rounds = -(-cores // width)
    for k in range(width):
        count = -(-(cores - k) // width)
        b.memory_b(READ, start + k, [loop(count, stride, address=width)], gathered + k, LATCH)
        for low, high, c in ((0, 1, ZERO), (1, count, ACCUMULATOR + k)):
            loops = [loop(high - low, stride)]
            at = start + 1 + k + low * stride
            b.issue("fma", at, loops, fma_a=LATCH, fma_b=ONE, fma_c=c, fma_to=ACCUMULATOR + k)
    at = start + 1 + (rounds - 1) * stride + width - 1 + latency
    while width > 1:
        half = -(-width // 2) if width & (width - 1) == 0 else 1 << (width.bit_length() - 1)
        for k in range(width - half):
            b.issue(
                "fma", at + k, fma_a=ACCUMULATOR + half + k, fma_b=ONE, fma_c=ACCUMULATOR + k, fma_to=ACCUMULATOR + k
            )
        at += width - half - 1 + latency
        width = half
    b.issue("fma", at, fma_a=ACCUMULATOR, fma_b=ONE, fma_c=ZERO)
    b.memory_b(WRITE, at + latency, [], to, RESULT)
    return at + latency + 1
