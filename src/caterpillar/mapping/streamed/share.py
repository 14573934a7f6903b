"""A layer's resident and streamed part: which outputs of a panel have their weights in MEM A, which in core SRAM.

A pass goes through a position's outputs in *slots*. A slot begins with one streamed weight, which the row buses bring
to all PEs in the time of a slot; beside it resident weights are worked on. Outputs are numbered as their turns come:
slot by slot, first `mixed` slots of a streamed and `beside` resident weights, then `alone` slots of a streamed one,
then `tail` resident weights, one after the other.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import gcd

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """Weights of one position that come at equal distances: what a loop does.

    at: the cycle of the first, from slot 0 on; period: cycles between them. output, step: the first one's output, and
    the outputs between. number, stride: the same of the weight's number among the position's streamed or resident ones.
    """

    streamed: bool
    at: int
    period: int
    count: int
    output: int
    step: int
    number: int
    stride: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """How a panel's outputs are dealt out. address: of the first resident weight in MEM A; beat: of the first
    streamed one in core SRAM. Weights of a position lie side by side, as they are numbered.
    """

    mixed: int
    beside: int
    alone: int
    tail: int
    address: int = 0
    beat: int = 0

    @property
    def streamed(self) -> int:
        """Streamed weights of a position, one a slot."""
        return self.mixed + self.alone

    @property
    def resident(self) -> int:
        """Resident weights of a position."""
        return self.mixed * self.beside + self.tail

    @property
    def wide(self) -> int:
        """Weights of the slots that have most."""
        return 1 + self.beside if self.mixed else 1

    def places(self, output: Indices) -> tuple[Indices, Indices]:
        """Of outputs: whether they are streamed, and the weight's number among its like."""
        slot, place = output // self.wide, output % self.wide
        later = output - self.mixed * self.wide
        mixed, alone = later < 0, (later >= 0) & (later < self.alone)
        streamed = np.where(mixed, place == 0, alone)
        beside = slot * self.beside + place - 1
        rest = np.where(alone, self.mixed + later, self.mixed * self.beside + later - self.alone)
        return streamed, np.where(mixed, np.where(place == 0, slot, beside), rest)

    def cycle(self, output: int, slot: int, step: int) -> int:
        """When an output's turn is: a slot takes `slot` cycles, a weight `step`."""
        if output < self.mixed * self.wide:
            return output // self.wide * slot + output % self.wide * step
        later = output - self.mixed * self.wide
        return (self.mixed + min(later, self.alone)) * slot + max(0, later - self.alone) * step

    def series(self, slot: int, step: int, chains: int = 1) -> Iterator[Series]:
        """All turns, in loops: those of one loop have the same chain, (cycle / 2) mod chains, if steps are of 2."""
        turns, wide = chains // gcd(chains, slot // 2), self.wide
        for first in range(turns):
            for place in range(wide if self.mixed else 0):
                beside = first * self.beside + place - 1
                yield Series(
                    streamed=place == 0,
                    at=first * slot + place * step,
                    period=turns * slot,
                    count=len(range(first, self.mixed, turns)),
                    output=first * wide + place,
                    step=turns * wide,
                    number=beside if place else first,
                    stride=turns * (self.beside if place else 1),
                )
            yield Series(
                streamed=True,
                at=(self.mixed + first) * slot,
                period=turns * slot,
                count=len(range(first, self.alone, turns)),
                output=self.mixed * wide + first,
                step=turns,
                number=self.mixed + first,
                stride=turns,
            )
        before = self.mixed * wide + self.alone
        for first in range(chains):
            yield Series(
                streamed=False,
                at=self.streamed * slot + first * step,
                period=chains * step,
                count=len(range(first, self.tail, chains)),
                output=before + first,
                step=chains,
                number=self.mixed * self.beside + first,
                stride=chains,
            )


def divide(outputs: int, resident: int, most: int) -> Share:
    """`outputs` of which so many are resident: beside streamed weights, `most` at a time, as far as there are any."""
    streamed = outputs - resident
    if not streamed:
        return Share(mixed=0, beside=0, alone=0, tail=resident)
    beside = min(most, -(-resident // streamed))
    mixed = min(streamed, resident // beside) if beside else 0
    return Share(mixed=mixed, beside=beside, alone=streamed - mixed, tail=resident - mixed * beside)
