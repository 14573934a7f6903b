"""The paper's experiments as data (paper.toml), read once."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from caterpillar.machine import MACHINES, Machine
from caterpillar.network import Network, parse_network
from caterpillar.rules import Rule, parse_rule

ACCURACIES = (80, 85, 88, 90, 91, 92, 93, 94, 95)  # percent; the paper's columns, and 95


@dataclass(frozen=True, slots=True, kw_only=True)
class Tolerance:
    """Within `absolute` of the paper's value, or within `relative` times it: either is enough."""

    absolute: float = 0.0
    relative: float = 0.0

    def met(self, paper: float, ours: float) -> bool:
        """Whether ours is close enough."""
        return abs(ours - paper) <= max(self.absolute, self.relative * abs(paper))


@cache
def paper() -> dict[str, Any]:
    """The whole table."""
    return tomllib.loads(files("caterpillar.reproduce").joinpath("paper.toml").read_text(encoding="utf-8"))


def rule_of_label(label: str) -> Rule:
    """A rule from its label, as in the paper's legends: sgd, mbgd50, dfa8."""
    match = re.fullmatch(r"([a-z]+)(\d*)", label)
    if match is None:
        raise ValueError(f"not a rule's label: {label!r}")
    return parse_rule(match[1], batch=int(match[2] or 1))


def tolerance(quantity: str, case: str = "") -> Tolerance:
    """A quantity's tolerance; its entry may set another absolute one for a case."""
    entry: dict[str, Any] = paper()["quantity"][quantity]
    return Tolerance(absolute=entry.get(case, entry.get("absolute", 0.0)), relative=entry.get("relative", 0.0))


def unit(quantity: str) -> str:
    """A quantity's unit."""
    return paper()["quantity"][quantity]["unit"]


def cases() -> dict[str, tuple[Network, Machine]]:
    """N1, N2, N3: a network on a machine."""
    return {
        name: (parse_network(case["network"]), MACHINES[case["machine"]]) for name, case in paper()["cases"].items()
    }


def epochs_to(network: str, rule: str, accuracy: int) -> int | None:
    """Epochs to an accuracy (percent) in the paper's Fig. 5, None where it was not reached.

    A blank before a listed accuracy was reached in the same epoch as that one. Raises KeyError for what the figure
    does not show.
    """
    shown = paper()["fig5"][network]
    listed = {int(percent): epoch for percent, epoch in shown["epochs_to"][rule].items()}
    if shown.get("partial"):
        return listed[accuracy]
    return next((epoch for percent, epoch in sorted(listed.items()) if percent >= accuracy), None)
