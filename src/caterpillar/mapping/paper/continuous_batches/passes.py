"""A part's pass, tile by tile: each weight is read once a sample backward, once to be updated, and to go forward."""

from __future__ import annotations

from dataclasses import dataclass

from caterpillar.machine import Machine
from caterpillar.mapping.builder import READ, WRITE, loop
from caterpillar.mapping.isa import (
    ALL_COLUMNS,
    FROM_SRAM,
    LATCH,
    MEM_A,
    NEGATE,
    NONE,
    RATE,
    REGISTER,
    RESULT,
    ROW,
    ZERO,
    Loop,
    sram_beat_cycles,
)
from caterpillar.mapping.paper.continuous.layout import stretch
from caterpillar.mapping.paper.continuous.planner import Planner
from caterpillar.mapping.paper.continuous.shares import Part, Stage
from caterpillar.mapping.paper.continuous_batches.layout import Layout, product_turns
from caterpillar.mapping.paper.continuous_batches.timing import Bursts, Timing, sums_at


@dataclass(frozen=True, slots=True, kw_only=True)
class Pass:
    """A part's pass, its first tile begun at `start`."""

    part: Part
    stage: Stage
    timing: Timing
    start: int

    @property
    def end(self) -> int:
        """When nothing of it is in flight any more."""
        k = self.timing.k
        return self.start + self.stage.rounds * self.timing.period + 2 * k + self.timing.latency + 1

    def share_ready(self, tile: int, sample: int, position: int) -> int:
        """When a PE's share of the error sum of a tile's position is in MEM B."""
        t = self.timing
        quarter, j = divmod(position, t.k)
        unit = sample * t.quarters + quarter
        return self.start + tile * t.period + unit * t.unit + (t.sums - 1) * t.k + j + t.latency + 1

    def share_again(self, tile: int, sample: int, position: int, turns: int) -> int:
        """When another sample's is written in its place."""
        later = tile * self.timing.batch + sample + turns
        if later >= self.stage.rounds * self.timing.batch:
            return 1 << 40
        return self.share_ready(*divmod(later, self.timing.batch), position) - 1


def lead(m: Machine, layout: Layout, stage: Stage) -> int:
    """Cycles before a pass in which its first inputs come."""
    return layout.batch * stage.width * sram_beat_cycles(m) + 3


def emit_pass(b: Planner, layout: Layout, m: Machine, part: Part, timing: Timing, start: int) -> Pass:
    """Issue a pass."""
    one = Pass(part=part, stage=layout.stages[part.layer - 1], timing=timing, start=start)
    if one.stage.back:
        for sample in range(layout.batch):
            _backward(b, layout, m, one, sample)
    _update(b, layout, m, one)
    _forward(b, layout, m, one)
    _inputs(b, layout, m, one)
    kinds = ("backward", "update", "forward") if one.stage.back else ("update", "forward")
    b.mark(", ".join(f"{kind} {part.layer}" for kind in kinds), kinds, "compute", start, one.end)
    return one


def _tiles(one: Pass, words: int = 0) -> list[Loop]:
    """Loops over the tiles and their quarters' weights; words: between quarters, of a memory."""
    t = one.timing
    return [loop(one.stage.rounds, t.period, address=t.quarters * words) if words else loop(one.stage.rounds, t.period)]


def _weights_at(layout: Layout, one: Pass) -> int:
    return layout.addresses[layout.parts.index(one.part)]


def _backward(b: Planner, layout: Layout, m: Machine, one: Pass, sample: int) -> None:
    """A sample's errors through the weights as they are: k sums in turn, over the outputs."""
    t, words, k, acc = one.timing, layout.words[one.part.core], one.timing.k, sums_at(m)
    at = one.start + sample * t.quarters * t.unit
    quarters = loop(t.quarters, t.unit)
    size = t.sums * k
    fields = {"fma_a": MEM_A, "fma_b": LATCH}
    with b.account("backward"):
        loops = [*_tiles(one, size), loop(t.quarters, t.unit, address=size), loop(size, 1, address=1)]
        b.memory_a(READ, at - 1, loops, _weights_at(layout, one), MEM_A)
        outputs = loop(t.sums, k, address=layout.batch)
        b.memory_b(READ, at - 1, [*_tiles(one), quarters, outputs], words.errors + sample, LATCH)
        each, whole = loop(k, 1, fma_to=1), [*_tiles(one), quarters]
        if t.sums == 1:
            b.issue("fma", at, [*whole, loop(k, 1)], **fields, fma_c=ZERO)
        else:
            b.issue("fma", at, [*whole, each], **fields, fma_c=ZERO, fma_to=acc)
            middle = [*whole, loop(t.sums - 2, k), loop(k, 1, fma_c=1, fma_to=1)]
            b.issue("fma", at + k, middle, **fields, fma_c=acc, fma_to=acc)
            b.issue("fma", at + size - k, [*whole, loop(k, 1, fma_c=1)], **fields, fma_c=acc)
        turn = sample % product_turns(layout.batch)
        to = words.products + turn * one.stage.width
        loops = [*_tiles(one), loop(t.quarters, t.unit, address=k), loop(k, 1, address=1)]
        b.memory_b(WRITE, at + size - k + t.latency, loops, to, RESULT)


