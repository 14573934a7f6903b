"""Forward through a hidden layer: a pair of samples a round, while the ring brings the inputs of the next pair."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product

from caterpillar.mapping.batches.gather import Gather, Put, TooLate, write_a
from caterpillar.mapping.batches.halving import Halving
from caterpillar.mapping.batches.layout import PAIR, LayerLayout, Layout
from caterpillar.mapping.batches.plan import NoRoom, Plan, Rounds, Steps
from caterpillar.mapping.builder import READ, WRITE, loop
from caterpillar.mapping.isa import ACCUMULATOR, FORWARD, LATCH, MEM_A, REGISTER, RELU, RESULT, ZERO

ATTEMPTS, LEADS = 60, 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Rooms:
    """MEM B's regions: inputs of two pairs; sums of two chunks; two pairs' sums over rows, a word a beat; own words to
    send."""

    inputs: int
    sums: int
    beats: int
    stage: int
    words: int


def forward_rooms(layout: Layout, index: int) -> Rooms:
    """Where the pass keeps what in MEM B."""
    layer = layout.layers[index - 1]
    sums = 2 * PAIR * layer.positions
    beats = sums + 2 * PAIR * layout.unit
    stage = beats + 2 * PAIR * layer.own * layout.machine.pe_cols
    own = layout.layers[index - 2].own if index > 1 else 0
    return Rooms(inputs=0, sums=sums, beats=beats, stage=stage, words=stage + PAIR * own)


def forward_pass(p: Plan, layout: Layout, index: int, start: int) -> int:
    """Own activations of layer `index` for the whole batch to MEM A; returns when they are there.

    Inputs of the last hidden layer are kept for its update. Free cycles between blocks of sums take the sums over rows
    and columns; there are as few of them as suffice.
    """
    layer, m = layout.layers[index - 1], layout.machine
    blocks = layer.padded // layout.outputs_a_block
    additions = layer.beats * max(1, m.pe_rows - 1) + layer.own * max(1, m.pe_cols - 1)
    gap = -(-PAIR * additions // blocks)
    lead, leads, longer = 0, 0, Gather(layout=layout, index=index).cycles // 16
    for _ in range(ATTEMPTS):
        saved = p.save()
        try:
            with p.phase(f"forward {index}", FORWARD):
                return _Pass(p, layout, index, start, gap, lead).emit()
        except NoRoom as short:
            p.restore(saved)
            if isinstance(short, TooLate) and leads < LEADS:
                lead, leads = lead + short.cycles + leads * longer, leads + 1
            else:
                lead, leads, gap = 0, 0, gap + max(1, gap // 6)
    raise NoRoom(f"forward {index}: no gap is wide enough")


class _Pass:
    def __init__(self, p: Plan, layout: Layout, index: int, start: int, gap: int, lead: int) -> None:
        self.p, self.layout, self.index, self.start = p, layout, index, start
        self.layer: LayerLayout = layout.layers[index - 1]
        self.rooms = forward_rooms(layout, index)
        self.gather = Gather(layout=layout, index=index)
        self.steps = Steps(self.layer.positions, layout.width, gap)
        self.block = self.steps.cycles
        self.chunk = layout.unit // layout.outputs_a_block * self.block
        self.chunks = self.layer.padded // layout.unit
        position = layout.machine.pe_cols * self.gather.spacing
        first = position + (position if self.gather.in_turn else self.gather.cycles) + 16
        whole = PAIR * (self.gather.cycles + 4) + 8
        period = max(self.chunks * self.chunk, whole + lead)
        lead += max(first, whole - self.steps.last)
        period = max(period, lead + lead % 2)
        self.rounds = Rounds(layout.batch // PAIR, period)
        self.main = start + max(lead, self.rooms.stage - self.rooms.beats + 1)

    def emit(self) -> int:
        words = self.rooms.stage - self.rooms.beats  # those past the panel's last beat stay +0
        self.p.memory_b(WRITE, self.start, [loop(words, 1, address=1)], self.rooms.beats, ZERO)
        self._multiply()
        with self.p.account("collective"):
            self._inputs()
            end, written = self._reduce(self.rounds.last, [1 << 62] * PAIR)
            if self.rounds.but_last.count == 0:
                return end
            # the last round takes the room of the last but two
            until = [at - (self.rounds.count - 3) * self.rounds.period for at in written]
            return max(end, self._reduce(self.rounds.but_last, until)[0])

    def _multiply(self) -> None:
        """Blocks of outputs, one position after the other: each weight twice, for the two samples of a pair."""
        p, layout, layer, rooms = self.p, self.layout, self.layer, self.rooms
        width, outputs, latency = layout.width, layout.outputs_a_block, layout.machine.fma_latency
        blocks = layer.padded // outputs
        for first, count, offset in self.steps.runs:
            at = self.main + offset
            loops = [
                *self.rounds.loops,
                loop(blocks, self.block, address=outputs),
                loop(count, width, address=layer.padded),
                loop(outputs, PAIR, address=1),
            ]
            p.memory_a(READ, at - 1, loops, layer.address + first * layer.padded, MEM_A)
            along = [loop(blocks, self.block), loop(count, width, address=PAIR)]
            for s in range(PAIR):
                source = rooms.inputs + first * PAIR + s
                p.b(READ, at - 1 + s, self.rounds, source, LATCH + s, along, flip=PAIR * layer.positions)
            for i in range(width):
                each = {"fma_a": MEM_A, "fma_b": LATCH + i % PAIR, "fma_to": ACCUMULATOR + i}
                p.steps(at + i, [*self.rounds.loops, loop(blocks, self.block)], first, count, width, ZERO, **each)
        last = self.main + self.steps.last + latency
        within = [loop(layout.unit // outputs, self.block, address=outputs), loop(outputs, PAIR, address=1)]
        for parity in range(min(2, self.chunks)):
            for s in range(PAIR):
                at, to = last + parity * self.chunk + s, self._sums(parity) + s * layout.unit
                p.b(WRITE, at, self._chunks(parity, self.rounds), to, RESULT, within, flip=self._flip(parity))

    def _chunks(self, parity: int, rounds: Rounds) -> Rounds:
        """Every second chunk of every round."""
        return replace(rounds, times=-(-(self.chunks - parity) // 2), pace=2 * self.chunk)

    def _sums(self, parity: int) -> int:
        return self.rooms.sums + parity * PAIR * self.layout.unit

    def _flip(self, parity: int) -> int:
        """Chunks alternate between two rooms, from round to round too."""
        size = PAIR * self.layout.unit
        return 0 if self.chunks % 2 == 0 else (-size if parity else size)

    def _inputs(self) -> None:
        """The first pair's before all else, or just before they are first used; the others' beside the pair before."""
        p, layout, at = self.p, self.layout, self.start
        before = layout.layers[self.index - 2] if self.index > 1 else None
        own = before.own if before else 0
        beats = self.layer.positions * layout.machine.pe_cols if before is None else 0
        pair = [
            Gather(
                layout=layout,
                index=self.index,
                stage=self.rooms.stage + s * own,
                beat=s * beats,
                beat_step=PAIR * beats,
            )
            for s in range(PAIR)
        ]
        for s, one in enumerate(pair):
            at = max(at, *one.stage_own(p, self.rounds, self.start, sample=s, step=PAIR))
        flip, past = PAIR * self.layer.positions, layout.past("inputs", self.index, 0)
        puts = [[Put("b", self.rooms.inputs + s, PAIR, {"flip": flip})] for s in range(PAIR)]
        if self.index == len(layout.layers) - 1:
            for s in range(PAIR):
                puts[s].append(Put("a", layout.inputs[self.index] + s, layout.batch, {"step": PAIR, **past}))
        sent: list[dict[int, int]] = [{} for _ in range(PAIR)]
        turns = [(position, s) for position in range(self.layer.positions) for s in range(PAIR)]
        if not self.gather.in_turn:
            turns.sort(key=lambda turn: turn[1])
        late = 0
        for position, s in turns:
            at = pair[s].emit_position(p, self.rounds, at, puts[s], position, sent[s])
            late = max(late, at + 2 - self.main - self.steps.at(position))
        late = max(late, at - self.start - self.rounds.period)  # the next pair's come in the next round
        if late > 0:
            raise TooLate(f"forward {self.index}: inputs come {late} cycles too late", late)

    def _reduce(self, rounds: Rounds, until: list[int]) -> tuple[int, list[int]]:
        """Sums over rows, chunk by chunk; then, of all the panel's beats, over columns; ReLU.

        until: when each sample's room is taken, as said of the first round. Returns when all is done, and when each
        sample's room gets its first word.
        """
        p, layout, m = self.p, self.layout, self.layout.machine
        beats, room = layout.unit // m.pe_rows, self.layer.own * m.pe_cols
        ends = rounds.first + rounds.count == self.rounds.count
        first, done = [1 << 62] * PAIR, [0] * PAIR
        for parity in range(min(2, self.chunks)):
            at = self.main + rounds.first * rounds.period + self.steps.last
            ready = at + (parity + 1) * self.chunk - self.block + layout.width + m.fma_latency
            some = self._chunks(parity, rounds)
            alone = ends and parity == (self.chunks - 1) % 2  # after the last chunk no gap has to be waited for
            for skipped, times in ((0, some.times - alone), (some.times - 1, int(alone))):
                later, turns = skipped * some.pace, replace(some, times=times)
                reused = at + (parity + 2) * self.chunk + later
                for s, beat in product(range(PAIR if times else 0), range(beats)):
                    source = self._sums(parity) + s * layout.unit + beat * m.pe_rows
                    one = Halving(machine=m, rows=True, source=source, moves={"flip": self._flip(parity)})
                    to = self.rooms.beats + s * room + (2 * skipped + parity) * beats + beat
                    moves = {"stride": 2 * beats, "flip": PAIR * room}
                    summed = one.emit(p, turns, ready + later, to, moves, before=reused)
                    done[s] = max(done[s], summed + (times - 1) * some.pace)
                    first[s] = min(first[s], summed - 1)
        limits = [min(at + 2 * rounds.period, end) for at, end in zip(first, until, strict=True)]
        return max(self._columns(rounds, s, done[s], limits[s]) for s in range(PAIR)), first

    def _columns(self, rounds: Rounds, s: int, ready: int, before: int) -> int:
        """A sample's sums over columns, by cycle `before` in the first round; returns when all rounds are done."""
        p, layout, layer, m, end = self.p, self.layout, self.layer, self.layout.machine, 0
        room = layer.own * m.pe_cols
        for position in range(layer.own):
            source = self.rooms.beats + s * room + position * m.pe_cols
            one = Halving(machine=m, rows=False, source=source, moves={"flip": PAIR * room}, flags=RELU)
            turn = 2 * (s * layer.own + position) + (rounds.first > 0)
            slot = REGISTER + turn % m.pe_registers
            at = one.emit(p, rounds, ready, 0, {}, slot=slot, before=before)
            to = layout.activations[self.index] + position * layout.batch + s
            written = write_a(p, rounds, at, to, slot, step=PAIR, **layout.past("activations", self.index, 0))
            p.lock(f"register {slot}", at - m.fma_latency, written - at + m.fma_latency, rounds)
            end = max(end, written + (rounds.count - 1) * rounds.period)
        return end
