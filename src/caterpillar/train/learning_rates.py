"""Default learning rates: recorded data, and a law for what is not recorded."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib.resources import files
from typing import Any

from caterpillar.network import PAPER_NETWORKS, Network
from caterpillar.rules import Rule


def default_learning_rate(network: Network, rule: Rule) -> float:
    """The recorded rate for a rule on one of the paper's networks; else base x factor x batch^exponent x
    (1 - momentum).

    Rates are recorded without momentum; with it, they are scaled by 1 - momentum as well.
    """
    table = _table()
    fallback = table["fallback"]
    law = fallback["base"] * fallback["factors"].get(rule.name, 1.0) * rule.batch ** fallback["batch_exponent"]
    recorded = table["rates"].get(network.name, {}) if PAPER_NETWORKS.get(network.name) == network else {}
    rate = recorded.get(rule.label, law)
    return float(f"{rate * (1.0 - rule.momentum):.2g}")


@cache
def _table() -> dict[str, Any]:
    return tomllib.loads(files("caterpillar.train").joinpath("learning_rates.toml").read_text(encoding="utf-8"))
