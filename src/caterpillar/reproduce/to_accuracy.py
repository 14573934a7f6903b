"""Figs. 6-9: time and energy to an accuracy = epochs x samples x time or energy a sample.

Epochs are the study's medians; time and energy a sample are the estimate's, on the paper's basis (machine_rows.py).
The paper's figures are pictures, so its values are its own epochs of Fig. 5 times the same cost a sample: what differs
is the epochs.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

from caterpillar.estimate import Estimate, estimate
from caterpillar.evaluate import Evaluation, evaluate
from caterpillar.reproduce.fig5 import verdict_of
from caterpillar.reproduce.paper import cases, epochs_to, paper, rule_of_label, unit
from caterpillar.reproduce.rows import Row
from caterpillar.reproduce.study import STUDY
from caterpillar.reproduce.study.results import Curve

TARGETS = (90, 93, 95)  # percent: the one the paper's text compares at, and two that tell our methods apart
FIGURES = {"N1": "fig6", "N2": "fig7", "N3": "fig8"}  # energy; Fig. 9 is time
MJ_PER_PJ = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """One epoch of a method on a case: milliseconds, and millijoules by component."""

    milliseconds: float
    millijoules: dict[str, float]


@cache
def cost_of_epoch(case: str, method: str) -> Cost | None:
    """Of STUDY.samples samples; None where the case does not fit the machine."""
    network, machine = cases()[case]
    rule = rule_of_label(method)
    timed, priced = estimate(rule(network), machine, input_error=True), evaluate(network, rule, machine)
    if not isinstance(timed, Estimate) or not isinstance(priced, Evaluation):
        return None
    seconds = STUDY.samples * timed.cycles_per_sample / machine.clock_hz
    energy = {part: STUDY.samples * pj * MJ_PER_PJ for part, pj in priced.energy_pj.items() if pj}
    return Cost(milliseconds=1e3 * seconds, millijoules=energy)


def to_accuracy_rows(trained: Iterable[Curve]) -> list[Row]:
    """Energy (fig6, fig7, fig8) and time (fig9) to each target, for every method on every case."""
    by_key = {(curve.network, curve.method): curve for curve in trained}
    energies: list[Row] = []
    times: list[Row] = []
    for case, (network, _) in cases().items():
        for method in paper()["fig5"][network.name]["epochs_to"]:
            curve = by_key.get((network.name, method))
            if curve is None:
                continue
            cost = cost_of_epoch(case, method)
            for percent in TARGETS:
                total = sum(cost.millijoules.values()) if cost else None
                energies.append(_row(FIGURES[case], case, "energy_to", percent, total, curve))
                times.append(_row("fig9", case, "time_to", percent, cost.milliseconds if cost else None, curve))
    return energies + times


def _row(artifact: str, case: str, quantity: str, percent: int, an_epoch: float | None, curve: Curve) -> Row:
    printed, ours = epochs_to(curve.network, curve.method, percent), curve.epochs_to(percent / 100)
    verdict, _ = verdict_of(printed, ours, curve)
    fits = "" if an_epoch is not None else "; does not fit the machine"
    return Row(
        artifact=artifact,
        case=case,
        rule=curve.method,
        quantity=f"{quantity}_{percent}",
        unit=unit(quantity),
        paper=None if an_epoch is None or printed is None else printed * an_epoch,
        ours=None if an_epoch is None or ours is None else ours * an_epoch,
        source="study x estimate",
        verdict=verdict,
        note=f"epochs: {_text(printed)} in Fig. 5, {_text(ours)} ours{fits}",
    )


def _text(epochs: float | None) -> str:
    return "not reached" if epochs is None else f"{epochs:g}"
