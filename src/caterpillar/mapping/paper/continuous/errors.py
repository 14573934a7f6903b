"""Error sums go down the ring, a block of positions at a time.

From a layer's highest part on, each part adds its own, then it is on to the cores whose outputs they are the errors of,
in the layer below: a slope, and they wait for the next tick.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from caterpillar.machine import Machine
from caterpillar.mapping.isa import DOWN, LATCH, ONE, REGISTER, ROW, SLOPE
from caterpillar.mapping.paper.continuous.core import CorePlan
from caterpillar.mapping.paper.continuous.layout import Layout
from caterpillar.mapping.paper.continuous.parts import Address
from caterpillar.mapping.paper.continuous.ring import Action, Ring
from caterpillar.mapping.paper.continuous.shares import Part
from caterpillar.mapping.paper.continuous.steps import combine

NEVER = 1 << 40


class Errors:
    """The way of every layer's error sums."""

    def __init__(self, layout: Layout, m: Machine, ring: Ring, plans: dict[int, CorePlan]) -> None:
        self._layout, self._m, self._ring, self._plans = layout, m, ring, plans
        self._came: dict[tuple[Part, int], tuple[int, int]] = {}  # when, and in which word of MEM B
        self._own: dict[tuple[Part, int], int] = {}
        self._busy: dict[tuple[int, int], int] = {}  # until when a core's register holds sums on their way

    def begin(self) -> None:
        """All of a tick."""
        for core, plan in self._plans.items():
            for (number, block), ready in plan.own.items():
                self._ring.after(ready, self._has_own(self._layout.on[core][number], block))

    def _word(self, part: Part, block: int) -> int:
        return self._layout.words[part.core].own[self._layout.number(part)] + block

    def _has_own(self, part: Part, block: int) -> Action:
        def go(ready: int) -> None:
            self._own[part, block] = ready
            if part is self._layout.of(part.layer)[-1]:
                self._pass_on(part, block, (self._word(part, block), {}), ready)
            else:
                self._add(part, block)

        return go

    def _add(self, part: Part, block: int) -> None:
        """What has come for a part and its own, if both are there."""
        if (part, block) not in self._came or (part, block) not in self._own:
            return
        came, word = self._came[part, block]
        own = self._word(part, block), {}

        def go(ready: int) -> None:
            b = self._plans[part.core].planner
            with b.account("collective"):
                done = combine(b, self._m, ready, [(word, {}), own], own)
            self._ring.after(done, lambda ready: self._pass_on(part, block, own, ready))

        self._ring.after(max(came, self._own[part, block]), go)

    def _columns(self, layer: int, block: int) -> range:
        """Of a block of a layer's inputs, the columns of those that there are."""
        rows = self._layout.rows
        return range(min(rows, self._layout.stages[layer - 1].positions - block * rows))

    def _below(self, part: Part) -> Part | None:
        """The layer's next part down."""
        parts = self._layout.of(part.layer)
        place = parts.index(part)
        return parts[place - 1] if place else None

    def _owners(self, part: Part, block: int) -> list[int]:
        """The cores whose outputs a block of a layer's inputs are."""
        layout = self._layout
        cores = sorted({one.core for one in layout.of(part.layer - 1)}, reverse=True)
        return [core for core in cores if block in layout.owned(core, part.layer - 1).blocks]

    def _pass_on(self, part: Part, block: int, word: Address | int, ready: int) -> None:
        """Finished sums, in MEM B or a register, to the part below, or from the lowest to their owners."""
        below = self._below(part)
        if below is None:
            for core in self._owners(part, block):
                if core != part.core:
                    self._deliver(part, block, word, core, ready)
                elif not isinstance(word, int):
                    self._ring.after(ready, self._slope(core, part.layer - 1, block, word))
        elif below.core == part.core:
            self._came[below, block] = ready, self._word(part, block)
            self._add(below, block)
        else:
            columns = self._columns(part.layer, block)

            def sent(times: list[int]) -> None:
                self._ring.when_sent(part.core, DOWN, times, self._take(below, block, columns))

            self._send(part, word, columns, ready, sent)

    def _send(
        self, part: Part, word: Address | int, columns: range, ready: int, sent: Callable[[list[int]], None]
    ) -> None:
        ring, core = self._ring, part.core

        def go(start: int) -> None:
            with ring.planners[core].account("collective"):
                times = ring.from_pes(core, start, word, columns, DOWN)
            ring.note(core, f"reduce-scatter {part.layer}", times[0], times[-1])
            if isinstance(word, int):
                self._busy[core, word] = times[-1]
            sent(times)

        ring.when_room(ready, core, DOWN, len(columns), go)

    def _take(self, part: Part, block: int, columns: range) -> Callable[[int, list[int]], None]:
        """Sums off the ring that a part adds its own to: on their way if those are there, or else later."""
        core, ring = part.core, self._ring
        came = self._layout.words[core].came[self._layout.number(part)] + block

        def go(ready: int, arrivals: list[int]) -> None:
            # beside a pass the row latches seldom wait for a cycle that the FMA has free
            busy = ready < self._plans[core].passes[-1].end or (part, block) not in self._own
            register = None if busy or not self._leaves(part, block) else self._register(core, ready)
            with ring.planners[core].account("collective"):
                if register is None:
                    self._came[part, block] = ring.into_columns(core, arrivals, columns, (came, {})), came
                    self._add(part, block)
                    return
                fields = {"fma_a": ROW, "fma_b": ONE, "fma_c": LATCH + 3, "fma_to": register}
                own = self._word(part, block), {}
                at = ring.added_on_the_way(core, self._own[part, block], arrivals, columns, own, fields)
            done = at + self._m.fma_latency
            ring.after(done, lambda ready: self._pass_on(part, block, register, ready))

        return go

    def _leaves(self, part: Part, block: int) -> bool:
        """Whether a part's sums of a block go to one other core."""
        below = self._below(part)
        to = [below.core] if below else self._owners(part, block)
        return len(to) == 1 and to[0] != part.core

    def _register(self, core: int, ready: int) -> int | None:
        """A register for sums on their way, free from then on."""
        first = REGISTER + 2 * max(stage.width for stage in self._layout.stages)
        for slot in (first, first + 1):
            if self._busy.get((core, slot), -1) < ready:
                self._busy[core, slot] = NEVER
                return slot
        return None

    def _deliver(self, part: Part, block: int, word: Address | int, owner: int, ready: int) -> None:
        """An owner's share of a block."""
        columns = self._layout.owned(owner, part.layer - 1).columns(block)

        def sent(times: list[int]) -> None:
            self._ring.when_sent(
                part.core, DOWN, times, self._down(part.core - 1, owner, part.layer - 1, block, columns)
            )

        self._send(part, word, columns, ready, sent)

    def _down(
        self, core: int, owner: int, layer: int, block: int, columns: range
    ) -> Callable[[int, Sequence[int]], None]:
        """At a core on the way, or at the owner."""
        ring, words, own = self._ring, self._layout.words[owner], self._layout.owned(owner, layer)
        name, back = f"reduce-scatter {layer + 1}", {"queue": self._layout.registers.back}

        def go(ready: int, arrivals: Sequence[int]) -> None:
            if core == owner:
                to = words.back[layer] + own.word(block), back
                with ring.planners[core].account("collective"):
                    done = ring.into_columns(core, arrivals, columns, to)
                ring.note(core, name, arrivals[0], done)
                ring.after(done, self._slope(core, layer, block, to))
                return

            def move(start: int) -> None:
                with ring.planners[core].account("collective"):
                    times = ring.through(core, start, DOWN, arrivals, on=True)
                ring.note(core, name, times[0], times[-1])
                ring.when_sent(core, DOWN, times, self._down(core - 1, owner, layer, block, columns))

            ring.when_room(ready, core, DOWN, len(columns), move)

        return go

    def _slope(self, core: int, layer: int, block: int, word: Address) -> Action:
        """Errors of own outputs: nothing where those were not above zero."""
        layout, m, words = self._layout, self._m, self._layout.words[core]
        number, register = layout.owned(core, layer).word(block), layout.registers.gates[layer]
        delay = layout.stages[layer].delay  # as long as the next layer waits until it learns with them
        gate = words.gates[layer] + number, {"queue": register, "lag": layout.registers.behind(register, delay)}
        to = words.back[layer] + number, {"queue": layout.registers.back}

        def go(ready: int) -> None:
            b = self._plans[core].planner
            with b.account("backward"):
                combine(b, m, ready, [word, gate], to, flags=SLOPE, gate=True)

        return go
