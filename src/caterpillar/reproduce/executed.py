"""What the micro-programs of both mappings take, for the rows that have them: counted, not fitted.

The counts are those of the loops of the micro-programs, which equal the simulator's (tests/simulate, tests/estimate).
"""

from __future__ import annotations

from functools import cache

from caterpillar.checks import Infeasible, UsageError
from caterpillar.evaluate import Evaluation, evaluate
from caterpillar.machine import Machine
from caterpillar.network import Network
from caterpillar.reproduce.paper import rule_of_label

MAPPINGS = ("paper", "best")


@cache
def executed(network: Network, label: str, machine: Machine, mapping: str) -> Evaluation | None:
    """A rule's steady tick on a machine, a sample, at the paper's prices.

    None where the mapping has no micro-programs for it, or it does not fit.
    """
    try:
        answer = evaluate(network, rule_of_label(label), machine, mapping=mapping, executed=True)
    except UsageError:
        return None
    return None if isinstance(answer, Infeasible) else answer
