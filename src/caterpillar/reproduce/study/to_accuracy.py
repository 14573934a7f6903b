"""Time and energy to an accuracy (the paper's Figs. 6 to 9): the study's epochs times the machine's cost a sample."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from caterpillar.checks import Infeasible
from caterpillar.evaluate import Evaluation, evaluate
from caterpillar.machine import Machine
from caterpillar.network import Network
from caterpillar.reproduce.paper import cases, rule_of_label
from caterpillar.reproduce.study.results import Curve

PJ_PER_J = 1e12


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What a method takes to reach an accuracy (percent) on a case, in median over the seeds.

    epochs and all that follows are None where the accuracy is not reached. energy_j: by component.
    """

    case: str
    method: str
    accuracy_percent: float
    epochs: float | None
    seconds: float | None
    energy_j: dict[str, float] | None

    @property
    def total_energy_j(self) -> float | None:
        """All components."""
        return None if self.energy_j is None else sum(self.energy_j.values())


def costs_to_accuracy(
    curves: Mapping[tuple[str, str], Curve], *, accuracies_percent: tuple[float, ...], samples: int
) -> list[Cost]:
    """Every method of the study on N1, N2 and N3, for each accuracy; samples: training samples an epoch."""
    costs: list[Cost] = []
    for case, (network, machine) in cases().items():
        for (name, method), curve in curves.items():
            evaluation = _evaluation(method, network, machine) if name == network.name else None
            if evaluation is not None:
                costs += [_cost(case, curve, evaluation, percent, samples) for percent in accuracies_percent]
    return costs


def _evaluation(method: str, network: Network, machine: Machine) -> Evaluation | None:
    """None for what the machine cannot hold, and for methods with momentum, which the paper does not have."""
    if "-" in method:
        return None
    answer = evaluate(network, rule_of_label(method), machine)
    return None if isinstance(answer, Infeasible) else answer


def _cost(case: str, curve: Curve, evaluation: Evaluation, percent: float, samples: int) -> Cost:
    epochs = curve.epochs_to(percent / 100)
    count = None if epochs is None else epochs * samples
    return Cost(
        case=case,
        method=curve.method,
        accuracy_percent=percent,
        epochs=epochs,
        seconds=None if count is None else count * evaluation.seconds_per_sample,
        energy_j=None if count is None else {part: count * pj / PJ_PER_J for part, pj in evaluation.energy_pj.items()},
    )
