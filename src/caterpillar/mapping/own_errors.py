"""Errors of a core's own outputs: back through the last layer, which is updated meanwhile."""

from __future__ import annotations

from caterpillar.machine import Machine
from caterpillar.mapping.builder import READ, WRITE, WRITE_GROUP, Builder, loop
from caterpillar.mapping.isa import (
    ACCUMULATOR,
    LATCH,
    MEM_A,
    NEGATE,
    NONE,
    ONE,
    RESULT,
    SLOPE,
    ZERO,
)
from caterpillar.mapping.phases import staged, weight_latch
from caterpillar.mapping.split import Matrix, Tile, up


def back_own(
    b: Builder,
    m: Machine,
    start: int,
    *,
    own: int,
    errors: int,
    words: int,
    outputs: int,
    to: int,
    through: Matrix,
    update: tuple[Matrix, int] | None,
) -> int:
    """Errors of the core's own outputs from `outputs` errors that every PE has; no ring. Returns when they are ready.

    words: of own outputs in a lane. through: the matrix that errors go through. update: the matrix to update, and the
    scaled inputs; if it is the same one, it is read once.
    """
    latency, twice = m.fma_latency, update is not None and update[0] is not through
    pace, sums = own_chains(m, outputs, update=update is not None, twice=twice)
    to_error = 2 - latency % 2 if update and not twice else 3 if twice else 1
    # a few cycles between rows at least, for a port of MEM B must be free for what a row needs once
    row = outputs * pace + max(3, (sums.bit_length() - 1) * (latency + sums // 2))
    ready = start
    for t in range(words):
        base = start + t * row
        used = base - row + (outputs - 1) * pace + 1 + latency % 2  # the row before uses its scaled input
        b.memory_b(READ, base, [loop(outputs, pace, address=1)], errors, LATCH)
        if update:
            with b.account("update"):
                b.load_within(used if t else 0, base, update[1] + t, LATCH + 1)
            _read_row(b, base, pace, update[0], t, outputs, alone=not twice)
            _update_row(b, m, base, pace, update[0], t, outputs)
        if twice or not update:
            _read_row(b, base + to_error - 1, pace, through, t, outputs, alone=not twice)
        with b.account("backward"):
            at = base + to_error
            ready = _error_row(b, m, at, pace, sums, through.tile, outputs, row=row, gate=own + t, to=to + t)
    return ready


def _error_row(
    b: Builder, m: Machine, at: int, pace: int, sums: int, tile: Tile, outputs: int, *, row: int, gate: int, to: int
) -> int:
    """An own output's error, output j's part added to partial sum j mod `sums`; these are added by halving.

    row: cycles from one own output to the next.
    """
    last = at + (outputs - 1) * pace
    gated = {"fma_flags": SLOPE, "fma_gate": LATCH + 3}
    for j in range(outputs):
        slot = ACCUMULATOR + j % sums
        ends = gated if sums == 1 and j == outputs - 1 else {"fma_to": slot}
        fields = {"fma_a": weight_latch(tile, j % tile.wide), "fma_c": slot if j >= sums else ZERO}
        b.issue("fma", at + j * pace, [], fma_b=LATCH, **fields, **ends)
    done = last
    while sums > 1:
        sums //= 2
        done += m.fma_latency + (sums - 1 if sums > 1 else 0)
        first = done - (sums - 1)
        for k in range(sums):
            fields = {"fma_a": ACCUMULATOR + sums + k, "fma_c": ACCUMULATOR + k}
            ends = gated if sums == 1 else {"fma_to": ACCUMULATOR + k}
            b.issue("fma", first + k, [], fma_b=ONE, **fields, **ends)
    b.load_within(done - row, done - 1, gate, LATCH + 3)
    b.memory_b(WRITE, done + m.fma_latency, [], to, RESULT)
    return done + m.fma_latency + 1


def own_chains(m: Machine, outputs: int, *, update: bool, twice: bool) -> tuple[int, int]:
    """Of back_own: cycles a weight takes, and partial sums of an error. twice: MEM A takes three accesses a weight."""
    if twice:
        return max(4, m.fma_latency + m.fma_latency % 2), 1
    pace = 2 if update else 1
    sums = min(1 << (-(-m.fma_latency // pace) - 1).bit_length(), 1 << outputs.bit_length() - 1)
    return max(pace, up(-(-m.fma_latency // sums), pace)), sums


def _read_row(b: Builder, at: int, pace: int, matrix: Matrix, position: int, outputs: int, *, alone: bool) -> None:
    """The groups of a position's row: once, or, if another matrix uses the latches between, for each word again."""
    wide = matrix.tile.wide if alone else 1
    loops = [loop(-(-outputs // wide), wide * pace, address=wide)]
    b.memory_a(READ, at, loops, matrix.at(position, 0), MEM_A)


def _update_row(b: Builder, m: Machine, base: int, pace: int, matrix: Matrix, position: int, outputs: int) -> None:
    """W <- W - (lr h) d for a position's row, lr h in LATCH + 1, d in LATCH; a broken group is written word by word."""
    wide, at = matrix.tile.wide, base + 1 + m.fma_latency % 2
    with b.account("update"):
        for j in range(outputs):
            whole, word = j // wide < outputs // wide, j % wide
            fields = {"fma_a": LATCH + 1, "fma_b": LATCH, "fma_c": weight_latch(matrix.tile, word)}
            to = staged(matrix.tile, word) if whole else NONE
            b.issue("fma", at + j * pace, [], fma_to=to, fma_flags=NEGATE, **fields)
            if to == NONE:
                op = WRITE_GROUP if whole and wide > 1 else WRITE
                b.memory_a(
                    op, at + j * pace + m.fma_latency, [], matrix.at(position, j if op == WRITE else j - word), RESULT
                )
