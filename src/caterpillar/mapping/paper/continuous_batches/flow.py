"""What goes from core to core: activations up the ring, error sums down. All of it waits in core SRAM."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from caterpillar.machine import Machine
from caterpillar.mapping.isa import DOWN, EXACT, FROM_SRAM, ROW, UP, sram_beat_cycles
from caterpillar.mapping.paper.continuous.parts import Hold, use, write
from caterpillar.mapping.paper.continuous.parts import Part as Step
from caterpillar.mapping.paper.continuous.ring import Action, Ring, SramBeat
from caterpillar.mapping.paper.continuous.shares import Part
from caterpillar.mapping.paper.continuous.steps import combine
from caterpillar.mapping.paper.continuous_batches.core import CorePlan, Item
from caterpillar.mapping.paper.continuous_batches.layout import PAIRS, Layout
from caterpillar.mapping.paper.continuous_batches.timing import waiting

FEW = 4  # beats that leave a core together: more find room later
NEVER = 1 << 40


class Activations:
    """The way of every layer's activations: to the SRAM of their own core and of all cores of the next layer."""

    def __init__(self, layout: Layout, ring: Ring, plans: dict[int, CorePlan]) -> None:
        self._layout, self._ring, self._plans = layout, ring, plans

    def begin(self) -> None:
        """All of a tick."""
        for core, plan in self._plans.items():
            for (number, (sample, block)), ready in plan.reduced.items():
                part = self._layout.on[core][number]
                first, rows = part.first + block * self._layout.rows, self._layout.rows
                groups = range(first, min(first + rows, part.end))
                if part.layer < self._layout.depth:
                    self._ring.after(ready, self._leave(part, sample, block, groups))

    def _beat(self, core: int, layer: int, sample: int, position: int) -> SramBeat:
        """Where a beat of the next tick's inputs lies."""
        first = self._layout.beats[core].inputs[layer]
        return first + sample * self._layout.positions(layer) + position, layer, 1

    def _leave(self, part: Part, sample: int, block: int, groups: range) -> Action:
        """Groups of outputs, each in a row of PEs, a few at a time through the diagonal to a beat each."""
        some, rest = groups[:FEW], groups[FEW:]
        layout, ring, core, above = self._layout, self._ring, part.core, part.layer + 1
        blocks = -(-part.sums // layout.rows)
        word = layout.words[core].reduced[layout.number(part)] + sample * blocks + block
        way = UP if layout.of(above)[-1].core > core else 0

        def send(start: int) -> None:
            to = [self._beat(core, above, sample, group) for group in some]
            rows = [(group - part.first) % layout.rows for group in some]
            with ring.planners[core].account("collective"):
                times = ring.from_diagonal(core, start, (word, {}), rows, way, to)
            ring.note(core, f"all-gather {part.layer}", times[0], times[-1])
            if rest:
                ring.after(times[-1] + 1, self._leave(part, sample, block, rest))
            if way:
                self._arrive(core, above, sample, some, times)

        return lambda ready: ring.when_room(ready, core, way, len(some), send) if way else send(ready)

    def _arrive(self, core: int, layer: int, sample: int, positions: range, times: list[int]) -> None:
        """Beats that a core has just sent, each by itself, at the core above."""
        for i, position in enumerate(positions):
            later = len(positions) - 1 - i
            self._ring.when_sent(core, UP, times[i : i + 1], self._take(core + 1, layer, sample, position), later)

    def _take(self, core: int, layer: int, sample: int, position: int) -> Callable[[int, list[int]], None]:
        parts, ring = self._layout.of(layer), self._ring
        first, last = parts[0].core, parts[-1].core

        def go(ready: int, arrivals: list[int]) -> None:
            def move(start: int) -> None:
                to = self._beat(core, layer, sample, position) if core >= first else None
                with ring.planners[core].account("collective"):
                    times = ring.through(core, start, UP, arrivals, on=core < last, to=to)
                ring.note(core, f"all-gather {layer - 1}", times[0], times[0])
                if core < last:
                    self._arrive(core, layer, sample, range(position, position + 1), times)

            if core < last:
                ring.when_room(ready, core, UP, 1, move)
            else:
                move(ready)

        return go


class Errors:
    """The way of every layer's error sums: each part adds its own to what has come, both from core SRAM."""

    def __init__(self, layout: Layout, m: Machine, ring: Ring, plans: dict[int, CorePlan]) -> None:
        self._layout, self._m, self._ring, self._plans = layout, m, ring, plans
        self._there: set[tuple[Part, Item, bool]] = set()  # of a part and item: its own sums (true), those that came
        self._waiting: dict[int, deque[tuple[Part, Item]]] = {}  # a core's, of which both are there
        self._free: dict[tuple[int, int], int] = {}  # when a core's pair of words is; until then,
        self._leaves: dict[tuple[int, int], int] = {}  # in how many ways its sums are still to leave,
        self._gone: dict[tuple[int, int], int] = {}  # and when the latest of the others has left

    def begin(self) -> None:
        """All of a tick."""
        for core, plan in self._plans.items():
            for (number, item), ready in plan.own.items():
                part = self._layout.on[core][number]
                if part is self._layout.chains[part.layer - 1][0]:
                    self._ring.after(ready, self._meet(part, item))
                else:
                    self._ring.after(ready, self._stored(part, item, own=True))

    def _stored(self, part: Part, item: Item, *, own: bool) -> Action:
        def go(ready: int) -> None:
            self._there.add((part, item, own))
            if (part, item, not own) in self._there:
                self._meet(part, item)(ready)

        return go

    def _columns(self, layer: int, block: int) -> range:
        """Of a block of a layer's inputs, the columns of those that there are."""
        rows = self._layout.rows
        return range(min(rows, self._layout.stages[layer - 1].positions - block * rows))

    def _beats(self, part: Part, item: Item, *, own: bool) -> list[SramBeat]:
        sample, block = item
        beats, number = self._layout.beats[part.core], self._layout.number(part)
        first = (beats.own if own else beats.came)[number] + sample * self._layout.positions(part.layer)
        return [(first + block * self._layout.rows + i, 0, 0) for i in self._columns(part.layer, block)]

    def _meet(self, part: Part, item: Item) -> Action:
        """What came and a part's own are to be added up: in their turn."""

        def go(ready: int) -> None:
            self._waiting.setdefault(part.core, deque()).append((part, item))
            self._next(part.core, ready)

        return go

    def _next(self, core: int, ready: int) -> None:
        """If a pair of words is free, those of a core that wait longest: from core SRAM, added up, and on their way."""
        pair = next((n for n in range(PAIRS) if self._free.get((core, n), 0) <= ready), None)
        if pair is None or not self._waiting[core]:
            return
        self._free[core, pair] = NEVER
        part, item = self._waiting[core].popleft()
        own = self._layout.words[core].pairs + 2 * pair, {}
        came = own[0] + 1, {}
        b = self._ring.planners[core]
        with b.account("collective"):
            done = self._load(core, ready, self._beats(part, item, own=True), own)
            if part is not self._layout.chains[part.layer - 1][0]:
                also = self._load(core, ready, self._beats(part, item, own=False), came)
                done = combine(b, self._m, max(done, also), [came, own], own, waiting=waiting(self._m))
        self._pass_on(part, item, pair, done)

    def _load(self, core: int, start: int, beats: Sequence[SramBeat], to: tuple[int, dict[str, int]]) -> int:
        """Beats of core SRAM, one to each column, then all to a word of MEM B; returns when it is there."""
        spacing, variants = sram_beat_cycles(self._m), list[list[Step]]()
        last = (len(beats) - 1) * spacing + 1
        for wait in (0, 1, 2, 3, 5):
            parts: list[Step] = [Hold(0, "row latch", last + wait), write(last + wait, to, ROW)]
            for i, (address, _, _) in enumerate(beats):
                fields = {"row_from": FROM_SRAM, "row_to": i, "row_mask": EXACT, "row_address": address}
                parts += [use(i * spacing, "row_bus", **fields), Hold(i * spacing, "core SRAM", spacing)]
            variants.append(parts)
        return self._ring.planners[core].best_fit(start, variants)[0]

    def _pass_on(self, part: Part, item: Item, pair: int, ready: int) -> None:
        """To the next part, or from the last to the cores whose outputs' errors they are."""
        layout, (sample, block) = self._layout, item
        chain, columns = layout.chains[part.layer - 1], self._columns(part.layer, block)
        place = chain.index(part)
        if part is not chain[-1]:
            then = chain[place + 1]
            beats = self._beats(then, item, own=False)
            self._leaves[part.core, pair] = 1
            self._to(part, pair, ready, then.core, columns, beats, [self._stored(then, item, own=False)])
            return
        low, high = block * layout.rows, block * layout.rows + len(columns)
        owners = [one for one in layout.chains[part.layer - 2] if one.first < high and one.end > low]
        self._leaves[part.core, pair] = len(owners)
        for owner in owners:
            some = range(max(owner.first, low) - low, min(owner.end, high) - low)
            first = layout.beats[owner.core].back[layout.number(owner)] + sample * owner.sums + low - owner.first
            beats: list[SramBeat] = [(first + i, layout.back, 0) for i in some]
            self._to(part, pair, ready, owner.core, some, beats, [])

    def _to(
        self,
        part: Part,
        pair: int,
        ready: int,
        core: int,
        columns: range,
        beats: list[SramBeat],
        then: list[Action],
    ) -> None:
        """Some columns' sums to a core's SRAM; then what is to be done. After the last of a pair's ways it is free."""
        ring, here, name = self._ring, part.core, f"reduce-scatter {part.layer}"
        word = self._layout.words[here].pairs + 2 * pair, {}
        way = 0 if core == here else DOWN if core < here else UP

        def send(start: int) -> None:
            with ring.planners[here].account("collective"):
                times = ring.from_pes(here, start, word, columns, way, None if way else beats)
            ring.note(here, name, times[0], times[-1])
            self._gone[here, pair] = max(self._gone.get((here, pair), 0), times[-1] + 1)
            self._leaves[here, pair] -= 1
            if not self._leaves[here, pair]:
                self._free[here, pair] = self._gone[here, pair]
                ring.after(self._free[here, pair], lambda ready: self._next(here, ready))
            if way:
                ring.when_sent(here, way, times, self._on_the_way(here, core, name, beats, then))
            else:
                for action in then:
                    ring.after(times[-1] + sram_beat_cycles(self._m), action)

        if way:
            ring.when_room(ready, here, way, len(columns), send)
        else:
            send(ready)

    def _on_the_way(
        self, before: int, target: int, name: str, beats: list[SramBeat], then: list[Action]
    ) -> Callable[[int, list[int]], None]:
        """What a core has sent, at the next one: on the way, or where it goes."""
        ring, way = self._ring, DOWN if target < before else UP
        core = before - 1 if way == DOWN else before + 1

        def go(ready: int, arrivals: list[int]) -> None:
            if core == target:
                with ring.planners[core].account("collective"):
                    times = [
                        ring.through(core, ready, way, [arrival], on=False, to=to)[0]
                        for arrival, to in zip(arrivals, beats, strict=True)
                    ]
                ring.note(core, name, times[0], times[-1])
                for action in then:
                    ring.after(times[-1] + sram_beat_cycles(self._m), action)
                return

            def move(start: int) -> None:
                with ring.planners[core].account("collective"):
                    times = ring.through(core, start, way, arrivals, on=True)
                ring.note(core, name, times[0], times[-1])
                ring.when_sent(core, way, times, self._on_the_way(core, target, name, beats, then))

            ring.when_room(ready, core, way, len(arrivals), move)

        return go
