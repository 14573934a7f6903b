"""Where the inputs of a pass come from: the core SRAM for the first layer, the ring for the others."""

from __future__ import annotations

from caterpillar.mapping.builder import READ, WRITE, ScheduleError
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
    ROW,
    UP,
    ZERO,
)
from caterpillar.mapping.streamed.layout import StreamedLayout
from caterpillar.mapping.streamed.passes import INPUT, SCALED, Pass
from caterpillar.mapping.streamed.timing import Timing

OWN = LATCH + 2


def sample_inputs(p: Pass, layout: StreamedLayout) -> None:
    """The new sample from the core SRAM, to go forward; scaled, it takes the place of the old one in MEM B."""
    b, t, latency = p.b, p.t, p.t.machine.fma_latency
    columns = t.machine.pe_cols
    at, outer = p.rounds()
    with b.account("forward"):
        for g in range(columns):
            beats = p.rounds(row_address=columns)[1]
            when = at + t.begins + g * t.pace
            b.issue("row_bus", when, [beats], row_from=FROM_SRAM, row_to=g, row_mask=EXACT, row_address=g)
        b.memory_b(WRITE, at + t.latched, [outer], layout.input_word, ROW)
    along = p.rounds(address=1)[1]
    with b.account("update"):
        b.issue("fma", at + t.latched, [outer], fma_a=RATE, fma_b=ROW, fma_c=ZERO)
        b.memory_b(WRITE, at + t.latched + latency, [along], layout.old_input, RESULT)
        if t.update:
            old_inputs(p, layout)
    with b.account("forward"):
        used = t.ends + t.work.forward - t.period  # by the position before
        b.load_within(at + max(t.latched + 1, used), at + t.work.forward - 1, layout.input_word, INPUT, [outer])


def old_inputs(p: Pass, layout: StreamedLayout) -> None:
    """The old sample's scaled inputs, from MEM B to update with: before the new one's come there."""
    t, (at, along) = p.t, p.rounds(address=1)
    late = t.latched + t.machine.fma_latency if t.inputs == "sample" else -1
    p.b.load_within(at + t.ends - t.period, at + min(-1, late), layout.old_input, SCALED, [along])


def gathered_inputs(p: Pass, layout: StreamedLayout, index: int) -> None:
    """Layer index's inputs, round the ring (down): the core's own first, then those of the core above, and so on.

    The core's own are kept as they lie in positions, for the slopes and to be gathered once more.
    """
    b, t, cores = p.b, p.t, p.t.machine.cores
    before, chunk, columns = layout.layers[index - 2], t.layer.chunk, t.machine.pe_cols
    for i in range(chunk):
        at, _ = p.rounds(i)
        held = None
        for g in range(columns):
            when, source = at + t.begins + g * t.pace, before.source(i * columns + g, layout.rows)
            if source and source[0] != held:
                held = source[0]
                b.memory_b(READ, when - 1, [], layout.own[index - 1] + held, OWN)
            slot, column = (OWN, source[1]) if source else (ZERO, 0)
            send = {"row_send": DOWN} if cores > 1 else {}
            fields = {"row_column": column, "row_slot": slot, "row_to": g, "row_mask": EXACT}
            b.issue("row_bus", when, [], row_from=FROM_PE, **fields, **send)
    for low, high, send in ((1, cores - 1, {"row_send": DOWN}), (max(1, cores - 1), cores, {})):
        at, outer = p.rounds(low * chunk, high * chunk)
        for g in range(columns):
            when = at + t.begins + g * t.pace
            b.issue("row_bus", when, [outer], row_from=FROM_DOWN, row_to=g, row_mask=EXACT, **send)
    at, outer = p.rounds()
    b.memory_b(WRITE, at + t.latched, [outer], layout.input_word, ROW)
    b.load_within(at + max(t.latched + 1, t.ends - t.period), at - 1, layout.input_word, INPUT, [outer])
    for i in range(chunk):
        at, _ = p.rounds(i)
        if b.store_within(at, at + t.period + t.latched, layout.gates[index - 1] + i, INPUT) is None:
            raise ScheduleError(f"no port of MEM B is free for position {i} of layer {index}")


def gathered_again(p: Pass, layout: StreamedLayout, index: int, ready: int) -> None:
    """The same, last position first, for the update: each core's own, sent from `ready` on, go up the ring."""
    b, t, cores = p.b, p.t, p.t.machine.cores
    chunk, columns, own = t.layer.chunk, t.machine.pe_cols, layout.gates[index - 1]
    if cores > 1:
        for i in range(chunk):
            at = ready + 1 + i * t.span
            b.memory_b(READ, at - 1, [], own + chunk - 1 - i, OWN)
            for g in range(columns):
                fields = {"row_column": g, "row_slot": OWN, "row_to": NOWHERE, "row_send": UP}
                b.issue("row_bus", at + g * t.pace, [], row_from=FROM_PE, **fields)
    for low, high, send in ((0, cores - 2, {"row_send": UP}), (max(0, cores - 2), cores - 1, {})):
        at, outer = p.rounds(low * chunk, high * chunk)
        for g in range(columns):
            when = at + t.begins + g * t.pace
            b.issue("row_bus", when, [outer], row_from=FROM_UP, row_to=g, row_mask=EXACT, **send)
    for i in range(chunk):
        at, _ = p.rounds((cores - 1) * chunk + i)
        b.memory_b(READ, at + t.begins - 1, [], own + chunk - 1 - i, OWN)
        for g in range(columns):
            fields = {"row_column": g, "row_slot": OWN, "row_to": g, "row_mask": EXACT}
            b.issue("row_bus", at + t.begins + g * t.pace, [], row_from=FROM_PE, **fields)
    at, outer = p.rounds()
    scaled = t.latched + t.machine.fma_latency
    with b.account("update"):
        b.issue("fma", at + t.latched, [outer], fma_a=RATE, fma_b=ROW, fma_c=ZERO)
        b.memory_b(WRITE, at + scaled, [outer], layout.scaled_word, RESULT)
        used = t.ends - t.period  # by the position before
        b.load_within(at + max(scaled + 1, used), at - 1, layout.scaled_word, SCALED, [outer])


def sending(t: Timing) -> int:
    """Cycles in which the core's own positions go up the ring before a pass, until all have come."""
    return 1 + t.layer.chunk * t.span + t.pace
