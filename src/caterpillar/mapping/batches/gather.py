"""A layer's inputs of one sample to all lanes: from the core SRAM, or around the ring from the cores that made them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from caterpillar.mapping.batches.layout import Layout
from caterpillar.mapping.batches.plan import Need, NoRoom, Plan, Rounds
from caterpillar.mapping.builder import READ, WRITE, loop
from caterpillar.mapping.isa import (
    DOWN,
    FROM_DOWN,
    FROM_PE,
    FROM_SRAM,
    LATCH,
    MEM_A,
    ROW,
    ZERO,
    beat_cycles,
    sram_beat_cycles,
)

SENT = LATCH + 2


class TooLate(NoRoom):
    """What a pass begins with needs a longer lead, by some cycles as far as is known."""

    def __init__(self, message: str, cycles: int = 0) -> None:
        super().__init__(message)
        self.cycles = cycles


@dataclass(frozen=True, slots=True)
class Put:
    """Where a position's word goes: "a" or "b" (a memory), address, from one position to the next; how it moves."""

    memory: str
    address: int
    stride: int
    moves: dict[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Gather:
    """A layer's inputs, of the batch of `ago` ticks before. stage: own words in MEM B.

    beat: first in core SRAM; beat_step, beat_stride: how it goes on from round to round, and inside a round.
    """

    layout: Layout
    index: int
    stage: int = 0
    beat: int = 0
    beat_step: int = 0
    beat_stride: int = 0
    ago: int = 0

    @property
    def from_ring(self) -> bool:
        """Layer 1's come from the core SRAM."""
        return self.index > 1

    @property
    def spacing(self) -> int:
        """Cycles from beat to beat; a position takes whole rounds of interleaved sums."""
        m = self.layout.machine
        least = beat_cycles(m) if self.from_ring else sram_beat_cycles(m)
        unit = max(1, self.layout.width // m.pe_cols)
        return -(-least // unit) * unit

    @property
    def cycles(self) -> int:
        """At least, for a sample."""
        return self.layout.layers[self.index - 1].positions * self.layout.machine.pe_cols * self.spacing

    def stage_own(
        self, p: Plan, rounds: Rounds, earliest: int, *, sample: int, step: int, stride: int = 0
    ) -> list[int]:
        """Own words of a sample from MEM A to the stage, in cycles in which the FMA wants nothing of MEM A.

        Returns when each position's is there, with `earliest` before them.
        """
        ready = [earliest]
        if not self.from_ring:
            return ready
        before = self.layout.layers[self.index - 2]
        past = self.layout.past("activations", self.index - 1, self.ago)
        for position in range(before.own):
            at = self.layout.activations[self.index - 1] + position * self.layout.batch + sample
            ready.append(move_to_b(p, rounds, ready[-1], at, self.stage + position, step=step, stride=stride, **past))
        return ready

    def emit(self, p: Plan, rounds: Rounds, staged: list[int], puts: Sequence[Put]) -> int:
        """All positions, one after the other, own words being staged (`stage_own`). Returns when the last is in place.

        Raises NoRoom if the next sample's own words would be staged before this one's have been read.
        """
        at, sent = staged[-1], dict[int, int]()
        for position in range(self.layout.layers[self.index - 1].positions):
            at = self.emit_position(p, rounds, at, puts, position, sent)
        again = rounds.pace if rounds.times > 1 else rounds.period
        for position, there in enumerate(staged[1:]):
            last = min((position + 1) * self.layout.machine.pe_cols, self._beats) - 1
            if rounds.count * rounds.times > 1 and sent[last] > there + again:
                raise NoRoom("the next sample's own words come too early")
        return at + 2

    def emit_position(
        self, p: Plan, rounds: Rounds, earliest: int, puts: Sequence[Put], position: int, sent: dict[int, int]
    ) -> int:
        """A position's word, behind those before it; returns two cycles before it is in place.

        sent: when each beat so far came over the row buses; this position's are added.
        """
        m, sigma, at = self.layout.machine, self.spacing, earliest
        columns, length = m.pe_cols, (m.pe_cols - 1) * sigma + 1
        runs = self._runs(position)
        needs: list[Need] = [("row_bus", 0, [loop(columns, sigma)]), ("rows", 0, [loop(length + 1, 1)])]
        needs += [(f"mem_{put.memory}", length, []) for put in puts]
        for kind, column, count in runs:
            if kind == "own":
                turns = [loop(count, sigma)]
                needs += [(unit, column * sigma - 1, turns) for unit in ("mem_b", "sent")]
                at = max(at, earliest + (column == 0))  # own words are read before
            if kind in ("pass", "take"):
                own = position * columns + column - self._beats
                for beat in range(own, min(own + count, position * columns)):  # others come in time by themselves
                    at = max(at, sent[beat] + beat_cycles(m) - (beat + self._beats) % columns * sigma)
        at = p.free_from(needs, rounds, at)
        for kind, column, count in runs:
            self._run(p, rounds, at, kind, position, column, count)
            sent |= {position * columns + c: at + c * sigma for c in range(column, column + count)}
        p.lock("rows", at, length + 1, rounds)
        for put in puts:
            access = p.a if put.memory == "a" else p.b
            access(WRITE, at + length, rounds, put.address + position * put.stride, ROW, **put.moves)
        return at + columns * sigma

    @property
    def in_turn(self) -> bool:
        """Whether samples can take turns, position by position: off the ring comes what was sent first."""
        return not self.from_ring or self._beats % self.layout.machine.pe_cols == 0

    @property
    def _beats(self) -> int:
        """Of a core's panel."""
        return self.layout.layers[self.index - 2].beats

    def _runs(self, position: int) -> list[tuple[str, int, int]]:
        """(where from, first column, columns) of a position's beats."""
        m = self.layout.machine
        if not self.from_ring:
            return [("sram", 0, m.pe_cols)]
        own, cores = self._beats, m.cores
        edges = [("own", own), ("pass", (cores - 1) * own), ("take", cores * own), ("none", 1 << 30)]
        first, found = position * m.pe_cols, list[tuple[str, int, int]]()
        at = first
        for kind, end in edges:
            stop = min(end, first + m.pe_cols)
            if stop > at:
                found.append((kind, at - first, stop - at))
                at = stop
        return found

    def _run(self, p: Plan, rounds: Rounds, at: int, kind: str, position: int, column: int, count: int) -> None:
        sigma, cores = self.spacing, self.layout.machine.cores
        start = at + column * sigma
        beats = [*rounds.loops, loop(count, sigma, row_to=1)]
        if kind == "sram":
            outer = loop(rounds.count, rounds.period, row_address=self.beat_step)
            times = loop(rounds.times, rounds.pace, row_address=self.beat_stride)
            each = [outer, times, loop(count, sigma, row_to=1, row_address=1)]
            first = self.beat + position * count
            past = {f"row_{name}": value for name, value in self.layout.past("activations", 0, self.ago).items()}
            p.issue("row_bus", start, each, row_from=FROM_SRAM, row_to=column, row_address=first, **past)
        elif kind == "own":
            p.b(READ, start - 1, rounds, self.stage + position, SENT, [loop(count, sigma)])
            p.lock_loop("sent", start - 1, rounds, [loop(count, sigma)])
            each = [*rounds.loops, loop(count, sigma, row_to=1, row_column=1)]
            send = DOWN if cores > 1 else 0
            p.issue(
                "row_bus", start, each, row_from=FROM_PE, row_column=column, row_slot=SENT, row_to=column, row_send=send
            )
        elif kind == "pass":
            p.issue("row_bus", start, beats, row_from=FROM_DOWN, row_to=column, row_send=DOWN)
        elif kind == "take":
            p.issue("row_bus", start, beats, row_from=FROM_DOWN, row_to=column)
        else:
            p.issue("row_bus", start, beats, row_from=FROM_PE, row_column=0, row_slot=ZERO, row_to=column)


def move_to_b(p: Plan, rounds: Rounds, earliest: int, source: int, to: int, *, flip: int = 0, **moves: int) -> int:
    """A word from MEM A (moves: of Plan.a) to MEM B, while the FMA takes none from MEM A; returns when it is there."""
    at = p.free_from([("mem_a", 0, []), ("fma", 1, []), ("mem_b", 1, [])], rounds, earliest)
    p.a(READ, at, rounds, source, MEM_A, **moves)
    p.b(WRITE, at + 1, rounds, to, MEM_A, flip=flip)
    return at + 2


def write_a(p: Plan, rounds: Rounds, earliest: int, to: int, register: int, **moves: int) -> int:
    """A register's word to MEM A (moves: of Plan.a) when its port is free; returns when it is there."""
    at = p.free_from([("mem_a", 0, [])], rounds, earliest)
    p.a(WRITE, at, rounds, to, register, **moves)
    return at + 1
