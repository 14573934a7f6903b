"""Fig. 5: epochs to an accuracy, by training for real."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import cast

from caterpillar.checks import Diverged
from caterpillar.network import parse_network
from caterpillar.reproduce.paper import ACCURACIES, epochs_to, paper, rule_of_label, tolerance, unit
from caterpillar.reproduce.rows import Row, Verdict

SAMPLES = 6000  # an epoch; derived from the paper's counts
SEED = 0

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """One curve to train: a network's name, a rule's label, and for how many epochs."""

    network: str
    rule: str
    epochs: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """A curve as trained: accuracies[e - 1] is the fraction of the test images right after epoch e.

    Shorter than training.epochs where the run diverged.
    """

    training: Training
    learning_rate: float
    accuracies: tuple[float, ...]

    def epochs_to(self, percent: int) -> int | None:
        """The first epoch that reached an accuracy, None if none did."""
        return next((e for e, value in enumerate(self.accuracies, start=1) if value >= percent / 100), None)


# --quick: the smallest network, one rule of each kind, ten epochs
QUICK = tuple(
    Training(network="500-500-500-10", rule=rule, epochs=10) for rule in ("sgd", "cp", "mbgd8", "mbgd50", "dfa8")
)


def full() -> tuple[Training, ...]:
    """Every method on record for every network, for as many epochs as the paper's."""
    return tuple(
        Training(network=network, rule=rule, epochs=shown["epochs"])
        for network, shown in paper()["fig5"].items()
        for rule in shown["epochs_to"]
    )


def fig5_rows(trainings: Sequence[Training], *, on_progress: Progress) -> list[Row]:
    """Train every curve, two processes at a time, and compare epochs to each accuracy."""
    from joblib import Parallel, delayed

    rows: list[Row] = []
    on_progress("training", 0, len(trainings))
    jobs = (delayed(train_curve)(training) for training in trainings)
    curves = cast("Iterator[Curve]", Parallel(n_jobs=2, return_as="generator")(jobs))
    for done, curve in enumerate(curves, start=1):
        rows += rows_of(curve)
        on_progress(f"trained {curve.training.network}, {curve.training.rule}", done, len(trainings))
    return rows


def train_curve(training: Training) -> Curve:
    """Train on 6,000 images with the default learning rate; accuracy on the test images."""
    from caterpillar.datasets import load_dataset
    from caterpillar.train import Settings, train
    from caterpillar.train.learning_rates import default_learning_rate

    network, rule = parse_network(training.network), rule_of_label(training.rule)
    rate = default_learning_rate(network, rule)
    settings = Settings(learning_rate=rate, seed=SEED, epochs=training.epochs)
    data = load_dataset(samples=SAMPLES, seed=SEED)
    accuracies: list[float] = []
    try:
        accuracies.extend(epoch.accuracy for epoch in train(rule(network), data.train, settings, test=data.test))
    except Diverged:
        accuracies.append(0.0)
    return Curve(training=training, learning_rate=rate, accuracies=tuple(accuracies))


def rows_of(curve: Curve) -> list[Row]:
    """A row for every accuracy that the figure tells of."""
    rows: list[Row] = []
    for percent in ACCURACIES:
        try:
            printed = epochs_to(curve.training.network, curve.training.rule, percent)
        except KeyError:
            continue
        ours = curve.epochs_to(percent)
        verdict, note = _judge(printed, ours, curve)
        rows.append(
            Row(
                artifact="fig5",
                case=curve.training.network,
                rule=curve.training.rule,
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


def _judge(printed: int | None, ours: int | None, curve: Curve) -> tuple[Verdict, str]:
    """Within the epochs run: what the paper reaches later than that counts as not reached, as ours does."""
    epochs = curve.training.epochs
    within = printed if printed is not None and printed <= epochs else None
    best = f"best {max(curve.accuracies, default=0.0):.1%} in {epochs} epochs"
    if within is None and ours is None:
        return "reproduced", f"neither reaches it in the {epochs} epochs run; {best}"
    if within is None or ours is None:
        return "differs", f"only {'ours' if within is None else 'the paper'} reaches it in {epochs} epochs; {best}"
    return ("reproduced" if tolerance("epochs_to").met(within, ours) else "differs"), best
