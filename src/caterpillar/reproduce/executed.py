"""What the micro-programs of both mappings take, for the rows that have them: counted, not fitted.

The counts are those of the loops of the micro-programs, which equal the simulator's (tests/simulate, tests/estimate).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import cast

from caterpillar.checks import Infeasible, UsageError
from caterpillar.evaluate import Evaluation, evaluate
from caterpillar.explore.workers import backend
from caterpillar.reproduce.paper import cases, paper, rule_of_label

MAPPINGS = ("paper", "best")
Cell = tuple[str, str, str]  # case, rule, mapping
Executed = Mapping[Cell, Evaluation]  # without those that a mapping has no micro-programs for, or that do not fit


def cells() -> list[Cell]:
    """All that Table 2 and Fig. 10 have."""
    rules = dict.fromkeys(label for labels in paper()["fig10"]["rules"].values() for label in labels)
    printed = {case: dict.fromkeys([*rules, *paper()["table2"][case]]) for case in cases()}
    return [(case, label, mapping) for case, labels in printed.items() for label in labels for mapping in MAPPINGS]


def executed(cell: Cell) -> Evaluation | None:
    """A rule's steady tick on a case's machine, a sample, at the paper's prices.

    None where the mapping has no micro-programs for it, or it does not fit.
    """
    case, label, mapping = cell
    network, machine = cases()[case]
    try:
        answer = evaluate(network, rule_of_label(label), machine, mapping=mapping, executed=True)
    except UsageError:
        return None
    return None if isinstance(answer, Infeasible) else answer


def execute_all(workers: int, on_progress: Callable[[str, int, int], None]) -> dict[Cell, Evaluation]:
    """All cells, in so many processes. on_progress(text, done, total) is called as they are done."""
    from joblib import Parallel, delayed

    works, found = list(dict.fromkeys((case, label) for case, label, _ in cells())), dict[Cell, Evaluation]()
    on_progress("placing", 0, len(works))
    with backend(workers, None):
        tasks = (delayed(_both)(case, label) for case, label in works)
        answers = cast("Iterable[list[Evaluation | None]]", Parallel(return_as="generator")(tasks))
        for done, ((case, label), both) in enumerate(zip(works, answers, strict=True), start=1):
            found |= {(case, label, mapping): one for mapping, one in zip(MAPPINGS, both, strict=True) if one}
            on_progress(f"placed {case} {label}", done, len(works))
    return found


def _both(case: str, label: str) -> list[Evaluation | None]:
    """One after the other: mapping best asks for the paper's placement again."""
    return [executed((case, label, mapping)) for mapping in MAPPINGS]
