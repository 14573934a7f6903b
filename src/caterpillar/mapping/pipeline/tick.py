"""A tick of continuous propagation: the passes of all layers back to back, what joins them beside them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from caterpillar.machine import Machine
from caterpillar.mapping.isa import MicroProgram
from caterpillar.mapping.pipeline.collectives import Collectives
from caterpillar.mapping.pipeline.layout import Layout, last_bits, last_blocks, late, late_errors
from caterpillar.mapping.pipeline.passes import Pass, beat_of, free_for, last_pass, weight_pass
from caterpillar.mapping.pipeline.planner import Planner, TooLate
from caterpillar.mapping.pipeline.streams import stream

ATTEMPTS = 200


def additions(layout: Layout, machine: Machine) -> dict[int, int]:
    """Multiply-adds that go on beside each layer's pass: of what was made before it, and in the tick before."""
    depth, found = layout.depth, dict.fromkeys(range(1, layout.depth), 0)

    def host(index: int, *, later: bool) -> int:
        return 1 if later or index + 1 >= depth else index + 1

    for index, split in enumerate(layout.splits[1:], start=1):
        lanes = sum(size - 1 + (split.input_lanes // size).bit_length() + 1 for size in split.blocks)
        found[host(index, later=bool(late(depth, index)))] += lanes
        if index > 1:
            errors = len(layout.splits[index - 1].blocks) * split.output_lanes
            found[host(index, later=bool(late_errors(depth, index)))] += errors
    halved, rest = last_bits(machine, layout.splits[-1], layout.sizes[-1])
    blocks = last_blocks(machine, layout.splits[-1], layout.sizes[-1])
    found[1] += blocks * ((1 << len(halved)) - 1 + len(rest) + layout.cores - 1)
    scaled = -(-layout.sample_beats // machine.pe_cols)
    free = 2 * layout.sizes[-1] * len(layout.splits[-1].blocks)
    found[1] += max(0, scaled - free)
    return found


@dataclass(slots=True)
class Room:
    """Cycles added: before a layer's pass, and to each of its groups (whole weights: issues never meet); gaps."""

    before: dict[int, int] = field(default_factory=dict[int, int])
    group: dict[int, int] = field(default_factory=dict[int, int])
    gaps: dict[int, int] = field(default_factory=dict[int, int])


def steady_tick(layout: Layout, machine: Machine, room: Room) -> MicroProgram:
    """The micro-program; room is widened until everything is there when it is needed."""
    for _ in range(ATTEMPTS):
        try:
            return _Tick(layout, machine, room).program()
        except _Widen as wish:
            table = room.group if wish.stream else room.before
            table[wish.layer] = table.get(wish.layer, 0) + wish.cycles
    raise TooLate(what="a tick's plan", cycles=0)


class _Widen(Exception):
    """A layer's pass wants more room."""

    def __init__(self, layer: int, cycles: int, *, stream: bool) -> None:
        super().__init__(layer, cycles)
        self.layer, self.cycles, self.stream = layer, cycles, stream


class _Tick:
    """One attempt."""

    def __init__(self, layout: Layout, machine: Machine, room: Room) -> None:
        self._layout, self._m, self._room = layout, machine, room
        self._b = Planner()
        self._passes: list[Pass] = []
        self._last = (0, 0)
        self._loaded: list[int] = []
        self._spans: list[tuple[int, int, str]] = []

    def program(self) -> MicroProgram:
        """Passes first, then what goes on beside them, in the order of its cycles."""
        depth = self._layout.depth
        for index in range(1, depth):
            self._pass(index)
        self._last_pass()
        for one in self._passes:
            self._stream(one)
        steps = Collectives(self._b, self._layout, self._m)
        if depth > 2:
            self._after_last(steps, 0)
        for one in reversed(self._passes):
            if late_errors(depth, one.index):
                self._errors(steps, one.index, 0)
        for one in reversed(self._passes):
            if late(depth, one.index):
                self._activations(steps, one.index, 0)
        for one in self._passes:
            if one.index > 1 and not late_errors(depth, one.index):
                self._errors(steps, one.index, one.end)
            if not late(depth, one.index):
                self._activations(steps, one.index, one.end)
        if depth == 2:
            self._after_last(steps, self._last[1])
        self._span("scale inputs", 0, steps.scale_inputs(0))
        self._mark(steps.softmax)
        return self._b.program(self._b.end)

    def _mark(self, softmax: tuple[int, int]) -> None:
        """Collectives go on side by side; the trace shows each from where the one that ended before it ended."""
        end = 0
        for until, start, name in sorted([*self._spans, (softmax[1], softmax[0], "softmax")]):
            if until > max(start, end):
                self._b.mark(name, ("collective",), "collective", max(start, end), until)
            end = max(end, until)

    def _errors(self, steps: Collectives, index: int, start: int) -> None:
        """What a hidden layer's pass has sent back; ready at start or, if that is 0, made in the tick before."""
        made = self._made(start)
        done = steps.errors(index, made)
        self._span(f"errors {index - 1}", made, done)
        self._need(index - 1, done, start)

    def _activations(self, steps: Collectives, index: int, start: int) -> None:
        """The activations of a hidden layer, and all cores' for the next one."""
        depth, made = self._layout.depth, self._made(start)
        done = steps.activations(index, made)
        self._span(f"activations {index}", made, done)
        self._need(index, done, start)  # it will need the words of the partial sums
        if index < depth - 1:
            begun, done = done, steps.share(index, done)
            self._span(f"all-gather {index}", begun, done)
            after = self._passes[index]
            self._need(index + 1, done + after.start - after.prepared, start)
            return
        self._need(index + 1, done, start)

    def _made(self, start: int) -> int:
        """When the last results of a pass that ends at start are in MEM B."""
        return start + 2 * self._m.fma_latency + 8 if start else 0

    def _after_last(self, steps: Collectives, start: int) -> None:
        """The last layer's output errors, and those that it has sent back."""
        depth, made = self._layout.depth, self._made(start)
        done = steps.logits(made)
        self._span(f"all-reduce {depth}", made, done)
        self._need(depth, done, start)
        with self._b.account("collective"):
            done = steps.spread(depth - 1, made)
        self._span(f"spread errors {depth - 1}", made, done)
        self._need(depth - 1, done, start)

    def _span(self, name: str, start: int, end: int) -> None:
        self._spans.append((end, start, name))

    def _need(self, index: int, ready: int, start: int) -> None:
        """A late step must be done before the pass that needs it; others have until the end of the tick."""
        begins = self._last[0] if index == self._layout.depth else self._passes[index - 1].start
        if not start and ready > begins:
            raise _Widen(index, ready - begins, stream=False)

    def _pass(self, index: int) -> None:
        layout, m, b = self._layout, self._m, self._b
        split, beat = layout.splits[index], beat_of(m, back=index > 1)
        period = beat.pace * split.width * split.sums + self._room.group.get(index, 0)
        start = (self._passes[-1].end if self._passes else 1) + self._room.before.get(index, 0)
        earlier = sum(one.split.groups for one in self._passes)
        gaps = min(self._room.gaps.get(index, 0), split.groups)
        one = Pass(index=index, start=start, period=period, gaps=gaps, split=split, beat=beat, earlier=earlier)
        while not free_for(b, one, split.width * split.sums, m.fma_latency):
            one = replace(one, start=one.start + 1)
        weight_pass(b, layout, m, one)
        kinds = ("backward", "update", "forward") if index > 1 else ("update", "forward")
        name = f"backward {index}, update {index}, forward {index}" if index > 1 else "update 1, forward 1"
        b.mark(name, kinds, "compute", one.start, one.end)
        self._passes.append(one)

    def _last_pass(self) -> None:
        layout, m, b, depth = self._layout, self._m, self._b, self._layout.depth
        latency, outputs = m.fma_latency, layout.sizes[-1]
        pace = 3 * -(-max(latency, -(-(latency + 2) // outputs)) // 3)
        beat = beat_of(m, back=True, pace=pace)
        start = self._passes[-1].end + self._room.before.get(depth, 0)
        one = Pass(index=depth, start=start, period=0, gaps=0, split=layout.splits[-1], beat=beat, earlier=0)
        while not free_for(b, one, outputs, latency):
            one = replace(one, start=one.start + 1)
        start = one.start
        try:
            end = last_pass(b, layout, m, start, beat)
        except TooLate as found:
            raise _Widen(depth, found.cycles, stream=False) from None
        name = f"backward {depth}, update {depth}, forward {depth}"
        b.mark(name, ("backward", "update", "forward"), "compute", start, end)
        self._last = (start, end)

    def _stream(self, one: Pass) -> None:
        try:
            before = self._passes[one.index - 2] if one.index > 1 else None
            stream(self._b, self._layout, self._m, one, self._loaded, before)
        except TooLate as found:
            first = found.what == "first inputs"
            cycles = found.cycles if first else one.beat.pace
            raise _Widen(one.index, cycles, stream=not first) from None
