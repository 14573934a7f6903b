"""A tick of continuous propagation: the passes of all layers back to back, what joins them beside them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from caterpillar.machine import Machine
from caterpillar.mapping.isa import MicroProgram
from caterpillar.mapping.pipeline.choose import after_pass
from caterpillar.mapping.pipeline.collectives import Collectives
from caterpillar.mapping.pipeline.last import last_pass
from caterpillar.mapping.pipeline.layout import Layout
from caterpillar.mapping.pipeline.output import Output
from caterpillar.mapping.pipeline.passes import Pass, beat_of, free_for, made
from caterpillar.mapping.pipeline.planner import Planner, TooLate
from caterpillar.mapping.pipeline.streams import stream
from caterpillar.mapping.pipeline.weights import weight_pass
from caterpillar.mapping.pipeline.words import doubling, last_bits, last_blocks

PATIENCE = 200  # so often room is widened
SHORTLY = 16  # cycles
MUCH = 64  # a tick is made longer by one part of so many where something finds no room in two of them


def additions(layout: Layout, machine: Machine) -> dict[int, int]:
    """Multiply-adds between what each layer's pass has made and what the passes of the next tick take."""
    found: dict[int, int] = {}
    for index, split in enumerate(layout.splits[1:], start=1):
        found[index] = after_pass(split, layout.splits[index - 1] if index > 1 else None, machine)
    halved, rest = last_bits(machine, layout.splits[-1], layout.sizes[-1])
    blocks = last_blocks(machine, layout.splits[-1], layout.sizes[-1])
    cores = (machine.cores - 1).bit_length() if doubling(machine) else machine.cores - 1
    found[layout.depth] = blocks * ((1 << len(halved)) - 1 + len(rest) + cores)
    return found


@dataclass(slots=True)
class Room:
    """Cycles added: before a layer's pass, and to each of its groups (whole weights: issues never meet).

    gaps: how many, and how many groups after each other.
    """

    before: dict[int, int] = field(default_factory=dict[int, int])
    group: dict[int, int] = field(default_factory=dict[int, int])
    gaps: dict[int, tuple[int, int]] = field(default_factory=dict[int, tuple[int, int]])


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """The micro-program, and whether the labels are wanted a tick after the last layer's pass. room: as planned."""

    program: MicroProgram
    late: bool
    room: Room


