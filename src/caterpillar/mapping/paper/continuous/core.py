"""What a core does by itself in a tick: its parts one after the other, sums over rows and columns, own activations."""

from __future__ import annotations

from dataclasses import dataclass, field

from caterpillar.machine import Machine
from caterpillar.mapping.isa import (
    ALL_COLUMNS,
    BACKWARD_UPDATE,
    COLLECTIVE,
    COLUMN,
    DIAGONAL,
    FROM_PE,
    FROM_SOFTMAX,
    LATCH,
    RATE,
    RELU,
    ROW,
    TO_SOFTMAX,
    XOR_COLUMN,
    XOR_ROW,
    softmax_cycles,
)
from caterpillar.mapping.paper.continuous.layout import Layout, product_words, stretch
from caterpillar.mapping.paper.continuous.parts import Hold, read, use, write
from caterpillar.mapping.paper.continuous.parts import Part as Step
from caterpillar.mapping.paper.continuous.passes import Pass, emit_pass
from caterpillar.mapping.paper.continuous.planner import Planner, TooLate
from caterpillar.mapping.paper.continuous.shares import Part
from caterpillar.mapping.paper.continuous.steps import combine, halve

SPACING = 6  # from one block of activations to the next, in cycles for each of its beats: others want the row buses


@dataclass(slots=True)
class CorePlan:
    """A core's plan so far. own: when a part's error sums of a block are in MEM B. gated, scaled: when a word of a

    layer's own activations is, and the same times the learning rate. spans: collectives, with their last cycle, first,
    and name.
    """

    planner: Planner
    passes: list[Pass] = field(default_factory=list[Pass])
    own: dict[tuple[int, int], int] = field(default_factory=dict[tuple[int, int], int])
    gated: dict[tuple[int, int], int] = field(default_factory=dict[tuple[int, int], int])
    scaled: dict[tuple[int, int], int] = field(default_factory=dict[tuple[int, int], int])
    spans: list[tuple[int, int, str]] = field(default_factory=list[tuple[int, int, str]])

    def copy(self) -> CorePlan:
        """For another core that begins alike."""
        return CorePlan(
            self.planner.copy(),
            list(self.passes),
            dict(self.own),
            dict(self.gated),
            dict(self.scaled),
            list(self.spans),
        )


def plan_core(layout: Layout, m: Machine, core: int, shapes: dict[Part, Pass], wait: int) -> CorePlan:
    """The first pass begins `wait` cycles after the tick, at least. Raises TooLate where sums come too late."""
    plan = CorePlan(Planner())
    softmax = 0
    if any(part.layer == layout.depth for part in layout.on[core]):
        softmax = _softmax(plan, layout, m, core)
    blocks = {layer: layout.owned(core, layer).blocks for layer in layout.words[core].gates}
    for layer, some in blocks.items():  # the first at once, the others beside the first pass
        _activations(plan, layout, m, core, layer, some[:1])
    ready = 0
    for number, part in enumerate(layout.on[core]):
        begin = plan.passes[-1].end if plan.passes else 0
        if part.layer == layout.depth:
            spread = _spread_softmax(plan, layout, part, max(begin, softmax))
        else:
            spread = _spread(plan, layout, part, begin)
        shape = shapes[part]
        ready = max(ready, spread, plan.planner.end, wait if number == 0 else 0) + shape.lead
        one = emit_pass(plan.planner, layout, m, part, shape.pace, ready)
        plan.passes.append(one)
        for layer, some in blocks.items() if number == 0 else ():
            _activations(plan, layout, m, core, layer, some[1:])
            name = f"activations {layer}"
            plan.spans.append((0, max(at for (of, _), at in plan.gated.items() if of == layer), name))
        if part.layer > 1:
            _error_sums(plan, layout, m, number, one)
        if part is not layout.on[core][-1]:
            ready = max(_sums(plan, layout, m, number, one), *plan.own.values(), 0)
    return plan


def finish_core(plan: CorePlan, layout: Layout, m: Machine) -> None:
    """The last part's sums: nobody waits for them in this tick, so they are planned after what others wait for."""
    _sums(plan, layout, m, len(plan.passes) - 1, plan.passes[-1])


