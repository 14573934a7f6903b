"""Momentum in the rules that work through one batch at a time, against explicit loops, to the last bit in float64."""

import numpy as np
import pytest

from caterpillar.network import Network
from caterpillar.rules import dfa, fa, mbgd
from caterpillar.train import initial_state
from caterpillar.train.default_order import default_order
from tests.train.helpers import (
    Array,
    activation,
    backward_sums,
    batches,
    forward_sums,
    last,
    momentum_update,
    output_error,
    problem,
    same,
    settings,
    slope,
    softmax,
)

MOMENTUM = 0.75


def reference(program, samples, how, kind):
    """Train by the words of each rule: forward, errors of all layers, then momentum's update of all."""
    state, order = initial_state(program, how), default_order(program)
    W = [w.astype(np.float64) for w in state.weights]
    v = [np.zeros_like(w) for w in W]
    for epoch in range(1, how.epochs + 1):
        for numbers in batches(samples, program.batch, how, epoch):
            passed = [one_sample(program, samples, n, W, state.feedback, order, kind) for n in numbers]
            for layer in range(len(W)):
                h, d = [p[0][layer] for p in passed], [p[1][layer] for p in passed]
                momentum_update(
                    W[layer], v[layer], h, d, rate=how.learning_rate, momentum=MOMENTUM, batch=program.batch
                )
    return W


def one_sample(program, samples, number, W, B, order, kind) -> tuple[list[Array], list[Array]]:
    """The inputs and the errors of every layer."""
    network, depth = program.network, len(W)
    h = [samples.images[number].astype(np.float64)]
    for layer in range(depth - 1):
        h.append(activation(network, forward_sums(h[-1], W[layer], order.layers[layer])))
    a = forward_sums(h[-1], W[-1], order.layers[-1])
    d = [output_error(softmax(a), samples.labels[number])]
    for layer in range(depth - 1, 0, -1):  # the error of layer, from that of layer + 1, or from the last
        if kind is dfa:
            sums = backward_sums(d[-1], B[layer - 1], order.feedback[layer - 1])
        elif kind is fa:
            sums = backward_sums(d[0], B[layer], order.feedback[layer])
        else:
            sums = backward_sums(d[0], W[layer], order.layers[layer])
        d.insert(0, sums * slope(network, h[layer]))
    return h, d


@pytest.mark.parametrize("network", [Network.mlp(6, 5, 4, 3), Network.mlp(5, 19, 4, 3, activation="tanh")])
@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("kind", [mbgd, fa, dfa])
def test_equals_the_reference(kind, batch, network):
    program, samples, how = kind(batch, momentum=MOMENTUM)(network), problem(network, 8), settings()
    got = last(program, samples, how)
    assert same(got.state, reference(program, samples, how, kind))
    assert not same(got.state, list(last(kind(batch)(network), samples, how).state.weights))
