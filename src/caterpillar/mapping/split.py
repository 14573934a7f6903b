"""How a layer's weights are dealt out: to the lanes of a core, and to the groups of words that MEM A reads at once.

A core's lanes stand in `groups` groups of `lanes` lanes: lane = group lanes + number in the group. The lanes of a
group share the inputs, input i at lane i mod `lanes`, a position each; the groups share the core's outputs, `padded`
each, one after the other. So forward sums are added inside groups only, and backward sums between groups only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from caterpillar.machine import Machine
from caterpillar.mapping.isa import accumulators, halves, link_hops, power_of_two_at_least

Index = TypeVar("Index", int, NDArray[np.int64])


def up(n: int, unit: int) -> int:
    """n rounded up to a multiple of unit."""
    return -(-n // unit) * unit


def back_unit(machine: Machine) -> int:
    """Sums interleaved where a weight takes two cycles."""
    return power_of_two_at_least(-(-machine.fma_latency // 2))


@dataclass(frozen=True, slots=True, kw_only=True)
class Tile:
    """Weights of one group of MEM A's words: `deep` positions and `wide` outputs, in the order of an update.

    by_output: output by output, of each the last position first, as backward goes; else position by position.
    """

    deep: int
    wide: int
    by_output: bool

    @property
    def words(self) -> int:
        """Words of a group."""
        return self.deep * self.wide

    def word(self, position: Index, output: Index) -> Index:
        """Which word of its group a weight is."""
        if self.by_output:
            return output * self.deep + (self.deep - 1 - position)
        return position * self.wide + output

    def weights(self) -> list[tuple[int, int]]:
        """(position, output) of each word."""
        places = [(position, output) for position in range(self.deep) for output in range(self.wide)]
        return sorted(places, key=lambda place: self.word(*place))


@dataclass(frozen=True, slots=True, kw_only=True)
class Matrix:
    """A lane's share of a matrix in MEM A: `padded` outputs at each position, from `address` on, in tiles."""

    address: int
    padded: int
    tile: Tile

    @property
    def step(self) -> int:
        """Words from one tile's positions to the next ones."""
        return self.tile.deep * self.padded

    def at(self, position: Index, output: Index) -> Index:
        """The word of a weight."""
        tile = self.tile
        within = tile.word(position % tile.deep, output % tile.wide)
        return self.address + position // tile.deep * self.step + output // tile.wide * tile.words + within


def forward_tile(machine: Machine, *, by_output: bool) -> Tile:
    """Tiles of a matrix that is multiplied forward: as many outputs as sums are interleaved, at most."""
    wide = min(halves(machine), accumulators(machine))
    return Tile(deep=halves(machine) // wide, wide=wide, by_output=by_output)


def feedback_tile(machine: Machine) -> Tile:
    """Tiles of a matrix that only errors go through: as many positions as sums are interleaved, at most."""
    deep = min(halves(machine), accumulators(machine))
    return Tile(deep=deep, wide=halves(machine) // deep, by_output=True)


def row_tile(machine: Machine) -> Tile:
    """Tiles of a matrix with few positions: outputs of one."""
    return Tile(deep=1, wide=halves(machine), by_output=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Chains:
    """Backward sums that a pass interleaves: `positions` at a time, of each `sums` partial sums."""

    positions: int
    sums: int


def chains(tile: Tile, unit: int) -> Chains:
    """Interleave `unit` sums: neighbouring positions if the tiles allow it, else the outputs of one position."""
    if tile.wide == 1:
        return Chains(positions=max(tile.deep, unit), sums=1)
    return Chains(positions=max(tile.deep, unit // tile.wide), sums=min(tile.wide, max(1, unit // tile.deep)))


def level_order(machine: Machine, bits: Sequence[int], owners: int) -> tuple[int, ...]:
    """The order of exchanges, on these bits of the lane, that adds `owners` words over lanes in the fewest cycles.

    Each halves the words if its bit tells apart lanes that keep different words, those below log2(owners).
    """
    cheap = sorted(bits, key=lambda bit: (link_hops(machine, bit), bit))
    first = [bit for bit in cheap if 1 << bit < owners]
    halving_first = first + [bit for bit in cheap if bit not in first]
    return tuple(min(cheap, halving_first, key=lambda order: exchange_cycles(machine, order, owners)))


def exchange_cycles(machine: Machine, order: Sequence[int], owners: int) -> int:
    """Cycles that the links are busy."""
    total, words = 0, owners
    for bit in order:
        words //= 2 if 1 << bit < owners else 1
        total += words * link_hops(machine, bit)
    return total


def permuted(lane: int, order: Sequence[int]) -> int:
    """The number of a lane's partial sum: the bit that is added first is the highest."""
    return sum((lane >> bit & 1) << (len(order) - 1 - place) for place, bit in enumerate(order))
