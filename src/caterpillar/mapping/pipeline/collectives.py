"""Between the passes: sums over lanes and cores, activations and errors to where they are needed.

Each step is issued in the first cycle in which all it needs is free, beside the passes. Functions return when what they
make is ready.
"""

from __future__ import annotations

from caterpillar.mapping.isa import (
    DOWN,
    EXACT,
    FIFO_BEATS,
    FROM_DOWN,
    FROM_PE,
    LATCH,
    ONE,
    RELU,
    ROW,
    SLOPE,
    TO_SRAM,
    ZERO,
    beat_cycles,
    sram_beat_cycles,
)
from caterpillar.mapping.pipeline.parts import Hold, Part, Word, read, use, word, write
from caterpillar.mapping.pipeline.passes import behind, own_column
from caterpillar.mapping.pipeline.split import Block
from caterpillar.mapping.pipeline.steps import Steps
from caterpillar.mapping.pipeline.words import gate_delay


class Collectives(Steps):
    """Hidden layers' steps."""

    def activations(self, index: int, start: int) -> int:
        """Hidden layer's partial sums, ready at start -> own activations in every lane, and those of L - 1 scaled."""
        layout, split = self._layout, self._layout.splits[index]
        bits = [*range((split.input_lanes - 1).bit_length())]
        address, ready = layout.words.sums[index], start
        register = layout.registers.gate[index]
        with self._b.account("collective"):
            for number, block in enumerate(split.blocks):
                halved = bits[: (block.size - 1).bit_length()]
                own = word(layout.words.gate[index] + number, queue=register)
                done = self._bring_together(start, address, block, len(bits))
                done = self._add_lanes(done, address, halved, bits[len(halved) :], ({"fma_flags": RELU}, own))
                if index == layout.depth - 1:
                    to = word(layout.words.scaled + number, queue=layout.registers.scaled)
                    done = self._scale(done, own, to)
                ready = max(ready, done)
                address += block.size
        return ready

    def _bring_together(self, start: int, address: int, block: Block, group_bit: int) -> int:
        """+0 where a block has no sums; the sums of merged groups to all of them."""
        ready = start
        for number in range(block.used, block.share):
            ready = max(ready, self._b.first_fit(start, [write(0, address + number, ZERO)]) + 1)
        words = block.share
        for bit in range((block.merged - 1).bit_length()):
            start = ready
            for at in range(address, address + words):
                ready = max(ready, self._turn(start, group_bit + bit, at, at + words))
            words *= 2
        return ready

    def share(self, index: int, start: int) -> int:
        """Own activations of a layer < L - 1, and times the learning rate, to every core's SRAM."""
        layout, split, ready = self._layout, self._layout.splits[index], start
        register, most = layout.registers.gate[index], FIFO_BEATS // 2
        beats = split.beats(layout.splits[index + 1].steps)
        with self._b.account("collective"):
            for block in range(len(split.blocks)):
                address = layout.words.gate[index] + block
                to = layout.words.shared[index] + block
                scaled = self._scale(start, word(address, queue=register), word(to))
                mine = [(beat.number, beat.column) for beat in beats if beat.block == block]
                fresh = [(number, column, address, register, False) for number, column in mine]
                old = [(number, column, to, 0, True) for number, column in mine]
                several = fresh + old
                for first in range(0, len(several), most):
                    some = several[first : first + most]
                    ready = max(
                        ready, self._b.alone(scaled, "queue down", lambda at, some=some: self._gather(at, index, some))
                    )
        return ready

    def errors(self, index: int, start: int) -> int:
        """Error sums of the core's own positions of layer index -> own errors of layer index - 1."""
        layout, split = self._layout, self._layout.splits[index]
        before, ready, first = layout.splits[index - 1], start, layout.words.carried[index]
        with self._b.account("collective"):
            for number, block in enumerate(before.blocks):
                words = before.words(block, split.steps)
                done = self._add_columns(start, first, words, split.steps)
                ready = max(ready, self._slope(done, index - 1, number, word(first, **own_column(words))))
                first += words
        return ready

    def _add_columns(self, start: int, address: int, words: int, steps: int) -> int:
        """Words, of which a column of PEs has those that differ from its number by `steps`: each to its own column."""
        m, mode = self._m, own_column(words)
        rows, own = (m.pe_rows - 1).bit_length(), (words - 1).bit_length()
        times = [start] * words
        for bit in reversed(range((steps - 1).bit_length(), own)):
            for low in range(0, 1 << bit, steps):
                begin = max(times[low], times[low + (1 << bit)])
                times[low] = self._exchange(begin, rows + bit, address, low + (1 << bit), low, mode)
        for bit in range(own, (m.pe_cols - 1).bit_length()):
            times[0] = self._exchange(times[0], rows + bit, address, 0, 0, mode)
        return times[0]

    def _slope(self, start: int, layer: int, block: int, total: Word) -> int:
        layout = self._layout
        register = layout.registers.gate[layer]
        lag = behind(layout, register, gate_delay(layout.depth, layer))
        gate = word(layout.words.gate[layer] + block, queue=register, lag=lag)
        to = word(layout.words.own_errors[layer] + block)
        with self._b.account("backward"):
            return self._compute(start, [total, gate], to, fma_b=ONE, fma_c=ZERO, fma_flags=SLOPE, fma_gate=LATCH + 2)

    def spread(self, layer: int, start: int) -> int:
        """Own errors of a hidden layer, to all lanes that work on those outputs."""
        layout, split, ready = self._layout, self._layout.splits[layer], start
        with self._b.account("collective"):
            for number, block in enumerate(split.blocks):
                own = layout.words.own_errors[layer] + number
                to = layout.words.errors[layer] + block.first

                def spread(at: int, block: Block = block, own: int = own, to: int = to) -> int:
                    return self._spread_block(at, layer, block, own, to)

                if block.merged > 1:
                    ready = max(ready, self._b.alone(start, "turned", spread))
                else:
                    ready = max(ready, spread(start))
        return ready

    def _spread_block(self, start: int, layer: int, block: Block, own: int, to: int) -> int:
        """Rows of own errors, a beat of each group after the other."""
        split, rows, end = self._layout.splits[layer], self._m.pe_rows, start
        if split.steps == 1 and block.merged == 1:  # every group's are in its own column
            return self._across(start, own, to, block.used)
        words, ready = [own], [start]
        bit = (block.share - 1).bit_length()
        for part in range(1, block.merged):  # parts of other groups, to the rows of this one
            top = part.bit_length() - 1
            turned = self._layout.words.turned + part - 1
            words.append(turned)
            ready.append(self._turn(ready[part - (1 << top)], bit + top, words[part - (1 << top)], turned))
        for step in range(-(-block.used // rows)):
            sources = [(split.column(block, group, step), group) for group in range(split.output_lanes)]
            parts = self._broadcast(split.steps, [(words[c // split.steps ^ g], c, g) for c, g in sources])
            count = min(rows, block.used - step * rows)

            def piece(at: int, parts: list[Part] = parts, to: int = to + step * rows, count: int = count) -> int:
                at = self._b.first_fit(at, parts) + 1 + max(part.at for part in parts)
                return self._across(at, self._layout.words.work, to, count)

            end = max(end, self._b.alone(max(ready), "work", piece))
        return end

    def _broadcast(self, steps: int, sources: list[tuple[int, int, int]]) -> list[Part]:
        """A word of a column to all columns of a group, for (word, column, group); then to MEM B at `work`."""
        parts: list[Part] = [Hold(1, "row latch", len(sources))]
        at = 0
        for source in dict.fromkeys(one for one, _, _ in sources):
            to = [(column, group) for one, column, group in sources if one == source]
            parts += read(at, source, 3, at + len(to))
            for column, group in to:
                at += 1
                fields = {"row_column": column, "row_slot": LATCH + 3, "row_to": group * steps}
                parts.append(use(at, "row_bus", row_from=FROM_PE, row_mask=EXACT & ~(steps - 1), **fields))
        return [*parts, write(at + 1, self._layout.words.work, ROW)]

    def _gather(self, start: int, index: int, beats: list[tuple[int, int, int, int, bool]]) -> int:
        """Beats of the core's own to its SRAM and on to all others; returns when the last is there.

        beats: number, column, word of MEM B with its address register, whether it is a scaled one.
        """
        layout, m = self._layout, self._m
        after, spacing, beat = layout.splits[index + 1], sram_beat_cycles(m), beat_cycles(m)
        arrivals, at = [start] * len(beats), start
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
        return at + 1
