"""A batch's update of a layer: each weight's gradient is one chain over the samples, then W <- W - (lr / batch) G.

Inputs come round the ring, a few positions of all samples at a time. Errors lie in MEM B; those of a block of outputs
that find no room there are taken in parts, between which a gradient waits in MEM A.
"""

from __future__ import annotations

from dataclasses import dataclass

from caterpillar.machine import Machine
from caterpillar.mapping.builder import READ, WRITE, Builder, loop
from caterpillar.mapping.isa import (
    LATCH,
    MEM_A,
    NEGATE,
    NONE,
    RATE,
    RESULT,
    RESULT_BEFORE,
    ROW,
    UPDATE,
    ZERO,
    Loop,
    beat_cycles,
    sram_beat_cycles,
)
from caterpillar.mapping.paper.batches.forward import load_errors
from caterpillar.mapping.paper.batches.layout import BatchLayout
from caterpillar.mapping.paper.batches.stream import around, blank
from caterpillar.mapping.paper.forward import sum_places
from caterpillar.mapping.paper.layout import PaperLayer, output_blocks


def update_layer(b: Builder, layout: BatchLayout, m: Machine, index: int, ready: int) -> int:
    """All weights of a layer. Returns when all are written."""
    layer = layout.layers[index - 1]
    with b.phase(f"update {index}", UPDATE):
        for first, count in output_blocks(layer, m):
            for sample, samples in layout.parts[index - 1]:
                source = layout.errors_of(index, sample) + first
                loaded = load_errors(b, m, ready, source=source, beats=count, again=(samples, layer.sums), to=0)
                one = _Pass(
                    machine=m,
                    layer=layer,
                    first=first,
                    count=count,
                    samples=samples,
                    begins=sample == 0,
                    ends=sample + samples == layout.batch,
                )
                one.emit(b, loaded + 1, source=layout.source(index, sample), kept=layout.gradients)
                ready = one.end(loaded + 1)
    return ready


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pass:
    """`count` outputs from `first` on, over some samples; begins, ends: whether the first and the last are among them.

    `ways` positions of a core at a time, so that sums come back no sooner than the FMA gives them.
    """

    machine: Machine
    layer: PaperLayer
    first: int
    count: int
    samples: int
    begins: bool
    ends: bool

    @property
    def pace(self) -> int:
        """Cycles a position and sample."""
        m = self.machine
        return max(self.count, sram_beat_cycles(m), beat_cycles(m) if self.layer.chunks > 1 else 0)

    @property
    def turn(self) -> int:
        """Cycles of a sample."""
        return self.layer.ways * self.pace

    @property
    def updates(self) -> int:
        """Weights that a PE works on at a time."""
        return self.layer.ways * self.count

    @property
    def apart(self) -> int:
        """Cycles from an update to the next: if writes begin before the last read, they take turns."""
        return 1 if self.updates <= self.machine.fma_latency + 1 else 2

    @property
    def after(self) -> int:
        """Cycles by which the writes are late, so as not to meet reads."""
        return self.machine.fma_latency % 2 if self.apart == 2 else 0

    @property
    def period(self) -> int:
        """Cycles of a few positions."""
        taken, drain = self.samples * self.turn, self.machine.fma_latency + self.after + 1
        updating = self.apart * self.updates if self.ends else 0
        if self.begins and self.ends:
            return max(taken + updating, updating + drain)
        return taken + updating + drain  # gradients are read and written besides

    def end(self, at: int) -> int:
        """When all is written, the first multiply-add being at `at`."""
        return at + self.layer.positions // self.layer.ways * self.period + self.machine.fma_latency + self.after

    def emit(self, b: Builder, at: int, *, source: int, kept: int) -> None:
        """source: the first sample's own inputs in core SRAM; kept: gradients in MEM A between passes."""
        layer, ways = self.layer, self.layer.ways
        self._inputs(b, at - 1, source)
        groups = [loop(layer.chunk // ways, layer.chunks * self.period), loop(layer.chunks, self.period)]
        errors = [
            loop(self.samples, self.turn, address=self.count),
            loop(ways, self.pace),
            loop(self.count, 1, address=1),
        ]
        b.memory_b(READ, at - 1, [*groups, *errors], 0, LATCH)
        self._sums(b, at, groups)
        gradients = self._words(self.count, self.pace, 1)
        if not self.begins:
            b.memory_a(READ, at - 1, gradients, kept, MEM_A)
        if not self.ends:
            last = at + (self.samples - 1) * self.turn
            b.memory_a(WRITE, last + self.machine.fma_latency, gradients, kept, RESULT)
            return
        update = at + self.samples * self.turn
        for k, place in enumerate(sum_places(self.machine, self.updates)):
            fields = {"fma_a": RATE, "fma_b": place, "fma_c": MEM_A, "fma_flags": NEGATE}
            b.issue("fma", update + self.apart * k, groups, **fields)
        weights = self._words(layer.sums, self.apart * self.count, self.apart)
        b.memory_a(READ, update - 1, weights, layer.address + self.first, MEM_A)
        written = RESULT_BEFORE if self.after else RESULT
        b.memory_a(WRITE, update + self.machine.fma_latency + self.after, weights, layer.address + self.first, written)

    def _words(self, sums: int, pace: int, apart: int) -> list[Loop]:
        """MEM A's words of the block, which has `sums` a position, in order."""
        layer, ways = self.layer, self.layer.ways
        return [
            loop(layer.chunk // ways, layer.chunks * self.period, address=ways * sums),
            loop(layer.chunks, self.period, address=layer.chunk * sums),
            loop(ways, pace, address=sums),
            loop(self.count, apart, address=1),
        ]

    def _sums(self, b: Builder, at: int, groups: list[Loop]) -> None:
        for k, place in enumerate(sum_places(self.machine, self.updates)):
            when = at + k // self.count * self.pace + k % self.count
            begun = {"fma_a": ROW, "fma_b": LATCH, "fma_c": ZERO if self.begins else MEM_A}
            b.issue("fma", when, groups, **begun, fma_to=place)
            more = {"fma_a": ROW, "fma_b": LATCH, "fma_c": place}
            between = [*groups, loop(self.samples - 2, self.turn)]
            b.issue("fma", when + self.turn, between, **more, fma_to=place)
            last = when + (self.samples - 1) * self.turn
            b.issue("fma", last, groups, **more, fma_to=place if self.ends else NONE)

    def _inputs(self, b: Builder, at: int, source: int) -> None:
        """Each position's beats of all samples, core after core; +0 where a core has fewer positions."""
        layer, ways, step = self.layer, self.layer.ways, self.layer.chunks * self.period
        whole, rest = divmod(layer.beats, ways)
        samples = loop(self.samples, self.turn, row_address=layer.beats)
        fields = {"chunks": layer.chunks, "period": self.period}
        beats = loop(ways, self.pace, row_address=1)
        around(b, at, **fields, source=source, outer=[loop(whole, step, row_address=ways)], inner=[samples, beats])
        cores, samples_ = loop(layer.chunks, self.period), loop(self.samples, self.turn)
        if rest:
            at += whole * step
            beats = loop(rest, self.pace, row_address=1)
            around(b, at, **fields, source=source + whole * ways, outer=[], inner=[samples, beats])
            blank(b, at + rest * self.pace, loops=[cores, samples_, loop(ways - rest, self.pace)])
            at, whole = at + step, whole + 1
        else:
            at += whole * step
        empty = layer.chunk // ways - whole
        blank(b, at, loops=[loop(empty, step), cores, samples_, loop(ways, self.pace)])
