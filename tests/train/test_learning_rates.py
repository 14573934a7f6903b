"""Default learning rates: recorded ones first, a law for the rest."""

from dataclasses import replace

import pytest

from caterpillar import rules
from caterpillar.network import Network, parse_network
from caterpillar.train import learning_rates
from caterpillar.train.learning_rates import default_learning_rate

UNLISTED = Network.mlp(20, 7, 3)


def test_unlisted_networks_follow_the_law() -> None:
    assert default_learning_rate(UNLISTED, rules.sgd()) == 0.005
    assert default_learning_rate(UNLISTED, rules.mbgd(50)) == pytest.approx(0.005 * 50**0.75, rel=0.05)
    assert default_learning_rate(UNLISTED, rules.cp(momentum=0.9)) == pytest.approx(0.0005)


@pytest.mark.parametrize("rule", [rules.sgd(), rules.cp(), rules.fa(4), rules.dfa(8), rules.mbgd(2), rules.mbcp(8)])
def test_every_rule_has_a_rate(rule: rules.Rule) -> None:
    assert 0 < default_learning_rate(UNLISTED, rule) <= 1
    assert 0 < default_learning_rate(parse_network("500-500-500-10"), rule) <= 1


def test_recorded_rates_come_first(monkeypatch: pytest.MonkeyPatch) -> None:
    law = {"base": 1.0, "batch_exponent": 1.0, "factors": {"fa": 0.5}}
    table = {"fallback": law, "rates": {"500-500-500-10": {"sgd": 0.25}}}
    monkeypatch.setattr(learning_rates, "_table", lambda: table)
    paper = parse_network("500-500-500-10")
    assert default_learning_rate(paper, rules.sgd()) == 0.25
    assert default_learning_rate(paper, rules.mbgd(2)) == 2.0
    assert default_learning_rate(paper, rules.fa(2)) == 1.0
    assert default_learning_rate(replace(paper, activation="tanh"), rules.sgd()) == 1.0
    assert default_learning_rate(Network.mlp(100, 500, 500, 500, 10), rules.sgd()) == 1.0
