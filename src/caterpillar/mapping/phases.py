"""The phases of schedules; each writes its instructions and returns the cycle at which what it makes is ready.

"Ready at t" means: from cycle t on it can be read from where the phase puts it.
"""

from __future__ import annotations

from caterpillar.machine import Machine
from caterpillar.mapping.builder import READ, WRITE, Builder, loop
from caterpillar.mapping.isa import (
    ACCUMULATOR,
    ALL_COLUMNS,
    COLUMN,
    DOWN,
    FROM_DOWN,
    FROM_PE,
    FROM_SOFTMAX,
    FROM_SRAM,
    LATCH,
    LINK,
    MEM_A,
    NEGATE,
    ONE,
    RATE,
    REGISTER,
    RELU,
    RESULT,
    RESULT_BEFORE,
    ROTATE_CORE,
    ROW,
    SLOPE,
    TO_SOFTMAX,
    XOR_LANE,
    ZERO,
    accumulators,
    beat_cycles,
    link_hops,
    softmax_cycles,
    sram_beat_cycles,
)
from caterpillar.mapping.layout import back_unit


def gather_ring(
    b: Builder, m: Machine, start: int, *, own: int, to: int, blocks: int, columns: int, pace: int, rotate: bool = False
) -> int:
    """Ring all-gather: position s blocks + t gets word t of core k + s; own words are read from MEM B at `own`.

    A position takes `pace` cycles, the first from `start` on; its word is ready gather_delay after its start.
    rotate: store at to + t C + (core's number) in place of to + position. Returns when the last word is ready.
    """
    beat, cores = beat_cycles(m), m.cores
    period = blocks * pace
    b.memory_b(READ, start - 1, [loop(blocks, pace, address=1)], own, LATCH + 2)
    for column in range(columns):
        at = start + column * beat
        send = DOWN if cores > 1 else 0
        own_loop = [loop(blocks, pace)]
        b.issue(
            "row_bus",
            at,
            own_loop,
            row_from=FROM_PE,
            row_column=column,
            row_slot=LATCH + 2,
            row_to=column,
            row_send=send,
        )
        passing = [loop(cores - 2, period), *own_loop]
        b.issue("row_bus", at + period, passing, row_from=FROM_DOWN, row_to=column, row_send=DOWN)
        if cores > 1:
            b.issue("row_bus", at + (cores - 1) * period, own_loop, row_from=FROM_DOWN, row_to=column)
    delay = gather_delay(m, columns)
    for t in range(blocks):
        at = start + t * pace + delay - 1
        if rotate:
            loops = [loop(cores, period, offset=1)]
            b.memory_b(WRITE, at, loops, to + t * cores, ROW, mode=ROTATE_CORE)
        else:
            b.memory_b(WRITE, at, [loop(cores, period, address=blocks)], to + t, ROW)
    return start + (cores * blocks - 1) * pace + delay


def gather_delay(m: Machine, columns: int) -> int:
    """Cycles from a position's first beat until its word is ready in MEM B."""
    return (columns - 1) * beat_cycles(m) + 2


def gather_pace(m: Machine, columns: int, at_least: int) -> int:
    """Cycles a position takes when the ring or the loop that eats it sets the pace; two for the ports of MEM B."""
    return max(2, at_least, columns * beat_cycles(m))


def load_input(b: Builder, m: Machine, start: int, *, to: int, positions: int, pace: int) -> int:
    """The next sample from the core SRAM to MEM B, a position each `pace` cycles; returns when the first is ready."""
    beat = sram_beat_cycles(m)
    for column in range(m.pe_cols):
        loops = [loop(positions, pace, row_address=m.pe_cols)]
        b.issue("row_bus", start + column * beat, loops, row_from=FROM_SRAM, row_to=column, row_address=column)
    delay = (m.pe_cols - 1) * beat + 2
    b.memory_b(WRITE, start + delay - 1, [loop(positions, pace, address=1)], to, ROW)
    return start + delay


