"""Between the passes: sums over lanes and cores, activations and errors to where they are needed.

Each step is issued in the first cycle in which all it needs is free, beside the passes. Functions return when what they
make is ready.
"""

from __future__ import annotations

from collections.abc import Sequence

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
    LATCH,
    LINK,
    ONE,
    RATE,
    RELU,
    ROTATE_CORE,
    ROW,
    SLOPE,
    TO_SOFTMAX,
    TO_SRAM,
    XOR_LANE,
    ZERO,
    beat_cycles,
    link_hops,
    softmax_cycles,
    sram_beat_cycles,
)
from caterpillar.mapping.pipeline.layout import Layout
from caterpillar.mapping.pipeline.passes import behind, own_column
from caterpillar.mapping.pipeline.planner import Hold, Link, Part, Planner, Word, read, use, word, write
from caterpillar.mapping.pipeline.split import Block
from caterpillar.mapping.pipeline.words import doubling, gate_delay, last_bits, last_blocks, logit_words

SLACK = (0, 1, 2, 3)  # cycles that a word off the links may wait for its addition

Last = tuple[dict[str, int], Word]


class Collectives:
    """The steps, on one plan."""

    def __init__(self, b: Planner, layout: Layout, m: Machine) -> None:
        self._b, self._layout, self._m = b, layout, m
        self.softmax = (0, 0)  # when the softmax unit is at work

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

    def _turn(self, start: int, bit: int, source: int, to: int) -> int:
        """MEM B at `to` = the partner's word at source."""
        hops = link_hops(self._m, bit)
        variants = [
            [
                *read(-early, source, 2, 0),
                use(0, "link", link_bit=bit, link_slot=LATCH + 2),
                Hold(0, "links", hops + wait),
                write(hops + wait, to, LINK),
            ]
            for wait in SLACK
            for early in (1, 2)
        ]
        return self._b.best_fit(start, variants)

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

    def _scale(self, start: int, own: Word, to: Word) -> int:
        """The learning rate times an activation."""
        with self._b.account("forward"):
            return self._compute(start, [own], to, fma_b=RATE, fma_c=ZERO)

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
        """The last layer's partial sums, ready at start -> every core has all logits."""
        layout, m = self._layout, self._m
        outputs, words = layout.sizes[-1], layout.words
        halved, rest = last_bits(m, layout.splits[-1], outputs)
        ready = start
        with self._b.account("collective"):
            for block in range(last_blocks(m, layout.splits[-1], outputs)):
                address = words.sums[layout.depth] + (block << len(halved))
                done = self._add_lanes(start, address, halved, rest)
                add = self._double if doubling(m) else self._add_cores
                ready = max(ready, add(done, block, len(halved)))
        return ready

    def _double(self, start: int, block: int, bits: int) -> int:
        """Every core adds the word of the core that is half a ring away, then of that a quarter away, and so on.

        So all come to the same sums, in the same order as by halving the words of all cores.
        """
        mine = self._layout.words.logits + 2 * block
        source, apart = self._partial(block, bits), self._m.cores
        while apart > 1:
            apart //= 2

            def fetch(at: int, source: Word = source, apart: int = apart) -> int:
                return self._pass_down(at, block, bits, apart, source, [(apart, word(mine + 1))])

            start = self._b.alone(start, "queue down", fetch)
            start = self._add(start, source, word(mine + 1), word(mine))
            source = word(mine)
        return start

    def _partial(self, block: int, bits: int) -> Word:
        """A core's own logits."""
        return word(self._layout.words.sums[-1] + (block << bits), mode=XOR_LANE, bits=bits)

    def _add_cores(self, start: int, block: int, bits: int) -> int:
        """Every core gets the words of all, in their order, and adds them by halving."""
        cores, to = self._m.cores, self._layout.words.logits + block * self._m.cores
        source = self._partial(block, bits)
        takes = [(distance, word(to, mode=ROTATE_CORE, offset=distance)) for distance in range(cores)]
        ready = self._b.alone(
            start, "queue down", lambda at: self._pass_down(at, block, bits, cores - 1, source, takes)
        )
        count, times = cores, [ready] * cores
        while count > 1:
            half = -(-count // 2) if count & (count - 1) == 0 else 1 << (count.bit_length() - 1)
            for k in range(count - half):
                begin = max(times[k], times[k + half])
                times[k] = self._add(begin, word(to + k), word(to + k + half), word(to + k))
            count = half
        return times[0]

    def _pass_down(
        self,
        start: int,
        block: int,
        bits: int,
        hops: int,
        source: Word,
        takes: list[tuple[int, Word]],
    ) -> int:
        """A block of logits down the ring, so many hops; after some of them it is taken into MEM B."""
        m, beat, end = self._m, beat_cycles(self._m), start
        columns = -(-min(self._layout.sizes[-1] - (block << bits), 1 << bits) // m.pe_rows)
        for distance in range(hops + 1):
            parts: list[Part] = []
            last, taken = 1 + (columns - 1) * beat, [to for after, to in takes if after == distance]
            if distance == 0:
                parts += read(0, source.address, 3, last, **dict(source.how))
            fields = {"row_from": FROM_DOWN, "row_send": DOWN} if distance < hops else {"row_from": FROM_DOWN}
            for column in range(columns):
                at = 1 + column * beat
                if distance == 0:
                    fields |= {"row_from": FROM_PE, "row_column": column, "row_slot": LATCH + 3}
                where = {"row_to": column, "row_mask": EXACT} if taken else {}
                parts.append(use(at, "row_bus", **fields, **where))
                if distance < hops:
                    parts.append(Hold(at, "ring down", beat))
            if taken:
                parts.append(Hold(1, "row latch", (columns - 1) * beat + 1))
            parts += [write(last + 1, one.address, ROW, **dict(one.how)) for one in taken]
            at = self._b.first_fit(start, parts)
            start, end = at + columns * beat, at + last + 2
        return end

    def output_errors(self, start: int) -> int:
        """Logits to the softmax unit; its errors to every lane."""
        with self._b.account("collective"):
            return self._b.alone(start, "softmax", self._softmax)

    def _softmax(self, start: int) -> int:
        layout, m = self._layout, self._m
        outputs, each = layout.sizes[-1], logit_words(m)
        bits, beats = len(last_bits(m, layout.splits[-1], outputs)[0]), -(-outputs // m.pe_rows)
        for beat in range(beats):
            block, column = divmod(beat * m.pe_rows, 1 << bits)
            logits = layout.words.logits + block * each
            fields = {"row_from": FROM_PE, "row_column": column // m.pe_rows, "row_slot": LATCH + 3}
            start = (
                self._b.first_fit(start, [*read(0, logits, 3, 1), use(1, "row_bus", **fields, row_to=TO_SOFTMAX)]) + 2
            )
        begun = self._b.first_fit(start, [use(0, "softmax", softmax_on=outputs)])
        start = begun + softmax_cycles(m, outputs)
        self.softmax = (begun, start)

        def piece(at: int, beat: int) -> int:
            fields = {"row_from": FROM_SOFTMAX, "row_to": ALL_COLUMNS, "row_address": beat}
            parts = [use(0, "row_bus", **fields), Hold(0, "row latch", 1), write(1, layout.words.work, ROW)]
            at = self._b.first_fit(at, parts) + 2
            first = beat * m.pe_rows
            return self._across(at, layout.words.work, layout.words.errors[-1] + first, min(m.pe_rows, outputs - first))

        for beat in range(beats):
            start = self._b.alone(start, "work", lambda at, beat=beat: piece(at, beat))
        return start

    def _add_lanes(
        self, start: int, address: int, halved: list[int], whole: list[int], last: Last | None = None
    ) -> int:
        """Adds 2^|halved| words over lanes that differ in these bits, from the highest one on.

        Lane p is left with the sum of word p mod 2^|halved|, where it was; over the bits of `whole` words add whole.
        last: what the last addition does besides, and where the sum goes instead.
        """
        mode = {"mode": XOR_LANE, "bits": len(halved)} if halved else {}
        times = [start] * (1 << len(halved))
        for bit in reversed(halved):
            for low in range(1 << bit):
                begin = max(times[low], times[low + (1 << bit)])
                ends = last if bit == 0 and not whole else None
                times[low] = self._exchange(begin, bit, address, low + (1 << bit), low, mode, ends)
        for bit in whole:
            times[0] = self._exchange(times[0], bit, address, 0, 0, mode, last if bit == whole[-1] else None)
        if last and not (halved or whole):
            times[0] = self._compute(start, [word(address)], last[1], fma_b=ONE, fma_c=ZERO, **last[0])
        return times[0]

    def _exchange(
        self, start: int, bit: int, address: int, sent: int, kept: int, mode: dict[str, int], last: Last | None = None
    ) -> int:
        """MEM B at address + (kept ^ lane) += the partner's word at address + (sent ^ its lane)."""
        away, mine = (word(address, **mode, **({"offset": offset} if mode else {})) for offset in (sent, kept))
        fields, to = last or ({}, mine)
        link = Link(away, bit, link_hops(self._m, bit))
        return self._b.multiply_add(start, [mine], link, to, self._m, fma_a=LINK, fma_b=ONE, fma_c=LATCH + 3, **fields)

    def _compute(self, start: int, reads: Sequence[Word], to: Word, **fields: int) -> int:
        """MEM B at `to` = a multiply-add of words read into latches 3 and 2; a is latch 3."""
        return self._b.multiply_add(start, reads, None, to, self._m, fma_a=LATCH + 3, **fields)

    def _add(self, start: int, one: Word, other: Word, to: Word) -> int:
        """MEM B: to = one + other."""
        return self._compute(start, [one, other], to, fma_b=ONE, fma_c=LATCH + 2)

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