def steady_tick(layout: Layout, machine: Machine, room: Room, *, patient: bool) -> Tick:
    """Room is widened until everything is there when it is needed; unless patient, passes do not wait but shortly."""
    for _ in range(PATIENCE):
        attempt = _Tick(layout, machine, room)
        try:
            program, late = attempt.tick()
            return Tick(program=program, late=late, room=room)
        except TooLate as found:
            if not patient:
                raise
            room.before[attempt.serves] = room.before.get(attempt.serves, 0) + 1 + found.cycles // MUCH
        except _Widen as wish:
            if not (patient or wish.stream or wish.cycles <= SHORTLY):
                raise TooLate(what="a pass", cycles=wish.cycles) from None
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
        self._b = Planner(layout.registers.queues, max(split.width for split in layout.splits))
        self._passes: list[Pass] = []
        self._spans: dict[int, tuple[int, int]] = {}  # first weight of each layer's pass, and of the next
        self._cycles = 0
        self._loaded: list[int] = []
        self._marks: list[tuple[int, int, str]] = []
        self.serves = 1  # the layer whose pass needs what is being planned

    def tick(self) -> tuple[MicroProgram, bool]:
        """Passes first, then what goes on beside them and beside those of the next tick, in the order of its cycles."""
        depth = self._layout.depth
        for index in range(1, depth):
            self._pass(index)
        self._last_pass()
        for one in self._passes:
            self._stream(one)
        self._cycles = self._b.close()
        steps = Collectives(self._b, self._layout, self._m)
        for index in range(1, depth):
            self._activations(steps, index)
            if index > 1:
                self._errors(steps, index)
        output = Output(self._b, self._layout, self._m)
        self._after_last(steps, output)
        self._marks.append((output.softmax[1], output.softmax[0], "softmax"))
        self._mark()
        return self._b.program(self._cycles), output.softmax[0] >= self._cycles

    def _mark(self) -> None:
        """Collectives go on side by side; the trace shows each from where the one that ended before it ended."""
        end, cycles = 0, self._cycles
        pieces = [
            (min(until - k * cycles, cycles), max(start - k * cycles, 0), name)
            for until, start, name in self._marks
            for k in (0, 1)
        ]
        for until, start, name in sorted(piece for piece in pieces if piece[0] > piece[1]):
            if until > max(start, end):
                self._b.mark(name, ("collective",), "collective", max(start, end), until)
            end = max(end, until)

    def _activations(self, steps: Collectives, index: int) -> None:
        """The activations of a hidden layer, and all cores' for the next one."""
        depth, made = self._layout.depth, self._made(index)
        self.serves = index + 1
        done = steps.activations(index, made)
        self._span(f"activations {index}", made, done)
        self._free("sums", index, done)
        if index < depth - 1:
            begun, done = done, steps.share(index, done)
            self._span(f"all-gather {index}", begun, done)
            after = self._passes[index]
            done += after.start - after.prepared
        self._need(index + 1, done)

    def _errors(self, steps: Collectives, index: int) -> None:
        """What a hidden layer's pass has sent back, to the lanes that learn with it."""
        made, self.serves = self._made(index), index - 1
        own = steps.errors(index, made)
        self._free("carried", index, own)
        done = steps.spread(index - 1, max(own, self._freed("errors", index - 1)))
        self._span(f"errors {index - 1}", made, done)
        self._need(index - 1, done)

    def _after_last(self, steps: Collectives, output: Output) -> None:
        """The last layer's output errors, and those that it has sent back."""
        depth, made = self._layout.depth, self._made(self._layout.depth)
        self.serves = depth - 1
        done = steps.spread(depth - 1, max(made, self._freed("errors", depth - 1)))
        self._span(f"spread errors {depth - 1}", made, done)
        self._need(depth - 1, done)
        self.serves = depth
        logits = output.logits(made)
        self._span(f"all-reduce {depth}", made, logits)
        self._free("sums", depth, logits)
        done = output.errors(max(logits, self._freed("errors", depth)))
        self._span(f"spread errors {depth}", logits, done)
        self._need(depth, done)

    def _made(self, index: int) -> int:
        """When the last results of a layer's pass are in MEM B."""
        return made(self._spans[index][1], self._m)

    def _span(self, name: str, start: int, end: int) -> None:
        self._marks.append((end, start, name))

    def _need(self, index: int, ready: int) -> None:
        """What the pass of a layer needs in the next tick must be ready."""
        begins = self._cycles + self._spans[index][0]
        if ready > begins:
            raise _Widen(index, ready - begins, stream=False)

    def _free(self, what: str, index: int, done: int) -> None:
        """Words that a layer's pass has left must have been taken before another pass, or the same again, begins."""
        for other in self._with(what, index):
            begins = self._spans[other][0]
            begins += self._cycles if begins <= self._spans[index][0] else 0
            if done > begins:
                raise _Widen(other, done - begins, stream=False)

    def _freed(self, what: str, index: int) -> int:
        """From when on words that a layer's pass in the next tick takes are its own."""
        begins = self._spans[index][0]
        return max(
            self._spans[other][1] + (self._cycles if self._spans[other][0] < begins else 0)
            for other in self._with(what, index)
        )

    def _with(self, what: str, index: int) -> Iterator[int]:
        yield index
        yield from self._layout.words.shares[what][index]

    def _pass(self, index: int) -> None:
        layout, m, b = self._layout, self._m, self._b
        split, beat = layout.splits[index], beat_of(m, back=index > 1)
        period = beat.pace * split.group_words + self._room.group.get(index, 0)
        start = (self._passes[-1].end if self._passes else 1) + self._room.before.get(index, 0)
        earlier = sum(one.split.positions for one in self._passes)
        gaps, apart = self._room.gaps.get(index, (0, 1))
        one = Pass(
            index=index,
            start=start,
            period=period,
            gaps=min(gaps, split.groups),
            apart=apart,
            split=split,
            beat=beat,
            earlier=earlier,
        )
        while not free_for(b, one, split.group_words, m.fma_latency):
            one = replace(one, start=one.start + 1)
        weight_pass(b, layout, m, one)
        kinds = ("backward", "update", "forward") if index > 1 else ("update", "forward")
        name = f"backward {index}, update {index}, forward {index}" if index > 1 else "update 1, forward 1"
        b.mark(name, kinds, "compute", one.start, one.end)
        self._passes.append(one)
        self._spans[index] = one.start, one.end

    def _last_pass(self) -> None:
        layout, m, b, depth = self._layout, self._m, self._b, self._layout.depth
        latency, outputs = m.fma_latency, layout.sizes[-1]
        pace = 3 * -(-max(latency, -(-(latency + 2) // outputs)) // 3)
        beat = beat_of(m, back=True, pace=pace)
        start = self._passes[-1].end + self._room.before.get(depth, 0)
        one = Pass(index=depth, start=start, period=0, gaps=0, apart=1, split=layout.splits[-1], beat=beat, earlier=0)
        while not free_for(b, one, outputs, latency):
            one = replace(one, start=one.start + 1)
        start = one.start
        try:
            end = last_pass(b, layout, m, start, beat)
        except TooLate as found:
            raise _Widen(depth, found.cycles, stream=False) from None
        name = f"backward {depth}, update {depth}, forward {depth}"
        b.mark(name, ("backward", "update", "forward"), "compute", start, end)
        self._spans[depth] = start, end

    def _stream(self, one: Pass) -> None:
        try:
            before = self._passes[one.index - 2] if one.index > 1 else None
            stream(self._b, self._layout, self._m, one, self._loaded, before)
        except TooLate as found:
            first = found.what == "first inputs"
            cycles = found.cycles if first else one.beat.pace
            raise _Widen(one.index, cycles, stream=not first) from None
