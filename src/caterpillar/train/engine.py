"""Compiled kernels, the tables and buffers they run on, and the threads that run them."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType

import numpy as np

from caterpillar import numerics
from caterpillar.checks import Diverged
from caterpillar.datasets import Samples
from caterpillar.numerics import Order
from caterpillar.numerics.functions import ACTIVATION_CODES
from caterpillar.numerics.vector import Arithmetic, sources_digest
from caterpillar.program import Program
from caterpillar.rules.rule import forward_passes
from caterpillar.train import columns as c
from caterpillar.train import layout
from caterpillar.train.default_order import default_order
from caterpillar.train.driver import run
from caterpillar.train.layout import Memory, Stored, Tables
from caterpillar.train.lowering import Step, lower
from caterpillar.train.random import shuffled
from caterpillar.train.settings import Settings
from caterpillar.train.state import State, feedback_shapes

CHUNK_SECONDS = 0.1  # between returns to Python, so that an interrupt is seen
DIGEST = sources_digest(Path(__file__).parent, Path(numerics.__file__).parent)


class Engine:
    """A Program's buffers, filled from a State; a context manager, for it may own a thread."""

    def __init__(
        self,
        program: Program,
        samples: Samples,
        settings: Settings,
        *,
        test: Samples,
        state: State,
        order: Order | None,
    ) -> None:
        order = order or default_order(program)
        steps = lower(program)
        shapes = [(layer.inputs, layer.outputs) for layer in program.network.layers]
        self._stored, size = layout.place(shapes, [gemv.bounds for gemv in order.layers])
        feedback = [shape or (0, 0) for shape in feedback_shapes(program)]
        self._stored_feedback, feedback_size = layout.place(feedback, [g.bounds if g else (0,) for g in order.feedback])
        momentum = any(step.update and step.update.momentum for step in steps)
        self._weights = layout.matrix_buffer(size, settings.numerics)
        self._velocity = layout.matrix_buffer(size if momentum else 0, settings.numerics)
        self._feedback = layout.matrix_buffer(feedback_size, settings.numerics)
        self._fill(state)
        self._given = state
        self._settings, self._program = settings, program
        self._arithmetic = Arithmetic(settings.numerics, DIGEST)
        self._pool = ThreadPoolExecutor(max_workers=1) if settings.threads > 1 else None
        self._trainer = self._runner(program, steps, samples)
        evaluation = Program(rule="evaluate", network=program.network, batch=1, passes=forward_passes(program.network))
        self._evaluator = self._runner(evaluation, lower(evaluation), test)

    def __enter__(self) -> Engine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pool:
            self._pool.shutdown()

    def run_epoch(self, epoch: int, on_progress: Callable[[int], None] | None) -> tuple[float, float]:
        """Train one epoch (from 1); its mean loss and the seconds it took. Raises Diverged."""
        runner = self._trainer
        runner.memory.order[:] = shuffled(self._settings.seed, epoch, runner.samples)
        seconds = runner.run(epoch, on_progress)
        for layer, stored in enumerate(self._stored, start=1):
            if not np.isfinite(numerics.from_storage(stored.read(self._weights), self._settings.numerics)).all():
                raise Diverged(
                    epoch=epoch, tick=runner.ticks - 1, layer=layer, what="NaN or infinity among the weights"
                )
        return float(runner.memory.totals[0]) / runner.samples, seconds

    def accuracy(self) -> float:
        """Share of the test samples that the weights of now class rightly."""
        self._evaluator.run(0, None)
        return float(self._evaluator.memory.totals[1]) / self._evaluator.samples

    def state(self, epoch: int) -> State:
        """The weights and velocity of now, copied."""
        velocity = tuple(
            stored.read(self._velocity) if given.size else given
            for stored, given in zip(self._stored, self._given.velocity, strict=True)
        )
        weights = tuple(stored.read(self._weights) for stored in self._stored)
        return State(epoch=epoch, weights=weights, velocity=velocity, feedback=self._given.feedback)

    def _fill(self, state: State) -> None:
        buffers: tuple[tuple[numerics.Array, tuple[Stored, ...], tuple[numerics.Array, ...]], ...] = (
            (self._weights, self._stored, state.weights),
            (self._velocity, self._stored, state.velocity),
            (self._feedback, self._stored_feedback, state.feedback),
        )
        for buffer, places, matrices in buffers:
            for stored, matrix in zip(places, matrices, strict=True):
                if matrix.size:
                    stored.write(buffer, matrix)

    def _runner(self, program: Program, steps: tuple[Step, ...], samples: Samples) -> Runner:
        settings = self._settings
        layers, sizes = layout.layer_table(program.network, steps, program.batch, self._stored, self._stored_feedback)
        batches = -(-len(samples) // program.batch)
        code = ACTIVATION_CODES[program.network.activation]
        entries = (program.batch, len(samples), batches, code, settings.skip_zeros, settings.threads)
        tables = Tables(
            steps=layout.step_table(steps),
            rates=layout.rate_table(steps, program.batch, len(samples), settings.learning_rate, settings.numerics),
            layers=layers,
            run=np.array(entries, np.int64),
        )
        memory = Memory(
            weights=layout.kernel_view(self._weights),
            velocity=layout.kernel_view(self._velocity),
            feedback=layout.kernel_view(self._feedback),
            **layout.new_memory(program, settings.numerics, sizes, samples, settings.threads),
        )
        return Runner(self._arithmetic, tables, memory, program.ticks(len(samples)), self._pool)


class Runner:
    """One table of steps on one set of samples."""

    def __init__(
        self, arithmetic: Arithmetic, tables: Tables, memory: Memory, ticks: int, pool: ThreadPoolExecutor | None
    ) -> None:
        self._arithmetic, self._tables, self._pool = arithmetic, tables, pool
        self.memory, self.ticks = memory, ticks
        self.samples = int(tables.run[c.SAMPLES])
        self._chunk = 16
        self._call(0, 0)  # compiles, or loads from the cache

    def run(self, epoch: int, on_progress: Callable[[int], None] | None) -> float:
        """All ticks of an epoch; the seconds they took. Raises Diverged."""
        self.memory.totals[:] = 0
        self.memory.status[:] = 0
        seconds, tick = 0.0, 0
        while tick < self.ticks:
            end = min(tick + self._chunk, self.ticks)
            started = time.perf_counter()
            self._call(tick, end)
            elapsed = time.perf_counter() - started
            seconds += elapsed
            self._chunk = max(1, int((end - tick) * CHUNK_SECONDS / max(elapsed, CHUNK_SECONDS / 8)))
            tick = end
            self._check(epoch)
            if on_progress:
                on_progress(min(tick * int(self._tables.run[c.BATCH]), self.samples))
        return seconds

    def _call(self, first: int, last: int) -> None:
        self.memory.sync[:] = 0
        other: Future[None] | None = None
        if self._pool:
            other = self._pool.submit(run, self._arithmetic, self._tables, self.memory, first, last, 1)
        run(self._arithmetic, self._tables, self.memory, first, last, 0)
        if other:
            other.result()

    def _check(self, epoch: int) -> None:
        found = self.memory.status.reshape(-1, c.STATUS_WORDS)
        found = found[found[:, 0] != 0]
        if len(found):
            _, tick, layer, what = (int(word) for word in min(found[:, :4].tolist(), key=lambda row: row[1]))
            raise Diverged(epoch=epoch, tick=tick, layer=layer, what=c.WHAT[what])
