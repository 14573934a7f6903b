"""Closed forms of the schedules that the simulator executes: the same cycles, the same events, in an instant.

Stretches as in docs/machine.md; each method adds a stretch's events and returns its cycles. q: outputs of a core,
padded; width: sums that a loop interleaves.

Events belong to the phase (events.PHASES) that causes them: multiply-adds and their operands to forward, backward or
update, sums over lanes and cores to collective, softmax to backward, inputs times the learning rate to update. What
serves two phases at once (a weight's one read, its two cycles, errors spread to all PEs) is shared evenly, as in
events.pass_phases; an odd event is the second's. Cycles in which a loop waits for the ring are collective; those of
padding and of latency belong to the stretch they lie in.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

from caterpillar.counters import Counters
from caterpillar.estimate.events import PHASES
from caterpillar.machine import Machine
from caterpillar.mapping.isa import accumulators, beat_cycles, link_hops, softmax_cycles, sram_beat_cycles
from caterpillar.mapping.layout import LayerLayout, back_unit, make_layout
from caterpillar.network import Network

FORWARD, BACKWARD, UPDATE, COLLECTIVE = ("forward",), ("backward",), ("update",), ("collective",)
BACKWARD_UPDATE, UPDATE_FORWARD = ("backward", "update"), ("update", "forward")


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """A tick's cycles, and its events on the whole machine by phase (events.PHASES)."""

    cycles: int
    phases: dict[str, Counters]

    @property
    def counters(self) -> Counters:
        """Events of all phases."""
        return sum(self.phases.values(), start=Counters())


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """A run of n samples: first, n - 1 times steady, last."""

    first: Segment
    steady: Segment
    last: Segment

    def cycles(self, samples: int) -> int:
        """Machine cycles of the run."""
        return self.first.cycles + (samples - 1) * self.steady.cycles + self.last.cycles

    def phases(self, samples: int) -> dict[str, Counters]:
        """Events of the run by phase."""
        first, steady, last = self.first.phases, self.steady.phases, self.last.phases
        return {phase: first[phase] + steady[phase] * (samples - 1) + last[phase] for phase in PHASES}


def predict(network: Network, machine: Machine, rule: str = "sgd") -> Prediction:
    """Cycles and events of mapping `best` for sgd, fa or dfa, for a network of two layers or more."""
    layers = make_layout(network, machine, rule).layers
    last = _Tally(machine)
    tail = last.spend(1, UPDATE) + last.update_forward(layers[0], load=False)
    return Prediction(
        first=_tick(layers, machine, rule, update=False),
        steady=_tick(layers, machine, rule, update=True),
        last=last.done(tail),
    )


def _tick(layers: tuple[LayerLayout, ...], machine: Machine, rule: str, *, update: bool) -> Segment:
    tally = _Tally(machine)
    cycles = tally.update_forward(layers[0]) if update else tally.first_forward(layers[0])
    for before, layer in pairwise(layers[:-1]):
        cycles += tally.reduce(before) + tally.gather_forward(before, layer)
    cycles += tally.reduce(layers[-2]) + tally.output(layers)
    if rule == "dfa":
        return tally.done(cycles + tally.direct(layers))
    cycles += tally.back_own(layers[-2].blocks, layers[-1].outputs, matrices=2 if rule == "fa" else 1)
    for before, layer in reversed(tuple(pairwise(layers[:-1]))):
        cycles += tally.spread(layer, BACKWARD_UPDATE) + tally.back_scatter(before, layer, update=rule == "sgd")
        if rule == "fa":
            cycles += tally.update_forward(layer, load=False)
    cycles += tally.spread(layers[0], UPDATE)
    return tally.done(cycles + tally.spend(layers[0].padded - 1, UPDATE))