def input_pace(m: Machine, at_least: int) -> int:
    """Cycles a position of a new sample takes."""
    return max(at_least, m.pe_cols * sram_beat_cycles(m))


def forward(
    b: Builder, m: Machine, start: int, *, inputs: int, positions: int, padded: int, address: int, sums: int, pace: int
) -> int:
    """Partial sums of all the panel's outputs over this lane's inputs, to MEM B at `sums`; a multiply-add a cycle.

    The first multiply-add is issued at `start`; in the first block of outputs a position takes `pace` cycles.
    Returns when all sums are ready.
    """
    width = accumulators(m)
    blocks = padded // width
    rest = start + positions * pace
    for first, count, base, period in ((0, 1, start, pace), (1, blocks - 1, rest, width)):
        outer = positions * width
        column = address + first * width

        def nest(at: int, low: int, high: int, *, outer: int = outer, count: int = count, period: int = period):
            return at + low * period, [loop(count, outer, address=width), loop(high - low, period, address=padded)]

        at, loops = nest(base, 0, positions)
        b.memory_a(READ, at - 1, [*loops, loop(width, 1, address=1)], column, MEM_A)
        b.memory_b(READ, at - 1, [loop(count, outer), loop(positions, period, address=1)], inputs, LATCH + 1)
        for low, high, add in ((0, 1, False), (1, positions, True)):
            at, loops = nest(base, low, high)
            plain = [loop(one.count, one.period) for one in loops]
            for k in range(width):
                c = ACCUMULATOR + k if add else ZERO
                b.issue("fma", at + k, plain, fma_a=LATCH + 1, fma_b=MEM_A, fma_c=c, fma_to=ACCUMULATOR + k)
        last = base + (positions - 1) * period + m.fma_latency
        loops = [loop(count, outer, address=width), loop(width, 1, address=1)]
        b.memory_b(WRITE, last, loops, sums + first * width, RESULT)
    return rest + (blocks - 1) * positions * width - (pace - width if blocks == 1 else 0) + m.fma_latency


def update_forward(
    b: Builder,
    m: Machine,
    start: int,
    *,
    old: int,
    new: int,
    errors: int,
    positions: int,
    padded: int,
    address: int,
    sums: int,
    pace: int,
    go_forward: bool = True,
) -> int:
    """W <- W - (lr h) d of the sample before, and the new sample's partial sums with the W just written.

    Each weight is read and written once, and takes two cycles; the first is read at `start`. go_forward False: the
    update alone. Returns when all sums are ready (all weights written).
    """
    width, latency = back_unit(m), m.fma_latency
    blocks = padded // width
    odd = latency % 2  # updates come out in odd cycles, when no weight is read
    after = RESULT if odd else RESULT_BEFORE
    update_at = 2 if odd else 1
    rest = start + positions * pace
    errors_used: list[tuple[int, int]] = []
    for first, count, base, period in ((0, 1, start, pace), (1, blocks - 1, rest, 2 * width)):
        outer = positions * 2 * width
        nest = [loop(count, outer), loop(positions, period)]
        words = [
            loop(count, outer, address=width),
            loop(positions, period, address=padded),
            loop(width, 2, address=1),
        ]
        column = address + first * width
        b.memory_a(READ, base, words, column, MEM_A)
        with b.account("update"):
            b.memory_b(READ, base + odd, [loop(count, outer), loop(positions, period, address=1)], old, LATCH)
            for k in range(width):
                at = base + 2 * k + update_at
                b.issue("fma", at, nest, fma_a=LATCH, fma_b=REGISTER + k, fma_c=MEM_A, fma_flags=NEGATE)
            b.memory_a(WRITE, base + update_at + latency, words, column, RESULT)
        errors_used.extend((base + block * outer, first + block) for block in range(count))
        if not go_forward:
            continue
        at = base + 2 + latency
        with b.account("forward"):
            b.memory_b(READ, at - 1, [loop(count, outer), loop(positions, period, address=1)], new, LATCH + 1)
            for k in range(width):
                for low, high, c in ((0, 1, ZERO), (1, positions, ACCUMULATOR + k)):
                    loops = [loop(count, outer), loop(high - low, period)]
                    issue = at + low * period + 2 * k
                    b.issue("fma", issue, loops, fma_a=LATCH + 1, fma_b=after, fma_c=c, fma_to=ACCUMULATOR + k)
            loops = [loop(count, outer, address=width), loop(width, 2, address=1)]
            b.memory_b(WRITE, at + (positions - 1) * period + latency, loops, sums + first * width, RESULT)
    with b.account("update"):
        for base, block in errors_used:  # between the last use of the block before and the first of this one
            for k in range(width):
                last = base + 2 * k + update_at - 1
                b.load_within(max(0, last + 1 - 2 * width), last, errors + block * width + k, REGISTER + k)
    end = rest + (blocks - 1) * positions * 2 * width - (pace - 2 * width if blocks == 1 else 0)
    return end + 1 + 2 * latency if go_forward else end + latency + odd


