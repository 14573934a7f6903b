"""Fig. 5: epochs to an accuracy, by training for real."""

from __future__ import annotations

from collections.abc import Iterable

from caterpillar.network import PAPER_NETWORKS
from caterpillar.reproduce.paper import ACCURACIES, epochs_to, tolerance, unit
from caterpillar.reproduce.rows import Row, Verdict
from caterpillar.reproduce.study import METHODS
from caterpillar.reproduce.study.results import Curve


def fig5_curves(trained: Iterable[Curve]) -> list[Curve]:
    """Those of the figure's methods, network by network."""
    by_key = {(curve.network, curve.method): curve for curve in trained}
    keys = [(network, method.label) for network in PAPER_NETWORKS for method in METHODS]
    return [by_key[key] for key in keys if key in by_key]


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
        verdict, note = verdict_of(printed, ours, curve)
        rows.append(
            Row(
                artifact="fig5",
                case=curve.network,
                rule=curve.method,
                quantity=f"epochs_to_{percent}",
                unit=unit("epochs_to"),
                paper=printed,
                ours=ours,
                source="study",
                verdict=verdict,
                note=f"{note}; ours at learning rate {curve.learning_rate:g}, the paper's is not given",
            )
        )
    return rows


def verdict_of(printed: int | None, ours: float | None, curve: Curve) -> tuple[Verdict, str]:
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
