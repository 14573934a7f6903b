"""CP and MBCP against an event-driven reference, sample by sample, to the last bit in float64.

The reference knows nothing of Program: every layer is a small actor with an inbox of activations and one of errors, and
works through them as the paper says, backward, update, forward, once a tick.
"""

from __future__ import annotations

from collections import deque

import numpy as np
import pytest

from caterpillar.network import Network
from caterpillar.rules import cp, mbcp
from caterpillar.train import initial_state
from caterpillar.train.default_order import default_order
from tests.train.helpers import (
    Array,
    activation,
    backward_sums,
    batches,
    forward_sums,
    fused,
    last,
    momentum_update,
    output_error,
    problem,
    same,
    settings,
    slope,
    softmax,
)


class Layer:
    """One layer of the pipeline: its weights, and what has arrived for it."""

    def __init__(self, weights, order, delay):
        self.W, self.order, self.delay = weights.astype(np.float64), order, delay
        self.v = np.zeros_like(self.W)
        self.arrived = deque()  # batches of activations to send forward
        self.waiting = deque()  # activations that went forward and wait for their errors
        self.errors = deque()  # errors to send back

    def tick(self, rate, network, first):
        """Backward, update, forward; what leaves to the layer before, and what leaves to the next: sums, unfinished."""
        back = ahead = None
        if self.errors:
            h, d = self.waiting.popleft(), self.errors.popleft()
            if not first:
                back = [backward_sums(x, self.W, self.order) * slope(network, y) for x, y in zip(d, h, strict=True)]
            self.update(h, d, rate)
        if self.arrived:
            h = self.arrived.popleft()
            self.waiting.append(h)
            ahead = [forward_sums(x, self.seen(rate), self.order) for x in h]
        return back, ahead

    def seen(self, rate):
        """The weights that go forward: as they are, or as the velocity will have made them when the error is back."""
        if rate.remedy != "prediction":
            return self.W
        step = rate.value / rate.batch * self.delay
        pairs = zip(self.v.ravel(), self.W.ravel(), strict=True)
        return np.array([fused(-step, v, w) for v, w in pairs]).reshape(self.W.shape)

    def update(self, h, d, rate):
        if rate.momentum:
            spike = self.delay if rate.remedy == "spike" else 0
            momentum_update(
                self.W, self.v, h, d, rate=rate.value, momentum=rate.momentum, batch=rate.batch, spike=spike
            )
            return
        for i in range(self.W.shape[0]):
            for j in range(self.W.shape[1]):
                if rate.batch == 1:
                    self.W[i, j] = fused(-(rate.value * h[0][i]), d[0][j], self.W[i, j])
                else:
                    g = 0.0
                    for x, y in zip(h, d, strict=True):
                        g = fused(x[i], y[j], g)
                    self.W[i, j] = fused(-(rate.value / len(h)), g, self.W[i, j])


class Rate:
    def __init__(self, value, batch, momentum, remedy):
        self.value, self.batch, self.momentum, self.remedy = value, batch, momentum, remedy


def reference(program, samples, how, momentum=0.0, remedy="none"):
    network, rate = program.network, Rate(how.learning_rate, program.batch, momentum, remedy)
    start, orders = initial_state(program, how).weights, default_order(program).layers
    delays = [2 * (network.depth - layer) for layer in range(1, network.depth + 1)]
    layers = [Layer(*parts) for parts in zip(start, orders, delays, strict=True)]
    for epoch in range(1, how.epochs + 1):
        feed = batches(samples, program.batch, how, epoch)
        labels = deque([samples.labels[numbers] for numbers in feed])
        images = deque([[samples.images[n].astype(np.float64) for n in numbers] for numbers in feed])
        while images or any(layer.arrived or layer.errors or layer.waiting for layer in layers):
            if images:
                layers[0].arrived.append(images.popleft())
            one_tick(layers, rate, network, labels)
    return [layer.W for layer in layers]


def one_tick(layers, rate, network, labels):
    """All layers at once: what leaves a layer arrives after the tick."""
    left = [layer.tick(rate, network, first=index == 0) for index, layer in enumerate(layers)]
    for index, (back, ahead) in enumerate(left):
        if back is not None:
            layers[index - 1].errors.append(back)
        if ahead is None:
            continue
        if index + 1 < len(layers):
            layers[index + 1].arrived.append([activation(network, a) for a in ahead])
        else:
            wanted = labels.popleft()
            layers[index].errors.append([output_error(softmax(a), y) for a, y in zip(ahead, wanted, strict=True)])


OTHER = {"none": "spike", "spike": "prediction", "prediction": "none"}
CASES = [
    (cp(), Network.mlp(6, 5, 4, 3), 9),
    (cp(), Network.mlp(7, 19, 4, 3, activation="tanh"), 7),
    (cp(), Network.mlp(5, 4), 6),
    (cp(), Network.mlp(4, 4, 4, 4, 4, 3), 4),
    (mbcp(2), Network.mlp(6, 5, 4, 3), 9),
    (mbcp(3), Network.mlp(6, 18, 4, 3, activation="sigmoid"), 8),
    (mbcp(8), Network.mlp(6, 5, 3), 5),
]


@pytest.mark.parametrize(("rule", "network", "count"), CASES)
@pytest.mark.parametrize("skip_zeros", [True, False])
def test_equals_the_event_driven_reference(rule, network, count, skip_zeros):
    program, samples, how = rule(network), problem(network, count), settings(skip_zeros=skip_zeros)
    got = last(program, samples, how)
    want: list[Array] = reference(program, samples, how)
    assert same(got.state, want)
    assert not same(got.state, list(initial_state(program, how).weights))


@pytest.mark.parametrize("remedy", ["none", "spike", "prediction"])
@pytest.mark.parametrize(
    ("batch", "network", "count"),
    [(1, Network.mlp(6, 5, 4, 3), 9), (1, Network.mlp(5, 19, 4, 4, 3, activation="tanh"), 6), (3, CASES[5][1], 8)],
)
def test_momentum_and_the_remedies_equal_the_event_driven_reference(remedy, batch, network, count):
    options = {"momentum": 0.75, "remedy": remedy}
    rule = cp(**options) if batch == 1 else mbcp(batch, **options)
    program, samples, how = rule(network), problem(network, count), settings()
    got = last(program, samples, how)
    assert same(got.state, reference(program, samples, how, **options))
    assert not same(got.state, reference(program, samples, how, momentum=0.75, remedy=OTHER[remedy]))


def test_two_threads_give_the_same():
    network = Network.mlp(6, 40, 33, 3)
    program, samples = cp()(network), problem(network, 20)
    one, two = (last(program, samples, settings(threads=threads)).state for threads in (1, 2))
    assert one.weights_sha256 == two.weights_sha256
