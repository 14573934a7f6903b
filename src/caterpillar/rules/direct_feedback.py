"""Direct feedback alignment (Nokland 2016): the output error goes straight to every hidden layer."""

from __future__ import annotations

from functools import partial

from caterpillar.network import Network
from caterpillar.program import DirectBackward, Pass, Tensor, Update
from caterpillar.rules.rule import Rule, forward_passes, weight_pass


def dfa(batch: int = 1, *, momentum: float = 0.0) -> Rule:
    """Direct feedback alignment: B_l is fixed random, n_l x n_L; the hidden layers do not wait for each other."""
    return Rule(name="dfa", batch=batch, momentum=momentum, passes=partial(_passes, momentum=momentum))


def _passes(network: Network, *, momentum: float) -> tuple[Pass, ...]:
    depth = network.depth
    passes = [*forward_passes(network), weight_pass(depth, Update(layer=depth, lag=0, momentum=momentum))]
    for layer in range(depth - 1, 0, -1):
        direct = DirectBackward(layer=layer, lag=0, output_layer=depth)
        passes.append(Pass(matrix=Tensor("feedback", layer), ops=(direct,)))
        passes.append(weight_pass(layer, Update(layer=layer, lag=0, momentum=momentum)))
    return tuple(passes)
