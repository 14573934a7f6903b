"""From the last layer's partial sums to its errors: all cores add the logits, and each has a softmax unit."""

from __future__ import annotations

from caterpillar.mapping.isa import (
    ALL_COLUMNS,
    DOWN,
    EXACT,
    FROM_DOWN,
    FROM_PE,
    FROM_SOFTMAX,
    LATCH,
    ROTATE_CORE,
    ROW,
    TO_SOFTMAX,
    XOR_LANE,
    beat_cycles,
    softmax_cycles,
)
from caterpillar.mapping.pipeline.parts import Hold, Part, Word, read, use, word, write
from caterpillar.mapping.pipeline.steps import Steps
from caterpillar.mapping.pipeline.words import doubling, last_bits, last_blocks, logit_words


class Output(Steps):
    """The last layer's steps."""

    softmax = (0, 0)  # when the softmax unit is at work

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

    def errors(self, start: int) -> int:
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
