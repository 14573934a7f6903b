"""The order of the methods, best first: the paper's against ours, as one number a network.

A method stands before another if it reaches a higher accuracy of Fig. 5's columns, or the same one in fewer epochs. So
"not reached" needs no number of epochs: what was not reached is what stands lower. Equal in both is a tie. The
correlation is Kendall's tau-b, which takes ties on either side out of the pairs that could agree.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from math import sqrt

from caterpillar.reproduce.paper import ACCURACIES, epochs_to, paper
from caterpillar.reproduce.rows import Row
from caterpillar.reproduce.study.results import Curve

Place = tuple[int, float]  # highest accuracy reached (percent, 0 for none of the columns), and minus the epochs to it

# One-sided 5 % of the normal distribution, and the variance of tau without ties (Kendall 1938).
NORMAL_5_PERCENT = 1.645


def place(reached: Sequence[tuple[int, float | None]]) -> Place:
    """A method's place from (percent, epochs or None): the greater, the better."""
    return max(((percent, -epochs) for percent, epochs in reached if epochs is not None), default=(0, 0.0))


def kendall_tau_b(left: Sequence[Place], right: Sequence[Place]) -> float | None:
    """Kendall's tau-b of two orders of the same things; None where one side ties everything."""
    concordant, left_pairs, right_pairs = 0, 0, 0
    for (a, x), (b, y) in combinations(zip(left, right, strict=True), 2):
        first, second = (a > b) - (a < b), (x > y) - (x < y)
        concordant += first * second
        left_pairs += first != 0
        right_pairs += second != 0
    return concordant / sqrt(left_pairs * right_pairs) if left_pairs and right_pairs else None


def significant_tau(count: int) -> float:
    """The tau that two unrelated orders of so many things exceed in one case of twenty, about."""
    return NORMAL_5_PERCENT * sqrt(2 * (2 * count + 5) / (9 * count * (count - 1)))


def ranking_rows(trained: Sequence[Curve]) -> list[Row]:
    """Tau-b for every network of which three methods or more are on record, in the paper and in ours."""
    rows: list[Row] = []
    for network, shown in paper()["fig5"].items():
        both = [curve for curve in trained if curve.network == network and curve.method in shown["epochs_to"]]
        if len(both) >= 3:
            rows.append(_row(network, both))
    return rows


def _row(network: str, both: Sequence[Curve]) -> Row:
    theirs = [place(_printed(network, curve.method)) for curve in both]
    ours = [place([(percent, curve.epochs_to(percent / 100)) for percent in ACCURACIES]) for curve in both]
    tau, needed = kendall_tau_b(theirs, ours), significant_tau(len(both))
    chance = f"orders that have nothing to do with each other exceed {needed:.2f} in one case of twenty"
    if needed >= 1:
        chance = "too few to tell any order from chance"
    return Row(
        artifact="ranking",
        case=network,
        rule="",
        quantity="kendall_tau_b",
        unit="",
        paper=None,
        ours=tau,
        source="study",
        verdict="reproduced" if tau is not None and tau >= min(needed, 1.0) else "differs",
        note=f"{len(both)} methods; {chance}",
    )


def _printed(network: str, method: str) -> list[tuple[int, float | None]]:
    """What Fig. 5 tells of a method; of two networks only its last accuracy is on record."""
    listed = paper()["fig5"][network]["epochs_to"][method]
    return [(int(percent), epochs_to(network, method, int(percent))) for percent in listed]