def clear(b: Builder, start: int, *, words: int, to: int) -> int:
    """+0 to MEM B; returns when done."""
    b.memory_b(WRITE, start, [loop(words, 1, address=1)], to, ZERO)
    return start + max(0, words)


def reduce_lanes(b: Builder, m: Machine, start: int, *, sums: int, to: int, blocks: int, relu: bool) -> int:
    """Adds the lanes' partial sums by recursive halving over the neighbour links; lane p gets outputs t P + p.

    Partial sums are ready at `start`; word t goes to MEM B at to + t. Returns when all are ready.
    """
    for t in range(blocks):
        start = _reduce_block(b, m, start, sums=sums + t * m.pes_per_core, to=to + t, flags=RELU if relu else 0)
    return start


def _reduce_block(b: Builder, m: Machine, start: int, *, sums: int, to: int, flags: int) -> int:
    latency, words = m.fma_latency, m.pes_per_core // 2
    if words == 0:
        b.memory_b(READ, start, [], sums, LATCH)
        b.issue("fma", start + 1, fma_a=LATCH, fma_b=ONE, fma_c=ZERO, fma_flags=flags)
        b.memory_b(WRITE, start + 1 + latency, [], to, RESULT)
        return start + 2 + latency
    ready: list[int] = []
    free = 0
    bit = words.bit_length() - 1
    while words:
        hops = link_hops(m, bit)
        if not ready:  # from MEM B: lane p sends the words whose bit differs from its own, keeps the others
            down = [loop(words, hops, offset=-1)]
            b.memory_b(READ, start, down, sums, LATCH, mode=XOR_LANE, offset=2 * words - 1)
            b.memory_b(READ, start + hops, down, sums, LATCH + 1, mode=XOR_LANE, offset=words - 1)
            sent, kept, step = LATCH, LATCH + 1, 0
            exchange = start + 1
        else:
            sent, kept, step = REGISTER + 2 * words - 1, REGISTER + words - 1, -1
            exchange = max(free, _earliest_exchange(ready, words, hops))
        b.issue("link", exchange, [loop(words, hops, link_slot=step)], link_bit=bit, link_slot=sent)
        free = exchange + words * hops
        loops = [loop(words, hops, fma_c=step, fma_to=-1)]
        last = flags if words == 1 else 0
        target = REGISTER + words - 1
        b.issue("fma", exchange + hops, loops, fma_a=LINK, fma_b=ONE, fma_c=kept, fma_to=target, fma_flags=last)
        ready = [exchange + hops + (words - 1 - x) * hops + latency for x in range(words)]
        words, bit = words // 2, bit - 1
    b.memory_b(WRITE, ready[0], [], to, RESULT)
    return ready[0] + 1


def _earliest_exchange(ready: list[int], words: int, hops: int) -> int:
    """When the next level may start: it sends words 2 words - 1 .. words, then adds to words - 1 .. 0."""
    sends = max(ready[words + x] - (words - 1 - x) * hops for x in range(words))
    adds = max(ready[x] - (words - 1 - x) * hops - hops for x in range(words))
    return max(sends, adds)


