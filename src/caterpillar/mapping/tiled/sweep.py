"""The numbers of a sweep: positions of a layer in turns, in each turn all outputs of the panel in groups.

In a turn a part of the positions is worked on at a time; for all samples of the batch, each group of outputs adds to
the positions' errors and to its weights' gradients, and then the group's weights are updated.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from caterpillar.machine import Machine
from caterpillar.mapping.tiled.layout import Block


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """Of the groups of a part: positions by outputs; pace: cycles from output to output; errors: of inputs, too.

    A sample takes at least a latency, for its sums go on from it.
    """

    positions: int
    outputs: int
    pace: int
    errors: bool
    latency: int

    @property
    def sums(self) -> int:
        """Weights of a group."""
        return self.positions * self.outputs

    def sample(self, outputs: int, *, last: bool) -> int:
        """Cycles of a sample in a group of so many outputs. last: the sums of other cores are added."""
        return max(outputs * self.pace, self.latency) + (self.positions if last and self.errors else 0)


def shape(machine: Machine, positions: int, *, errors: bool) -> Shape:
    """As many outputs as registers hold gradients of; a divisor of the rows, whose errors come at once."""
    most = max(1, machine.pe_registers // positions)
    outputs = max(n for n in range(1, machine.pe_rows + 1) if machine.pe_rows % n == 0 and n <= most)
    alone = max(positions, 2 if outputs > 1 else 4)
    pace = max(2 * positions, machine.fma_latency, positions + 2) if errors else alone
    return Shape(positions=positions, outputs=outputs, pace=pace, errors=errors, latency=machine.fma_latency)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """Groups of equal kind, of one block, of so many outputs each, the first at output `first` of the block.

    number: groups; start: cycle of the first in a turn; first_group, last_group: whether it is the panel's.
    tile: number of the first among the turn's groups with streamed weights.
    """

    block: Block
    first: int
    outputs: int
    number: int
    start: int
    sample: int
    group: int
    first_group: bool
    last_group: bool
    tile: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Positions worked on together: shape, own position of the first one (layer 1: its number), runs, cycles."""

    shape: Shape
    first: int
    runs: tuple[Run, ...]
    start: int
    cycles: int


def parts(
    blocks: tuple[Block, ...], shapes: list[tuple[int, Shape]], batch: int, pause: int, start: int = 0
) -> tuple[Part, ...]:
    """The parts of a turn, one after the other, from cycle `start` of it on. pause: cycles of a group in which the FMA
    is not wanted."""
    found, at, tile = list[Part](), start, 0
    for first, kind in shapes:
        runs, start = list[Run](), at
        for run in _runs(blocks, kind.outputs):
            sample = kind.sample(run.outputs, last=run.last_group)
            group = batch * sample + kind.positions * run.outputs + pause
            runs.append(replace(run, start=at, sample=sample, group=group, tile=tile))
            at += run.number * group
            tile += run.number * run.block.streamed
        found.append(Part(shape=kind, first=first, runs=tuple(runs), start=start, cycles=at - start))
    return tuple(found)


def _runs(blocks: tuple[Block, ...], outputs: int) -> Iterator[Run]:
    """The groups of a panel in order: the first and the last by themselves."""
    groups: list[tuple[Block, int, int]] = []
    for block in blocks:
        groups += [(block, first, min(outputs, block.count - first)) for first in range(0, block.count, outputs)]
    last, at = len(groups) - 1, 0
    while at <= last:
        block, first, size = groups[at]
        number = 1
        if 0 < at < last:
            same = (n for n in range(at, last) if groups[n][0] is not block or groups[n][2] != size)
            number = next(same, last) - at
        yield Run(
            block=block,
            first=first,
            outputs=size,
            number=number,
            start=0,
            sample=0,
            group=0,
            first_group=at == 0,
            last_group=at == last,
            tile=0,
        )
        at += number
