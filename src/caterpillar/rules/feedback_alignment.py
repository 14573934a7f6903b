"""Feedback alignment (Lillicrap et al. 2016): the error goes back through fixed random B_l in place of W_l."""

from __future__ import annotations

from functools import partial

from caterpillar.network import Network
from caterpillar.program import Backward, Pass, Tensor, Update
from caterpillar.rules.rule import Rule, forward_passes, weight_pass


def fa(batch: int = 1, *, momentum: float = 0.0) -> Rule:
    """Feedback alignment: B_l is shaped like W_l, so both are stored and read."""
    return Rule(name="fa", batch=batch, momentum=momentum, passes=partial(_passes, momentum=momentum))


def _passes(network: Network, *, momentum: float) -> tuple[Pass, ...]:
    passes = list(forward_passes(network))
    for layer in range(network.depth, 0, -1):
        if layer > 1:
            backward = Backward(layer=layer, lag=0, through="feedback")
            passes.append(Pass(matrix=Tensor("feedback", layer), ops=(backward,)))
        passes.append(weight_pass(layer, Update(layer=layer, lag=0, momentum=momentum)))
    return tuple(passes)
