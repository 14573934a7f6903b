"""Additions beside a pass. Latches 0 and 1 of MEM B are the passes'. Functions return when what they make is ready."""

from __future__ import annotations

from collections.abc import Sequence

from caterpillar.machine import Machine
from caterpillar.mapping.isa import LATCH, LINK, NONE, ONE, ZERO, accumulators, link_hops
from caterpillar.mapping.paper.continuous.parts import Address, Link
from caterpillar.mapping.paper.continuous.planner import Planner


def spare(m: Machine) -> range:
    """Accumulators that no pass uses: those hold an error sum for each position of a round."""
    return range(-(-m.fma_latency // 3), accumulators(m))


def halve(
    b: Planner,
    m: Machine,
    times: list[int],
    *,
    first_bit: int,
    mode: int,
    address: int,
    to: int,
    flags: int = 0,
    waiting: Sequence[int] | None = None,
) -> int:
    """N words of every PE of a line become one, direct neighbours first: PE x gets the sum of word x, at `to`.

    times: when each word is ready, by its number crossed with the PE's place. waiting: accumulators for results; None:
    those that no pass of one sample uses.
    """
    bits = m.pe_rows.bit_length() - 1
    if not bits:
        return combine(b, m, times[0], [(address, {})], (to, {}), flags=flags, waiting=waiting)
    for bit in range(bits):
        last = bit == bits - 1
        for kept in range(0, m.pe_rows, 2 << bit):
            sent = kept + (1 << bit)
            here = (address, {"mode": mode, "offset": kept})
            times[kept] = b.multiply_add(
                max(times[kept], times[sent]),
                [here],
                (to, {}) if last else here,
                latency=m.fma_latency,
                spare=spare(m) if waiting is None else waiting,
                link=Link((address, {"mode": mode, "offset": sent}), first_bit + bit, link_hops(m, first_bit + bit)),
                fma_a=LINK,
                fma_b=ONE,
                fma_c=LATCH + 3,
                fma_flags=flags if last else 0,
            )
    return times[0]


def combine(
    b: Planner,
    m: Machine,
    start: int,
    words: list[Address],
    to: Address,
    *,
    factor: int = ONE,
    flags: int = 0,
    gate: bool = False,
    waiting: Sequence[int] | None = None,
) -> int:
    """MEM B at `to` = the first word times a factor, and the second one added; or that one is the slope's gate."""
    both = len(words) > 1
    return b.multiply_add(
        start,
        words,
        to,
        latency=m.fma_latency,
        spare=spare(m) if waiting is None else waiting,
        fma_a=LATCH + 2 if both else LATCH + 3,
        fma_b=factor,
        fma_c=LATCH + 3 if both and not gate else ZERO,
        fma_flags=flags,
        fma_gate=LATCH + 3 if gate else NONE,
    )
