"""Run a Program on samples, epoch after epoch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from caterpillar.checks import SpecError
from caterpillar.datasets import Samples
from caterpillar.numerics import Order
from caterpillar.program import Program
from caterpillar.train.default_order import check_order
from caterpillar.train.settings import Settings
from caterpillar.train.state import State, check_state, initial_state

if TYPE_CHECKING:
    from caterpillar.train.engine import Engine


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Epoch:
    """What an epoch gave.

    epoch counts from 1. train_loss: mean cross-entropy of the training samples, each as it went forward. accuracy:
    share of the test samples that the epoch's last weights class rightly. train_seconds: without evaluation.
    """

    epoch: int
    train_loss: float
    accuracy: float
    train_seconds: float
    state: State


def train(
    program: Program,
    samples: Samples,
    settings: Settings,
    *,
    test: Samples,
    state: State | None = None,
    order: Order | None = None,
    on_progress: Callable[[int], None] | None = None,
) -> Iterator[Epoch]:
    """Train up to settings.epochs, from the start or from a state; yields after every epoch.

    Stopping after any epoch and going on from its state gives the same bits as never stopping, and so does any number
    of threads. order: of the sums, as a machine adds; None takes the trainer's own, which is fastest. on_progress is
    called now and then with the samples of this epoch that have entered. Raises Diverged at a NaN or an infinity,
    SpecError where the state, the order or the samples do not belong to the program.
    """
    from caterpillar.train.engine import Engine  # compiled kernels: slow to import

    start = initial_state(program, settings) if state is None else state
    check_state(start, program, settings)
    if order is not None:
        check_order(order, program)
    _check_samples(program, samples, "samples")
    _check_samples(program, test, "test")
    engine = Engine(program, samples, settings, test=test, state=start, order=order)
    return _epochs(engine, start.epoch, settings.epochs, on_progress)


def _check_samples(program: Program, samples: Samples, name: str) -> None:
    network = program.network
    if len(samples) < 1 or samples.images.shape != (len(samples), network.inputs):
        shape = samples.images.shape
        raise SpecError(f"{name}.images must have the shape (at least 1, {network.inputs}), got {shape}")
    if samples.labels.min() < 0 or samples.labels.max() >= network.outputs:
        found = (int(samples.labels.min()), int(samples.labels.max()))
        raise SpecError(f"{name}.labels must be in [0, {network.outputs - 1}], got {found[0]} to {found[1]}")


def _epochs(engine: Engine, first: int, last: int, on_progress: Callable[[int], None] | None) -> Iterator[Epoch]:
    with engine:
        for epoch in range(first + 1, last + 1):
            train_loss, seconds = engine.run_epoch(epoch, on_progress)
            yield Epoch(
                epoch=epoch,
                train_loss=train_loss,
                accuracy=engine.accuracy(),
                train_seconds=seconds,
                state=engine.state(epoch),
            )
