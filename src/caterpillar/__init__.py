"""A laboratory for accelerators that train neural networks.

    >>> import caterpillar as cp
    >>> network = cp.Network.mlp(784, 500, 500, 500, 10)
    >>> result = cp.evaluate(network, cp.rules.cp(), cp.machines.PAPER_A)
    >>> f"{result.gflops_per_watt:.0f} GFLOPS/W"
    '204 GFLOPS/W'

What needs no numerical library is here at once; the other rooms (train, datasets, reproduce, report) are loaded when
they are first used, so that the import takes no time.
"""

from importlib import import_module
from types import ModuleType

from caterpillar import cost, rules
from caterpillar import machine as machines
from caterpillar.checks import CaterpillarError, Infeasible
from caterpillar.cost import parse_prices
from caterpillar.estimate import estimate
from caterpillar.evaluate import Evaluation, evaluate
from caterpillar.machine import Machine, parse_machine
from caterpillar.network import Network, parse_network
from caterpillar.program import Program
from caterpillar.rules import Rule, parse_rule

__all__ = [
    "CaterpillarError",
    "Evaluation",
    "Infeasible",
    "Machine",
    "Network",
    "Program",
    "Rule",
    "cost",
    "estimate",
    "evaluate",
    "machines",
    "parse_machine",
    "parse_network",
    "parse_prices",
    "parse_rule",
    "rules",
]

_LATER = ("datasets", "explore", "numerics", "report", "reproduce", "train")


def __getattr__(name: str) -> ModuleType:
    if name in _LATER:
        return import_module(f"caterpillar.{name}")
    raise AttributeError(f"module 'caterpillar' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATER})
