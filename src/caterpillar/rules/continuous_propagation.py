"""Continuous propagation: every layer works at every tick, each on another batch; weights are read once a tick.

At tick t layer l sends back the error of batch t - (2L - l) through the weights as read, updates them with that
batch's gradient, and sends batch t - (l - 1) forward through the weights as just written. No weights are stashed:
a batch's forward at layer l used weights 2(L - l) updates older than its backward does.
"""

from __future__ import annotations

from functools import partial
from typing import Literal

from caterpillar.network import Network
from caterpillar.program import Backward, Forward, Op, OutputError, Pass, Update
from caterpillar.rules.rule import Rule, weight_pass

Remedy = Literal["none", "spike", "prediction"]


def cp(*, momentum: float = 0.0, remedy: Remedy = "none") -> Rule:
    """Continuous propagation, a sample at a time. remedy: see mbcp."""
    return Rule(name="cp", momentum=momentum, passes=partial(_passes, momentum=momentum, remedy=remedy))


def mbcp(batch: int, *, momentum: float = 0.0, remedy: Remedy = "none") -> Rule:
    """Continuous propagation of batches.

    remedy, for the staleness D = 2(L - l) (Kosson et al. 2020; both work on momentum's velocity, so they need
    momentum > 0): "spike" compensates in the update, "prediction" goes forward with W - lr D v.
    """
    return Rule(name="mbcp", batch=batch, momentum=momentum, passes=partial(_passes, momentum=momentum, remedy=remedy))


def _passes(network: Network, *, momentum: float, remedy: Remedy) -> tuple[Pass, ...]:
    depth = network.depth
    passes: list[Pass] = []
    for layer in range(1, depth + 1):
        staleness = 2 * (depth - layer)
        back: list[Op] = [] if layer == 1 else [Backward(layer=layer, lag=2 * depth - layer)]
        update = _update(layer, 2 * depth - layer, momentum, staleness if remedy == "spike" else 0)
        lookahead = staleness if remedy == "prediction" else 0
        forward = Forward(layer=layer, lag=layer - 1, lookahead=lookahead)
        passes.append(weight_pass(layer, *back, update, forward))
    passes.append(Pass(matrix=None, ops=(OutputError(layer=depth, lag=depth - 1),)))
    return tuple(passes)


def _update(layer: int, lag: int, momentum: float, spike: int) -> Update:
    """Spike compensation for delay D: a v + b g with a = m^D, b = (1 - m^D) / (1 - m); D = 0 is plain momentum."""
    if not momentum:
        return Update(layer=layer, lag=lag)
    decay = momentum**spike
    gradient_scale = (1.0 - decay) / (1.0 - momentum)
    return Update(layer=layer, lag=lag, momentum=momentum, velocity_scale=decay, gradient_scale=gradient_scale)
