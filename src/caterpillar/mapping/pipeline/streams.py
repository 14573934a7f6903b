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
from caterpillar.mapping.pipeline.choose import hop_cycles
from caterpillar.mapping.pipeline.each_core import each_core, plus
from caterpillar.mapping.pipeline.layout import Layout, old_delay, summed
from caterpillar.mapping.pipeline.parts import Hold, Part, read, use, write
from caterpillar.mapping.pipeline.passes import (
    Pass,
    behind,
    carried,
    load,
    made,
    own_column,
    registers,
    staged,
    staging,
)
from caterpillar.mapping.pipeline.planner import Planner, TooLate


def stream(b: Planner, layout: Layout, m: Machine, one: Pass, loaded: list[int], before: Pass | None) -> None:
    """Bring every position's inputs before it begins, and pass error sums on as they come out.

    loaded: when the registers of each position since the tick's first have been loaded; this pass's are added. before:
    the pass whose inputs are in those registers.
    """
    errors, split = _Errors(b, layout, m, one) if one.index > 1 else None, one.split
    # what has less time to spare is planned first
    after = split.width if errors and errors.hasty else 3 * split.width
    for position in range(split.positions + after):
        if errors and errors.hasty and position >= after:
            errors.leave(position - after)
        if position < split.positions:
            waiting = staging(layout)
            first = max(one.prepared, loaded[-waiting] if len(loaded) >= waiting else 0)
            _inputs(b, layout, m, one, position, first, before)
            loaded.append(one.begins(position) + one.beat.forward)
        if errors and not errors.hasty and position >= after:
            errors.leave(position - after)


def _inputs(b: Planner, layout: Layout, m: Machine, one: Pass, number: int, first: int, before: Pass | None) -> None:
    width, pace, weight = one.split.width, one.beat.pace, one.begins(number)
    factors, inputs, _ = registers(layout)
    what = "first inputs" if number < width else "inputs"
    for old, need in ((True, weight + one.beat.update), (False, weight + one.beat.forward)):
        address = staged(layout, one.earlier + number, old=old)
        with b.account("update" if old else "forward"):
            ready = _bring(b, layout, m, one, number, first, address, old=old)
            if ready > need - 1:
                raise TooLate(what=what, cycles=ready - need + 1)
            window = min(need - ready, width * pace)
            if before and number < width:  # until its last weights, its inputs are needed
                last = before.last_weight + (before.beat.update if old else before.beat.forward)
                window = min(window, max(1, need - last))
            if not load(b, need, window, address, (factors if old else inputs) + number % width):
                raise TooLate(what=what, cycles=1)


def _bring(
    b: Planner, layout: Layout, m: Machine, one: Pass, number: int, first: int, address: int, *, old: bool
) -> int:
    """A position's beats from the core SRAM to MEM B of all lanes; returns when it is ready."""
    split, spacing, layer = one.split, sram_beat_cycles(m), one.index - 1
    register = (layout.registers.old if old else layout.registers.fresh)[layer]
    base = (layout.old if old else layout.fresh)[layer]
    lag = behind(layout, register, old_delay(layout.depth, layer) if old else 1) if register else 0
    if layer:  # the core's own chunk comes last, and is the first in the SRAM: chunk s is that of core k + s
        cores, order = layout.cores, [split.order(core)[number] for core in range(layout.cores)]
        places = [(owner - core) % cores * split.chunk + place for core, (owner, place) in enumerate(order)]
        beat = each_core(base + place * split.steps for place in places)
    else:
        beat = base + number * split.steps
    parts: list[Part] = []
    for step in range(split.steps):
        at = step * spacing
        fields = {"row_from": FROM_SRAM, "row_to": step, "row_mask": split.steps - 1}
        fields |= {"row_address": plus(beat, step), **({"row_queue": register, "row_lag": lag} if register else {})}
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

    @property
    def hasty(self) -> bool:
        """Whether sums have little time to spare on their way to the next core: less than a group of turns."""
        split = self._one.split
        spare = split.between(min(split.chunks)) * self._one.beat.pace - hop_cycles(self._m)
        return not split.joined and spare < self._one.period

    def leave(self, number: int) -> None:
        """A position's sum goes from its register to the next core, which takes it off the ring.

        Those of the last chunk, which are the core's own, go to MEM B, where what came off the ring was: a word for
        each beat of the position, its columns' own.
        """
        one, split = self._one, self._one.split
        slot = registers(self._layout)[2] + number % split.width
        ready = one.error_ready(number) + self._m.fma_latency
        until = ready + one.period - self._m.fma_latency  # then the next sum is on its way to the register
        own, last = split.positions - split.chunk, split.positions - min(split.chunks)
        if split.joined and split.chunk <= number:
            with self._b.account("backward"):
                ready = self._join(ready, until, number, last=number >= own)
        if number < last:
            with self._b.account("collective"):
                self._take(self._send(ready, slot, until), number)
        if number >= own and not split.joined:
            word = carried(self._layout, one.index, number)
            with self._b.account("backward"):
                at = self._b.first_fit(ready, [write(0, word, slot, **own_column(split.steps))])
            if at >= min(until, made(one.end, self._m)):
                raise TooLate(what=f"errors {one.index}", cycles=1)

    def _join(self, ready: int, until: int, number: int, *, last: bool) -> int:
        """Adds what has come off the ring to a sum in a register: there, or for the core's own in MEM B."""
        m, start = self._m, max(ready, self._stored[number - self._one.split.chunk])
        word = carried(self._layout, self._one.index, number)
        slot = registers(self._layout)[2] + number % self._one.split.width
        parts: list[Part] = [
            use(0, "fma", fma_a=slot, fma_b=ONE, fma_c=LATCH + 2, **({} if last else {"fma_to": slot}))
        ]
        if last:
            parts.append(write(m.fma_latency, word, RESULT, **own_column(self._one.split.steps)))
        variants = [[*read(-early, word, 2, 0), *parts] for early in (1, 2, 3, 4)]
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
        """Beats may come off the queue one by one; the row latches are spoken for until all have been stored.

        number: the sending core's position. The next core has it as many positions later as the sender's chunk is long.
        """
        one, split, cores = self._one, self._one.split, self._layout.cores
        columns, parts = self._m.pe_cols, []
        for column in range(columns):
            parts.append(use(column, "row_bus", row_from=FROM_UP, row_to=column, row_mask=EXACT))
        words = [summed(split, number + split.chunks[core - 1], core) * split.steps for core in range(cores)]
        to = each_core(self._layout.words.carried[one.index] + word for word in words)
        parts += [Hold(0, "row latch", columns), write(columns, to, ROW)]
        first = max([self._taken, *(at - column for column, at in enumerate(arrivals))])
        begun = self._b.first_fit(first, parts)
        self._taken = begun + columns
        self._stored[number] = begun + columns + 1
        need = one.begins(number + min(split.chunks)) + one.beat.back - 1
        if not split.joined and begun + columns + 1 > need:
            raise TooLate(what=f"errors {one.index}", cycles=begun + columns + 1 - need)