def _softmax(plan: CorePlan, layout: Layout, m: Machine, core: int) -> int:
    """The last tick's logits to the softmax unit; returns when it has the output errors."""
    b, part = plan.planner, layout.on[core][-1]
    word, start = layout.words[core].reduced[-1], 0
    with b.account("collective"):
        for first in range(0, part.sums, m.pe_rows):
            count = min(m.pe_rows, part.sums - first)
            parts = [*read(0, (word + first // m.pe_rows, {}), 3, count), Hold(1, "column latch", count)]
            for i in range(count):
                parts.append(use(1 + i, "column_bus", column_row=i, column_slot=LATCH + 3))
                there = {"row_column": DIAGONAL, "row_slot": COLUMN, "row_to": TO_SOFTMAX}
                parts.append(use(2 + i, "row_bus", row_from=FROM_PE, **there))
            start = b.first_fit(start, parts) + count + 2
        b.issue("softmax", start, softmax_on=layout.sizes[-1])
    done = start + softmax_cycles(m, layout.sizes[-1])
    plan.spans.append((start, done, "softmax"))
    return done


def _activations(plan: CorePlan, layout: Layout, m: Machine, core: int, layer: int, blocks: range) -> None:
    """Blocks of own activations, made in the tick before, and the same times the learning rate."""
    b, words = plan.planner, layout.words[core]
    own, register = layout.owned(core, layer), layout.registers.gates[layer]
    start = 0
    for block in blocks:
        to = words.gates[layer] + own.word(block)
        start = max(start, own.word(block) * SPACING * layout.rows)
        with b.account("collective"):
            variants = [
                _through_the_diagonal(layout, core, layer, block, to, (early, other), wait)
                for early in (0, 1)
                for other in (0, 1)
                for wait in (0, 1)
            ]
            plan.gated[layer, own.word(block)], start = b.best_fit(start, variants)
    for block in blocks:
        source, to = words.gates[layer] + own.word(block), words.scaled[layer] + own.word(block)
        with b.account("update"):
            ready = plan.gated[layer, own.word(block)]
            made = [(source, {"queue": register})]
            plan.scaled[layer, own.word(block)] = combine(b, m, ready, made, (to, {}), factor=RATE)


def _through_the_diagonal(
    layout: Layout, core: int, layer: int, block: int, to: int, early: tuple[int, int], wait: int
) -> list[Step]:
    """Finished sums, each in a row of PEs, to the column where the block has them: a beat on the row buses."""
    rows, own = layout.rows, layout.owned(core, layer)
    parts, seen = list[Step](), dict[int, list[int]]()
    columns = own.columns(block)
    for i, column in enumerate(columns):
        group = block * rows + column
        part = next(one for one in layout.on[core] if one.layer == layer and one.first <= group < one.end)
        row, local = (group - part.first) % rows, (group - part.first) // rows
        seen.setdefault(layout.words[core].reduced[layout.number(part)] + local, []).append(i)
        parts.append(use(1 + i, "column_bus", column_row=row, column_slot=LATCH + 2 + (len(seen) - 1) % 2))
        fields = {"row_from": FROM_PE, "row_column": DIAGONAL, "row_slot": COLUMN, "row_to": column}
        parts.append(use(2 + i, "row_bus", **fields))
    for number, (word, uses) in enumerate(seen.items()):
        parts += read(uses[0] - early[number % 2], (word, {}), 2 + number % 2, uses[-1] + 1)
    parts += [Hold(1, "column latch", len(columns)), Hold(2, "row latch", len(columns) + wait)]
    return [*parts, write(len(columns) + 2 + wait, (to, {"queue": layout.registers.gates[layer]}), ROW)]


def _spread(plan: CorePlan, layout: Layout, part: Part, start: int) -> int:
    """The part's errors, made in the tick before, to every PE of their columns: through the diagonal."""
    b, words, rows = plan.planner, layout.words[part.core], layout.rows
    own, register = layout.owned(part.core, part.layer), layout.registers.back
    lag, begun, done = layout.registers.behind(register, 1), start, start
    for block in own.blocks:
        columns = [c for c in own.columns(block) if part.first <= block * rows + c < part.end]
        if not columns:
            continue
        word, count = words.back[part.layer] + own.word(block), len(columns)
        parts = [*read(0, (word, {"queue": register, "lag": lag}), 3, count)]
        parts += [Hold(1, "row latch", count), Hold(2, "column latch", count)]
        for i, column in enumerate(columns):
            fields = {"row_from": FROM_PE, "row_column": column, "row_slot": LATCH + 3, "row_to": ALL_COLUMNS}
            to = words.errors + block * rows + column - part.first
            parts += [use(1 + i, "row_bus", **fields), *_across(2 + i, to)]
        with b.account(*BACKWARD_UPDATE):
            start = b.first_fit(start, parts) + count
        done = start + 4
    plan.spans.append((begun, done, f"spread errors {part.layer}"))
    return done


def _across(at: int, to: int) -> list[Step]:
    """The row latches of the diagonal, to every PE of the column: MEM B at `to`."""
    return [use(at, "column_bus", column_row=DIAGONAL, column_slot=ROW), write(at + 1, (to, {}), COLUMN)]


def _spread_softmax(plan: CorePlan, layout: Layout, part: Part, start: int) -> int:
    """The output errors from the softmax unit to every PE of their columns."""
    b, words, begun = plan.planner, layout.words[part.core], start
    with b.account(*BACKWARD_UPDATE):
        for beat in range(part.sums):
            fields = {"row_from": FROM_SOFTMAX, "row_to": ALL_COLUMNS, "row_address": beat}
            parts = [use(0, "row_bus", **fields), Hold(0, "row latch", 1), Hold(1, "column latch", 1)]
            start = b.first_fit(start, [*parts, *_across(1, words.errors + beat)]) + 1
    plan.spans.append((begun, start + 2, f"spread errors {part.layer}"))
    return start + 2


def _error_sums(plan: CorePlan, layout: Layout, m: Machine, number: int, one: Pass) -> None:
    """Shares of error sums added over the columns: of a block of positions, each column gets its own."""
    words, rows, stage = layout.words[one.part.core], layout.rows, one.stage
    size = product_words(stage, rows)
    held = stage.rounds * stage.width
    with plan.planner.account("collective"):
        for block in range(-(-stage.positions // rows)):
            first = block * rows
            # where there are fewer than N, what else lies there is added up too, and goes nowhere
            last = one.error_ready(min(first + rows, held) - 1)
            times = [one.error_ready(min(first + x, held - 1)) for x in range(rows)]
            times = [last] * rows if rows > 1 else times
            address = words.products + first % size
            bits = rows.bit_length() - 1
            done = halve(
                plan.planner,
                m,
                times,
                first_bit=bits,
                mode=XOR_COLUMN,
                address=address,
                to=words.own[number] + block,
            )
            plan.own[number, block] = done
            again = first + size
            if again < held and done > one.error_ready(again):
                raise TooLate(layer=stage.layer, cycles=done - one.error_ready(again))


def _sums(plan: CorePlan, layout: Layout, m: Machine, number: int, one: Pass) -> int:
    """Partial sums of the part's outputs: those of a round's positions, then those of the rows of PEs. ReLU."""
    b, words, rows, stage = plan.planner, layout.words[one.part.core], layout.rows, one.stage
    words_each, sums = stretch(one.part, rows), one.part.sums
    # this tick's take the place of the last one's: not before those have been used
    used = [at for (layer, _), at in plan.gated.items() if layer == stage.layer]
    done = max(one.summed, *used) if used else one.summed
    times = [done] * words_each
    flags = RELU if stage.layer < stage.depth else 0
    with b.account(*COLLECTIVE):
        left, half = stage.width, 1 << (stage.width - 1).bit_length()
        while half > 1:
            half //= 2
            for a in range(half, left):
                for o in range(sums):
                    to = words.sums + (a - half) * words_each + o
                    both = [(to, {}), (to + half * words_each, {})]
                    times[o] = combine(b, m, times[o], both, (to, {}))
            left = min(left, half)
        for group in range(words_each // rows):
            own = times[group * rows : (group + 1) * rows]
            # a word is another's in each PE: all must be there
            ready, address = [max(own)] * rows, words.sums + group * rows
            to = words.reduced[number] + group
            done = max(done, halve(b, m, ready, first_bit=0, mode=XOR_ROW, address=address, to=to, flags=flags))
    plan.spans.append((one.summed, done, f"reduce {stage.layer}"))
    return done
