"""simulate: a Schedule executed on real values, cycle by cycle."""

# pyright: basic

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from caterpillar import numerics
from caterpillar.checks import SpecError
from caterpillar.counters import Counters
from caterpillar.mapping import isa
from caterpillar.mapping.schedule import Controls, Indices, Places, Schedule, windows
from caterpillar.numerics.arithmetic_type import Arithmetic, sources_digest
from caterpillar.simulate.addresses import check_addresses
from caterpillar.simulate.engine import PIPELINE, execute, new_flow, new_ring
from caterpillar.simulate.hazards import walk_groups

Half = NDArray[np.float16]


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What a run took and gave. weights: per layer, (inputs, outputs), half precision."""

    cycles: int
    counters: Counters
    weights: tuple[Half, ...]


def count(schedule: Schedule, samples: int) -> tuple[int, Counters]:
    """Cycles and events of a run of n samples, exactly: control does not depend on data, so equal ticks count alike.

    Checks the micro-programs. Raises Hazard, and SpecError where batches are not whole.
    """
    programs = schedule.ticks(samples)
    check_addresses(schedule)
    total = Counters()
    members = schedule.steady.members(schedule.machine.cores)
    for program in {id(one): one for one in programs}.values():
        warm = program is not programs[0]
        words = _together(windows(one, schedule.queues) for one in program.groups)
        have = {"sram_beats": schedule.sram_beats, "copies": schedule.copies}
        counted = walk_groups(words, schedule.machine, members, warm=warm, **have)
        total += counted * sum(one is program for one in programs)
    return schedule.cycles(samples), total + _arriving(schedule, samples)


def _together(groups: Iterable[Iterator[isa.Control]]) -> Iterator[isa.Control]:
    """The groups' stretches of control words as one, (groups, cycles, fields)."""
    several = list(groups)
    for stretches in zip(*several, strict=True):
        yield np.stack(stretches) if len(several) > 1 else stretches[0][None]


def _arriving(schedule: Schedule, samples: int) -> Counters:
    """A sample and its label come from outside into core SRAM while those before are worked on."""
    inputs = schedule.network.inputs * (2 if schedule.scaled_lag else 1)
    return Counters(
        outside_words=(inputs + 1) * samples, core_sram_write_words=inputs * schedule.input_copies * samples
    )


def simulate(
    schedule: Schedule,
    weights: tuple[Half, ...],
    inputs: Half,
    labels: NDArray[np.int64],
    rate: float,
    *,
    feedback: tuple[Half | None, ...] = (),
) -> Run:
    """Execute a run on every cycle: inputs (samples, m), labels (samples,), weights per layer (m, n), half precision.

    feedback: per layer B_l or None: shaped like W_l for fa, (n_l, n_L) for dfa.

    Pure: the arguments are left as they are. Raises Hazard where the hardware could not do what a micro-program asks,
    SpecError where shapes are not the schedule's, labels not the network's or batches not whole.
    """
    _check_shapes(schedule, weights, inputs, labels, feedback)
    cycles, counters = count(schedule, len(labels))
    state = _State(schedule, weights, feedback, rate)
    batches, programs = len(labels) // schedule.batch, schedule.ticks(len(labels))
    controls = {
        key: [Controls(each, schedule.queues) for each in one.groups]
        for key, one in {id(one): one for one in programs}.items()
    }
    for tick, program in enumerate(programs):
        earlier = _of_batch(inputs, tick - schedule.scaled_lag, batches)
        state.arrive(_of_batch(inputs, tick, batches), earlier, tick)
        for words in _together(each.at(tick) for each in controls[id(program)]):
            state.execute(words, _of_batch(labels, tick - schedule.label_lag, batches))
        state.finish_tick()
    return Run(cycles=cycles, counters=counters, weights=state.weights())


def _of_batch(values: NDArray[Any], batch: int, batches: int) -> NDArray[Any]:
    """One batch's share; zeros before the first and after the last."""
    shares = values.reshape(batches, -1, *values.shape[1:])
    return shares[batch] if 0 <= batch < batches else np.zeros_like(shares[0])


