"""How a layer but the last is split over the lanes of a core, and in which blocks its sums are added over them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

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

    panel: outputs of a core. input_lanes, output_lanes: Pi, Po. rows: of PEs. sums: O. width: positions that take
    turns, so that a sum is not needed before it is ready. chunk: T, positions of one core's activations (of the first
    layer: all positions). joined: a chunk is too short for what comes off the ring to begin an error sum with; it is
    added in the end. positions: all, whole groups of `width`. grain: what remains of the sums is rounded up to
    so many. alike: blocks of sums all have the same size (before the last layer).
    """

    panel: int
    input_lanes: int
    output_lanes: int
    rows: int
    sums: int
    width: int
    chunk: int
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
    def shift(self) -> int:
        """From one position of a group to the next, how much further on in the outputs the same weight's turn is."""
        return self.sums // self.width

    @property
    def groups(self) -> int:
        """Groups of `width` positions."""
        return self.positions // self.width

    @property
    def weights(self) -> int:
        """Weights of a lane, padding included."""
        return self.positions * self.sums

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

    def output(self, group: int, number: int) -> int:
        """Number in the panel of a group's output; -1 if there is none."""
        found = group * self.sums + number
        return found if 0 <= number < self.sums and found < self.panel else -1

    def turn(self, number: int, position: int) -> int:
        """When in its group of positions an output's weight has its turn."""
        return (number - self.shift * (position % self.width)) % self.sums
