"""Sums over what the cores own, dealt: forward of even layers, errors through odd ones.

A round is a tile's positions and a sub-batch: a core adds up the products of all it owns, whose values come to all its
PEs, as many as there are rows at a time. Then the sums are added over the cores: those of a unit go up the ring from the
core above its own one, each core adds its part, and the owner has the sum.
"""

from __future__ import annotations

from typing import NamedTuple

from caterpillar.mapping.batches.plan import Need, NoRoom, Plan
from caterpillar.mapping.builder import READ, WRITE, ScheduleError, loop
from caterpillar.mapping.dealt.hand import spread
from caterpillar.mapping.dealt.layout import Block, Layout
from caterpillar.mapping.dealt.products import Chains, width
from caterpillar.mapping.isa import (
    FROM_PE,
    FROM_SRAM,
    FROM_UP,
    LATCH,
    MEM_A,
    ONE,
    REGISTER,
    RELU,
    RESULT,
    ROTATE_CORE,
    ROW,
    SLOPE,
    UP,
    ZERO,
    Loop,
    beat_cycles,
)
from caterpillar.mapping.tiled.ways import beats, latched, spacing, taken

PART = LATCH + 3
ATTEMPTS = 40


class Rooms(NamedTuple):
    """MEM B's regions: sums of a hand; own values of the sub-batch; those of two times as many as there are rows."""

    sums: int
    own: int
    copies: int
    words: int


def scatter_rooms(layout: Layout, index: int) -> Rooms:
    """Where a round keeps what in MEM B."""
    samples = layout.samples
    sizes = (layout.hand, layout.layers[index - 1].places * samples, 2 * layout.machine.pe_rows * samples)
    return Rooms(*(sum(sizes[:i]) for i in range(len(sizes) + 1)))


