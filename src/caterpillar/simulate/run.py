"""simulate: a Schedule executed on real values, cycle by cycle."""

# pyright: basic

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from caterpillar import numerics
from caterpillar.checks import SpecError
from caterpillar.counters import Counters
from caterpillar.mapping import isa
from caterpillar.mapping.layout import weight_indices
from caterpillar.mapping.schedule import Schedule, expand
from caterpillar.numerics.arithmetic_type import Arithmetic, sources_digest
from caterpillar.simulate.engine import PIPELINE, execute
from caterpillar.simulate.hazards import walk

Half = NDArray[np.float16]
Places = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What a run took and gave. weights: per layer, (inputs, outputs), half precision."""

    cycles: int
    counters: Counters
    weights: tuple[Half, ...]


def count(schedule: Schedule, samples: int) -> tuple[int, Counters]:
    """Cycles and events of a run of n samples, exactly: control does not depend on data, so n - 1 ticks are alike.

    A sample and its label come from outside, into the SRAM of every core, while the one before is worked on.
    Checks the micro-programs. Raises Hazard.
    """
    return schedule.cycles(samples), _count(schedule, _controls(schedule), samples)


def _controls(schedule: Schedule) -> tuple[isa.Control, ...]:
    return tuple(expand(program) for program in (schedule.first, schedule.steady, schedule.last))


def _count(schedule: Schedule, controls: tuple[isa.Control, ...], samples: int) -> Counters:
    first, steady, last = (walk(one, schedule.machine, warm=i > 0) for i, one in enumerate(controls))
    inputs = schedule.network.inputs
    arriving = Counters(outside_words=inputs + 1, core_sram_write_words=inputs * schedule.machine.cores)
    return first + steady * (samples - 1) + last + arriving * samples


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
    SpecError where shapes are not the schedule's.
    """
    _check_shapes(schedule, weights, inputs, labels, feedback)
    controls = _controls(schedule)
    counters = _count(schedule, controls, len(labels))
    first, steady, last = controls
    state = _State(schedule, weights, feedback, rate)
    for tick, (sample, label) in enumerate(zip(inputs, labels, strict=True)):
        state.execute(steady if tick else first, sample.astype(np.float32), int(label))
    state.execute(last, inputs[-1].astype(np.float32), 0)
    return Run(cycles=schedule.cycles(len(labels)), counters=counters, weights=state.weights())


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
        "sgd": [],
        "fa": [None, *wanted[1:]],
        "dfa": [*((layer.outputs, network.outputs) for layer in network.layers[:-1]), None],
    }
    given = [b if b is None else b.shape for b in feedback]
    if given != through[schedule.rule]:
        raise SpecError(f"feedback must have the shapes {through[schedule.rule]}, got {given}")
    if len(labels) < 1 or inputs.shape != (len(labels), network.inputs):
        raise SpecError(f"inputs must have the shape (at least 1, {network.inputs}), got {inputs.shape}")


class _State:
    """Operands and memories of all PEs."""

    def __init__(
        self, schedule: Schedule, weights: tuple[Half, ...], feedback: tuple[Half | None, ...], rate: float
    ) -> None:
        machine = schedule.machine
        self._schedule, self._machine = schedule, machine
        width = -(-machine.pes // 16) * 16
        self._operands = np.zeros((PIPELINE + machine.fma_latency + 2, width), np.float32)
        self._operands[isa.ONE] = 1
        self._operands[isa.RATE] = np.float16(rate)
        self._a = np.zeros((schedule.layout.mem_a_words, width), np.uint16)
        self._b = np.zeros((schedule.layout.mem_b_words, width), np.float32)
        self._queues = np.zeros((2, isa.FIFO_BEATS, machine.pe_rows, machine.cores), np.float32)
        outputs = schedule.network.outputs + machine.pes_per_core
        self._softmax = np.zeros((2, outputs, machine.cores), np.float32)
        self._arithmetic = Arithmetic("fp16", DIGEST)
        for index, matrix in enumerate(weights, start=1):
            self._put(matrix, schedule.layout.layers[index - 1].address, *self._places(index))
        for index, matrix in enumerate(feedback, start=1):
            if matrix is not None:
                places = self._direct_places(index) if schedule.rule == "dfa" else self._places(index)
                self._put(matrix, schedule.layout.feedback[index], *places)

    def _put(self, matrix: Half, address: int, words: Places, rows: Places, columns: Places) -> None:
        bits = np.ascontiguousarray(matrix).view(np.uint16)[rows, columns]
        self._a[address + words, self._lanes()] = np.where((rows >= 0) & (columns >= 0), bits, 0)

    def _lanes(self) -> NDArray[np.int64]:
        machine = self._machine
        lane, core = np.arange(machine.pes_per_core), np.arange(machine.cores)
        return lane * machine.cores + core[:, None, None, None]

    def _direct_places(self, index: int) -> tuple[Places, Places, Places]:
        """As _places, for a matrix with a row for each own output: (cores, blocks, outputs, lanes)."""
        layer, outputs = self._schedule.layout.layers[index - 1], self._schedule.network.outputs
        cores, lanes = self._machine.cores, self._machine.pes_per_core
        block, column = np.arange(layer.blocks)[:, None, None], np.arange(outputs)[:, None]
        within = block * lanes + np.arange(lanes)
        rows = np.arange(cores)[:, None, None, None] * layer.panel + within
        rows = np.where((within < layer.panel) & (rows < layer.outputs), rows, -1)
        return block * outputs + column, rows, column[None, None]

    def _places(self, index: int) -> tuple[Places, Places, Places]:
        """MEM A's words from the matrix's address on, and its rows and columns: (cores, positions, panel, lanes)."""
        layer = self._schedule.layout.layers[index - 1]
        inputs, outputs = weight_indices(self._schedule.layout, self._machine, index)
        words = np.arange(layer.positions)[:, None] * layer.padded + np.arange(layer.panel)
        return words[None, :, :, None], inputs[:, :, None, :], outputs[:, None, :, None]

    def execute(self, control: isa.Control, sample: NDArray[np.float32], label: int) -> None:
        machine = self._machine
        bits = machine.pes_per_core.bit_length() - 1
        hops = np.array([isa.link_hops(machine, bit) for bit in range(bits)] or [1], np.int64)
        execute(
            self._arithmetic,
            control,
            self._operands.reshape(-1),
            self._a.reshape(-1),
            self._b.reshape(-1),
            sample,
            label,
            self._operands.shape[1],
            machine.fma_latency,
            machine.pe_rows,
            machine.pe_cols,
            machine.cores,
            hops,
            self._queues,
            self._softmax,
        )

    def weights(self) -> tuple[Half, ...]:
        found: list[Half] = []
        for index, layer in enumerate(self._schedule.network.layers, start=1):
            words, rows, columns = self._places(index)
            values = self._a[self._schedule.layout.layers[index - 1].address + words, self._lanes()]
            rows, columns = np.broadcast_to(rows, values.shape), np.broadcast_to(columns, values.shape)
            real = (rows >= 0) & (columns >= 0)
            matrix = np.zeros((layer.inputs, layer.outputs), np.float16)
            matrix[rows[real], columns[real]] = values[real].view(np.float16)
            found.append(matrix)
        return tuple(found)


DIGEST = sources_digest(Path(__file__).parent, Path(isa.__file__).parent, Path(numerics.__file__).parent)
