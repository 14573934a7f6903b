"""One step of plain gradient descent against central differences of the loss, on random small networks."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from caterpillar.network import ACTIVATIONS, Network
from caterpillar.rules import mbgd, sgd
from caterpillar.train import initial_state
from tests.train.helpers import last, problem
from tests.train.helpers import settings as train_settings

F = {"relu": lambda a: np.maximum(a, 0), "tanh": np.tanh, "sigmoid": lambda a: 1 / (1 + np.exp(-a))}
STEP = 1e-6


def loss(network, weights, samples):
    h = samples.images.astype(np.float64)
    for W in weights[:-1]:
        h = F[network.activation](h @ W)
    a = h @ weights[-1]
    a = a - a.max(axis=1, keepdims=True)
    wanted = a[np.arange(len(samples)), samples.labels]
    return float(np.mean(np.log(np.exp(a).sum(axis=1)) - wanted))


@settings(max_examples=25)
@given(
    sizes=st.lists(st.integers(1, 20), min_size=2, max_size=5),
    activation=st.sampled_from(ACTIVATIONS),
    count=st.integers(1, 5),
    seed=st.integers(0, 1000),
)
def test_update_is_the_gradient(sizes, activation, count, seed):
    network = Network.mlp(*sizes, activation=activation)
    program = (mbgd(count) if count > 1 else sgd())(network)
    samples, how = problem(network, count, seed), train_settings(epochs=1, learning_rate=1.0, seed=seed)
    before = initial_state(program, how).weights
    after = last(program, samples, how)
    assert abs(after.train_loss - loss(network, before, samples)) < 1e-12
    rng = np.random.default_rng(seed)
    for layer, W in enumerate(before):
        for _ in range(3):
            i, j = (int(rng.integers(size)) for size in W.shape)
            shifted = [[w.copy() for w in before] for _ in range(2)]
            shifted[0][layer][i, j] += STEP
            shifted[1][layer][i, j] -= STEP
            high, low = (loss(network, weights, samples) for weights in shifted)
            slope = before[layer][i, j] - after.state.weights[layer][i, j]
            bends = activation == "relu" and abs((high + low) / 2 - loss(network, before, samples)) > 1e-9
            assert bends or abs(slope - (high - low) / (2 * STEP)) < 1e-6
