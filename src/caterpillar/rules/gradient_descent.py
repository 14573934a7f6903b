"""Stochastic and mini-batch gradient descent: all layers forward, then all back, then the next batch enters."""

from __future__ import annotations

from functools import partial

from caterpillar.network import Network
from caterpillar.program import Backward, Pass, Update
from caterpillar.rules.rule import Rule, forward_passes, weight_pass


def sgd(*, momentum: float = 0.0) -> Rule:
    """Stochastic gradient descent: one sample goes forward and back before the next enters."""
    return Rule(name="sgd", momentum=momentum, passes=partial(_passes, momentum=momentum))


def mbgd(batch: int, *, momentum: float = 0.0) -> Rule:
    """Mini-batch gradient descent: as sgd, with the mean gradient of a batch."""
    return Rule(name="mbgd", batch=batch, momentum=momentum, passes=partial(_passes, momentum=momentum))


def _passes(network: Network, *, momentum: float) -> tuple[Pass, ...]:
    return (*forward_passes(network), *(_back(layer.index, momentum) for layer in reversed(network.layers)))


def _back(layer: int, momentum: float) -> Pass:
    """Backward and update share one read of W_l; layer 1 has no input error to send back."""
    update = Update(layer=layer, lag=0, momentum=momentum)
    return weight_pass(layer, update) if layer == 1 else weight_pass(layer, Backward(layer=layer, lag=0), update)
