"""The last layer: all samples through it, beside nothing else or beside updates; then its update.

A sample begins before the one before has ended, so every region of MEM B is there several times.
"""

from __future__ import annotations

from caterpillar.mapping.batches.halving import SENT
from caterpillar.mapping.batches.layout import Layout
from caterpillar.mapping.batches.plan import NoRoom, Plan, Rounds
from caterpillar.mapping.batches.samples import Samples, output_rooms
from caterpillar.mapping.batches.update import update_blocks, update_pass, update_rooms
from caterpillar.mapping.builder import READ, WRITE, loop
from caterpillar.mapping.isa import FORWARD, MEM_A, NEGATE, RATE, REGISTER, RESULT, UPDATE, ZERO

MOST_PLACES = 4
PAUSES = 6  # lengths that are tried, at most


def output_words(layout: Layout) -> int:
    """Words of MEM B in use."""
    words, places = output_rooms(layout).words, places_beside(layout)
    return update_rooms(layout, 1).words + places * words if places else _places(layout) * words


def output_pass(p: Plan, layout: Layout, start: int) -> int:
    """All samples through the last layer, own errors of the layer before (dfa: of all) to MEM A; returns when done."""
    words = layout.layers[-1].positions * layout.layers[-1].padded
    p.memory_a(WRITE, start, [loop(words, 1, address=1)], layout.gradient, ZERO)
    rooms, period, saved = _places(layout), 1 << 16, p.save()
    registers = REGISTER, layout.machine.pe_registers
    start = max(start + words, _clear(p, layout, start, 0, rooms))
    length = Samples(p, layout, start, period, 1, registers).emit() - start
    p.restore(saved)
    _clear(p, layout, start, 0, rooms)
    for period in range(-(-length // rooms), 2 * length, max(2, length // 32)):
        saved = p.save()
        try:
            with p.phase(f"forward, backward {len(layout.layers)}", FORWARD):
                end = Samples(p, layout, start, period, layout.batch, registers, rooms).emit()
                if end - start > rooms * period:
                    raise NoRoom("a later sample takes a room too early")
            return output_update(p, layout, end + (layout.batch - 1) * period)
        except NoRoom:
            p.restore(saved)
    raise NoRoom("the last layer finds no rhythm")


def places_beside(layout: Layout) -> int:
    """Samples under way at a time beside the updates of layers 2 and 1; 0: they go by themselves.

    In continuous propagation nothing waits for the output errors within the tick.
    """
    m = layout.machine
    words = (m.pe_mem_b_bytes // 2 - update_rooms(layout, 1).words) // output_rooms(layout).words
    return max(0, min(MOST_PLACES, words, m.pe_registers - layout.width)) if layout.delay[1] else 0


def updates_and_output(p: Plan, layout: Layout, index: int, start: int) -> int:
    """Layers `index` .. 1 updated, the last layer's samples beside them; then its update. Returns when all is done.

    The updates pause between blocks for as long as lets all end soonest.
    """
    blocks = sum(update_blocks(layout, one) for one in range(1, index + 1))
    fewest, saved, best, soonest = _additions(layout) * layout.batch // blocks, p.save(), None, 0
    for pause in range(fewest, fewest + PAUSES):
        p.restore(saved)
        try:
            at = start
            for one in range(index, 0, -1):
                at = update_pass(p, layout, one, at, pause=pause)
            end = max(at, _beside(p, layout, start))
        except NoRoom:
            continue
        if best and end >= soonest:
            break
        best, soonest = p.save(), end
    if best is None:
        raise NoRoom("the last layer finds no place beside the last updates")
    p.restore(best)
    return output_update(p, layout, soonest)


def _beside(p: Plan, layout: Layout, start: int) -> int:
    """The samples one by one, wherever there is room; returns when the last is done."""
    places, base = places_beside(layout), update_rooms(layout, 1).words
    share = (layout.machine.pe_registers - layout.width) // places
    ends = [_clear(p, layout, start, base, places)] * places
    with p.phase(f"forward, backward {len(layout.layers)}", FORWARD, "collective"):
        for sample in range(layout.batch):
            which = sample % places
            registers = REGISTER + layout.width + which * share, share
            one = Samples(p, layout, ends[which], 1 << 16, 1, registers, places, sample, base, beside=True)
            ends[which] = one.emit()
    return max(ends)


def _places(layout: Layout) -> int:
    """Samples under way at a time."""
    return max(1, min(MOST_PLACES, layout.machine.pe_mem_b_bytes // 2 // output_rooms(layout).words))


def _additions(layout: Layout) -> int:
    """What a sample takes of the FMA."""
    layer, m = layout.layers[-1], layout.machine
    halved = layer.beats * max(1, m.pe_rows - 1) + layer.own * max(1, m.pe_cols - 1)
    return 2 * layer.positions * layer.outputs + len(layout.erring) * layer.outputs + halved + layer.own * m.cores


def _clear(p: Plan, layout: Layout, start: int, base: int, places: int) -> int:
    """+0 to the words of MEM B that pad partial logits; returns when all are there."""
    rooms, layer, at = output_rooms(layout), layout.layers[-1], start
    once, beats = Rounds(1, 0), layer.own * layout.machine.pe_cols
    for first, words in (
        (rooms.sums + layer.outputs, layer.padded - layer.outputs),
        (rooms.beats + layer.beats, beats - layer.beats),
    ):
        along = [loop(places, words, address=rooms.words), loop(words, 1, address=1)]
        if words:
            at = p.free_from([("mem_b", 0, along)], once, at)
            p.b(WRITE, at, once, base + first, ZERO, along)
            at += places * words
    return at


def output_update(p: Plan, layout: Layout, start: int) -> int:
    """W <- W - (lr / b) G of the last layer."""
    layer, latency = layout.layers[-1], layout.machine.fma_latency
    words = layer.positions * layer.padded
    pace = next(n for n in range(3, 9) if len({0, 2 % n, (3 + latency) % n}) == 3)
    along = [loop(words, pace, address=1)]
    with p.phase(f"update {len(layout.layers)}", UPDATE):
        p.memory_a(READ, start, along, layout.gradient, MEM_A)
        p.memory_b(WRITE, start + 1, [loop(words, pace)], 0, MEM_A)
        p.memory_b(READ, start + 2, [loop(words, pace)], 0, SENT)
        p.memory_a(READ, start + 2, along, layer.address, MEM_A)
        p.issue("fma", start + 3, [loop(words, pace)], fma_a=RATE, fma_b=SENT, fma_c=MEM_A, fma_flags=NEGATE)
        p.memory_a(WRITE, start + 3 + latency, along, layer.address, RESULT)
    return start + words * pace + 4 + latency