def _check_shapes(
    schedule: Schedule,
    weights: tuple[Half, ...],
    inputs: Half,
    labels: NDArray[np.int64],
    feedback: tuple[Half | None, ...],
) -> None:
    network = schedule.network
    wanted = [(layer.inputs, layer.outputs) for layer in network.layers]
    if [w.shape for w in weights] != wanted:
        raise SpecError(f"weights must have the shapes {wanted}, got {[w.shape for w in weights]}")
    through: dict[str, list[tuple[int, int] | None]] = {
        "fa": [None, *wanted[1:]],
        "dfa": [*((layer.outputs, network.outputs) for layer in network.layers[:-1]), None],
    }
    rule = schedule.rule.removesuffix(str(schedule.batch))
    given, fixed = [b if b is None else b.shape for b in feedback], through.get(rule, [])
    if given != fixed:
        raise SpecError(f"feedback must have the shapes {fixed}, got {given}")
    if inputs.shape != (len(labels), network.inputs):
        raise SpecError(f"inputs must have the shape ({len(labels)}, {network.inputs}), got {inputs.shape}")
    if len(labels) and (labels.min() < 0 or labels.max() >= network.outputs):
        found = f"{labels.min()} to {labels.max()}"
        raise SpecError(f"labels must be in [0, {network.outputs - 1}], got {found}")


def _flat(groups: NDArray[Any]) -> NDArray[Any]:
    """Each group's words in a row."""
    return groups.reshape(len(groups), -1)


