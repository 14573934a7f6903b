"""Backward and update in one pass over the weights, with the additions over chains, groups and cores beside it.

Positions are worked off from the last to the first, some at a time (a group of positions), output by output. A group's
weights are cut into as many pieces as it has positions. In every piece there are gaps, each with a free cycle of the
FMA or more, in which the error sums of earlier positions go through their stages: a lane's partial sums are added
(chains), then the sums of the lanes' groups over the links, then what came over the ring: the visit. A stage of a
position comes a piece after the stage before it, so in a piece the last stage comes first.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

from caterpillar.machine import Machine
from caterpillar.mapping.arrange import group_order, scatter_chains
from caterpillar.mapping.isa import (
    LINK,
    REGISTER,
    beat_cycles,
    link_hops,
)
from caterpillar.mapping.layout import LayerLayout
from caterpillar.mapping.split import Chains, Matrix, up


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """Additions (a, c, to) in neighbouring cycles; bit: of the exchange before them, or none."""

    adds: tuple[tuple[int, int, int], ...]
    bit: int | None = None


@dataclass(frozen=True, kw_only=True)
class Scatter:
    """One layer's pass through a matrix that `update` changes or not."""

    machine: Machine
    start: int
    layer: LayerLayout
    matrix: Matrix
    update: bool

    @cached_property
    def chains(self) -> Chains:
        """Sums that are interleaved."""
        return scatter_chains(self.machine, self.matrix.tile, update=self.update)

    @property
    def step(self) -> int:
        """Cycles a weight takes."""
        return 2 if self.update else 1

    @property
    def width(self) -> int:
        """Positions in a group."""
        return self.chains.positions

    @property
    def groups(self) -> int:
        """Groups of positions; the last may be padded."""
        return -(-self.layer.positions // self.width)

    @property
    def granule(self) -> int:
        """Weights that are worked off without a break: a group's positions, as many outputs as a tile has."""
        return self.width * self.matrix.tile.wide

    @property
    def fresh(self) -> int:
        """The first of the registers for a group's partial sums; scaled inputs lie before them."""
        return REGISTER + (self.width if self.update else 0)

    @cached_property
    def stages(self) -> tuple[Stage, ...]:
        """All but the visit. A stage's results take the place of no register that a later stage still reads."""
        sums, found, free = self.chains.sums, list[Stage](), self.fresh + self.width * self.chains.sums
        held = [self.fresh + chain for chain in range(sums)]  # of the first position; others lie `sums` further
        while len(held) > 1:
            half = len(held) // 2
            results = [free + i for i in range(half)]
            found.append(Stage(adds=tuple(zip(held[half:], held[:half], results, strict=True))))
            held, free = results, free + half
        for bit in group_order(self.machine, self.layer):
            found.append(Stage(adds=((LINK, held[0], free),), bit=bit))
            held, free = [free], free + 1
        return tuple(found)

    @property
    def carried(self) -> int:
        """The register of a sum on its way to the ring."""
        return self.fresh + self.width * self.chains.sums + sum(len(stage.adds) for stage in self.stages)

    def operand(self, stage: int, slot: int, position: int) -> int:
        """A stage's operand; before the first stage each position of a group has registers of its own."""
        fresh = stage == 0 and self.fresh <= slot < self.fresh + self.chains.sums
        return slot + position * self.chains.sums if fresh else slot

    @property
    def columns(self) -> int:
        """Beats of a position."""
        return self.layer.lanes // self.machine.pe_rows

    @property
    def transfer(self) -> int:
        """Cycles in which a position's words pass the row buses."""
        return self.columns * beat_cycles(self.machine)

    @property
    def shortest(self) -> int:
        """Cycles between two visits, at least: words in, one addition, words out."""
        return self.machine.fma_latency + 2 * self.transfer

    @cached_property
    def slots(self) -> tuple[tuple[int, int], ...]:
        """Of each stage, the visit being the last: (weights of a piece before its gap, cycles after those until it).

        The cycles are those of the FMA: a weight read at t is multiplied at t + 1 and, in an update, t + 2.
        """
        return self._placed[0]

    @cached_property
    def gaps(self) -> tuple[tuple[int, int], ...]:
        """(weights of a piece before it, free cycles), in order."""
        return self._placed[1]

    @cached_property
    def _placed(self) -> tuple[tuple[tuple[int, int], ...], tuple[tuple[int, int], ...]]:
        step, padded, granule = self.step, self.matrix.padded, self.granule
        last = padded - granule  # the last sums of a group come after all gaps
        at = padded // (2 * granule) * granule if not self.stages else min(last, granule * (padded // (4 * granule)))
        used, slots, gaps = 0, list[tuple[int, int]](), list[tuple[int, int]]()
        for number, stage in enumerate([None, *reversed(self.stages)]):
            cycles = len(stage.adds) if stage else 1
            apart = link_hops(self.machine, stage.bit) if stage and stage.bit is not None and number > 1 else 1
            if apart > 1 and slots:
                ahead = min(last, at + up(-(-apart // step), granule))
                if ahead > at:
                    gaps.append((at, up(used, step)))
                    apart, at, used = max(1, apart - step * (ahead - at)), ahead, 0
            if slots:
                used += apart - 1
            if number == len(self.stages):  # the first stage: what it adds must have come out
                bit = stage.bit if stage else None
                early = self.machine.fma_latency - 1 + (link_hops(self.machine, bit) if bit is not None else 0)
                before = sum(free for _, free in gaps) + step * at + used
                used += max(0, early - before)
            slots.append((at, used))
            used += cycles
        gaps.append((at, up(used, step)))
        return tuple(reversed(slots)), tuple(gaps)

    @cached_property
    def piece(self) -> int:
        """Cycles of a piece: its weights and gaps, at least as long as a visit and the way from stage to stage."""
        step = self.step
        least = max(step * self.matrix.padded + sum(free for _, free in self.gaps), self.shortest)
        for number, stage in enumerate(self.stages):
            later = self.stages[number + 1] if number + 1 < len(self.stages) else None
            hops = link_hops(self.machine, later.bit) if later and later.bit is not None else 0
            apart = self._offset(number) + len(stage.adds) - self._offset(number + 1)
            least = max(least, apart + self.machine.fma_latency + hops)
        if not self.stages:  # the sum is sent from its register
            least = max(least, self._offset(0) + self.transfer)
        return up(least, step)

    def _offset(self, stage: int) -> int:
        """From a piece's start to a stage's first addition."""
        weights, after = self.slots[stage]
        before = sum(free for at, free in self.gaps if at < weights)
        return self.step * weights + before + 1 + after

    def weight(self, group: int, index: int) -> int:
        """The cycle in which weight `index` of a group is read."""
        piece, y = divmod(index, self.matrix.padded)
        before = sum(free for at, free in self.gaps if at <= y)
        idle = self.piece - self.step * self.matrix.padded - sum(free for _, free in self.gaps)
        before += idle if self.gaps[-1][0] <= y else 0  # a piece that is stretched is stretched in its last gap
        return self.start + (group * self.width + piece) * self.piece + self.step * y + before

    @property
    def runs(self) -> list[tuple[int, int]]:
        """(first granule, granules) of a group's stretches that no gap interrupts."""
        number = self.matrix.padded // self.matrix.tile.wide
        starts = [self.weight(0, granule * self.granule) for granule in range(number)]
        breaks = [i for i in range(1, number) if starts[i] - starts[i - 1] != self.granule * self.step]
        return [(low, high - low) for low, high in pairwise([0, *breaks, number])]

    def index(self, output: int, position: int) -> int:
        """A weight's number in its group: groups of words one after the other, of each output by output."""
        tile = self.matrix.tile
        block, word = position // tile.deep, tile.word(tile.deep - 1 - position % tile.deep, output % tile.wide)
        return output // tile.wide * self.granule + block * tile.words + word

    @cached_property
    def times(self) -> list[list[int]]:
        """Of each position from the last to the first: the cycle of each stage's first addition, the visit the last."""
        visits, stages = self.groups * self.width, len(self.stages)
        found: list[list[int]] = [[0] * (stages + 1) for _ in range(visits)]
        done = self.weight(self.groups - 1, self.matrix.padded * self.width - 1) + self.step + 1
        free, links = done, done
        for piece in range(self.width, visits + self.width + stages):
            for stage in range(stages, -1, -1):
                number = piece - self.width - stage
                if not 0 <= number < visits:
                    continue
                if piece < visits:
                    found[number][stage] = self.start + piece * self.piece + self._offset(stage)
                    continue
                at = max(free, self._after(found, number, stage, done))
                bit = self.stages[stage].bit if stage < stages else None
                if bit is not None:
                    at = max(at, links + link_hops(self.machine, bit))
                    links = at
                found[number][stage] = at
                free = at + (len(self.stages[stage].adds) if stage < stages else 1)
        return found

    def _after(self, found: list[list[int]], number: int, stage: int, done: int) -> int:
        """The earliest cycle of a stage after the pass: when its operands, and the ring, are ready."""
        latency, bit = self.machine.fma_latency, self.stages[stage].bit if stage < len(self.stages) else None
        hops = link_hops(self.machine, bit) if bit is not None else 0
        ready = (
            found[number][stage - 1] + len(self.stages[stage - 1].adds) - 1 + latency if stage else done - 1 + latency
        )
        ready += hops
        if stage >= len(self.stages) - 1 and number:  # a sum is sent from its register, at the visit or just before
            ready = max(ready, found[number - 1][stage] + self.shortest)
        return ready
