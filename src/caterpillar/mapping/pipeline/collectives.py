"""Between the passes: sums over lanes and cores, activations and errors to where they are needed.

Each step is issued in the first cycle in which all it needs is free, beside the passes. Functions return when what they
make is ready.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

from caterpillar.machine import Machine
from caterpillar.mapping.isa import (
    ALL_COLUMNS,
    COLUMN,
    DOWN,
    EXACT,
    FIFO_BEATS,
    FROM_DOWN,
    FROM_PE,
    FROM_SOFTMAX,
    FROM_SRAM,
    LATCH,
    LINK,
    ONE,
    RATE,
    RELU,
    RESULT,
    ROTATE_CORE,
    ROW,
    SLOPE,
    TO_SOFTMAX,
    TO_SRAM,
    XOR_COLUMN,
    XOR_LANE,
    ZERO,
    beat_cycles,
    link_hops,
    softmax_cycles,
    sram_beat_cycles,
)
from caterpillar.mapping.pipeline.layout import Layout, gate_delay, last_bits, last_blocks
from caterpillar.mapping.pipeline.passes import behind, spare_register
from caterpillar.mapping.pipeline.planner import Hold, Part, Planner, read, use, write

SLACK = (0, 1, 2, 3)  # cycles that a word off the links may wait for its addition


class Collectives:
    """The steps, on one plan."""

    def __init__(self, b: Planner, layout: Layout, m: Machine) -> None:
        self._b, self._layout, self._m = b, layout, m
        self._down = 0  # beats go down the ring, and scratch words are used, in the order in which they are planned
        self._moved = self._spread = 0
        self.softmax = (0, 0)  # when the softmax unit is at work

    def activations(self, index: int, start: int) -> int:
        """Hidden layer's partial sums, ready at start -> own activations in every lane, and those of L - 1 scaled."""
        layout, split = self._layout, self._layout.splits[index]
        bits = [*range((split.input_lanes - 1).bit_length())]
        address, ready = layout.words.sums[index], start
        register = layout.registers.gate[index]
        with self._b.account("collective"):
            for block, size in enumerate(split.blocks):
                halved = bits[: (size - 1).bit_length()]
                done = self._add_lanes(start, address, halved, bits[len(halved) :])
                to = layout.words.gate[index] + block
                with self._b.account("forward"):
                    done = self._unary(
                        done, address, to, {"fma_b": ONE, "fma_flags": RELU}, bits=len(halved), queue=register
                    )
                    if index == layout.depth - 1:
                        scaled, queue = layout.words.scaled + block, layout.registers.scaled
                        done = self._scale(done, to, register, scaled, queue)
                ready = max(ready, done)
                address += size
        return ready

    def share(self, index: int, start: int) -> int:
        """Own activations of a layer < L - 1, and times the learning rate, to every core's SRAM."""
        layout, split, ready = self._layout, self._layout.splits[index], start
        register = layout.registers.gate[index]
        with self._b.account("collective"):
            for block in range(len(split.blocks)):
                address = layout.words.gate[index] + block
                to = layout.words.shared[index] + block
                scaled = self._scale(start, address, register, to, 0)
                beats = [(n, column) for n, (one, column) in enumerate(split.beats) if one == block]
                fresh = [(n, column, address, register, False) for n, column in beats]
                old = [(n, column, to, 0, True) for n, column in beats]
                several = fresh + old
                for first in range(0, len(several), FIFO_BEATS // 2):
                    ready = max(ready, self._gather(scaled, index, several[first : first + FIFO_BEATS // 2]))
        return ready

    def scale_inputs(self, start: int) -> int:
        """The tick's inputs, times the learning rate, to the core SRAM, for the update to come.

        From the row latches through the multiply-add into a register and out again: two blocks of beats at a time.
        """
        layout, columns = self._layout, self._m.pe_cols
        done = [start, start]
        with self._b.account("update"):
            for number, first in enumerate(range(0, layout.sample_beats, columns)):
                turn, count = number % 2, min(columns, layout.sample_beats - first)
                register = spare_register(layout, turn)
                loads = [
                    self._load(first, count, register, spacing, wait)
                    for wait in (0, 1, 2, 3, 5, 7)
                    for spacing in (1, 2)
                ]
                at = self._b.best_fit(done[turn], loads) - 1 + self._m.fma_latency
                for column in range(count):
                    at = self._b.first_fit(at, self._store(first, column, register)) + 1
                done[turn] = at
        return max(done)

    def _load(self, first: int, count: int, register: int, spacing: int, wait: int) -> list[Part]:
        """Beats of the tick's inputs, one for each column, and their products with the learning rate."""
        busy = sram_beat_cycles(self._m)
        spacing *= busy
        end = (count - 1) * spacing + 1 + wait
        parts: list[Part] = [Hold(0, "row latch", end)]
        parts.append(use(end, "fma", fma_a=ROW, fma_b=RATE, fma_c=ZERO, fma_to=register))
        for column in range(count):
            fields = {"row_from": FROM_SRAM, "row_to": column, "row_mask": EXACT, "row_address": first + column}
            parts += [use(column * spacing, "row_bus", **fields), Hold(column * spacing, "core SRAM", busy)]
        return parts

    def _store(self, first: int, column: int, register: int) -> list[Part]:
        """A beat, scaled, to core SRAM."""
        to = {"row_address": self._layout.old[0] + first + column, "row_queue": self._layout.registers.old[0]}
        fields = {"row_from": FROM_PE, "row_column": column, "row_slot": register, "row_to": TO_SRAM}
        return [use(0, "row_bus", **fields, **to), Hold(0, "core SRAM", sram_beat_cycles(self._m))]

    def errors(self, index: int, start: int) -> int:
        """Error sums of the core's own positions of layer index -> errors of layer index - 1, own and in every lane."""
        layout, split = self._layout, self._layout.splits[index]
        before, below = layout.splits[index - 1], index - 1
        start = ready = max(start, self._moved)
        with self._b.account("collective"):
            for block in range(len(before.blocks)):
                if layout.in_place(index):
                    ready = max(ready, self._halve_columns(start, index, block))
                    continue
                for group in range(split.output_lanes):
                    start = self._move(start, index, block, group)
                with self._b.account("backward"):
                    total = layout.words.moved
                    for group in range(1, split.output_lanes):
                        start = self._add(start, total, layout.words.moved + group, total)
                    start = self._slope(start, below, block, total, {})
                ready = max(ready, start)
            self._moved = ready
            return self.spread(below, ready)

    def _move(self, start: int, index: int, block: int, group: int) -> int:
        """Error sums of one group of output lanes, to the lanes that own the activations."""
        layout, split = self._layout, self._layout.splits[index]
        beats = [
            (divmod(n, split.steps), column)
            for n, (one, column) in enumerate(layout.splits[index - 1].beats)
            if one == block
        ]
        variants: list[list[Part]] = []
        for spacing in (1, 2, 3, 4):
            parts: list[Part] = [Hold(0, "row latch", (len(beats) - 1) * spacing + 1)]
            for at, ((position, step), column) in enumerate(beats):
                fields = {"row_column": group * split.steps + step, "row_slot": LATCH + 3, "row_to": column}
                parts += read(at * spacing - 1, layout.words.final[index] + position, 3, at * spacing)
                parts.append(use(at * spacing, "row_bus", row_from=FROM_PE, row_mask=EXACT, **fields))
            parts.append(write((len(beats) - 1) * spacing + 1, layout.words.moved + group, ROW))
            variants.append(parts)
        return self._b.best_fit(start, variants)

    def _halve_columns(self, start: int, index: int, block: int) -> int:
        """Error sums of a block of positions, one for each column of PEs: added over the columns, each in its own."""
        m, mode = self._m, {"mode": XOR_COLUMN}
        address, rows = self._layout.words.final[index] + block * m.pe_cols, (m.pe_rows - 1).bit_length()
        times = [start] * m.pe_cols
        for bit in reversed(range((m.pe_cols - 1).bit_length())):
            for low in range(1 << bit):
                begin = max(times[low], times[low + (1 << bit)])
                times[low] = self._exchange(begin, rows + bit, address, low + (1 << bit), low, mode)
        with self._b.account("backward"):
            return self._slope(times[0], index - 1, block, address, mode)

    def _slope(self, start: int, layer: int, block: int, total: int, mode: dict[str, int]) -> int:
        layout = self._layout
        register = layout.registers.gate[layer]
        gate = {"queue": register, "lag": behind(layout, register, gate_delay(layout.depth, layer))}
        reads = [(total, mode), (layout.words.gate[layer] + block, gate)]
        fields = {"fma_b": ONE, "fma_c": ZERO, "fma_flags": SLOPE, "fma_gate": LATCH + 3}
        return self._compute(start, reads, fields, layout.words.own_errors[layer] + block)

    def spread(self, layer: int, start: int) -> int:
        """Own errors of a hidden layer, to all lanes that work on those outputs."""
        layout, m, split = self._layout, self._m, self._layout.splits[layer]
        work, start = layout.words.work, max(start, self._spread)
        for block in range(len(split.blocks)):
            rest = min(split.sums - block * split.input_lanes, split.input_lanes)
            for step in range(-(-rest // m.pe_rows)):
                own = layout.words.own_errors[layer] + block
                groups = split.output_lanes
                parts: list[Part] = [*read(0, own, 3, groups), Hold(1, "row latch", groups)]
                for group in range(groups):
                    first = group * split.steps
                    mask = EXACT & ~(split.steps - 1)
                    fields = {"row_column": first + step, "row_slot": LATCH + 3, "row_to": first, "row_mask": mask}
                    parts.append(use(1 + group, "row_bus", row_from=FROM_PE, **fields))
                parts.append(write(groups + 1, work, ROW))
                start = self._b.first_fit(start, parts) + groups + 2
                to = layout.words.errors[layer] + block * split.input_lanes + step * m.pe_rows
                start = self._across(start, work, to, min(m.pe_rows, rest - step * m.pe_rows))
        self._spread = start
        return start

    def _across(self, start: int, source: int, to: int, words: int) -> int:
        """A word of every row in turn, to all lanes of its column: MEM B at to + row."""
        ready = start
        for row in range(words):
            variants = [
                [
                    *read(-early, source, 3, 0),
                    use(0, "column_bus", column_row=row, column_slot=LATCH + 3),
                    Hold(0, "column latch", wait),
                    write(wait, to + row, COLUMN),
                ]
                for wait in (1, 2, 3)
                for early in (1, 2)
            ]
            ready = max(ready, self._b.best_fit(start, variants))
        return ready

    def logits(self, start: int) -> int:
        """The last layer's partial sums, ready at start -> every core has all logits; the softmax unit's errors."""
        layout, m = self._layout, self._m
        outputs, words = layout.sizes[-1], layout.words
        halved, rest = last_bits(m, layout.splits[-1], outputs)
        ready = start
        with self._b.account("collective"):
            for block in range(last_blocks(m, layout.splits[-1], outputs)):
                done = self._add_lanes(start, words.sums[layout.depth] + (block << len(halved)), halved, rest)
                ready = max(ready, self._add_cores(done, block, len(halved)))
            return self._softmax(ready, len(halved))

    def _add_cores(self, start: int, block: int, bits: int) -> int:
        """Every core gets the words of all, in their order, and adds them by halving."""
        layout, m = self._layout, self._m
        cores, beat, ready = m.cores, beat_cycles(m), start
        source = layout.words.sums[layout.depth] + (block << bits)
        to = layout.words.logits + block * cores
        columns = -(-min(layout.sizes[-1] - (block << bits), 1 << bits) // m.pe_rows)
        start = max(start, self._down)
        for distance in range(cores):
            parts: list[Part] = [Hold(1, "row latch", (columns - 1) * beat + 1)]
            send = {"row_send": DOWN} if distance < cores - 1 else {}
            if distance == 0:
                parts += read(0, source, 3, (columns - 1) * beat + 1, mode=XOR_LANE, bits=bits)
            for column in range(columns):
                at = 1 + column * beat
                fields = {"row_from": FROM_PE, "row_column": column, "row_slot": LATCH + 3}
                if distance:
                    fields = {"row_from": FROM_DOWN}
                parts.append(use(at, "row_bus", **fields, **send, row_to=column, row_mask=EXACT))
                if send:
                    parts.append(Hold(at, "ring down", beat))
            end = 1 + (columns - 1) * beat + 1
            parts.append(write(end, to, ROW, mode=ROTATE_CORE, offset=distance))
            at = self._b.first_fit(start, parts)
            start, ready = at + columns * beat, at + end + 1
        self._down = start
        count, times = cores, [ready] * cores
        while count > 1:
            half = -(-count // 2) if count & (count - 1) == 0 else 1 << (count.bit_length() - 1)
            for k in range(count - half):
                begin = max(times[k], times[k + half])
                times[k] = self._add(begin, to + k, to + k + half, to + k)
            count = half
        return times[0]

    def _softmax(self, start: int, bits: int) -> int:
        """Logits to the softmax unit; its errors to every lane."""
        layout, m = self._layout, self._m
        outputs, cores = layout.sizes[-1], m.cores
        beats = -(-outputs // m.pe_rows)
        for beat in range(beats):
            block, column = divmod(beat * m.pe_rows, 1 << bits)
            word = layout.words.logits + block * cores
            fields = {"row_from": FROM_PE, "row_column": column // m.pe_rows, "row_slot": LATCH + 3}
            start = self._b.first_fit(start, [*read(0, word, 3, 1), use(1, "row_bus", **fields, row_to=TO_SOFTMAX)]) + 2
        self._b.issue("softmax", start, softmax_on=outputs)
        begun, start = start, start + softmax_cycles(m, outputs)
        self.softmax = (begun, start)
        for beat in range(beats):
            fields = {"row_from": FROM_SOFTMAX, "row_to": ALL_COLUMNS, "row_address": beat}
            parts = [use(0, "row_bus", **fields), Hold(0, "row latch", 1), write(1, layout.words.work + 1, ROW)]
            start = self._b.first_fit(start, parts) + 2
            first = beat * m.pe_rows
            to = layout.words.errors[layout.depth] + first
            start = self._across(start, layout.words.work + 1, to, min(m.pe_rows, outputs - first))
        return start

    def _add_lanes(self, start: int, address: int, halved: list[int], whole: list[int]) -> int:
        """Adds 2^|halved| words over lanes that differ in these bits, from the highest one on.

        Lane p is left with the sum of word p mod 2^|halved|, where it was; over the bits of `whole` words add whole.
        """
        mode = {"mode": XOR_LANE, "bits": len(halved)} if halved else {}
        times = [start] * (1 << len(halved))
        for bit in reversed(halved):
            for low in range(1 << bit):
                begin = max(times[low], times[low + (1 << bit)])
                times[low] = self._exchange(begin, bit, address, low + (1 << bit), low, mode)
        for bit in whole:
            times[0] = self._exchange(times[0], bit, address, 0, 0, mode)
        return times[0]

    def _exchange(self, start: int, bit: int, address: int, sent: int, kept: int, mode: dict[str, int]) -> int:
        """MEM B at address + (kept ^ lane) += the partner's word at address + (sent ^ its lane)."""
        hops, latency = link_hops(self._m, bit), self._m.fma_latency
        offsets = [{"offset": offset} if mode else {} for offset in (sent, kept)]
        variants = [
            [
                *read(-early, address, 2, 0, **mode, **offsets[0]),
                use(0, "link", link_bit=bit, link_slot=LATCH + 2),
                Hold(0, "links", hops + wait),
                *read(hops + wait - before, address, 3, hops + wait, **mode, **offsets[1]),
                use(hops + wait, "fma", fma_a=LINK, fma_b=ONE, fma_c=LATCH + 3),
                write(hops + wait + latency + after, address, RESULT + after, **mode, **offsets[1]),
            ]
            for wait in SLACK
            for after in (0, 1)
            for before in (1, 2, 3)
            for early in (1, 2)
        ]
        return self._b.best_fit(start, variants)

    def _compute(
        self,
        start: int,
        reads: Sequence[tuple[int, dict[str, int]]],
        fields: dict[str, int],
        to: int,
        extra: dict[str, int] | None = None,
    ) -> int:
        """MEM B at `to` = a multiply-add of words read into latches 2 and 3; a is latch 2."""
        latency = self._m.fma_latency
        variants = [
            [
                *(
                    part
                    for (address, how), latch, early in zip(reads, (2, 3), before, strict=False)
                    for part in read(-early, address, latch, 0, **how)
                ),
                use(0, "fma", fma_a=LATCH + 2, **fields),
                write(latency + after, to, RESULT + after, **(extra or {})),
            ]
            for after in (0, 1)
            for before in product((1, 2, 3), repeat=len(reads))
        ]
        return self._b.best_fit(start, variants)

    def _add(self, start: int, one: int, other: int, to: int) -> int:
        """MEM B: to = one + other."""
        return self._compute(start, [(one, {}), (other, {})], {"fma_b": ONE, "fma_c": LATCH + 3}, to)

    def _unary(self, start: int, source: int, to: int, fields: dict[str, int], *, bits: int = 0, queue: int = 0) -> int:
        """MEM B: to = source times an operand."""
        mode = {"mode": XOR_LANE, "bits": bits} if bits else {}
        return self._compute(start, [(source, mode)], {"fma_c": ZERO, **fields}, to, {"queue": queue})

    def _scale(self, start: int, source: int, register: int, to: int, queue: int) -> int:
        """The learning rate times an activation made in this tick."""
        reads = [(source, {"queue": register})]
        return self._compute(start, reads, {"fma_b": RATE, "fma_c": ZERO}, to, {"queue": queue})

    def _gather(self, start: int, index: int, beats: list[tuple[int, int, int, int, bool]]) -> int:
        """Beats of the core's own to its SRAM and on to all others; returns when the last is there.

        beats: number, column, word of MEM B with its address register, whether it is a scaled one.
        """
        layout, m = self._layout, self._m
        after, spacing, beat = layout.splits[index + 1], sram_beat_cycles(m), beat_cycles(m)
        arrivals, at = [start] * len(beats), max(start, self._down)
        for distance in range(m.cores):
            send = {"row_send": DOWN} if distance < m.cores - 1 else {}
            for i, (number, column, address, register, old) in enumerate(beats):
                base = (layout.old if old else layout.fresh)[index]
                queue = (layout.registers.old if old else layout.registers.fresh)[index]
                to = {"row_address": base + distance * after.chunk * after.steps + number, "row_queue": queue}
                fields = {"row_from": FROM_DOWN}
                parts: list[Part] = [Hold(1, "core SRAM", spacing)]
                if distance == 0:
                    fields = {"row_from": FROM_PE, "row_column": column, "row_slot": LATCH + 3}
                    parts += read(0, address, 3, 1, **({"queue": register} if register else {}))
                if send:
                    parts.append(Hold(1, "ring down", beat))
                parts.append(use(1, "row_bus", **fields, **send, row_to=TO_SRAM, **to))
                at = self._b.first_fit(max(at, arrivals[i]), parts) + 1
                arrivals[i] = at + beat - 1
        self._down = at
        return at + 1