class _State:
    """Operands and memories of all PEs, and what is under way between them."""

    def __init__(
        self, schedule: Schedule, weights: tuple[Half, ...], feedback: tuple[Half | None, ...], rate: float
    ) -> None:
        machine = schedule.machine
        self._schedule, self._machine = schedule, machine
        members = schedule.steady.members(machine.cores)
        groups, cores = len(members), max(len(some) for some in members)
        self._group_of, self._number = np.zeros((2, machine.cores), np.int64)
        for group, some in enumerate(members):
            self._group_of[some], self._number[some] = group, np.arange(len(some))
        self._ring = new_ring(members, machine.cores, machine.cores // schedule.copies)
        self._cores, self._width = cores, -(-machine.pes_per_core * cores // 16) * 16
        self._operands = np.zeros((groups, PIPELINE + machine.fma_latency + 2, self._width), np.float32)
        self._operands[:, isa.ONE] = 1
        self._operands[:, isa.RATE] = np.float16(rate / schedule.batch)
        words = -(-schedule.layout.mem_a_words // isa.halves(machine)) * isa.halves(machine)
        self._a = np.zeros((groups, words, self._width), np.uint16)
        self._b = np.zeros((groups, schedule.layout.mem_b_words, self._width), np.float32)
        self._queues = np.zeros((2, isa.FIFO_BEATS, machine.pe_rows, machine.cores), np.float32)
        self._sram = np.zeros((groups, schedule.sram_beats, machine.pe_rows, cores), np.float32)
        outputs = schedule.network.outputs + machine.pes_per_core
        self._softmax = np.zeros((groups, 2, outputs, cores), np.float32)
        self._flow = np.zeros((groups, len(new_flow(machine.fma_latency))), np.int64)
        self._moving = np.zeros((groups, 4, self._width), np.float32)
        self.finish_tick()
        self._arithmetic = Arithmetic("fp16", DIGEST)
        for index, matrix in enumerate(weights, start=1):
            self._put(matrix, schedule.layout.weight_places(index))
        for index, matrix in enumerate(feedback, start=1):
            if matrix is not None:
                self._put(matrix, schedule.layout.feedback_places(index))

    def _put(self, matrix: Half, at: Places) -> None:
        bits = np.ascontiguousarray(matrix).view(np.uint16)[at.row, at.column]
        bits = np.where((at.row >= 0) & (at.column >= 0), bits, np.uint16(0))
        if at.streamed is None:
            for first in range(0, self._machine.cores, self._machine.cores // self._schedule.copies):
                self._a[self._places(at.core + first, at.lane, at.word)] = bits
            return
        core, lane, word, there = np.broadcast_arrays(at.core, at.lane, at.word, at.streamed)
        self._a[self._places(core[~there], lane[~there], word[~there])] = bits[~there]
        self._sram[self._beats(core[there], lane[there], word[there])] = bits[there].view(np.float16)

    def _get(self, at: Places) -> NDArray[np.uint16]:
        """The words at places, as bits."""
        if at.streamed is None:
            return self._a[self._places(at.core, at.lane, at.word)]
        core, lane, word, there = np.broadcast_arrays(at.core, at.lane, at.word, at.streamed)
        values = np.zeros(word.shape, np.uint16)
        values[~there] = self._a[self._places(core[~there], lane[~there], word[~there])]
        words = self._sram[self._beats(core[there], lane[there], word[there])]
        values[there] = words.astype(np.float16).view(np.uint16)
        return values

    def _places(self, core: Indices, lane: Indices, word: Indices) -> tuple[Indices, ...]:
        """Where in the groups' MEM A."""
        return self._group_of[core], word, lane * self._cores + self._number[core]

    def _beats(self, core: Indices, lane: Indices, beat: Indices) -> tuple[Indices, ...]:
        """Where in the groups' core SRAMs: a lane's row."""
        return self._group_of[core], beat, lane % self._machine.pe_rows, self._number[core]

    def arrive(self, samples: Half, earlier: Half, tick: int) -> None:
        """A batch's inputs, (samples, m), into every core's SRAM, where it has its place, and those that come again."""
        spacing, first = self._schedule.sample_beats, 0
        if self._schedule.arrival:
            register = self._schedule.queues[self._schedule.arrival - 1]
            first = register.words * (tick % register.slots)
        for number, sample in enumerate(samples):
            if self._schedule.input_beats is None:
                self._fill(first + number * spacing, sample)
            else:
                cores, beats = self._schedule.input_beats(number)
                self._deal(cores, first + beats, sample)
        if self._schedule.scaled_lag:
            rate = self._operands[0, isa.RATE, 0]
            for number, sample in enumerate(earlier):  # a product of two halves is exact; + 0 as an FMA has it
                self._fill(number * spacing + spacing // 2, (rate * sample.astype(np.float32) + 0).astype(np.float16))

    def _deal(self, cores: Indices, to: Indices, sample: Half) -> None:
        """A sample's beats to a core each, or to one for each copy."""
        words = np.zeros(to.shape[-1] * self._machine.pe_rows, np.float32)
        words[: len(sample)] = sample
        here = self._group_of[cores], to, slice(None), self._number[cores]
        self._sram[here] = words.reshape(to.shape[-1], -1)

    def _fill(self, beat: int, sample: Half) -> None:
        rows = self._machine.pe_rows
        beats = -(-len(sample) // rows)
        words = np.zeros(beats * rows, np.float32)
        words[: len(sample)] = sample
        self._sram[:, beat : beat + beats] = words.reshape(beats, rows, 1)

    def finish_tick(self) -> None:
        """Nothing is under way, and the next micro-program begins at cycle 0."""
        self._flow[:] = new_flow(self._machine.fma_latency)

    def execute(self, controls: isa.Control, labels: NDArray[np.int64]) -> None:
        """Go on with the next control words of a tick whose batch has these labels."""
        machine = self._machine
        bits = machine.pes_per_core.bit_length() - 1
        hops = np.array([isa.link_hops(machine, bit) for bit in range(bits)] or [1], np.int64)
        sizes = np.array(
            [
                self._width,
                machine.fma_latency,
                machine.pe_rows,
                machine.pe_cols,
                self._cores,
                isa.halves(machine),
            ],
            np.int64,
        )
        execute(
            self._arithmetic,
            controls,
            _flat(self._operands),
            _flat(self._a),
            _flat(self._b),
            self._sram,
            labels,
            sizes,
            hops,
            self._queues,
            self._softmax,
            _flat(self._moving),
            self._flow,
            self._ring,
        )

    def weights(self) -> tuple[Half, ...]:
        found: list[Half] = []
        for index, layer in enumerate(self._schedule.network.layers, start=1):
            at = self._schedule.layout.weight_places(index)
            values = self._get(at)
            rows, columns = np.broadcast_to(at.row, values.shape), np.broadcast_to(at.column, values.shape)
            real = (rows >= 0) & (columns >= 0)
            matrix = np.zeros((layer.inputs, layer.outputs), np.float16)
            matrix[rows[real], columns[real]] = values[real].view(np.float16)
            found.append(matrix)
        return tuple(found)


DIGEST = sources_digest(Path(__file__).parent, Path(isa.__file__).parent, Path(numerics.__file__).parent)