def scale(b: Builder, m: Machine, start: int, *, regions: list[tuple[int, int, int]]) -> int:
    """lr times each word of the regions (from, to, words), a word every two cycles; returns when done."""
    gap = 1 + m.fma_latency % 2  # so that reads and writes of MEM B fall into different cycles
    for source, to, words in regions:
        b.memory_b(READ, start, [loop(words, 2, address=1)], source, LATCH + 3)
        b.issue("fma", start + gap, [loop(words, 2)], fma_a=RATE, fma_b=LATCH + 3, fma_c=ZERO)
        b.memory_b(WRITE, start + gap + m.fma_latency, [loop(words, 2, address=1)], to, RESULT)
        start += 2 * words
    return start + m.fma_latency


def sum_cores(b: Builder, m: Machine, start: int, *, gathered: int, to: int) -> int:
    """Adds the cores' partial sums, gathered at MEM B: core c into sum c mod A from +0, then those by halving."""
    width, latency, cores = min(accumulators(m), m.cores), m.fma_latency, m.cores
    stride = max(width, latency)
    rounds = -(-cores // width)
    for k in range(width):
        count = -(-(cores - k) // width)
        b.memory_b(READ, start + k, [loop(count, stride, address=width)], gathered + k, LATCH)
        for low, high, c in ((0, 1, ZERO), (1, count, ACCUMULATOR + k)):
            loops = [loop(high - low, stride)]
            at = start + 1 + k + low * stride
            b.issue("fma", at, loops, fma_a=LATCH, fma_b=ONE, fma_c=c, fma_to=ACCUMULATOR + k)
    at = start + 1 + (rounds - 1) * stride + width - 1 + latency
    while width > 1:
        half = -(-width // 2) if width & (width - 1) == 0 else 1 << (width.bit_length() - 1)
        for k in range(width - half):
            b.issue(
                "fma", at + k, fma_a=ACCUMULATOR + half + k, fma_b=ONE, fma_c=ACCUMULATOR + k, fma_to=ACCUMULATOR + k
            )
        at += width - half - 1 + latency
        width = half
    b.issue("fma", at, fma_a=ACCUMULATOR, fma_b=ONE, fma_c=ZERO)
    b.memory_b(WRITE, at + latency, [], to, RESULT)
    return at + latency + 1


def softmax(b: Builder, m: Machine, start: int, *, logits: int, outputs: int) -> int:
    """The softmax unit takes the logits (ready at `start`) off the row buses; returns when it has the output errors."""
    beats = -(-outputs // m.pe_rows)
    for beat in range(beats):
        block, column = divmod(beat, m.pe_cols)
        if column == 0:
            b.memory_b(READ, start + beat, [], logits + block, LATCH + 2)
        slot = LATCH + 2
        b.issue("row_bus", start + 1 + beat, row_from=FROM_PE, row_column=column, row_slot=slot, row_to=TO_SOFTMAX)
    b.issue("softmax", start + 1 + beats, softmax_on=outputs)
    return start + 1 + beats + softmax_cycles(m, outputs)


def spread_softmax(b: Builder, m: Machine, start: int, *, outputs: int, to: int) -> int:
    """The output errors from the softmax unit to every PE: MEM B at to + j. Returns when the first is ready."""
    beats = -(-outputs // m.pe_rows)
    loops = [loop(beats, m.pe_rows, row_address=1)]
    b.issue("row_bus", start, loops, row_from=FROM_SOFTMAX, row_to=ALL_COLUMNS, row_address=0)
    return _spread_columns(b, m, start + 1, words=outputs, to=to)


def spread_errors(b: Builder, m: Machine, start: int, *, own: int, words: int, to: int) -> int:
    """Each lane's errors (ready at `start` in MEM B) to every PE: MEM B at to + j. Returns when the first is ready."""
    rows, columns = m.pe_rows, m.pe_cols
    beats = -(-words // rows)
    b.memory_b(READ, start, [loop(-(-beats // columns), columns * rows, address=1)], own, LATCH + 2)
    for column in range(columns):
        loops = [loop(len(range(column, beats, columns)), columns * rows)]
        at = start + 1 + column * rows
        b.issue("row_bus", at, loops, row_from=FROM_PE, row_column=column, row_slot=LATCH + 2, row_to=ALL_COLUMNS)
    ready = _spread_columns(b, m, start + 2, words=words, to=to)
    return ready if words <= m.pes_per_core else ready + words  # reading further own words would be a third access


def _spread_columns(b: Builder, m: Machine, start: int, *, words: int, to: int) -> int:
    """From the row latches (a column's words every pe_rows cycles) to every PE, one row after the other."""
    for row in range(m.pe_rows):
        loops = [loop(len(range(row, words, m.pe_rows)), m.pe_rows)]
        b.issue("column_bus", start + row, loops, column_row=row, column_slot=ROW)
    b.memory_b(WRITE, start + 1, [loop(words, 1, address=1)], to, COLUMN)
    return start + 2


def back_own(
    b: Builder,
    m: Machine,
    start: int,
    *,
    own: int,
    errors: int,
    blocks: int,
    outputs: int,
    to: int,
    weights: tuple[int, int, int] | None,
    feedback: tuple[int, int] | None = None,
) -> int:
    """Errors of the core's own outputs from `outputs` errors that every PE has; no ring. Returns when they are ready.

    weights: (address, words from block to block, scaled inputs) of a matrix to update, or none. feedback: (address,
    words from block to block) of the matrix that errors go through; None: the one updated, in one read.
    """
    latency = m.fma_latency
    pace, odd = own_pace(m), latency % 2
    to_error = own_back(m, update=weights is not None, feedback=feedback is not None)
    for t in range(blocks):
        base = start + t * outputs * pace
        along, each = [loop(outputs, pace, address=1)], [loop(outputs, pace)]
        b.memory_b(READ, base, along, errors, LATCH)
        if weights:
            address, step, scaled = weights
            b.memory_a(READ, base, along, address + t * step, MEM_A)
            with b.account("update"):
                b.load_within(base - pace + 2 if t else 0, base, scaled + t, LATCH + 1)
            update = base + (2 if odd else 1)
            with b.account("update"):
                b.issue("fma", update, each, fma_a=LATCH + 1, fma_b=LATCH, fma_c=MEM_A, fma_flags=NEGATE)
                b.memory_a(WRITE, update + latency, along, address + t * step, RESULT)
        back = base + to_error
        if feedback:
            address, step = feedback
            b.memory_a(READ, back - 1, along, address + t * step, MEM_A)
        last = back + (outputs - 1) * pace
        with b.account("backward"):
            if outputs > 1:
                b.issue("fma", back, fma_a=MEM_A, fma_b=LATCH, fma_c=ZERO, fma_to=ACCUMULATOR)
                loops = [loop(outputs - 2, pace)]
                b.issue("fma", back + pace, loops, fma_a=MEM_A, fma_b=LATCH, fma_c=ACCUMULATOR, fma_to=ACCUMULATOR)
            b.load_within(last - pace, last - 1, own + t, LATCH + 3)
            c = ACCUMULATOR if outputs > 1 else ZERO
            b.issue("fma", last, fma_a=MEM_A, fma_b=LATCH, fma_c=c, fma_flags=SLOPE, fma_gate=LATCH + 3)
            b.memory_b(WRITE, last + latency, [], to + t, RESULT)
    return start + (blocks * outputs - 1) * pace + to_error + latency + 1


def own_pace(m: Machine) -> int:
    """Cycles a weight takes in back_own: one sum, so at least the FMA's latency."""
    return max(4, m.fma_latency + m.fma_latency % 2)


def own_back(m: Machine, *, update: bool, feedback: bool) -> int:
    """From a weight's first read to its error's multiply-add."""
    if not feedback:
        return 2 - m.fma_latency % 2
    return 3 if update else 1
