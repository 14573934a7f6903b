"""FA and DFA against their formulas in NumPy."""

import numpy as np
import pytest

from caterpillar.network import Network
from caterpillar.rules import dfa, fa
from caterpillar.train import initial_state
from tests.train.helpers import batches, last, problem, settings

F = {"relu": lambda a: np.maximum(a, 0), "tanh": np.tanh, "sigmoid": lambda a: 1 / (1 + np.exp(-a))}
SLOPE = {"relu": lambda h: h > 0, "tanh": lambda h: 1 - h * h, "sigmoid": lambda h: h * (1 - h)}


def reference(program, samples, how, *, direct):
    state, f, slope = initial_state(program, how), F[program.network.activation], SLOPE[program.network.activation]
    W, B = [w.copy() for w in state.weights], state.feedback
    for epoch in range(1, how.epochs + 1):
        for numbers in batches(samples, program.batch, how, epoch):
            h = [samples.images[numbers].astype(np.float64)]
            for w in W[:-1]:
                h.append(f(h[-1] @ w))
            a = h[-1] @ W[-1]
            exps = np.exp(a - a.max(axis=1, keepdims=True))
            e = exps / exps.sum(axis=1, keepdims=True) - np.eye(a.shape[1])[samples.labels[numbers]]
            d = [e]
            for layer in range(len(W) - 1, 0, -1):
                d.insert(0, (e @ B[layer - 1].T if direct else d[0] @ B[layer].T) * slope(h[layer]))
            for w, x, y in zip(W, h, d, strict=False):
                w -= how.learning_rate / len(numbers) * x.T @ y
    return W


@pytest.mark.parametrize("activation", F)
@pytest.mark.parametrize("batch", [1, 4])
@pytest.mark.parametrize("rule", [fa, dfa])
def test_equals_the_formulas(rule, batch, activation):
    program = rule(batch)(Network.mlp(12, 20, 9, 18, 4, activation=activation))
    samples, how = problem(program.network, 18), settings(epochs=3)
    want = reference(program, samples, how, direct=rule is dfa)
    for ours, theirs in zip(last(program, samples, how).state.weights, want, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-12)


def test_feedback_has_its_shapes_and_limits():
    network = Network.mlp(12, 20, 9, 4)
    direct, same = (initial_state(rule(2)(network), settings()).feedback for rule in (dfa, fa))
    assert [B.shape for B in direct] == [(20, 4), (9, 4), (0, 0)]
    assert [B.shape for B in same] == [(0, 0), (20, 9), (9, 4)]
    assert 0.2 < np.abs(direct[0]).max() <= 20**-0.5
    assert 0.5 < np.abs(same[1]).max() <= (6 / 20) ** 0.5
