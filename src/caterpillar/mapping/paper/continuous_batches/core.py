"""What a core does by itself in a tick: its parts one after the other, sums over rows and columns, the softmax."""

from __future__ import annotations

from dataclasses import dataclass, field

from caterpillar.machine import Machine
from caterpillar.mapping.isa import (
    ALL_COLUMNS,
    COLLECTIVE,
    COLUMN,
    DIAGONAL,
    FROM_PE,
    FROM_SOFTMAX,
    FROM_SRAM,
    LATCH,
    NONE,
    ONE,
    RELU,
    RESULT,
    ROW,
    SLOPE,
    TO_SOFTMAX,
    TO_SRAM,
    XOR_COLUMN,
    XOR_ROW,
    ZERO,
    softmax_cycles,
    sram_beat_cycles,
)
from caterpillar.mapping.paper.continuous.layout import stretch
from caterpillar.mapping.paper.continuous.parts import Hold, read, use, write
from caterpillar.mapping.paper.continuous.parts import Part as Step
from caterpillar.mapping.paper.continuous.planner import Planner, TooLate
from caterpillar.mapping.paper.continuous.ring import Ring
from caterpillar.mapping.paper.continuous.shares import Part
from caterpillar.mapping.paper.continuous.steps import halve
from caterpillar.mapping.paper.continuous_batches.layout import TURNS, Layout, product_turns
from caterpillar.mapping.paper.continuous_batches.passes import Pass, emit_pass, lead
from caterpillar.mapping.paper.continuous_batches.timing import Timing, waiting

Item = tuple[int, int]  # a sample of the batch, and a block of N positions


@dataclass(slots=True)
class CorePlan:
    """A core's plan so far. own: when a part's error sums of an item are in core SRAM.

    reduced: when N groups of a part's outputs of a sample are in MEM B. spans: collectives, with their last cycle,
    first, and name.
    """

    planner: Planner
    passes: list[Pass] = field(default_factory=list[Pass])
    own: dict[tuple[int, Item], int] = field(default_factory=dict[tuple[int, Item], int])
    reduced: dict[tuple[int, Item], int] = field(default_factory=dict[tuple[int, Item], int])
    spans: list[tuple[int, int, str]] = field(default_factory=list[tuple[int, int, str]])


def plan_core(layout: Layout, m: Machine, core: int, timings: dict[Part, Timing], ring: Ring) -> CorePlan:
    """A core's tick, but for what other cores have to do with. Raises TooLate where sums come too late."""
    plan = CorePlan(ring.planners[core])
    for number, part in enumerate(layout.on[core]):
        begin = plan.passes[-1].end if plan.passes else 0
        if part.layer == layout.depth:
            ready = _spread(plan, layout, m, part, max(begin, _softmax(plan, layout, m, part)))
        else:
            ready = _spread(plan, layout, m, part, begin)
        ready = max(ready, plan.planner.end) + lead(m, layout, layout.stages[part.layer - 1])
        one = emit_pass(plan.planner, layout, m, part, timings[part], ready)
        plan.passes.append(one)
        if part.layer > 1:
            _error_sums(plan, layout, m, ring, one)
        _sums(plan, layout, m, number, one)
    return plan