def _update(b: Planner, layout: Layout, m: Machine, one: Pass) -> None:
    """Gradients of k positions and an output, added up over the samples; then their weights."""
    t, words, k, acc, batch = one.timing, layout.words[one.part.core], one.timing.k, sums_at(m), layout.batch
    at, turn, tile = one.start + t.updates_at, (layout.batch + 1) * one.timing.k, one.stage.width
    whole = [*_tiles(one), loop(t.quarters, t.update)]
    outputs, done = loop(t.sums, turn), at + batch * k
    with b.account("update"):
        loops = [*whole, loop(t.sums, turn, address=batch), loop(batch, k, address=1)]
        b.memory_b(READ, at - 1, loops, words.errors, LATCH)
        inputs = [loop(t.quarters, t.update, address=k), outputs, loop(batch, k, address=tile), loop(k, 1, address=1)]
        b.memory_b(READ, at - 1, [*_tiles(one), *inputs], words.old, LATCH + 1)
        fields = {"fma_a": LATCH + 1, "fma_b": LATCH, "fma_to": acc}
        b.issue("fma", at, [*whole, outputs, loop(k, 1, fma_to=1)], **fields, fma_c=ZERO)
        each = [loop(batch - 1, k), loop(k, 1, fma_c=1, fma_to=1)]
        b.issue("fma", at + k, [*whole, outputs, *each], **fields, fma_c=acc)
        size = t.sums * k
        loops = [*_tiles(one, size), loop(t.quarters, t.update, address=size), loop(t.sums, turn, address=k)]
        b.memory_a(READ, done - 1, [*loops, loop(k, 1, address=1)], _weights_at(layout, one), MEM_A)
        late = max(0, k - 1 - t.latency)  # MEM A's port is taken by reads
        fields = {"fma_b": RATE, "fma_c": MEM_A, "fma_flags": NEGATE}
        steps = {"fma_a": 1} | ({"fma_to": 1} if late else {})
        b.issue("fma", done, [*whole, outputs, loop(k, 1, **steps)], **fields, fma_a=acc, fma_to=acc if late else NONE)
        each = loop(k, 1, address=1, **({"slot": 1} if late else {}))
        slot = acc if late else RESULT
        b.memory_a(WRITE, done + t.latency + late, [*loops, each], _weights_at(layout, one), slot)


def _forward(b: Planner, layout: Layout, m: Machine, one: Pass) -> None:
    """k pairs of outputs and samples in turn, over k positions; their sums wait in MEM B until the next k."""
    t = one.timing
    chunks, whole_groups = layout.batch // t.together, t.sums // t.outputs
    for first in (True, False):  # the first positions' sums begin from +0
        for rest in (False, True):
            outputs = t.sums % t.outputs if rest else t.outputs
            count = int(outputs > 0) if rest else whole_groups
            if outputs and count:
                _groups(b, layout, m, one, outputs, (whole_groups if rest else 0, count, chunks), first=first)


