"""What cores keep in core SRAM from tick to tick: stored, and brought round the ring when it is wanted."""

from __future__ import annotations

from caterpillar.machine import Machine
from caterpillar.mapping.builder import READ, WRITE, Builder, loop
from caterpillar.mapping.isa import (
    DOWN,
    EXACT,
    FROM_DOWN,
    FROM_PE,
    FROM_SRAM,
    FROM_UP,
    LATCH,
    NOWHERE,
    RATE,
    RESULT,
    ROTATE_CORE,
    ROW,
    TO_SRAM,
    UP,
    ZERO,
    beat_cycles,
    sram_beat_cycles,
)
from caterpillar.mapping.streamed.passes import INPUT, SCALED, Pass
from caterpillar.mapping.streamed.waiting import WaitingLayout

OWN = LATCH + 2


def keep_inputs(b: Builder, layout: WaitingLayout, m: Machine, start: int) -> int:
    """The sample, scaled, from MEM B to core SRAM: of every `cores` positions a core keeps one. Returns when done."""
    beat, columns = sram_beat_cycles(m), m.pe_cols
    for turn in range(layout.turns):
        at = start + 1 + turn * columns * beat
        b.memory_b(READ, at - 1, [], layout.old_input + turn * m.cores, OWN, mode=ROTATE_CORE)
        for g in range(columns):
            _store(b, at + g * beat, g, OWN, layout.beats[0] + turn * columns + g, layout.lag(0, 0))
    return start + 1 + layout.turns * columns * beat


def gather_old_inputs(b: Builder, layout: WaitingLayout, m: Machine, start: int) -> int:
    """The same, of the sample that layer 1 learns with, to MEM B of all cores. Returns when all are there."""
    columns = m.pe_cols
    pace, cores = max(beat_cycles(m), sram_beat_cycles(m)), m.cores
    whole = max(2, columns * pace)
    for turn in range(layout.turns):
        at = start + turn * cores * whole
        for g in range(columns):
            first = {"row_address": layout.beats[0] + turn * columns + g, **layout.lag(0, layout.delay(0))}
            there, when = {"row_to": g, "row_mask": EXACT}, at + g * pace
            send = {"row_send": DOWN} if cores > 1 else {}
            b.issue("row_bus", when, [], row_from=FROM_SRAM, **first, **there, **send)
            passed = [loop(cores - 2, whole)]
            b.issue("row_bus", when + whole, passed, row_from=FROM_DOWN, row_send=DOWN, **there)
            if cores > 1:
                b.issue("row_bus", when + (cores - 1) * whole, [], row_from=FROM_DOWN, **there)
        words, written = [loop(cores, whole, offset=1)], at + (columns - 1) * pace + 1
        b.memory_b(WRITE, written, words, layout.old_input + turn * cores, ROW, mode=ROTATE_CORE)
    return start + layout.turns * cores * whole + 2


def keep_own(b: Builder, layout: WaitingLayout, m: Machine, index: int, start: int) -> int:
    """A layer's own activations to core SRAM, as they lie in positions of the next. Returns when done."""
    layer, after, beat = layout.layers[index - 1], layout.layers[index], sram_beat_cycles(m)
    held, at = None, start
    for number in range(after.chunk * m.pe_cols):
        source = layer.source(number, m.pe_rows)
        slot, column = (OWN, source[1]) if source else (ZERO, 0)
        if source and source[0] != held:
            held = source[0]
            at += 1
            b.memory_b(READ, at - 1, [], layout.own[index] + held, OWN)
        _store(b, at, column, slot, layout.beats[index] + number, layout.lag(index, 0))
        at += beat
    return at


def _store(b: Builder, at: int, column: int, slot: int, beat: int, lag: dict[str, int]) -> None:
    b.issue(
        "row_bus", at, [], row_from=FROM_PE, row_column=column, row_slot=slot, row_to=TO_SRAM, row_address=beat, **lag
    )


def kept_inputs(p: Pass, layout: WaitingLayout, index: int, ready: int) -> None:
    """Inputs of all positions to MEM B, from the last on: old ones, scaled, to update with, and those to go forward.

    Each core's own, sent from `ready` on, go up the ring. Its own old ones are kept in MEM B, for their slopes.
    """
    b, t, cores, chunk = p.b, p.t, p.t.machine.cores, p.t.layer.chunk
    old, new = layout.lag(index - 1, layout.delay(index - 1)), layout.lag(index - 1, 1)
    kinds = ((old, t.begins), (new, t.before(t.fresh)))
    last = (cores - 1) * chunk
    for i in range(chunk):
        for number, (lag, begins) in enumerate(kinds):
            if cores > 1:
                sent = ready + (2 * i + number) * t.span
                _own(p, layout, index, i, sent, lag, {"row_to": NOWHERE, "row_send": UP})
            _own(p, layout, index, i, p.rounds(last + i)[0] + begins, lag, {})
        at = p.rounds(last + i)[0] + t.latched
        b.memory_b(WRITE, at, [], layout.gates[0] + chunk - 1 - i, ROW)
    for low, high, send in ((0, cores - 2, {"row_send": UP}), (max(0, cores - 2), cores - 1, {})):
        at, outer = p.rounds(low * chunk, high * chunk)
        for g in range(t.machine.pe_cols):
            for _, begins in kinds:
                when = at + begins + g * t.pace
                b.issue("row_bus", when, [outer], row_from=FROM_UP, row_to=g, row_mask=EXACT, **send)
    at, outer = p.rounds()
    with b.account("update"):
        b.issue("fma", at + t.latched, [outer], fma_a=RATE, fma_b=ROW, fma_c=ZERO)
        b.memory_b(WRITE, at + t.latched + t.machine.fma_latency, [outer], layout.scaled_word, RESULT)
    with b.account("forward"):
        b.memory_b(WRITE, at + t.fresh, [outer], layout.input_word, ROW)


def _own(p: Pass, layout: WaitingLayout, index: int, i: int, at: int, lag: dict[str, int], to: dict[str, int]) -> None:
    """The core's own position i, from the last on."""
    t, columns = p.t, p.t.machine.pe_cols
    first = layout.beats[index - 1] + (t.layer.chunk - 1 - i) * columns
    for g in range(columns):
        there = to or {"row_to": g, "row_mask": EXACT}
        p.b.issue("row_bus", at + g * t.pace, [], row_from=FROM_SRAM, row_address=first + g, **lag, **there)


def load_inputs(p: Pass, layout: WaitingLayout) -> None:
    """Both inputs of a position, from MEM B to their registers before its first weight."""
    b, t, (at, outer) = p.b, p.t, p.rounds()
    scaled, used = t.latched + t.machine.fma_latency, t.ends - t.period  # used: by the position before
    with b.account("update"):
        b.load_within(at + max(scaled + 1, used), at - 1, layout.scaled_word, SCALED, [outer])
    with b.account("forward"):
        first = max(t.fresh + 1, used + t.work.forward)
        b.load_within(at + first, at + t.work.forward - 1, layout.input_word, INPUT, [outer])
