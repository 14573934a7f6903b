"""What passes beside a pass, group by group: inputs from the core SRAM, error sums round the ring."""

from __future__ import annotations

from caterpillar.machine import Machine
from caterpillar.mapping.isa import (
    EXACT,
    FROM_PE,
    FROM_SRAM,
    FROM_UP,
    LATCH,
    ONE,
    RESULT,
    ROW,
    UP,
    beat_cycles,
    sram_beat_cycles,
)
from caterpillar.mapping.pipeline.layout import Layout, old_delay
from caterpillar.mapping.pipeline.parts import Hold, Part, read, use, write
from caterpillar.mapping.pipeline.passes import Pass, behind, load, own_column, registers, staged
from caterpillar.mapping.pipeline.planner import Planner, TooLate


def stream(b: Planner, layout: Layout, m: Machine, one: Pass, loaded: list[int], before: Pass | None) -> None:
    """Bring every group's inputs before it begins, and pass error sums on as they come out.

    loaded: when the registers of each group since the tick's first have been loaded; this pass's are added. before:
    the pass whose inputs are in those registers.
    """
    errors = _Errors(b, layout, m, one) if one.index > 1 else None
    for group in range(one.split.groups + 1):
        if errors and group:
            errors.leave(group - 1)
        if group < one.split.groups:
            first = max(one.prepared, loaded[-2] if len(loaded) > 1 else 0)
            _inputs(b, layout, m, one, group, first, before if group == 0 else None)
            loaded.append(one.group(group) + one.split.width * one.beat.pace + one.beat.forward)


def _inputs(b: Planner, layout: Layout, m: Machine, one: Pass, group: int, first: int, before: Pass | None) -> None:
    split, pace = one.split, one.beat.pace
    factors, inputs, _ = registers(layout)
    for a in range(split.width):
        number = group * split.width + a
        weight = one.group(group) + a * pace
        for old, need in ((True, weight + one.beat.update), (False, weight + one.beat.forward)):
            address = staged(layout, one.earlier + group, a, old=old)
            with b.account("update" if old else "forward"):
                ready = _bring(b, layout, m, one, number, first, address, old=old)
                if ready > need - 1:
                    raise TooLate(what="first inputs" if group == 0 else "inputs", cycles=ready - need + 1)
                window = min(need - ready, split.width * pace)
                if before:  # until its last weights, its inputs are needed
                    last = before.last_weight + (before.beat.update if old else before.beat.forward)
                    window = min(window, max(1, need - last))
                if not load(b, need, window, address, (factors if old else inputs) + a):
                    raise TooLate(what="first inputs" if group == 0 else "inputs", cycles=1)


def _bring(
    b: Planner, layout: Layout, m: Machine, one: Pass, number: int, first: int, address: int, *, old: bool
) -> int:
    """A position's beats from the core SRAM to MEM B of all lanes; returns when it is ready."""
    split, spacing, layer = one.split, sram_beat_cycles(m), one.index - 1
    register = (layout.registers.old if old else layout.registers.fresh)[layer]
    base = (layout.old if old else layout.fresh)[layer]
    lag = behind(layout, register, old_delay(layout.depth, layer) if old else 1) if register else 0
    # the core's own chunk comes last, and is the first in the SRAM: chunk s is that of core k + s
    turn, place = divmod(number, split.chunk)
    chunk = 0 if layer == 0 else layout.cores - 1 - turn
    beat = base + (chunk * split.chunk + place) * split.steps
    parts: list[Part] = []
    for step in range(split.steps):
        at = step * spacing
        fields = {"row_from": FROM_SRAM, "row_to": step, "row_mask": split.steps - 1}
        if chunk < 0:  # a position that only fills the last group
            fields |= {"row_address": layout.empty}
        else:
            fields |= {"row_address": beat + step, **({"row_queue": register, "row_lag": lag} if register else {})}
        parts += [use(at, "row_bus", **fields), Hold(at, "core SRAM", spacing)]
    end = (split.steps - 1) * spacing + 1
    parts += [Hold(0, "row latch", end), write(end, address, ROW)]
    return b.first_fit(first, parts) + end + 1


