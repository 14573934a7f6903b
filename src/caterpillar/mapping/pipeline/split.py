"""How a layer but the last is split over the lanes of a core, and in which blocks its sums are added over them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from caterpillar.mapping.isa import power_of_two_at_least


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """Partial sums that are added over the lanes together: numbers first .. first + used - 1 of each group of lanes.

    size: words, a power of two; lane i of a group is left with word i mod size. merged: so many neighbouring groups
    bring their sums together before: a group's own take size / merged words, and those of group g xor j are the j-th
    such part. Then a word of all rows is made of what several groups have, and none is left empty.
    """

    first: int
    used: int
    size: int
    merged: int = 1

    @property
    def share(self) -> int:
        """Words of one group."""
        return self.size // self.merged


@dataclass(frozen=True, slots=True, kw_only=True)
class Beat:
    """A word for each row, of a core's own activations: its number, and the block and column of PEs it comes from."""

    number: int
    block: int
    column: int


@dataclass(frozen=True, kw_only=True)
class Split:
    """A core's outputs and inputs on its lanes.

    input_lanes, output_lanes: Pi, Po. rows: of PEs. sums: O. width: positions under way at a time, so that an error
    sum is not needed before it is ready. chunks: T_k, positions of each core's activations of the layer before; none
    in the first layer. joined: a chunk is too short for what comes off the ring to begin an error sum with; it is added
    in the end. positions: of all cores. grain: what remains of the sums is rounded up to so many. alike: blocks of
    sums all have the same size (before the last layer).
    """

    input_lanes: int
    output_lanes: int
    rows: int
    sums: int
    width: int
    chunks: tuple[int, ...]
    joined: bool
    positions: int
    grain: int
    alike: bool

    @property
    def steps(self) -> int:
        """Beats of a position: columns of a group of lanes."""
        return self.input_lanes // self.rows

    @property
    def columns(self) -> int:
        """Columns of PEs."""
        return self.output_lanes * self.steps

    @property
    def chunk(self) -> int:
        """The most positions of a core's activations."""
        return max(self.chunks, default=0)

    @property
    def uneven(self) -> bool:
        """Whether cores' chunks differ."""
        return len(set(self.chunks)) > 1

    @property
    def shift(self) -> int:
        """From one position to the next that is under way, by how many outputs it begins later."""
        return self.sums // self.width

    @property
    def group_words(self) -> int:
        """Turns of `width` positions."""
        return self.width * self.sums

    def slot(self, position: int, number: int) -> int:
        """The turn of an output's weight: positions take turns, each begins `shift` outputs after the one before."""
        group, a = divmod(position, self.width)
        return group * self.group_words + (number + self.shift * a) * self.width + a

    @cached_property
    def weights(self) -> int:
        """Turns, or words of MEM A. In the first and the last some positions have not begun, or have ended."""
        last = range(max(0, self.positions - self.width), self.positions)
        return 1 + max(self.slot(position, self.sums - 1) for position in last)

    @property
    def groups(self) -> int:
        """Groups of turns, the last of which may end early."""
        return -(-self.weights // self.group_words)

    def between(self, apart: int) -> int:
        """Turns from the last of a position to the first of the one that so many are after it, at least."""
        return min(self.slot(a + apart, 0) - self.slot(a, self.sums - 1) for a in range(self.width))

    def order(self, core: int) -> list[tuple[int, int]]:
        """A core's positions, as (whose, which of its chunk): its own last."""
        cores = len(self.chunks)
        owners = [(core - turn) % cores for turn in range(1, cores + 1)]
        return [(owner, place) for owner in owners for place in range(self.chunks[owner])]

    @cached_property
    def blocks(self) -> tuple[Block, ...]:
        """In the order of their sums: full ones first, then powers of two."""
        lanes, found, first = self.input_lanes, list[Block](), 0
        while self.sums - first >= lanes or (self.alike and found and first < self.sums):
            found.append(Block(first=first, used=min(lanes, self.sums - first), size=lanes))
            first += lanes
        rest = max(0, self.sums - first)
        if rest and self.alike:
            return (Block(first=0, used=rest, size=max(self.rows, power_of_two_at_least(rest))),)
        rounded = -(-rest // self.grain) * self.grain
        while rest > 0:
            part = 1 << (rounded.bit_length() - 1)
            merged = 1 if part >= self.rows else min(self.rows // part, self.output_lanes)
            found.append(Block(first=first, used=min(part, rest), size=max(part, self.rows), merged=merged))
            first, rest, rounded = first + part, rest - part, rounded - part
        return tuple(found)

    @cached_property
    def places(self) -> tuple[int, ...]:
        """Of each partial sum, which of their words it is: blocks follow each other, padding and all."""
        found, start = list[int](), 0
        for block in self.blocks:
            found += range(start, start + block.used)
            start += block.size
        return tuple(found)

    @property
    def padded(self) -> int:
        """Words of partial sums."""
        return sum(block.size for block in self.blocks)

    def beats_of(self, block: Block) -> int:
        """Beats that a block gives: a power of two."""
        if block.share < self.rows:
            return self.output_lanes // block.merged
        return self.output_lanes * (block.share // self.rows)

    def column(self, block: Block, group: int, step: int) -> int:
        """The column of PEs from which a group's sums, the rows of this step of them, are taken.

        Several columns have them; so chosen that the columns of a block's beats differ modulo their number.
        """
        beats, wide, apart = self.beats_of(block), self.steps, max(1, block.share // self.rows)
        if block.share < self.rows:
            group, wide = group // block.merged, wide * block.merged
        copy = group * wide // beats if beats >= wide else group
        return group * wide + copy * apart + step

    def words(self, block: Block, steps: int) -> int:
        """Beats of a block and of what fills its positions up, where the next layer's have so many beats."""
        return max(self.beats_of(block), steps)

    def beats(self, steps: int) -> tuple[Beat, ...]:
        """The beats of a core's own activations, for a layer whose positions have `steps` beats.

        Modulo a block's words, a beat has its column's number: error sums that are halved over the columns of PEs end
        where the activations are.
        """
        found, start = list[Beat](), 0
        for number, block in enumerate(self.blocks):
            words, used = self.words(block, steps), -(-block.used // self.rows)
            for group in range(0, self.output_lanes, block.merged):
                for step in range(used):
                    column = self.column(block, group, step)
                    found.append(Beat(number=start + column % words, block=number, column=column))
            start += words
        return tuple(found)

    def chunk_for(self, steps: int) -> int:
        """Positions of `steps` beats that a core's own activations fill."""
        return sum(self.words(block, steps) for block in self.blocks) // steps

    def local(self, block: Block, lane: int) -> tuple[int, int]:
        """Group and number in it of the output whose sum lane ends up with; past the sums: number -1."""
        part, within = divmod(lane % self.input_lanes % block.size, block.share)
        return lane // self.input_lanes ^ part, block.first + within if within < block.used else -1

    def place_in_chunk(self, steps: int) -> NDArray[np.int64]:
        """(group, number): in which position of its core an output is, where the next layer's have `steps` beats."""
        found = np.zeros((self.output_lanes, self.sums), np.int64)
        for beat in self.beats(steps):
            for lane in range(beat.column * self.rows, (beat.column + 1) * self.rows):
                group, number = self.local(self.blocks[beat.block], lane)
                if number >= 0:
                    found[group, number] = beat.number // steps
        return found
