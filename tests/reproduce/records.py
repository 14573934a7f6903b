"""Made-up records of the whole plan, for tests of what is said of them."""

from __future__ import annotations

from collections.abc import Callable

from caterpillar.reproduce.study import STUDY, Study, Trial
from caterpillar.reproduce.study.results import Record
from caterpillar.reproduce.study.run import identity

Accuracy = Callable[[Trial, int], float]  # of a trial after an epoch


def made_up(accuracy: Accuracy, study: Study = STUDY) -> list[Record]:
    """A record for every final run and epoch."""
    chosen = {(load.network, method.label): 0.01 for load in study.workloads for method in (*load.methods, *load.extra)}
    return [
        identity(trial)
        | {"samples": study.samples, "epoch": epoch, "train_loss": 1.0, "accuracy": accuracy(trial, epoch)}
        for trial in study.final_trials(chosen)
        for epoch in range(1, trial.epochs + 1)
    ]


def rising(trial: Trial, epoch: int) -> float:
    """A point better an epoch from 88 % on, a point less for every eight samples of the batch, tenths for a seed."""
    return min(0.97, 0.87 + 0.01 * epoch - 0.00125 * trial.method.batch + 0.001 * trial.seed)