class _Errors:
    """The error sums of a pass, on their way round the ring."""

    def __init__(self, b: Planner, layout: Layout, m: Machine, one: Pass) -> None:
        self._b, self._layout, self._m, self._one = b, layout, m, one
        self._sent = self._taken = 0
        self._stored: dict[int, int] = {}  # when what has come off the ring for a position can be read

    def leave(self, group: int) -> None:
        """A group's sums go to the next core, which takes them off the ring; the last chunk's stay."""
        one, layout = self._one, self._layout
        split, own = one.split, (layout.cores - 1) * one.split.chunk
        for a in range(split.width):
            number, slot = group * split.width + a, registers(layout)[2] + a
            ready = one.error_ready(number) + self._m.fma_latency
            until = ready + one.period - self._m.fma_latency  # then the next sum is on its way to the register
            if split.joined and split.chunk <= number < own + split.chunk:
                with self._b.account("backward"):
                    ready = self._join(ready, until, number, last=number >= own)
            if number < own:
                with self._b.account("collective"):
                    self._take(self._send(ready, slot, until), number + split.chunk)

    def _join(self, ready: int, until: int, number: int, *, last: bool) -> int:
        """Adds what has come off the ring to a sum in a register: there, or for the core's own in MEM B."""
        m, start, carried = self._m, max(ready, self._stored[number]), self._carried(number)
        slot = registers(self._layout)[2] + number % self._one.split.width
        parts: list[Part] = [
            use(0, "fma", fma_a=slot, fma_b=ONE, fma_c=LATCH + 2, **({} if last else {"fma_to": slot}))
        ]
        if last:
            parts.append(write(m.fma_latency, carried, RESULT, **own_column(self._one.split.steps)))
        variants = [[*read(-early, carried, 2, 0), *parts] for early in (1, 2, 3, 4)]
        at = self._b.best_fit(start, variants) - 1 - (m.fma_latency if last else 0)
        if at >= until:
            raise TooLate(what=f"errors {self._one.index}", cycles=at - until + 1)
        return at + m.fma_latency

    def _send(self, ready: int, slot: int, until: int) -> list[int]:
        beat, at = beat_cycles(self._m), max(ready, self._sent)
        arrivals: list[int] = []
        for column in range(self._m.pe_cols):
            parts = [
                use(0, "row_bus", row_from=FROM_PE, row_column=column, row_slot=slot, row_send=UP),
                Hold(0, "ring up", beat),
            ]
            at = self._b.first_fit(at, parts) + 1
            arrivals.append(at - 1 + beat)
        if at > until:
            raise TooLate(what=f"errors {self._one.index}", cycles=at - until)
        self._sent = at
        return arrivals

    def _take(self, arrivals: list[int], number: int) -> None:
        """Beats may come off the queue one by one; the row latches are spoken for until all have been stored."""
        one, split = self._one, self._one.split
        columns, parts = self._m.pe_cols, []
        for column in range(columns):
            parts.append(use(column, "row_bus", row_from=FROM_UP, row_to=column, row_mask=EXACT))
        parts += [Hold(0, "row latch", columns), write(columns, self._carried(number), ROW)]
        first = max([self._taken, *(at - column for column, at in enumerate(arrivals))])
        begun = self._b.first_fit(first, parts)
        self._taken = begun + columns
        self._stored[number] = begun + columns + 1
        group, a = divmod(number, split.width)
        need = one.group(group) + a * one.beat.pace + one.beat.back - 1
        if not split.joined and begun + columns + 1 > need:
            raise TooLate(what=f"errors {one.index}", cycles=begun + columns + 1 - need)

    def _carried(self, number: int) -> int:
        one = self._one
        return self._layout.words.carried[one.index] + number % one.split.chunk * one.split.steps
