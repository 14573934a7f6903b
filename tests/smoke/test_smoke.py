"""Ten seconds, the first thing to run: each main path once, on the smallest case that means something."""

import json
import subprocess
import sys

import caterpillar as cp
from caterpillar.datasets import load_dataset


def test_the_command_line_starts():
    done = subprocess.run([sys.executable, "-m", "caterpillar", "--help"], capture_output=True, text=True, check=True)
    assert "train" in done.stdout


def test_mnist_is_there():
    data = load_dataset(samples=100)
    assert (len(data.train), len(data.test), data.train.images.shape[1]) == (100, 10_000, 784)


def test_an_estimate_in_one_call():
    result = cp.evaluate(cp.Network.mlp(784, 500, 500, 500, 10), cp.rules.cp(), cp.machines.PAPER_A)
    assert isinstance(result, cp.Evaluation)
    assert 0.9 < result.utilization <= 1
    assert abs(result.gflops_per_watt - 204) < 0.015 * 204  # Li and Pedram 2017, Table 2


def test_every_rule_learns_something_on_mnist():
    """500 images, one epoch of a small network: guessing gives 10 %."""
    from caterpillar.train import Settings, train

    data = load_dataset(samples=500)
    network = cp.Network.mlp(784, 30, 10)
    for name in cp.rules.RULES:
        rule = cp.parse_rule(name, batch=1 if name in ("sgd", "cp") else 4)
        settings = Settings(learning_rate=0.01 * rule.batch, epochs=1)
        (epoch,) = train(rule(network), data.train, settings, test=data.test)
        assert epoch.accuracy > 0.4, name


def test_training_from_the_command_line():
    command = "train --network 20-10 --rule cp --samples 300 --epochs 2 --json"
    done = subprocess.run(
        [sys.executable, "-m", "caterpillar", *command.split()], capture_output=True, text=True, check=True
    )
    document = json.loads(done.stdout)
    assert [epoch["epoch"] for epoch in document["epochs"]] == [1, 2]
    assert document["epochs"][1]["accuracy"] > 0.3
