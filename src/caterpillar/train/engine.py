"""Compiled kernels, the tables and buffers they run on, and the threads that run them."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType

import numpy as np

from caterpillar import numerics
from caterpillar.checks import Diverged
from caterpillar.datasets import Samples
from caterpillar.numerics import Array, GemvOrder, Order
from caterpillar.numerics.arithmetic_type import Arithmetic, sources_digest
from caterpillar.program import Program
from caterpillar.rules.rule import forward_passes
from caterpillar.train import columns as c
from caterpillar.train import layout
from caterpillar.train.default_order import default_order
from caterpillar.train.driver import run
from caterpillar.train.lowering import lower
from caterpillar.train.random import shuffled
from caterpillar.train.settings import Settings
from caterpillar.train.state import State, matrix_shapes

CHUNK_SECONDS = 0.1  # between returns to Python, so that an interrupt is seen
EVALUATION_BATCH = 48  # reads weights once for all of them; exact half precision does better with zeros left out
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
        own = default_order(program)
        self._order = None if order in (None, own) else order
        edges = {
            "weights": [self._bounds(gemv) for gemv in own.layers],
            "feedback": [self._bounds(gemv) if gemv else (0,) for gemv in own.feedback],
        }
        bounds = {"weights": edges["weights"], "velocity": edges["weights"], "feedback": edges["feedback"]}
        self._matrices = layout.new_matrices(
            matrix_shapes(program),
            bounds,
            settings.numerics,
            settings.threads,
            ahead_whole=self._order is not None,
        )
        self._fill(state)
        self._given, self._settings = state, settings
        self._pool = ThreadPoolExecutor(max_workers=1) if settings.threads > 1 else None
        self._trainer = self._runner(program, samples)
        network, batch = program.network, 1 if settings.numerics == "fp16" else EVALUATION_BATCH
        evaluation = Program(rule="evaluate", network=network, batch=batch, passes=forward_passes(network))
        self._evaluator = self._runner(evaluation, test)

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
        runner.start_epoch(epoch, shuffled(self._settings.seed, epoch, runner.samples))
        seconds = runner.run(epoch, on_progress)
        for layer, weights in enumerate(self.state(epoch).weights, start=1):
            if not np.isfinite(numerics.from_storage(weights, self._settings.numerics)).all():
                raise Diverged(
                    epoch=epoch, tick=runner.ticks - 1, layer=layer, what="NaN or infinity among the weights"
                )
        return float(runner.totals[0]) / runner.samples, seconds

    def accuracy(self) -> float:
        """Share of the test samples that the weights of now class rightly."""
        self._evaluator.run(0, None)
        return float(self._evaluator.totals[1]) / self._evaluator.samples

    def state(self, epoch: int) -> State:
        """The weights and velocity of now, copied."""
        buffer, empty = self._matrices.buffer, self._matrices.buffer[:0].reshape(0, 0)
        return State(
            epoch=epoch,
            weights=tuple(stored.read(buffer) for stored in self._matrices.weights),
            velocity=tuple(s.read(buffer) if s.shape != (0, 0) else empty for s in self._matrices.velocity),
            feedback=self._given.feedback,
        )

    def _bounds(self, gemv: GemvOrder) -> tuple[int, ...]:
        """How a matrix is stored: by the fast kernels' panels, or whole for those that add in any order."""
        return gemv.bounds if self._order is None else (0, gemv.bounds[-1])

    def _fill(self, state: State) -> None:
        for name in ("weights", "velocity", "feedback"):
            for stored, matrix in zip(getattr(self._matrices, name), getattr(state, name), strict=True):
                if matrix.size:
                    stored.write(self._matrices.buffer, matrix)

    def _runner(self, program: Program, samples: Samples) -> Runner:
        T, F = layout.new_tables(program, lower(program), self._matrices, samples, self._settings, self._order)
        W = self._matrices.buffer
        halves_as_bits = W.view(np.uint16) if W.dtype == np.float16 else W
        arithmetic = Arithmetic(self._settings.numerics, DIGEST, stochastic=self._settings.stochastic_rounding)
        return Runner(arithmetic, (T, F, halves_as_bits), program.ticks(len(samples)), self._pool)


class Runner:
    """The buffers of one table of steps on one set of samples."""

    def __init__(
        self, arithmetic: Arithmetic, buffers: tuple[Array, Array, Array], ticks: int, pool: ThreadPoolExecutor | None
    ) -> None:
        self._arithmetic, self._buffers, self._table, self._pool = (arithmetic, buffers, buffers[0], pool)
        self.totals = np.zeros(2, np.float64)
        self._sync = layout.aligned(8, np.int64)
        self.ticks, self.samples = ticks, int(self._table[c.SAMPLES])
        self._chunk = 16
        self.start_epoch(1, np.arange(self.samples))
        self._call(0, 0)  # compiles, or loads from the cache

    def start_epoch(self, epoch: int, order: Array) -> None:
        """Take note of the epoch (from 1) and of the order in which it visits the samples."""
        self._table[c.BATCHES_BEFORE] = (epoch - 1) * self._table[c.BATCHES]
        start = self._table[c.ORDER]
        self._table[start : start + self.samples] = order

    def run(self, epoch: int, on_progress: Callable[[int], None] | None) -> float:
        """All ticks of an epoch; the seconds they took. Raises Diverged."""
        self.totals[:] = 0
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
                on_progress(min(tick * int(self._table[c.BATCH]), self.samples))
        return seconds

    def _call(self, first: int, last: int) -> None:
        self._sync[:] = 0
        arguments = (self._arithmetic, *self._buffers, self.totals, self._sync, first, last)
        other = self._pool.submit(run, *arguments, 1) if self._pool else None
        run(*arguments, 0)
        if other:
            other.result()

    def _check(self, epoch: int) -> None:
        start, count = (int(self._table[c.STATUS]), int(self._table[c.THREADS]) * c.STATUS_WORDS)
        found = [row for row in self._table[start : start + count].reshape(-1, c.STATUS_WORDS).tolist() if row[0]]
        if found:
            _, tick, layer, what = min(found, key=lambda row: row[1])[:4]
            raise Diverged(epoch=epoch, tick=tick, layer=layer, what=c.WHAT[what])
