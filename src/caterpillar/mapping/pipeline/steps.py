"""Additions over lanes, and other steps that all collectives take.

Each is issued in the first cycle in which all it needs is free, and returns when what it makes is ready.
"""

from __future__ import annotations

from collections.abc import Sequence

from caterpillar.machine import Machine
from caterpillar.mapping.isa import (
    COLUMN,
    LATCH,
    LINK,
    ONE,
    RATE,
    XOR_LANE,
    ZERO,
    link_hops,
)
from caterpillar.mapping.pipeline.layout import Layout
from caterpillar.mapping.pipeline.parts import Hold, Link, Word, read, use, word, write
from caterpillar.mapping.pipeline.planner import Planner

SLACK = (0, 1, 2, 3)  # cycles that a word off the links may wait until it is stored

Last = tuple[dict[str, int], Word]


class Steps:
    """On one plan."""

    def __init__(self, b: Planner, layout: Layout, m: Machine) -> None:
        self._b, self._layout, self._m = b, layout, m

    def _add_lanes(
        self, start: int, address: int, halved: list[int], whole: list[int], last: Last | None = None
    ) -> int:
        """Adds 2^|halved| words over lanes that differ in these bits, from the highest one on.

        Lane p is left with the sum of word p mod 2^|halved|, where it was; over the bits of `whole` words add whole.
        last: what the last addition does besides, and where the sum goes instead.
        """
        mode = {"mode": XOR_LANE, "bits": len(halved)} if halved else {}
        times = [start] * (1 << len(halved))
        for bit in reversed(halved):
            for low in range(1 << bit):
                begin = max(times[low], times[low + (1 << bit)])
                ends = last if bit == 0 and not whole else None
                times[low] = self._exchange(begin, bit, address, low + (1 << bit), low, mode, ends)
        for bit in whole:
            times[0] = self._exchange(times[0], bit, address, 0, 0, mode, last if bit == whole[-1] else None)
        if last and not (halved or whole):
            times[0] = self._compute(start, [word(address)], last[1], fma_b=ONE, fma_c=ZERO, **last[0])
        return times[0]

    def _exchange(
        self, start: int, bit: int, address: int, sent: int, kept: int, mode: dict[str, int], last: Last | None = None
    ) -> int:
        """MEM B at address + (kept ^ lane) += the partner's word at address + (sent ^ its lane)."""
        away, mine = (word(address, **mode, **({"offset": offset} if mode else {})) for offset in (sent, kept))
        fields, to = last or ({}, mine)
        link = Link(away, bit, link_hops(self._m, bit))
        return self._b.multiply_add(start, [mine], link, to, self._m, fma_a=LINK, fma_b=ONE, fma_c=LATCH + 3, **fields)

    def _compute(self, start: int, reads: Sequence[Word], to: Word, **fields: int) -> int:
        """MEM B at `to` = a multiply-add of words read into latches 3 and 2; a is latch 3."""
        return self._b.multiply_add(start, reads, None, to, self._m, fma_a=LATCH + 3, **fields)

    def _add(self, start: int, one: Word, other: Word, to: Word) -> int:
        """MEM B: to = one + other."""
        return self._compute(start, [one, other], to, fma_b=ONE, fma_c=LATCH + 2)

    def _scale(self, start: int, own: Word, to: Word) -> int:
        """The learning rate times an activation."""
        with self._b.account("forward"):
            return self._compute(start, [own], to, fma_b=RATE, fma_c=ZERO)

    def _turn(self, start: int, bit: int, source: int, to: int) -> int:
        """MEM B at `to` = the partner's word at source."""
        hops = link_hops(self._m, bit)
        variants = [
            [
                *read(-early, source, 2, 0),
                use(0, "link", link_bit=bit, link_slot=LATCH + 2),
                Hold(0, "links", hops + wait),
                write(hops + wait, to, LINK),
            ]
            for wait in SLACK
            for early in (1, 2)
        ]
        return self._b.best_fit(start, variants)

    def _across(self, start: int, source: int, to: int, words: int) -> int:
        """A word of every row in turn, to all lanes of its column: MEM B at to + row."""
        ready = start
        for row in range(words):
            variants = [
                [
                    *read(-early, source, 3, 0),
                    use(0, "column_bus", column_row=row, column_slot=LATCH + 3),
                    Hold(0, "column latch", wait),
                    write(wait, to + row, COLUMN),
                ]
                for wait in (1, 2, 3)
                for early in (1, 2)
            ]
            ready = max(ready, self._b.best_fit(start, variants))
        return ready
