"""Errors of a layer's inputs: partial sums reduced along the rows of PEs while they go round the ring; transpose.

The ring takes a chunk a step, from the farthest to the core's own. A PE of each row adds what came over the ring to
the sum of its row, and sends it on; both ways lead over the row buses. Beside it, the rows' sums of the next chunk are
made.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from caterpillar.machine import Machine
from caterpillar.mapping.builder import WRITE, Builder, loop
from caterpillar.mapping.isa import (
    ALL_COLUMNS,
    COLUMN,
    DIAGONAL,
    FROM_PE,
    FROM_UP,
    LATCH,
    NOWHERE,
    ONE,
    RESULT,
    RESULT_BEFORE,
    ROW,
    SLOPE,
    TO_SRAM,
    UP,
    ZERO,
    beat_cycles,
    sram_beat_cycles,
)
from caterpillar.mapping.paper.halving import Halving, halving
from caterpillar.mapping.paper.layout import PaperLayer, PaperLayout, up


@dataclass(slots=True, kw_only=True)
class _Ring:
    """Times of one layer's reduce-scatter. Beats of a step are `pitch` cycles apart, steps `period`.

    store: the first beat of core SRAM for the errors of the core's own inputs; None: they go to all PEs. part: the
    chunks that are worked off, a step each, from the last to the first of them. plan: the reduction of N words,
    started every `group` cycles. used: until when each latch of own sums is in use.
    """

    machine: Machine
    layer: PaperLayer
    start: int
    part: tuple[int, int]
    store: int | None = None
    plan: Halving = field(init=False)
    group: int = field(init=False)
    used: dict[int, int] = field(default_factory=dict[int, int])

    def __post_init__(self) -> None:
        self.plan = halving(self.machine, rows=False, pitch=self.pitch)
        least = max(self.pitch * self.layer.beats, self.out(self.pitch) + beat_cycles(self.machine))
        self.group = up(-(-least // self.groups), self.pitch)
        while not self.plan.repeats(self.group):
            self.group += self.pitch

    @property
    def pitch(self) -> int:
        """At least two: each beat comes in and goes out over the row buses."""
        return max(2, beat_cycles(self.machine))

    @property
    def last_pitch(self) -> int:
        """Of the last step: what the core SRAM can take."""
        if self.store is None:
            return self.pitch
        return up(max(self.pitch, sram_beat_cycles(self.machine)), self.pitch)

    def out(self, pitch: int) -> int:
        """Cycles from a beat's arrival on the row buses to its departure, which must not meet another arrival."""
        soonest = 1 + self.machine.fma_latency
        return soonest if soonest % pitch else soonest + 1

    def slot(self, pitch: int) -> int:
        """Where the sum is when it departs."""
        return RESULT if self.out(pitch) == 1 + self.machine.fma_latency else RESULT_BEFORE

    @property
    def rows(self) -> int:
        """PEs of a line."""
        return self.machine.pe_rows

    @property
    def chunks(self) -> int:
        """Steps of the part."""
        return self.part[1] - self.part[0]

    @property
    def ends(self) -> bool:
        """Whether the last step is that of the core's own inputs."""
        return self.part[0] == 0

    def comes(self, step: int) -> bool:
        """Whether sums come over the ring in a step, as in all but the first of all."""
        return step > 0 or self.part[1] < self.layer.chunks

    @property
    def groups(self) -> int:
        """Reductions a chunk."""
        return -(-self.layer.beats // self.rows)

    @property
    def period(self) -> int:
        """Cycles of a step."""
        return self.group * self.groups

    def ready(self, step: int, group: int) -> int:
        """From when a row's sums of a group of positions can be read from MEM B."""
        if not self.plan.levels:
            return self.start
        return self.start + step * self.period + group * self.group + self.plan.result + 1

    def step(self, number: int) -> int:
        """The cycle of a step's first beat; the last waits until no reduction needs the latches that it uses."""
        first = max(self.ready(0, g) - self.pitch * g * self.rows for g in range(self.groups))
        at = self.start + up(first - self.start, self.pitch) + number * self.period
        if number == self.chunks - 1 and self.ends and self.plan.levels:
            level = self.plan.levels[0]
            free = number * self.period + (self.groups - 1) * self.group + level.add(level.words - 1)
            at = max(at, self.start + up(free, self.pitch))
        return at


def reduce_scatter(
    b: Builder,
    layout: PaperLayout,
    m: Machine,
    index: int,
    start: int,
    *,
    store: int | None = None,
    part: tuple[int, int] | None = None,
) -> int:
    """Errors of layer index - 1's own outputs, from partial sums in MEM B at layout.sums, to layout.errors.

    store: to the core SRAM instead, from this beat on. part: only chunks part[0] .. part[1] - 1, whose sums alone lie
    there; parts follow each other from the last chunk to the first. Returns when all are ready. The slope is that of
    the core's own inputs of layer `index`.
    """
    layer = layout.layers[index - 1]
    ring = _Ring(machine=m, layer=layer, start=start, store=store, part=part or (0, layer.chunks))
    chunks = ring.chunks
    if ring.plan.levels:
        _reduce_rows(b, layout, ring)
    pitch = ring.last_pitch if ring.ends else ring.pitch
    first = ring.step(chunks - 1) + ring.out(pitch)
    if store is None and ring.ends:
        b.issue("column_bus", first + 1, [loop(layer.beats, pitch)], column_row=DIAGONAL, column_slot=ROW)
        b.memory_b(WRITE, first + 2, [loop(layer.beats, pitch, address=1)], layout.errors, COLUMN)
    for step in range(chunks):
        _step(b, layout, ring, index, step)
    return first + (layer.beats - 1) * pitch + (3 if store is None else sram_beat_cycles(m))


def _reduce_rows(b: Builder, layout: PaperLayout, ring: _Ring) -> None:
    """The rows' sums of every chunk, those of two steps of the ring in turn, to MEM B."""
    chunks, groups, chunk = ring.chunks, ring.groups, ring.layer.chunk
    each = [loop(chunks, ring.period, address=-chunk), loop(groups, ring.group, address=ring.rows)]
    ring.plan.emit(b, ring.start, sums=layout.sums + (chunks - 1) * chunk, loops=each)
    for parity in range(2):
        at = ring.ready(parity, 0) - 1
        each = [loop(len(range(parity, chunks, 2)), 2 * ring.period), loop(groups, ring.group, address=1)]
        b.memory_b(WRITE, at, each, layout.reduced + parity * groups, RESULT)


def _step(b: Builder, layout: PaperLayout, ring: _Ring, index: int, step: int) -> None:
    """One chunk's beats: in (not in the first step), added, and out to the next core, or where the last belong."""
    rows, beats, last = ring.rows, ring.layer.beats, step == ring.chunks - 1 and ring.ends
    at, pitch = ring.step(step), ring.last_pitch if last else ring.pitch
    for column in range(min(rows, beats)):
        each, when = [loop(len(range(column, beats, rows)), rows * pitch)], at + column * pitch
        if ring.comes(step):
            b.issue("row_bus", when, each, row_from=FROM_UP, row_to=column)
        fields = {"row_from": FROM_PE, "row_column": column, "row_slot": ring.slot(pitch)}
        fields |= {"row_to": ALL_COLUMNS} if last else {"row_to": NOWHERE, "row_send": UP}
        if last and ring.store is not None:
            fields |= {"row_to": TO_SRAM, "row_address": ring.store + column}
            each = [loop(each[0].count, rows * pitch, row_address=rows)]
        b.issue("row_bus", when + ring.out(pitch), each, **fields)
    for group in range(ring.groups):
        when = at + group * rows * pitch + 1
        own = LATCH + 2 + (step * ring.groups + group) % 2
        soonest = max(ring.ready(step, group), ring.used.get(own, 0))
        word = layout.reduced + step % 2 * ring.groups
        if not ring.plan.levels:
            word = layout.sums + (ring.chunks - 1 - step) * ring.layer.chunk
        b.load_within(soonest, when - 1, word + group, own)
        count = min(rows, beats - group * rows)
        ring.used[own] = when + (count - 1) * pitch
        added = {"fma_a": ROW, "fma_b": ONE, "fma_c": own}
        fields = added if ring.comes(step) else {"fma_a": own, "fma_b": ONE, "fma_c": ZERO}
        if last:
            gate = LATCH + group % 2
            b.load_within(max(at - pitch, ring.used.get(gate, 0)), when - 1, layout.own[index - 1] + group, gate)
            ring.used[gate] = ring.used[own]
            fields |= {"fma_flags": SLOPE, "fma_gate": gate}
        b.issue("fma", when, [loop(count, pitch)], **fields)