def _softmax(plan: CorePlan, layout: Layout, m: Machine, part: Part) -> int:
    """The last tick's logits to the softmax unit, a sample's after the other's; the output errors to core SRAM."""
    b, start, spacing = plan.planner, 0, sram_beat_cycles(m)
    blocks = -(-part.sums // layout.rows)
    word = layout.words[part.core].reduced[layout.number(part)]
    beat = layout.beats[part.core].back[layout.number(part)]
    for sample in range(layout.batch):
        with b.account("collective"):
            for block in range(blocks):
                count = min(layout.rows, part.sums - block * layout.rows)
                parts = [*read(0, (word + sample * blocks + block, {}), 3, count), Hold(1, "column latch", count)]
                for i in range(count):
                    parts.append(use(1 + i, "column_bus", column_row=i, column_slot=LATCH + 3))
                    there = {"row_column": DIAGONAL, "row_slot": COLUMN, "row_to": TO_SOFTMAX}
                    parts.append(use(2 + i, "row_bus", row_from=FROM_PE, **there))
                start = b.first_fit(start, parts) + count + 2
            b.issue("softmax", start, softmax_on=layout.sizes[-1], softmax_label=sample)
            done = start + softmax_cycles(m, layout.sizes[-1])
            plan.spans.append((start, done, "softmax"))
            start = done
            for i in range(part.sums):
                fields = {"row_from": FROM_SOFTMAX, "row_to": ALL_COLUMNS, "row_address": i}
                parts = [use(0, "row_bus", **fields), Hold(0, "row latch", 1), Hold(1, "core SRAM", spacing)]
                fields = {"row_from": FROM_PE, "row_column": 0, "row_slot": ROW, "row_to": TO_SRAM}
                fields |= {"row_address": beat + sample * part.sums + i, "row_queue": layout.back}
                start = b.first_fit(start, [*parts, use(1, "row_bus", **fields)]) + 2
    return start + spacing


def _spread(plan: CorePlan, layout: Layout, m: Machine, part: Part, start: int) -> int:
    """A part's errors to every PE of their columns, through the diagonal: nothing where outputs were not above zero."""
    b, begun, last = plan.planner, start, part.layer == layout.depth
    beats = layout.beats[part.core]
    first = beats.back[layout.number(part)]
    back = {"row_queue": layout.back, "row_lag": 0 if last else layout.behind(layout.back, 1)}
    with b.account("backward"):
        for sample in range(layout.batch):
            for output in range(part.sums):
                group = part.first + output
                word = layout.words[part.core].errors + output * layout.batch + sample
                error = back | {"row_address": first + sample * part.sums + output}
                if last:
                    start = b.first_fit(start, [*_across(m, 0, error), write(2, (word, {}), COLUMN)]) + 1
                    continue
                above = part.layer + 1
                lag = layout.behind(above, layout.stages[above - 1].delay + 1)
                gate = {"row_queue": above, "row_lag": lag}
                gate |= {"row_address": beats.inputs[above] + sample * layout.positions(above) + group}
                start = b.first_fit(start, _gated(m, gate, error, word)) + 1
    done = start + 2 * sram_beat_cycles(m) + m.fma_latency + 5
    plan.spans.append((begun, done, f"spread errors {part.layer}"))
    return done


def _across(m: Machine, at: int, fields: dict[str, int]) -> list[Step]:
    """A beat of core SRAM to the column latches of all PEs: ready two cycles later."""
    spacing = sram_beat_cycles(m)
    return [
        use(at, "row_bus", row_from=FROM_SRAM, row_to=ALL_COLUMNS, **fields),
        *[Hold(at, "core SRAM", spacing), Hold(at, "row latch", 1), Hold(at + 1, "column latch", 1)],
        use(at + 1, "column_bus", column_row=DIAGONAL, column_slot=ROW),
    ]


def _gated(m: Machine, gate: dict[str, int], error: dict[str, int], word: int) -> list[Step]:
    """An activation, then its error: into a word of MEM B if the activation is above zero."""
    then = max(2, sram_beat_cycles(m))
    fields = {"fma_a": COLUMN, "fma_b": ONE, "fma_c": ZERO, "fma_flags": SLOPE, "fma_gate": LATCH + 3, "fma_to": NONE}
    return [
        *_across(m, 0, gate),
        write(2, (word, {}), COLUMN),
        *_across(m, then, error),
        *read(then + 1, (word, {}), 3, then + 2),
        use(then + 2, "fma", **fields),
        write(then + 2 + m.fma_latency, (word, {}), RESULT),
    ]


def _error_sums(plan: CorePlan, layout: Layout, m: Machine, ring: Ring, one: Pass) -> None:
    """Shares of error sums added over the columns, a position of a block in each, then to core SRAM."""
    part, stage, rows, batch = one.part, one.stage, layout.rows, layout.batch
    words, turns, gone = layout.words[part.core], product_turns(batch), list[int]()
    beat, blocks, number = layout.beats[part.core].own[layout.number(part)], stage.width // rows, layout.number(part)
    with plan.planner.account("collective"):
        for tile in range(stage.rounds):
            for sample in range(batch):
                for some in range(blocks):
                    block = tile * blocks + some
                    count = min(rows, stage.positions - block * rows)
                    if count <= 0:
                        continue
                    turn = len(gone)
                    done = halve(
                        plan.planner,
                        m,
                        [one.share_ready(tile, sample, some * rows + rows - 1)] * rows,
                        first_bit=rows.bit_length() - 1,
                        mode=XOR_COLUMN,
                        address=words.products + sample % turns * stage.width + some * rows,
                        to=words.own + turn % TURNS,
                        waiting=waiting(m),
                    )
                    late = done - one.share_again(tile, sample, some * rows, turns)
                    late = max(late, gone[-TURNS] - done + 1) if turn >= TURNS else late
                    if late > 0:
                        raise TooLate(layer=stage.layer, cycles=late)
                    to = [(beat + sample * layout.positions(part.layer) + block * rows + i, 0, 0) for i in range(count)]
                    word = words.own + turn % TURNS, {}
                    times = ring.from_pes(part.core, done, word, range(count), 0, to)
                    gone.append(times[-1])
                    plan.own[number, (sample, block)] = times[-1] + sram_beat_cycles(m)


def _sums(plan: CorePlan, layout: Layout, m: Machine, number: int, one: Pass) -> None:
    """Partial sums of the part's outputs added over the rows of PEs. ReLU."""
    b, words, rows, part = plan.planner, layout.words[one.part.core], layout.rows, one.part
    blocks, padded, done = -(-part.sums // rows), stretch(part, rows), one.end
    with b.account(*COLLECTIVE):
        for sample in range(layout.batch):
            for block in range(blocks):
                ready = halve(
                    b,
                    m,
                    [one.end] * rows,
                    first_bit=0,
                    mode=XOR_ROW,
                    address=words.sums + sample * padded + block * rows,
                    to=words.reduced[number] + sample * blocks + block,
                    flags=RELU if part.layer < layout.depth else 0,
                    waiting=waiting(m),
                )
                plan.reduced[number, (sample, block)] = ready
                done = max(done, ready)
    plan.spans.append((one.end, done, f"reduce {part.layer}"))
