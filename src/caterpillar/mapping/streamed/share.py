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
class Turns:
    """When weights are used: slots of so many cycles, in a slot at `offsets`; `rest` cycles after the last slot the
    first of the tail, those `step` cycles apart.
    """

    slot: int
    offsets: tuple[int, ...]
    step: int
    rest: int


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
    def outputs(self) -> int:
        """All of the panel."""
        return self.streamed + self.resident

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

    def is_streamed(self, output: int) -> bool:
        """Whether an output's weights lie in core SRAM."""
        later = output - self.mixed * self.wide
        return output % self.wide == 0 if later < 0 else later < self.alone

    def turn(self, output: int, turns: Turns) -> int:
        """The cycle of an output's turn, from slot 0 on."""
        if output < self.mixed * self.wide:
            return output // self.wide * turns.slot + turns.offsets[output % self.wide]
        later = output - self.mixed * self.wide
        if later < self.alone:
            return (self.mixed + later) * turns.slot
        return self.streamed * turns.slot + turns.rest + (later - self.alone) * turns.step

    def series(self, turns: Turns, chains: int) -> Iterator[Series]:
        """All turns, in loops: outputs of one loop are the same modulo `chains`."""
        wide, again = self.wide, chains // gcd(chains, self.wide)
        for first in range(again if self.mixed else 0):
            for place in range(wide):
                yield Series(
                    streamed=place == 0,
                    at=first * turns.slot + turns.offsets[place],
                    period=again * turns.slot,
                    count=len(range(first, self.mixed, again)),
                    output=first * wide + place,
                    step=again * wide,
                    number=first * self.beside + place - 1 if place else first,
                    stride=again * (self.beside if place else 1),
                )
        for streamed, count, number, before in (
            (True, self.alone, self.mixed, self.mixed * wide),
            (False, self.tail, self.mixed * self.beside, self.mixed * wide + self.alone),
        ):
            for first in range(min(chains, count)):
                yield Series(
                    streamed=streamed,
                    at=self.turn(before + first, turns),
                    period=chains * (turns.slot if streamed else turns.step),
                    count=len(range(first, count, chains)),
                    output=before + first,
                    step=chains,
                    number=number + first,
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
