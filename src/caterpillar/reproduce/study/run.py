"""Running the study: each trial in its own run directory, in parallel, resumable at every finished epoch."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from statistics import mean
from typing import Any, cast

from caterpillar.checks import Diverged
from caterpillar.datasets import Dataset, load_dataset
from caterpillar.explore.workers import backend
from caterpillar.network import parse_network
from caterpillar.reproduce.study.plan import Study, Trial
from caterpillar.rules import parse_rule
from caterpillar.train.run_directory import CONFIG, RunDirectory, create_run, resume_run

Record = dict[str, Any]
Progress = Callable[[str, int, int], None]

IDENTITY = ("purpose", "network", "method", "arithmetic", "learning_rate", "seed", "epochs")


def run_study(
    study: Study,
    folder: Path,
    *,
    known: Sequence[Record] = (),
    workers: int = 1,
    dask: str | None = None,
    on_progress: Progress = lambda _text, _done, _total: None,
) -> list[Record]:
    """Search the learning rates, then run the finals with those chosen; one record per trial and epoch.

    folder keeps a run directory per trial: what is finished there is read, not run again, so a killed study goes on
    where it was. known: records of an earlier study; their trials are not run again either.
    workers, dask, on_progress: as for run_trials.
    """
    stored: dict[tuple[object, ...], list[Record]] = {}
    for record in known:
        stored.setdefault(tuple(record[name] for name in IDENTITY), []).append(record)

    def run_all(trials: Sequence[Trial]) -> list[Record]:
        keys = [tuple(identity(trial)[name] for name in IDENTITY) for trial in trials]
        missing = [trial for trial, key in zip(trials, keys, strict=True) if key not in stored]
        done = [record for key in keys for record in stored.get(key, [])]
        return done + run_trials(
            missing, folder, samples=study.samples, workers=workers, dask=dask, on_progress=on_progress
        )

    search = run_all(study.search_trials())
    return search + run_all(study.final_trials(choose_rates(search)))


def choose_rates(records: Sequence[Record]) -> dict[tuple[str, str], float]:
    """(network, method label) -> the learning rate whose search trial did best on the held-back images.

    A trial's score is its mean accuracy over the later half of its epochs, since one epoch's is noisy by a point. A
    trial that diverged counts as 0; of equals the lower rate wins.
    """
    curves: dict[tuple[str, str, float], list[float]] = {}
    for record in sorted((r for r in records if r["purpose"] == "search"), key=lambda r: r["epoch"]):
        curves.setdefault((record["network"], record["method"], record["learning_rate"]), []).append(record["accuracy"])
    best: dict[tuple[str, str], tuple[float, float]] = {}
    for (network, method, rate), accuracies in sorted(curves.items(), key=lambda item: item[0][2]):
        score = mean(accuracies[len(accuracies) // 2 :]) if accuracies[-1] else 0.0
        if (network, method) not in best or score > best[network, method][0]:
            best[network, method] = (score, rate)
    return {key: rate for key, (_, rate) in best.items()}


def run_trials(
    trials: Sequence[Trial],
    folder: Path,
    *,
    samples: int,
    workers: int = 1,
    dask: str | None = None,
    on_progress: Progress = lambda _text, _done, _total: None,
) -> list[Record]:
    """Run trials in parallel, each in a run directory in folder; one record per trial and epoch, in the trials' order.

    workers: processes of joblib. dask: the address of a dask scheduler, or local, to use in their place (needs the
    extra `study`); its workers must see the folder. on_progress(text, done, total) is called as trials finish.
    """
    from joblib import Parallel, delayed

    records: list[Record] = []
    folder = folder.resolve()  # a dask worker's current directory is another
    on_progress("training", 0, len(trials))
    with backend(workers, dask):
        tasks = (delayed(run_trial)(trial, folder, samples) for trial in trials)
        runs = cast("Iterable[list[Record]]", Parallel(return_as="generator")(tasks))
        for done, (trial, some) in enumerate(zip(trials, runs, strict=True), start=1):
            records.extend(some)
            on_progress(f"trained {trial.network}, {trial.method.label}, {trial.purpose}", done, len(trials))
    return records


def run_trial(trial: Trial, folder: Path, samples: int) -> list[Record]:
    """Train one trial in its run directory, going on from its checkpoint; a record per epoch.

    A trial that diverges ends with a record of accuracy 0 for the epoch it stopped in. That epoch is not kept in the
    run directory: training is deterministic, so a rerun stops there again.
    """
    from caterpillar.train import Settings, initial_state, train

    method = trial.method
    rule = parse_rule(method.rule, batch=method.batch, momentum=method.momentum, remedy=method.remedy)
    program = rule(parse_network(trial.network))
    settings = Settings(
        learning_rate=trial.learning_rate,
        seed=trial.seed,
        epochs=trial.epochs,
        numerics=trial.arithmetic.numerics,
        stochastic_rounding=trial.arithmetic.stochastic_rounding,
    )
    config = identity(trial) | {"samples": samples}
    with open_run(folder / trial.key, config) as run:
        lines = run.metrics()
        if len(lines) == trial.epochs:
            return [config | line for line in lines]
        data = _dataset(samples, trial.seed)
        judged_by = data.test if trial.purpose == "final" else data.validation
        state = initial_state(program, settings)
        checkpoint = run.checkpoint()
        if checkpoint:
            state = replace(state, epoch=checkpoint.epoch, weights=checkpoint.weights, velocity=checkpoint.velocity)
        try:
            for epoch in train(program, data.train, settings, test=judged_by, state=state):
                lines.append({"epoch": epoch.epoch, "train_loss": epoch.train_loss, "accuracy": epoch.accuracy})
                run.record(lines[-1], weights=epoch.state.weights, velocity=epoch.state.velocity)
        except Diverged as error:
            lines.append({"epoch": error.epoch, "train_loss": math.nan, "accuracy": 0.0})
    return [config | line for line in lines]


def open_run(path: Path, config: Record) -> RunDirectory:
    """The run in path, begun now or to be gone on with."""
    return resume_run(path, config) if (path / CONFIG).exists() else create_run(path, config)


def identity(trial: Trial) -> Record:
    """What a trial's records say of it, epoch for epoch."""
    return {
        "purpose": trial.purpose,
        "epochs": trial.epochs,
        "network": trial.network,
        "method": trial.method.label,
        "rule": trial.method.rule,
        "batch": trial.method.batch,
        "momentum": trial.method.momentum,
        "remedy": trial.method.remedy,
        "arithmetic": trial.arithmetic.label,
        "learning_rate": trial.learning_rate,
        "seed": trial.seed,
    }


@lru_cache(maxsize=1)
def _dataset(samples: int, seed: int) -> Dataset:
    return load_dataset(samples=samples, seed=seed)
