"""Which core works on which outputs: shares in proportion to what a layer takes, so that all cores end alike.

Layers follow each other along the ring, layer 1 from core 0 on. A share is a number of groups of N outputs, N the rows
of PEs; a core that has the end of one layer's begins with the next one's. The last layer lies on one core. Of a layer's
groups the highest core has the first ones: errors are added up from there down, towards the layer below.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import groupby

from caterpillar.machine import Machine
from caterpillar.mapping.isa import sram_beat_cycles
from caterpillar.mapping.pipeline.passes import Beat, beat_of
from caterpillar.network import Network


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One layer's work as all its cores do it.

    positions: beats of inputs, one a row of PEs. groups: of N outputs. width: positions that take turns, so that an
    error sum is not wanted before it is ready. rounds: of `width` positions.
    """

    layer: int
    depth: int
    positions: int
    groups: int
    width: int
    rounds: int
    beat: Beat

    @property
    def back(self) -> bool:
        """Whether it sends errors back: all layers but the first."""
        return self.layer > 1

    @property
    def delay(self) -> int:
        """Ticks from when a layer's inputs come until it learns with them."""
        return 2 * (self.depth - self.layer) + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """The groups first .. first + sums - 1 of a layer, on a core. A PE has one output of each, for its inputs."""

    layer: int
    core: int
    first: int
    sums: int

    @property
    def end(self) -> int:
        """The group after the last."""
        return self.first + self.sums


def make_stages(network: Network, machine: Machine) -> tuple[Stage, ...]:
    """The layers' work."""
    rows, found = machine.pe_rows, list[Stage]()
    for layer in network.layers:
        back = layer.index > 1
        width = -(-machine.fma_latency // 3) if back else 1
        positions = -(-layer.inputs // rows)
        found.append(
            Stage(
                layer=layer.index,
                depth=network.depth,
                positions=positions,
                groups=-(-layer.outputs // rows),
                width=width,
                rounds=-(-positions // width),
                beat=beat_of(machine, back=back),
            )
        )
    return tuple(found)


Cycles = Callable[[Stage, int, Machine], int]


@dataclass(frozen=True, slots=True)
class Pace:
    """Cycles of a round of positions, and the FMA's cycles left free after every `block` rounds."""

    period: int
    block: int
    gap: int

    @property
    def shortest(self) -> int:
        """Least cycles from one round's start to the next one's."""
        return self.period + (self.gap if self.block == 1 else 0)

    def start(self, number: int) -> int:
        """When a round begins, from the first on."""
        return number * self.period + number // self.block * self.gap


def pace_of(stage: Stage, sums: int, machine: Machine, more: int = 0) -> Pace:
    """A pass's pace. A position's sums over the columns, and over the cores, take about one multiply-add.

    Of the first layer, N inputs times the learning rate take one. more: cycles more a round, for what must come in it.
    """
    pace = stage.beat.pace
    period = pace * stage.width * sums
    # a sum's way through MEM B; the inputs' from core SRAM
    least = max(machine.fma_latency + 2, 2 * stage.width * sram_beat_cycles(machine))
    least = -(-least // pace) * pace
    if stage.back:
        gap = pace * -(-(2 * stage.width + 1) // (2 * pace))
        return Pace(period, 1, max(gap, least - period) + more)
    if period < least or more:
        return Pace(period, 1, max(pace, least - period) + more)
    return Pace(period, machine.pe_rows, pace)


def cycles_of(stage: Stage, sums: int, machine: Machine) -> int:
    """About what a part takes: its pass, errors to all PEs, sums over the rows."""
    if not sums:
        return 0
    adds = (stage.width - 1) * sums + -(-sums // machine.pe_rows) * (machine.pe_rows - 1)
    around = sums + 2 * adds + 12 * machine.pe_rows.bit_length() + 20
    return pace_of(stage, sums, machine).start(stage.rounds) + around


def share(
    stages: tuple[Stage, ...], machine: Machine, most: int, least: int, cycles: Cycles = cycles_of
) -> tuple[int, tuple[Part, ...]] | None:
    """Parts in their order along the ring and on a core in time, and about the cycles of the longest core.

    The shortest for which MEM A holds all; None if it does not. most: groups of a part. least: of a layer's first part
    on a core that it shares with the layer before. cycles: about what a part takes.
    """
    deal = _Deal(stages, machine, machine.pe_sram_words, most, least, cycles)
    high = deal.enough
    found = deal.parts(high)
    low = 0
    while found and high - low > 1:
        middle = (low + high) // 2
        shorter = deal.parts(middle)
        low, high, found = (low, middle, shorter) if shorter else (middle, high, found)
    return (high, found) if found else None


def least_words(stages: tuple[Stage, ...], machine: Machine) -> int:
    """Words of MEM A with which all weights find room, if time does not count."""

    def fits(words: int) -> bool:
        deal = _Deal(stages, machine, words, max(stage.groups for stage in stages), 1, cycles_of)
        return deal.parts(deal.enough) is not None

    low, high = 0, sum(stage.rounds * stage.width * stage.groups for stage in stages)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if fits(middle) else (middle, high)
    return high


@dataclass(frozen=True, slots=True)
class _Deal:
    """Fills one core after the other, with at most so many words of MEM A."""

    stages: tuple[Stage, ...]
    machine: Machine
    words: int
    most: int
    least: int
    cycles: Cycles

    @property
    def enough(self) -> int:
        """Cycles in which a core could do all."""
        return 2 * sum(self.cycles(stage, stage.groups, self.machine) for stage in self.stages)

    def parts(self, limit: int) -> tuple[Part, ...] | None:
        """Parts with which no core takes more cycles than that; None if there are too few cores."""
        parts: list[Part] = []
        core, cycles, words = 0, 0, 0
        for stage in self.stages:
            left, each = stage.groups, stage.rounds * stage.width
            while left:
                sums = self._fitting(stage, limit - cycles, self.words - words, left)
                whole = stage.layer == len(self.stages)  # the last layer, of which the softmax unit wants all
                shared = cycles > 0 and left == stage.groups and sums < min(self.least, left)
                if sums == 0 or shared or (whole and sums < left):
                    if not cycles or core + 1 == self.machine.cores:
                        return None
                    core, cycles, words = core + 1, 0, 0
                    continue
                left -= sums
                parts.append(Part(layer=stage.layer, core=core, first=left, sums=sums))
                cycles += self.cycles(stage, sums, self.machine)
                words += sums * each
        return tuple(parts)

    def _fitting(self, stage: Stage, cycles: int, words: int, left: int) -> int:
        """As many groups as there is time and room for."""
        low, high = 0, min(left, words // (stage.rounds * stage.width)) + 1
        high = min(high, self.most + 1) if stage.layer < len(self.stages) else high
        while high - low > 1:
            middle = (low + high) // 2
            fits = self.cycles(stage, middle, self.machine) <= cycles
            low, high = (middle, high) if fits else (low, middle)
        return low


def by_core(parts: tuple[Part, ...]) -> dict[int, list[Part]]:
    """Each core's parts, in their order in time."""
    return {core: list(some) for core, some in groupby(parts, key=lambda part: part.core)}
