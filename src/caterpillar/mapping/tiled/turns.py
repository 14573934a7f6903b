"""Backward and update of a layer: its turns, groups and samples, and the words and weights that they work on."""

from __future__ import annotations

from collections.abc import Iterator

from caterpillar.mapping.batches.plan import Plan
from caterpillar.mapping.builder import loop
from caterpillar.mapping.isa import Loop
from caterpillar.mapping.tiled.layout import TILES, Layout
from caterpillar.mapping.tiled.rooms import backward_rooms
from caterpillar.mapping.tiled.sweep import Part, Run, Shape, parts


class Turns:
    """What the pass is made of. main: the cycle in which the first turn's products begin.

    ring: inputs come from the core below; if not, from the core SRAMs. errors: sums of theirs go round with them. ago:
    ticks since the batch went forward.
    """

    def __init__(
        self,
        p: Plan,
        layout: Layout,
        index: int,
        start: int,
        kinds: list[tuple[int, Shape]],
        turns: int,
        tile: int,
        pause: int,
    ) -> None:
        self.p, self.layout, self.index, self.start = p, layout, index, start
        self.m, self.latency, self.batch = layout.machine, layout.machine.fma_latency, layout.batch
        self.layer, self.turns, self.tile = layout.layers[index - 1], turns, tile
        self.ring, self.errors, self.ago = index > 1, index > 1 and not layout.direct, layout.delay[index]
        self.rooms = backward_rooms(layout, index, len(kinds) if self.ring else 1)
        self.parts = parts(self.layer.blocks, kinds, self.batch, pause)
        self.period = sum(part.cycles for part in self.parts)
        self.outputs = max(kind.outputs for _, kind in kinds)
        self.tiles = sum(run.number * run.block.streamed for part in self.parts for run in part.runs)
        self.main = 0

    def _turns(self, **strides: int) -> Loop:
        return loop(self.turns, self.period, **strides)

    def _parities(self, first: int, count: int) -> Iterator[tuple[int, int, Loop]]:
        """(room of inputs, later by, loop) of turns first .. first + count - 1."""
        rooms = self.rooms.input_rooms
        for turn in range(first, min(first + rooms, first + count)):
            turns = loop(-(-(first + count - turn) // rooms), rooms * self.period)
            yield turn % rooms, (turn - first) * self.period, turns

    def _owned(self, run: Run) -> tuple[int, int]:
        """Where the errors of a run's outputs begin in MEM A, and the lane that owns the first output."""
        return self.layout.own[self.index] + run.block.first // self.layout.lanes * self.batch, run.first

    def _samples(self, run: Run) -> tuple[list[Loop], int]:
        """Loops over samples that step the address of an input, and what a position adds to it."""
        if self.ring:
            return [loop(self.batch, run.sample, address=1)], self.batch
        many = self.layout.samples
        outer = loop(self.layout.parts, many * run.sample, address=self.layout.slots)
        return [outer, loop(many, run.sample, address=1)], many

    def _input(self, part: Part, room: int) -> int:
        """Where a part's inputs begin in MEM B."""
        if not self.ring:
            return self.rooms.inputs + room * self.layout.slots * self.layout.parts
        own = self.layout.layers[self.index - 2].own
        return self.rooms.inputs + (room * own + part.first) * self.batch

    def _position(self, part: Part, k: int) -> tuple[int, int]:
        """The number of a part's position in the first turn, and what a turn adds to it."""
        if self.ring:
            return (part.first + k) * self.m.cores + self.m.cores - 1, -1
        return part.first + k, self.layer.at_once

    def _weights(self, part: Part, run: Run, o: int, k: int) -> Iterator[tuple[int, int, list[Loop]]]:
        """(later by, address in MEM A, loops) of a weight in all turns and groups."""
        block, outputs = run.block, part.shape.outputs
        position, step = self._position(part, k)
        if not block.streamed:
            address = block.address + position * block.count + run.first + o
            yield 0, address, [self._turns(address=step * block.count), loop(run.number, run.group, address=outputs)]
            return
        v = o * part.shape.positions + k
        regular = max(0, min(run.number, self.tiles - self.tiles % TILES - run.tile)) if self.tiles >= TILES else 0
        for number in range(min(TILES, regular)):
            groups = loop(-(-(regular - number) // TILES), TILES * run.group)
            address = self.layout.window + self._room(0, run.tile + number) * self.m.pe_registers + v
            yield number * run.group, address, [self._turns(), groups]
        for number in range(regular, run.number):
            for later, address, turns in self._weight(part, run, number, v):
                yield later + number * run.group, address, [*turns, loop(1, 0)]

    def _weight(self, part: Part, run: Run, number: int, v: int) -> Iterator[tuple[int, int, list[Loop]]]:
        """The same of one group."""
        o, k = divmod(v, part.shape.positions)
        if not run.block.streamed:
            for later, address, (turns, _) in self._weights(part, run, o, k):
                yield later, address + number * part.shape.outputs, [turns]
            return
        turns = TILES if self.tiles < TILES else 1
        for turn in range(min(turns, self.turns)):
            room = self._room(turn, run.tile + number)
            some = loop(-(-(self.turns - turn) // turns), turns * self.period)
            yield turn * self.period, self.layout.window + room * self.m.pe_registers + v, [some]

    def _room(self, turn: int, tile: int) -> int:
        """Of the window, for a tile: of any TILES one after the other, also from turn to turn, each has another."""
        if self.tiles < TILES:
            return (turn * self.tiles + tile) % TILES
        rest = self.tiles % TILES
        return tile % TILES if tile < self.tiles - rest else TILES + tile - (self.tiles - rest)
