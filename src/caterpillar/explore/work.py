"""What machines are to do: every combination of a sweep's networks, rules and price tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from caterpillar.checks import SpecError, UsageError
from caterpillar.cost import Pricing, parse_prices
from caterpillar.evaluate import SWEEP_MAPPINGS, check_names
from caterpillar.explore.sweep import Sweep
from caterpillar.explore.values import values_of
from caterpillar.network import MNIST_INPUTS, Network, parse_network
from caterpillar.rules import RULES, Rule, parse_rule

SINGLE = {"sgd", "cp"}  # these take single samples: batches are mbgd's and mbcp's
MOST_WORKS = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Epochs:
    """What training takes to an accuracy, in epochs of that many samples.

    of: (rule label, network) -> epochs, None where the accuracy is not reached.
    """

    percent: float
    samples: int
    of: Mapping[tuple[str, Network], float | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What a machine is to do, and how it is priced. epochs: to the sweep's accuracy, None where it is not reached."""

    network: Network
    rule: Rule
    prices: Pricing
    mapping: str
    numerics: str
    epochs: float | None = None

    @property
    def places(self) -> bool:
        """Whether each machine's schedule is placed: seconds each, where formulas take thousands at once."""
        return self.mapping not in SWEEP_MAPPINGS

    def label(self, column: str) -> str:
        """What a column of the results, network, rule, prices, mapping or numerics, calls it."""
        if column == "network":
            return _network_label(self.network)
        value = getattr(self, column)
        return value if isinstance(value, str) else value.name


def _network_label(network: Network) -> str:
    """Its name, which leaves out inputs and activation, with those that are not usual: no two have the same."""
    unusual = [f"{network.inputs} inputs"] * (network.inputs != MNIST_INPUTS)
    unusual += [network.activation] * (network.activation != "relu")
    return f"{network.name} ({', '.join(unusual)})" if unusual else network.name


def make_works(sweep: Sweep, epochs: Epochs | None) -> tuple[Work, ...]:
    """Every combination; of works that differ in nothing else the price tables stand together.

    Raises UsageError or SpecError, also for two price tables of one name.
    """
    networks = _parsed(parse_network, sweep.network, "network", _network_label)
    prices = _parsed(parse_prices, sweep.prices, "prices", lambda table: table.name)
    mappings, numerics = _texts(sweep.mapping, "mapping"), _texts(sweep.numerics, "numerics")
    for mapping in mappings:
        for arithmetic in numerics:
            check_names(mapping, arithmetic)
    rules = _rules(_texts(sweep.rule, "rule"), values_of(sweep.batch, "batch"))
    if len(networks) * len(rules) * len(prices) > MOST_WORKS:
        raise UsageError(f"networks x rules x batches x prices must be at most {MOST_WORKS:,}")
    return tuple(
        Work(
            network=network,
            rule=rule,
            prices=table,
            mapping=mapping,
            numerics=arithmetic,
            epochs=None if epochs is None else epochs.of.get((rule.label, network)),
        )
        for network in networks
        for rule in rules
        for mapping in mappings
        for arithmetic in numerics
        for table in prices
    )


def _rules(names: tuple[str, ...], batches: tuple[Any, ...]) -> list[Rule]:
    for name in names:
        if name not in RULES:
            raise UsageError(f"rule must be one of {', '.join(RULES)}, got {name!r}")
    return [parse_rule(name, batch=batch) for name in names for batch in ((1,) if name in SINGLE else batches)]


def _parsed(parse: Callable[[str], Any], words: Any, where: str, called: Callable[[Any], str]) -> list[Any]:
    """What the words stand for; the results tell it by what it is called, so no two may be called the same."""
    texts = _texts(words, where)
    found = [parse(text) for text in texts]
    names = [called(one) for one in found]
    for place, name in enumerate(names):
        if names.index(name) < place:
            raise SpecError(
                f"{where} must differ in name: {texts[names.index(name)]} and {texts[place]} are both {name}"
            )
    return found


def _texts(words: Any, where: str) -> tuple[str, ...]:
    return tuple(text_of(value, where) for value in values_of(words, where))


def text_of(value: Any, where: str) -> str:
    """The value. Raises SpecError for what is no text."""
    if not isinstance(value, str):
        raise SpecError(f"{where} must be a text, got {value!r}")
    return value
