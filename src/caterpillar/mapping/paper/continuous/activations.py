"""Activations go up the ring, from the cores that made them to the SRAMs of those that hold the next layer.

A core works on as they come: what is wanted later is sent later. The same times the learning rate follow, which are
wanted ticks later. The tick's inputs, times the learning rate, are each first layer's core's own work.
"""

from __future__ import annotations

from collections.abc import Callable

from caterpillar.machine import Machine
from caterpillar.mapping.isa import (
    EXACT,
    FROM_PE,
    FROM_SRAM,
    RATE,
    REGISTER,
    ROW,
    TO_SRAM,
    UP,
    ZERO,
    sram_beat_cycles,
)
from caterpillar.mapping.paper.continuous.core import CorePlan
from caterpillar.mapping.paper.continuous.layout import Layout
from caterpillar.mapping.paper.continuous.parts import Hold, Part, use
from caterpillar.mapping.paper.continuous.planner import Planner
from caterpillar.mapping.paper.continuous.ring import Action, Ring, SramBeat

FEW = 4  # beats that leave a core together: more find room later


class Activations:
    """The way of every layer's activations. stored: when a beat, by core, layer and position, is in a core's SRAM."""

    def __init__(self, layout: Layout, ring: Ring, plans: dict[int, CorePlan]) -> None:
        self._layout, self._ring, self._plans = layout, ring, plans
        self.stored: dict[tuple[int, int, int], int] = {}

    def begin(self) -> None:
        """All of a tick."""
        rows = self._layout.rows
        for layer in range(1, self._layout.depth):
            pace = self._pace(layer + 1)
            for core, plan in self._plans.items():
                own = self._layout.owned(core, layer)
                for block in own.blocks:
                    word, columns = own.word(block), own.columns(block)
                    soon = plan.gated[layer, word] + block * rows * pace // 4
                    later = max(plan.scaled[layer, word], plan.passes[0].start + block * rows * pace * 2 // 3)
                    self._ring.after(soon, self._leave(core, layer, block, columns, late=False))
                    self._ring.after(later, self._leave(core, layer, block, columns, late=True))

    def _pace(self, layer: int) -> int:
        """Cycles in which a core of a layer works off a position."""
        passes = [one for plan in self._plans.values() for one in plan.passes if one.stage.layer == layer]
        return min(one.pace.shortest // one.stage.width for one in passes)

    def _leave(self, core: int, layer: int, block: int, columns: range, *, late: bool) -> Action:
        """A block of a core's own (late: times the learning rate), a few at a time."""
        columns, rest = columns[:FEW], columns[FEW:]
        layout, words, ring = self._layout, self._layout.words[core], self._ring
        after, rows = layout.of(layer + 1), layout.rows
        first, last = after[0].core, after[-1].core
        how = {} if late else {"queue": layout.registers.gates[layer]}
        source = (words.scaled if late else words.gates)[layer] + layout.owned(core, layer).word(block), how
        way = UP if last > core else 0

        def send(start: int) -> None:
            to = [self._target(layer, block * rows + column, late=late) for column in columns]
            with ring.planners[core].account("collective"):
                times = ring.from_pes(core, start, source, columns, way, to if first == core else None)
            ring.note(core, f"all-gather {layer}", times[0], times[-1])
            if rest:
                ring.after(times[-1] + 1, self._leave(core, layer, block, rest, late=late))
            for i, column in enumerate(columns):
                position = block * rows + column
                if first == core and not late:
                    self.stored[core, layer + 1, position] = times[i]
            if way:
                self._arrive(core, layer, [block * rows + column for column in columns], times, late=late)

        return lambda ready: ring.when_room(ready, core, way, len(columns), send) if way else send(ready)

    def _target(self, layer: int, position: int, *, late: bool) -> SramBeat:
        layout = self._layout
        return (layout.late if late else layout.fresh)[layer] + position, layout.registers.late[layer] if late else 0, 0

    def _arrive(self, core: int, layer: int, positions: list[int], times: list[int], *, late: bool) -> None:
        """Beats that a core has just sent, each by itself, at the core above."""
        for i, position in enumerate(positions):
            later = len(positions) - 1 - i
            self._ring.when_sent(core, UP, times[i : i + 1], self._take(core + 1, layer, position, late=late), later)

    def _take(self, core: int, layer: int, position: int, *, late: bool) -> Callable[[int, list[int]], None]:
        after, ring = self._layout.of(layer + 1), self._ring
        first, last = after[0].core, after[-1].core

        def go(ready: int, arrivals: list[int]) -> None:
            def move(start: int) -> None:
                to = self._target(layer, position, late=late) if core >= first else None
                with ring.planners[core].account("collective"):
                    times = ring.through(core, start, UP, arrivals, on=core < last, to=to)
                ring.note(core, f"all-gather {layer}", times[0], times[0])
                if core >= first and not late:
                    self.stored[core, layer + 1, position] = times[0]
                if core < last:
                    self._arrive(core, layer, [position], times, late=late)

            if core < last:
                ring.when_room(ready, core, UP, 1, move)
            else:
                move(ready)

        return go


def scale_inputs(b: Planner, layout: Layout, m: Machine) -> None:
    """The tick's inputs, times the learning rate, to the core SRAM: a block at a time, two registers in turn."""
    rows, beats, spacing = layout.rows, layout.stages[0].positions, sram_beat_cycles(m)
    first_slot = REGISTER + 2 * max(stage.width for stage in layout.stages) + 2
    done = [0, 0]
    with b.account("update"):
        for number, first in enumerate(range(0, beats, rows)):
            turn, n = number % 2, min(rows, beats - first)
            slot = first_slot + turn
            variants = [_load(first, n, slot, wait, spacing) for wait in (0, 1, 2, 3)]
            at = b.best_fit(done[turn], variants)[0] - 1 + m.fma_latency
            for column in range(n):
                fields = {"row_from": FROM_PE, "row_column": column, "row_slot": slot, "row_to": TO_SRAM}
                to = {"row_address": layout.late[0] + first + column, "row_queue": layout.registers.late[0]}
                at = b.first_fit(at, [use(0, "row_bus", **fields, **to), Hold(0, "core SRAM", spacing)]) + 1
            done[turn] = at


def _load(first: int, n: int, slot: int, wait: int, spacing: int) -> list[Part]:
    end = (n - 1) * spacing + 1 + wait
    parts: list[Part] = [Hold(0, "row latch", end)]
    parts.append(use(end, "fma", fma_a=ROW, fma_b=RATE, fma_c=ZERO, fma_to=slot))
    for column in range(n):
        fields = {"row_from": FROM_SRAM, "row_to": column, "row_mask": EXACT, "row_address": first + column}
        parts += [use(column * spacing, "row_bus", **fields), Hold(column * spacing, "core SRAM", spacing)]
    return parts