@dataclass(slots=True)
class _Tally:
    machine: Machine
    counts: dict[str, dict[str, int]] = field(default_factory=lambda: {phase: {} for phase in PHASES})

    def add(self, phases: tuple[str, ...], **events: int) -> None:
        """Events of a phase, or shared evenly by two."""
        for name, number in events.items():
            given = number // len(phases)
            for phase, share in zip(phases, (given, number - given) if len(phases) == 2 else (number,), strict=True):
                self.counts[phase][name] = self.counts[phase].get(name, 0) + share

    def everywhere(self, phases: tuple[str, ...], **events: int) -> None:
        """Events in every PE."""
        self.add(phases, **{name: number * self.machine.pes for name, number in events.items()})

    def spend(self, cycles: int, phases: tuple[str, ...]) -> int:
        """Cycles of all PEs; returns them."""
        self.everywhere(phases, pe_cycles=cycles)
        return cycles

    def beats(self, phases: tuple[str, ...], number: int, **share: int) -> None:
        """Words on every row bus of every core, and other events per word."""
        words = number * self.machine.pe_rows * self.machine.cores
        self.add(phases, row_bus_words=words, **{name: words * times for name, times in share.items()})

    def done(self, cycles: int) -> Segment:
        return Segment(cycles=cycles, phases={phase: Counters(**events) for phase, events in self.counts.items()})

    def load(self, layer: LayerLayout, at_least: int) -> tuple[int, int]:
        """Cycles a position of the sample takes, and when the first is ready."""
        m = self.machine
        beat = sram_beat_cycles(m)
        self.add(FORWARD, outside_words=layer.inputs + 1, core_sram_write_words=layer.inputs * m.cores)
        self.beats(FORWARD, m.pe_cols * layer.positions, core_sram_read_words=1)
        self.everywhere(FORWARD, mem_b_write_words=layer.positions)
        return max(at_least, m.pe_cols * beat), (m.pe_cols - 1) * beat + 2

    def forward(self, layer: LayerLayout, pace: int, *, waits_for: tuple[str, ...] = FORWARD) -> int:
        """S positions at `pace` in the first A outputs, A cycles a position in the others.

        waits_for: whose the cycles are by which `pace` is slower than A.
        """
        width, weights = accumulators(self.machine), layer.positions * layer.padded
        self.everywhere(FORWARD, pe_sram_read_words=weights, fma=weights)
        self.everywhere(FORWARD, mem_b_read_words=weights // width, mem_b_write_words=layer.padded)
        paced = layer.positions - (layer.padded == width)
        cycles = self.spend(weights + self.machine.fma_latency, FORWARD)
        return cycles + self.spend(paced * (pace - width), waits_for)

    def first_forward(self, layer: LayerLayout) -> int:
        pace, ready = self.load(layer, accumulators(self.machine))
        return self.spend(ready + 1, FORWARD) + self.forward(layer, pace)

    def update_forward(self, layer: LayerLayout, *, load: bool = True) -> int:
        """Two cycles a weight; load False: the update alone, from its first read."""
        latency, width = self.machine.fma_latency, back_unit(self.machine)
        positions, weights = layer.positions, layer.positions * layer.padded
        self.everywhere(UPDATE_FORWARD if load else UPDATE, pe_sram_read_words=weights)
        self.everywhere(UPDATE, pe_sram_write_words=weights, fma=weights)
        self.everywhere(UPDATE, mem_b_read_words=weights // width + layer.padded)
        self.everywhere(UPDATE, register_writes=layer.padded, register_reads=weights)
        if not load:
            return self.spend(2 * weights + latency + latency % 2, UPDATE)
        self.everywhere(FORWARD, fma=weights, mem_b_read_words=weights // width, mem_b_write_words=layer.padded)
        pace, ready = self.load(layer, 2 * width)
        pace += pace % 2
        start, tail = max(1, ready - 1 - latency), 1 + 2 * latency
        if layer.padded == width:
            return self.spend(start + (positions - 1) * pace + 2 * width + tail, UPDATE_FORWARD)
        return self.spend(start + positions * (pace + 2 * (layer.padded - width)) + tail, UPDATE_FORWARD)

    def reduce(self, layer: LayerLayout) -> int:
        spare = layer.blocks * self.machine.pes_per_core - layer.padded
        self.everywhere(COLLECTIVE, mem_b_write_words=spare)
        return self.spend(spare + sum(self._halving() for _ in range(layer.blocks)), COLLECTIVE)

    def _halving(self) -> int:
        """One block of P partial sums over P lanes; returns from the sums ready to the word ready."""
        m, latency, words = self.machine, self.machine.fma_latency, self.machine.pes_per_core // 2
        self.everywhere(COLLECTIVE, mem_b_write_words=1)
        if not words:
            self.everywhere(COLLECTIVE, mem_b_read_words=1, fma=1)
            return 2 + latency
        self.everywhere(COLLECTIVE, mem_b_read_words=2 * words, fma=2 * words - 1)
        self.everywhere(COLLECTIVE, register_writes=2 * words - 1, register_reads=2 * words - 2)
        bits = range(words.bit_length() - 1, -1, -1)
        hops = link_hops(m, bits[0])
        exchange = 1
        for bit in bits:
            self.everywhere(COLLECTIVE, neighbour_words=words * link_hops(m, bit))
            if bit < bits[0]:
                before, hops = hops, link_hops(m, bit)
                slower = max(0, (words - 1) * (before - hops))
                results = exchange + before + latency  # of the level before: the first; its last `words` are sent
                exchange = max(
                    exchange + 2 * words * before, results + slower, results + slower + words * before - hops
                )
            words //= 2
        return exchange + hops + latency + 1

    def gather(self, blocks: int, columns: int) -> None:
        cores = self.machine.cores
        self.everywhere(COLLECTIVE, mem_b_read_words=blocks, mem_b_write_words=blocks * cores)
        self.beats(COLLECTIVE, blocks * columns)
        self.beats(COLLECTIVE, blocks * columns * (cores - 1), ring_word_hops=1)

    def gather_forward(self, before: LayerLayout, layer: LayerLayout) -> int:
        m = self.machine
        columns = m.pe_cols
        self.gather(before.blocks, columns)
        pace = max(2, accumulators(m), columns * beat_cycles(m))
        first = self.spend(2 + (columns - 1) * beat_cycles(m) + 2, COLLECTIVE)
        return first + self.forward(layer, pace, waits_for=COLLECTIVE)

    def output(self, layers: tuple[LayerLayout, ...]) -> int:
        """The last layer forward, all-reduce, softmax, until its errors are on their way to every PE."""
        m, layer, before = self.machine, layers[-1], layers[-2]
        cycles = self.spend(1, FORWARD) + self.forward(layer, accumulators(m)) + self.reduce(layer)
        columns = -(-min(layer.outputs, m.pes_per_core) // m.pe_rows)
        self.gather(layer.blocks, columns)
        pace = max(2, columns * beat_cycles(m))
        gathered = 1 + (m.cores * layer.blocks - 1) * pace + (columns - 1) * beat_cycles(m) + 2
        cycles += self.beside(gathered, COLLECTIVE, 1 + layer.blocks * pace + self.scale(layers[0].positions))
        cycles += self.spend(sum(self.sum_cores() for _ in range(layer.blocks)), COLLECTIVE)
        beats = -(-layer.outputs // m.pe_rows)
        self.everywhere(BACKWARD, mem_b_read_words=-(-beats // m.pe_cols))
        self.beats(BACKWARD, beats, activation_words=1)
        self.beats(BACKWARD_UPDATE, beats, activation_words=1)
        softmax = 1 + beats + softmax_cycles(m, layer.outputs)
        scaled = self.scale(before.blocks + sum(one.positions for one in layers[1:-1]))
        cycles += self.beside(softmax, BACKWARD, scaled)
        self.add(BACKWARD_UPDATE, column_bus_words=layer.outputs * m.pe_cols * m.cores)
        self.everywhere(BACKWARD_UPDATE, mem_b_write_words=layer.outputs)
        return cycles + self.spend(3, BACKWARD_UPDATE)

    def beside(self, cycles: int, phases: tuple[str, ...], scaled: int) -> int:
        """Cycles of phases with inputs scaled beside them; those that the scaling adds are the update's."""
        return self.spend(cycles, phases) + self.spend(max(0, scaled - cycles), UPDATE)

    def scale(self, words: int) -> int:
        self.everywhere(UPDATE, mem_b_read_words=words, fma=words, mem_b_write_words=words)
        return 2 * words + self.machine.fma_latency

    def sum_cores(self) -> int:
        cores, latency = self.machine.cores, self.machine.fma_latency
        width = min(accumulators(self.machine), cores)
        self.everywhere(COLLECTIVE, mem_b_read_words=cores, fma=cores + width, mem_b_write_words=1)
        stride = max(width, latency)
        cycles = 1 + (-(-cores // width) - 1) * stride + width - 1 + latency
        while width > 1:
            half = 1 << ((width - 1).bit_length() - 1)
            cycles += width - half - 1 + latency
            width = half
        return cycles + latency + 1

    def back_own(self, blocks: int, outputs: int, *, matrices: int) -> int:
        """Errors through the matrix that is updated (1 matrix), or another one (2)."""
        latency, weights = self.machine.fma_latency, blocks * outputs
        self.everywhere(BACKWARD_UPDATE, pe_sram_read_words=weights * matrices, fma=2 * weights)
        self.everywhere(BACKWARD_UPDATE, mem_b_read_words=weights + 2 * blocks)
        self.everywhere(BACKWARD, mem_b_write_words=blocks)
        self.everywhere(UPDATE, pe_sram_write_words=weights)
        error = 3 if matrices == 2 else 2 - latency % 2
        return self.spend((weights - 1) * max(4, latency + latency % 2) + error + latency + 1, BACKWARD_UPDATE)

    def direct(self, layers: tuple[LayerLayout, ...]) -> int:
        """dfa: the last layer updated; then for each hidden layer errors, spread, and all but layer 1 updated."""
        latency, last = self.machine.fma_latency, layers[-1]
        self.everywhere(UPDATE, mem_b_write_words=last.padded - last.outputs)
        cycles = self.spend(last.padded, UPDATE) + self.update_forward(last, load=False)
        for layer in reversed(layers[:-1]):
            weights = layer.blocks * last.outputs
            self.everywhere(BACKWARD, pe_sram_read_words=weights, fma=weights)
            self.everywhere(BACKWARD, mem_b_read_words=weights + layer.blocks, mem_b_write_words=layer.blocks)
            cycles += self.spend((weights - 1) * max(4, latency + latency % 2) + 1 + latency + 1, BACKWARD)
            cycles += self.spread(layer, UPDATE)
            if layer is not layers[0]:
                cycles += self.spend(layer.padded, UPDATE) + self.update_forward(layer, load=False)
        return cycles + self.spend(layers[0].padded - 1, UPDATE)

    def spread(self, layer: LayerLayout, phases: tuple[str, ...]) -> int:
        """From a layer's errors ready in their lanes until the first is ready in every PE."""
        m, words = self.machine, layer.padded
        beats = -(-words // m.pe_rows)
        self.everywhere(phases, mem_b_read_words=-(-beats // m.pe_cols), mem_b_write_words=words)
        self.beats(phases, beats)
        self.add(phases, column_bus_words=words * m.pe_cols * m.cores)
        return self.spend(4 + (words if words > m.pes_per_core else 0), phases)

    def back_scatter(self, before: LayerLayout, layer: LayerLayout, *, update: bool) -> int:
        m, q = self.machine, layer.padded
        step, width = (2, back_unit(m)) if update else (1, accumulators(m))
        groups = -(-layer.positions // width)
        weights = groups * width * q
        both = BACKWARD_UPDATE if update else BACKWARD
        self.everywhere(both, pe_sram_read_words=weights, mem_b_read_words=weights // width)
        self.everywhere(BACKWARD, fma=weights, register_writes=groups * width)
        if update:
            self.everywhere(UPDATE, pe_sram_write_words=weights, fma=weights, register_reads=weights)
            self.everywhere(UPDATE, mem_b_read_words=groups * width, register_writes=groups * width)
        self.visits(before.blocks)
        cycles = self._last_visit(groups, width, step, q) + m.fma_latency + 1
        return self.spend(step * weights, both) + self.spend(cycles - step * weights, COLLECTIVE)

    def visits(self, blocks: int) -> None:
        m = self.machine
        passing, columns = max(0, m.cores - 2) * blocks, m.pe_cols
        self.everywhere(COLLECTIVE, fma=passing + blocks, register_reads=passing + blocks, register_writes=passing)
        self.everywhere(COLLECTIVE, mem_b_read_words=blocks, mem_b_write_words=blocks)
        if m.cores > 1:
            sent = (passing + blocks) * columns
            self.beats(COLLECTIVE, sent, ring_word_hops=1, register_reads=1)
            self.beats(COLLECTIVE, sent)

    def _last_visit(self, groups: int, width: int, step: int, q: int) -> int:
        """The cycle of the last visit's addition, from the first weight's read."""
        m = self.machine
        transfer, half = m.pe_cols * beat_cycles(m), q // (2 * width) * width
        shortest = m.fma_latency + 2 * transfer
        least = max(step * (q + 1), shortest, step * (half + 1) + 1 + transfer)
        piece = -(-least // step) * step
        last_weight = groups * width * piece - step  # of the last group
        at = (groups * width - 1) * piece + step * half + 1 if groups > 1 else -shortest
        for a in range(width):
            ready = last_weight - step * (width - 1 - a) + step + m.fma_latency
            at = max(ready, last_weight + step + 1, at + shortest)
        return at
