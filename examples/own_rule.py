"""A learning rule of one's own: train only the last two layers, the ones before stay as they were drawn.

A rule is a function from a network to the passes of a tick. Trainer and estimate take it as it is; there is nothing
to register.
"""

from __future__ import annotations

import caterpillar as cp
from caterpillar.datasets import load_dataset
from caterpillar.network import Network
from caterpillar.program import Backward, Pass, Update
from caterpillar.rules import Rule
from caterpillar.rules.rule import forward_passes, weight_pass
from caterpillar.train import Settings, train


def last_two(network: Network) -> tuple[Pass, ...]:
    """Forward through all layers; backward and update share a read of the last matrix."""
    depth = network.depth
    return (
        *forward_passes(network),
        weight_pass(depth, Backward(layer=depth, lag=0), Update(layer=depth, lag=0)),
        weight_pass(depth - 1, Update(layer=depth - 1, lag=0)),
    )


def main() -> None:
    """Accuracy of an epoch, and what a sample costs on the paper's small machine, beside SGD."""
    rule = Rule(name="last-two", passes=last_two)
    network = cp.Network.mlp(784, 500, 500, 500, 10)
    data = load_dataset(samples=2000)
    for each in (rule, cp.rules.sgd()):
        settings = Settings(learning_rate=0.005, epochs=1)
        (epoch,) = train(each(network), data.train, settings, test=data.test)
        result = cp.evaluate(network, each, cp.machines.PAPER_A)
        cost = f"{result.cycles_per_sample:,.0f} cycles, {result.energy_pj_per_sample / 1e6:.1f} uJ a sample"
        print(f"{each.label}: {epoch.accuracy:.1%} after an epoch of 2,000 images; {cost}")


if __name__ == "__main__":
    main()
