"""Writes a pass through a layer's resident and streamed weights, position by position, as timing.py has laid it out."""

from __future__ import annotations

from itertools import pairwise

from caterpillar.mapping.builder import READ, WRITE, Builder, loop
from caterpillar.mapping.isa import (
    ACCUMULATOR,
    EXACT,
    FROM_PE,
    FROM_SRAM,
    LATCH,
    MEM_A,
    NEGATE,
    NONE,
    REGISTER,
    RESULT,
    RESULT_BEFORE,
    ROW,
    TO_SRAM,
    ZERO,
    Loop,
    sram_beat_cycles,
)
from caterpillar.mapping.streamed.share import Series
from caterpillar.mapping.streamed.timing import Timing

# Registers: a position's inputs, the same scaled, a streamed weight on its way back, an error sum on its way to the
# ring, and error sums.
INPUT, SCALED, UPDATED, CARRIED, SUMS = range(REGISTER, REGISTER + 5)
ERROR, SUM = LATCH, LATCH + 1  # of the weight's output: its error, and its partial sum


class Pass:
    """A pass that begins with slot 0 of its first position at `start`. errors, sums: words of MEM B, by outputs."""

    def __init__(self, b: Builder, t: Timing, start: int, *, errors: int, sums: int) -> None:
        self.b, self.t, self.start = b, t, start
        self.errors, self.sums = errors, sums
        self.positions = t.layer.positions

    def rounds(self, first: int = 0, last: int | None = None, **strides: int) -> tuple[int, Loop]:
        """The cycle of slot 0 of position `first`, in the order of the pass, and the loop up to position last - 1."""
        last = self.positions if last is None else last
        return self.start + first * self.t.period, loop(last - first, self.t.period, **strides)

    @property
    def end(self) -> int:
        """The first cycle in which all is written."""
        t, last = self.t, self.start + (self.positions - 1) * self.t.period
        return last + max(t.issued + t.machine.fma_latency + 1, t.buses)

    def weights(self) -> None:
        """Every weight is read, used, and, updated, written."""
        t = self.t
        for series in t.share.series(t.turns, t.chains):
            if not series.count:
                continue
            if series.streamed:
                self._stream(series)
            else:
                self._resident(series)
            if t.update or t.back:
                at, outer = self.rounds()
                loops = [outer, loop(series.count, series.period, address=series.step)]
                self.b.memory_b(READ, at + series.at - 1, loops, self.errors + series.output, ERROR)
            if t.update:
                self._update(series)
            if t.back:
                self._error(series)
            if t.forward:
                self._forward(series)

    def _first(self, weights: int) -> tuple[int, int]:
        """Weights of so many a position: those before the first position of the pass, and from one to the next."""
        return ((self.positions - 1) * weights, -weights) if self.t.downwards else (0, weights)

    def _stream(self, series: Series) -> None:
        t, columns, beat = self.t, self.t.machine.pe_cols, sram_beat_cycles(self.t.machine)
        before, stride = self._first(t.share.streamed * columns)
        at, outer = self.rounds(row_address=stride)
        loops = [outer, loop(series.count, series.period, row_address=series.stride * columns)]
        first = t.share.beat + before + series.number * columns
        for g in range(columns):
            when, address = at + series.at + g * beat, {"row_address": first + g}
            self.b.issue("row_bus", when + t.arrives, loops, row_from=FROM_SRAM, row_to=g, row_mask=EXACT, **address)
            if t.update:
                there = {"row_column": g, "row_slot": UPDATED, "row_to": TO_SRAM}
                with self.b.account("update"):
                    self.b.issue("row_bus", when + t.returns, loops, row_from=FROM_PE, **there, **address)

    def _resident(self, series: Series) -> None:
        t, latency = self.t, self.t.machine.fma_latency
        before, stride = self._first(t.share.resident)
        at, outer = self.rounds(address=stride)
        loops = [outer, loop(series.count, series.period, address=series.stride)]
        address = t.share.address + before + series.number
        self.b.memory_a(READ, at + series.at - 1, loops, address, MEM_A)
        for written in t.work.writes:
            with self.b.account("update"):
                slot = RESULT if written == latency else RESULT_BEFORE
                self.b.memory_a(WRITE, at + series.at + written, loops, address, slot)

    def _update(self, series: Series) -> None:
        """W - (lr h) d."""
        at, outer = self.rounds()
        loops = [outer, loop(series.count, series.period)]
        fields = {"fma_a": SCALED, "fma_b": ERROR, "fma_c": ROW if series.streamed else MEM_A, "fma_flags": NEGATE}
        with self.b.account("update"):
            self.b.issue("fma", at + series.at, loops, fma_to=UPDATED if series.streamed else NONE, **fields)

    def _error(self, series: Series) -> None:
        """A multiply-add of the input's error: the first of a chain begins with +0, the last ends in a register."""
        t = self.t
        chain = series.output % t.chains
        last = series.output + (series.count - 1) * series.step
        begins, ends = series.output < t.chains, last + t.chains >= t.share.outputs
        cuts = sorted({0, int(begins), max(int(begins), series.count - int(ends)), series.count})
        for low, high in pairwise(cuts):
            c = ZERO if begins and low == 0 else ACCUMULATOR + chain
            to = SUMS + chain if ends and high == series.count else ACCUMULATOR + chain
            at, outer = self.rounds()
            loops = [outer, loop(high - low, series.period)]
            when = at + series.at + low * series.period + 1
            fields = {"fma_a": ROW if series.streamed else MEM_A, "fma_b": ERROR, "fma_c": c, "fma_to": to}
            with self.b.account("backward"):
                self.b.issue("fma", when, loops, **fields)

    def _forward(self, series: Series) -> None:
        """The output's partial sum, from MEM B and back there; the first position begins with +0."""
        t, latency = self.t, self.t.machine.fma_latency
        weight = ROW if series.streamed else MEM_A
        if t.update:
            weight = RESULT if t.work.forward == latency else RESULT_BEFORE
        with self.b.account("forward"):
            for low, high, c in ((0, 1, ZERO), (1, self.positions, SUM)):
                at, outer = self.rounds(low, high)
                when, address = at + series.at + t.work.forward, self.sums + series.output
                loops = [outer, loop(series.count, series.period)]
                along = [outer, loop(series.count, series.period, address=series.step)]
                if low:
                    self.b.memory_b(READ, when - 1, along, address, SUM)
                self.b.issue("fma", when, loops, fma_a=INPUT, fma_b=weight, fma_c=c)
                self.b.memory_b(WRITE, when + latency, along, address, RESULT)
