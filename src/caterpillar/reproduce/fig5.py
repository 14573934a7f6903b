"""Fig. 5: epochs to an accuracy, by training for real."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory

from caterpillar.network import parse_network
from caterpillar.reproduce.paper import ACCURACIES, epochs_to, rule_of_label, tolerance, unit
from caterpillar.reproduce.rows import Row, Verdict
from caterpillar.reproduce.study import METHODS, STUDY, Trial, run_trials
from caterpillar.reproduce.study.plan import Arithmetic
from caterpillar.reproduce.study.results import Curve, curves
from caterpillar.reproduce.study.run import Progress

SMALLEST = "500-500-500-10"
SHORT = ("sgd", "cp", "mbgd8", "mbgd50", "dfa8")  # one rule of each kind
SHORT_EPOCHS = 10


def short_trials() -> tuple[Trial, ...]:
    """For --quick: the smallest network, ten epochs, at the default learning rates."""
    from caterpillar.train.learning_rates import default_learning_rate

    network = parse_network(SMALLEST)
    return tuple(
        Trial(
            purpose="final",
            network=SMALLEST,
            method=method,
            arithmetic=Arithmetic(),
            learning_rate=default_learning_rate(network, rule_of_label(method.label)),
            seed=0,
            epochs=SHORT_EPOCHS,
        )
        for method in METHODS
        if method.label in SHORT
    )


def train_short(*, workers: int, on_progress: Progress) -> list[Curve]:
    """Train the short Fig. 5, always from the start."""
    with TemporaryDirectory() as folder:
        records = run_trials(
            short_trials(), Path(folder), samples=STUDY.samples, workers=workers, on_progress=on_progress
        )
    return list(curves(records).values())


def fig5_rows(trained: Iterable[Curve]) -> list[Row]:
    """Epochs to each accuracy, for the methods that the figure shows."""
    return [row for curve in trained for row in rows_of(curve)]


def rows_of(curve: Curve) -> list[Row]:
    """A row for every accuracy that the figure tells of."""
    rows: list[Row] = []
    for percent in ACCURACIES:
        try:
            printed = epochs_to(curve.network, curve.method, percent)
        except KeyError:
            continue
        ours = curve.epochs_to(percent / 100)
        verdict, note = _judge(printed, ours, curve)
        rows.append(
            Row(
                artifact="fig5",
                case=curve.network,
                rule=curve.method,
                quantity=f"epochs_to_{percent}",
                unit=unit("epochs_to"),
                paper=printed,
                ours=ours,
                source="train",
                verdict=verdict,
                note=f"{note}; ours at learning rate {curve.learning_rate:g}, the paper's is not given",
            )
        )
    return rows


def _judge(printed: int | None, ours: float | None, curve: Curve) -> tuple[Verdict, str]:
    """Within the epochs run: what the paper reaches later than that counts as not reached, as ours does."""
    epochs, (best_accuracy, _, _) = curve.epochs, curve.best()
    within = printed if printed is not None and printed <= epochs else None
    seeds = f", median of {curve.seeds} seeds" if curve.seeds > 1 else ""
    best = f"best {best_accuracy:.1%} in {epochs} epochs{seeds}"
    if within is None and ours is None:
        return "reproduced", f"neither reaches it in the {epochs} epochs run; {best}"
    if within is None or ours is None:
        return "differs", f"only {'ours' if within is None else 'the paper'} reaches it in {epochs} epochs; {best}"
    return ("reproduced" if tolerance("epochs_to").met(within, ours) else "differs"), best
