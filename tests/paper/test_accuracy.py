"""Accuracy at the default learning rates, on 6,000 MNIST images: trained for real."""

from __future__ import annotations

import pytest

from caterpillar.datasets import load_dataset
from caterpillar.network import PAPER_NETWORKS
from caterpillar.rules import Rule, cp, sgd
from caterpillar.train import Settings, train
from caterpillar.train.learning_rates import default_learning_rate

SMALL = "500-500-500-10"
LARGE = "2500-2000-1500-1000-500-10"


def last_accuracy(network: str, rule: Rule, epochs: int) -> float:
    data, net = load_dataset(), PAPER_NETWORKS[network]
    settings = Settings(learning_rate=default_learning_rate(net, rule), epochs=epochs)
    *_, last = train(rule(net), data.train, settings, test=data.test)
    return last.accuracy


@pytest.mark.slow
@pytest.mark.parametrize("rule", [sgd(), cp()])
def test_ten_epochs_reach_95_percent(rule: Rule) -> None:
    assert last_accuracy(SMALL, rule, 10) >= 0.95


@pytest.mark.slow
@pytest.mark.parametrize("network", PAPER_NETWORKS)
def test_cp_is_never_behind_sgd_by_more_than_a_point(network: str) -> None:
    epochs = 3 if network == LARGE else 10
    assert last_accuracy(network, cp(), epochs) >= last_accuracy(network, sgd(), epochs) - 0.01