def scatter_pass(p: Plan, layout: Layout, index: int, start: int, tiles: range, to: int, *, errors: bool) -> int:
    """The sums of some tiles for the whole batch to MEM A, from word `to` on; returns when they are there."""
    layer = layout.layers[index - 1]
    whole = min(tiles.stop, layer.positions // layer.at_once)
    rest = layer.positions % layer.at_once
    for first, turns, size in ((tiles.start, whole - tiles.start, layer.at_once), (whole, tiles.stop - whole, rest)):
        if turns > 0:
            where = to + (first - tiles.start) * layout.parts * layout.units
            start = _turns(p, layout, index, start, range(first, first + turns), size, where, errors=errors)
    return start


def _turns(
    p: Plan, layout: Layout, index: int, start: int, tiles: range, size: int, to: int, *, errors: bool
) -> int:
    """Tiles of equal size. A first attempt at a tile says how long it takes."""
    why = ScheduleError()
    for pad in range(ATTEMPTS):
        saved, period = p.save(), 0
        try:
            for some in (tiles[:1], tiles):
                p.restore(saved)
                end = start
                for part in range(layout.parts):
                    end = _Round(p, layout, index, some, part, size, to, period, pad, errors).emit(end)
                period = end - start
            return start + len(tiles) * period
        except ScheduleError as short:
            p.restore(saved)
            why = short
    raise NoRoom(f"layer {index}: no step is long enough ({why})")


class _Round:
    def __init__(
        self,
        p: Plan,
        layout: Layout,
        index: int,
        tiles: range,
        part: int,
        size: int,
        to: int,
        period: int,
        pad: int,
        errors: bool,
    ) -> None:
        self.p, self.layout, self.index, self.tiles, self.part = p, layout, index, tiles, part
        self.size, self.to, self.period, self.pad, self.errors = size, to, period, pad, errors
        self.m, self.layer, self.rooms = layout.machine, layout.layers[index - 1], scatter_rooms(layout, index)
        rows = self.m.pe_rows
        self.groups = [
            (block, first, min(rows, block.count - first))
            for block in self.layer.blocks
            for first in range(0, block.count, rows)
        ]

    def _loop(self, **strides: int) -> Loop:
        return loop(len(self.tiles), self.period, **strides)

    def _chains(self, group: tuple[Block, int, int]) -> Chains:
        block, _, count = group
        samples = self.layout.samples
        streamed = block.streamed
        return Chains(
            machine=self.m,
            samples=samples,
            outs=self.size,
            size=count,
            per_out=count if streamed else block.count,
            per_term=1,
            sums=self.rooms.sums,
            out_step=samples,
            sample_step=1,
            pad=self.pad,
        )

    def emit(self, start: int) -> int:
        """From cycle start of the first turn on; returns when the next round may begin."""
        with self.p.account("collective"):
            ready = self._own(start)
            ready = self._values(0, ready, ready + (1 << 14))
        at = max(ready, self._weights(0, start, start + (1 << 14))) + 2
        before = None
        for number, group in enumerate(self.groups):
            chains = self._chains(group)
            late = self.m.fma_latency + 1 if before and before != (chains.step, chains.size) else 0
            before = chains.step, chains.size
            at += late
            length = max(chains.cycles, 2 * chains.step + self.m.fma_latency + 1)
            self._multiply(number, chains, at)
            if number + 1 < len(self.groups):
                with self.p.account("collective"):
                    self._values(number + 1, at, at + length)
                self._weights(number + 1, at, at + length)
            at += length
        with self.p.account("collective"):
            return self._reduce(at + self.m.fma_latency + 1)

    def _multiply(self, number: int, chains: Chains, at: int) -> None:
        block, first, _ = self.groups[number]
        if block.streamed:
            weights = [(0, self._window(number), self._loop())]
        else:
            step = self.layer.at_once * block.count
            address = block.address + self.tiles.start * step + first
            weights = [(0, address, self._loop(address=step))]
        factors = [(0, self._copies(number), self._loop())]
        chains.emit(self.p, at, [self._loop()], weights, factors, first=number == 0)

    def _window(self, number: int) -> int:
        return self.layout.window + number % 2 * (self.layout.window_words // 2)

    def _copies(self, number: int) -> int:
        return self.rooms.copies + number % 2 * self.m.pe_rows * self.layout.samples

    def _own(self, start: int) -> int:
        """Own values of the sub-batch to MEM B; returns when they are there."""
        p, layout, samples = self.p, self.layout, self.layout.samples
        value = layout.values[self.index if self.errors else self.index - 1] + self.part * samples
        ready = start
        for place in range(self.layer.places):
            many = loop(samples, 1)
            needs: list[Need] = [("mem_a", 0, [many]), ("mem_b", 1, [many])]
            at = p.free_in(needs, [self._loop()], ready)
            along = [self._loop(), loop(samples, 1, address=1)]
            p.memory_a(READ, at, along, value + place * layout.batch, MEM_A)
            p.memory_b(WRITE, at + 1, along, self.rooms.own + place * samples, MEM_A)
            ready = at + samples
        return ready + 1

    def _values(self, number: int, earliest: int, before: int) -> int:
        """A group's own values to all PEs; returns when they are there."""
        layout, (block, first, count) = self.layout, self.groups[number]
        place, lane = divmod(block.first + first, layout.lanes)
        ready = earliest
        for sample in range(layout.samples):
            source = self.rooms.own + place * layout.samples + sample
            to = self._copies(number) + sample
            ready = spread(self.p, layout, [self._loop()], source, lane, count, to, ready, before)
        return ready + 3 + count

    def _weights(self, number: int, earliest: int, before: int) -> int:
        """A group's streamed weights to the window; returns when they are there."""
        p, m, (block, first, count) = self.p, self.m, self.groups[number]
        if not block.streamed:
            return earliest
        sigma, ready, at = spacing(m, sram=True, ring=False), earliest, earliest
        needs = [*beats(m, 0, sram=True), *taken(m, 0, sigma, "a")]
        for k in range(self.size):
            for j in range(count):
                at = p.place(needs, [self._loop()], ready, before=before - latched(m, sigma) - 1)
                position = self.tiles.start * self.layer.at_once + k
                beat = (block.address + position * block.count + first + j) * m.pe_cols
                step = self.layer.at_once * block.count * m.pe_cols
                loops = [self._loop(row_address=step), loop(m.pe_cols, sigma, row_to=1, row_address=1)]
                p.issue("row_bus", at, loops, row_from=FROM_SRAM, row_to=0, row_address=beat)
                p.memory_a(WRITE, at + latched(m, sigma), [self._loop()], self._window(number) + k * count + j, ROW)
                ready = at + m.pe_cols * sigma
        return at + latched(m, sigma) + 1

    # sums over the cores

    def _reduce(self, ready: int) -> int:
        """Sums of all units to their owners' MEM A; returns when they are there."""
        m, end = self.m, ready
        register = REGISTER + width(m, self.layout.samples)
        for number in range(self.layout.units):
            sums = self.rooms.sums + number * m.cores
            at = self._last(number, sums, None, ready) if m.cores == 1 else self._start(sums, ready)
            for step in range(1, m.cores):
                if step == m.cores - 1:
                    at = self._last(number, sums, at, ready)
                else:
                    at = self._pass(sums, step, at, register)
            end, ready = max(end, at), max(ready, at)
        return end

    def _start(self, sums: int, ready: int) -> int:
        """A core's part of the sum of the core below it goes up; returns when it can be taken."""
        p, m, sent = self.p, self.m, LATCH + 1
        length = m.pe_cols * beat_cycles(m)
        needs: list[Need] = [("mem_b", 0, []), ("beats sent", 0, [loop(length, 1)]), *self._sending(1)]
        at = p.place(needs, [self._loop()], ready)
        p.memory_b(READ, at, [self._loop()], sums, sent, mode=ROTATE_CORE, offset=m.cores - 1)
        return self._send(at + 1, sent)

    def _sending(self, at: int) -> list[Need]:
        m, sigma = self.m, beat_cycles(self.m)
        return [("row_bus", at, [loop(m.pe_cols, sigma)]), ("up", at, [loop(m.pe_cols * sigma, 1)])]

    def _send(self, at: int, slot: int) -> int:
        """A word's beats up the ring; returns when the first may be taken so that none is waited for."""
        m, sigma = self.m, beat_cycles(self.m)
        loops = [self._loop(), loop(m.pe_cols, sigma, row_column=1)]
        self.p.issue("row_bus", at, loops, row_from=FROM_PE, row_column=0, row_slot=slot, row_send=UP)
        return at + m.pe_cols * sigma + sigma - m.pe_cols

    def _take(self, sums: int, step: int, arrived: int, needs: list[Need]) -> int:
        """What has come, and a core's own part of it; returns when the FMA has both."""
        p, m = self.p, self.m
        length = m.pe_cols
        wanted: list[Need] = [("row_bus", 0, [loop(length, 1)]), ("rows", 1, [loop(length, 1)])]
        wanted += [("fma", length, []), ("mem_b", length - 1, []), *needs]
        at = p.place(wanted, [self._loop()], arrived)
        p.issue("row_bus", at, [self._loop(), loop(length, 1, row_to=1)], row_from=FROM_UP, row_to=0)
        offset = (-1 - step) % m.cores
        p.memory_b(READ, at + length - 1, [self._loop()], sums, PART, mode=ROTATE_CORE, offset=offset)
        return at + length

    def _pass(self, sums: int, step: int, arrived: int, register: int) -> int:
        """A core adds its part and sends the sum on."""
        p, m = self.p, self.m
        at = self._take(sums, step, arrived, self._sending(m.pe_cols + m.fma_latency))
        p.issue("fma", at, [self._loop()], fma_a=ROW, fma_b=ONE, fma_c=PART, fma_to=register)
        return self._send(at + m.fma_latency, register)

    def _last(self, number: int, sums: int, arrived: int | None, ready: int) -> int:
        """The owner adds its part, and applies ReLU, or its slope; returns when the sum is in MEM A."""
        p, m, layout = self.p, self.m, self.layout
        latency = m.fma_latency
        step = layout.parts * layout.units
        here = self.part * layout.units + number
        after: list[Need] = [("mem_a", latency, [])]
        after += [("mem_a", -1, [])] if self.errors else []
        if arrived is None:
            needs: list[Need] = [("fma", 0, []), ("mem_b", -1, []), *after]
            at = p.free_in(needs, [self._loop()], ready + 1)
            p.memory_b(READ, at - 1, [self._loop()], sums, PART)
            each = {"fma_a": PART, "fma_b": ONE, "fma_c": ZERO}
        else:
            shifted: list[Need] = [(unit, m.pe_cols + when, inner) for unit, when, inner in after]
            at = self._take(sums, m.cores - 1, arrived, shifted)
            each = {"fma_a": ROW, "fma_b": ONE, "fma_c": PART}
        if self.errors:
            gate = layout.values[self.index - 1] + self.tiles.start * step + here
            p.memory_a(READ, at - 1, [self._loop(address=step)], gate, MEM_A)
            p.issue("fma", at, [self._loop()], fma_flags=SLOPE, fma_gate=MEM_A, **each)
        else:
            p.issue("fma", at, [self._loop()], fma_flags=RELU, **each)
        p.memory_a(WRITE, at + latency, [self._loop(address=step)], self.to + here, RESULT)
        return at + latency + 1