def _groups(
    b: Planner, layout: Layout, m: Machine, one: Pass, outputs: int, some: tuple[int, int, int], *, first: bool
) -> None:
    """Groups of some outputs: some = (the number of the first, how many, parts of the batch).

    first: of the pass's first k positions; else of all others.
    """
    t, words, k, acc = one.timing, layout.words[one.part.core], one.timing.k, sums_at(m)
    together, tile, size, (begin, count, chunks) = t.together, one.stage.width, t.sums * t.k, some
    padded = stretch(one.part, layout.rows)
    quarter = t.groups * t.group
    for tiles, quarters, number, skipped in _stretches(one, first=first):
        at = one.start + t.forward_at + number * t.period + skipped * quarter + begin * chunks * t.group
        over = [loop(tiles, t.period), loop(quarters, quarter), loop(count, chunks * t.group), loop(chunks, t.group)]

        def moved(a: int, b: int, c: int, d: int, *, tiles: int = tiles, quarters: int = quarters) -> list[Loop]:
            """The same with what each round adds to an address."""
            return [
                loop(tiles, t.period, address=a),
                loop(quarters, quarter, address=b),
                loop(count, chunks * t.group, address=c),
                loop(chunks, t.group, address=d),
            ]

        with b.account("forward"):
            weight = _weights_at(layout, one) + (number * t.quarters + skipped) * size + begin * t.outputs * k
            loops = [*moved(t.quarters * size, size, t.outputs * k, 0), loop(k, k, address=1)]
            b.memory_a(READ, at - 1, [*loops, loop(outputs, together, address=k)], weight, MEM_A)
            loops = [*moved(0, k, 0, together * tile), loop(k, k, address=1)]
            if together > 1:
                loops += [loop(outputs, together), loop(together, 1, address=tile)]
            b.memory_b(READ, at - 1, loops, words.now + skipped * k, LATCH + 1)
            steps = {"fma_c": 1, "fma_to": 1}
            both = [loop(outputs, together, **dict.fromkeys(steps, together)), loop(together, 1, **steps)]
            to = [loop(outputs, together, fma_to=together), loop(together, 1, fma_to=1)]
            fields = {"fma_a": LATCH + 1, "fma_b": MEM_A}
            b.issue("fma", at, [*over, *to], **fields, fma_c=ZERO if first else LATCH, fma_to=acc)
            b.issue("fma", at + k, [*over, loop(k - 2, k), *both], **fields, fma_c=acc, fma_to=acc)
            held, write = REGISTER, k * k + k if t.groups > 1 else k * k - k + t.latency
            b.issue("fma", at + k * k - k, [*over, *both], **fields, fma_c=acc, fma_to=held)
            sums = words.sums + begin * t.outputs
            loops = [*moved(0, 0, t.outputs, together * padded)]
            each = [loop(outputs, together, address=1), loop(together, 1, address=padded)]
            if not first:
                b.memory_b(READ, at - 1, [*loops, *each], sums, LATCH)
            each = [loop(outputs, together, address=1, slot=together), loop(together, 1, address=padded, slot=1)]
            b.memory_b(WRITE, at + write, [*loops, *each], sums, held)


def _stretches(one: Pass, *, first: bool) -> list[tuple[int, int, int, int]]:
    """Tiles, quarters of each, the first tile, the first quarter: of the pass's first quarter, or of all others."""
    tiles, quarters = one.stage.rounds, one.timing.quarters
    if first:
        return [(1, 1, 0, 0)]
    return [some for some in ((1, quarters - 1, 0, 1), (tiles - 1, quarters, 1, 0)) if some[0] and some[1]]


def _inputs(b: Planner, layout: Layout, m: Machine, one: Pass) -> None:
    """A tile's inputs from core SRAM: to go forward with beside the updates, to learn with beside what was before."""
    t, stage, words, tile = one.timing, one.stage, layout.words[one.part.core], one.stage.width
    old = layout.behind(stage.layer, stage.delay)
    updates = one.start + t.updates_at
    with b.account("forward"):
        _load(b, layout, m, one, updates, (stage.rounds, 0), t.now, words.now, 0)
    with b.account("update"):
        spacing = sram_beat_cycles(m)
        first = one.start - lead(m, layout, stage) + 2
        _load(b, layout, m, one, first, (1, 0), Bursts(tile, spacing, tile * spacing), words.old, old)
        beside = one.start + t.forward_at + 2 * t.k
        _load(b, layout, m, one, beside, (stage.rounds - 1, 1), t.old, words.old, old)


def _load(
    b: Planner,
    layout: Layout,
    m: Machine,
    one: Pass,
    at: int,
    tiles: tuple[int, int],
    how: Bursts,
    to: int,
    lag: int,
) -> None:
    """Tiles (how many, the first) of inputs, written to MEM B from cycle `at` on."""
    stage, tile, (count, first) = one.stage, one.stage.width, tiles
    positions, bursts = layout.positions(stage.layer), tile // how.many
    beat = layout.beats[one.part.core].inputs[stage.layer] + first * tile

    def loops(field: str, *steps: int) -> list[Loop]:
        return [
            loop(count, one.timing.period, **{field: steps[0]}),
            loop(layout.batch, bursts * how.period, **{field: steps[1]}),
            loop(bursts, how.period, **{field: steps[2]}),
            loop(how.many, how.spacing, **{field: 1}),
        ]

    fields = {"row_from": FROM_SRAM, "row_to": ALL_COLUMNS, "row_queue": stage.layer, "row_lag": lag}
    b.issue("row_bus", at - 1, loops("row_address", tile, positions, how.many), **fields, row_address=beat)
    b.memory_b(WRITE, at, loops("address", 0, tile, how.many), to, ROW)
    if count:
        b.taken("row latch", at - 1, loops("row_address", 0, 0, 0), 1)
        b.taken("core SRAM", at - 1, loops("row_address", 0, 0, 0), sram_beat_cycles(m))
