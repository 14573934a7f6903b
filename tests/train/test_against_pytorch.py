"""SGD, mini-batches and momentum against PyTorch: 20 steps, 1e-5 relative. Needs the extra `torch`."""

import numpy as np
import pytest

from caterpillar.datasets import Samples
from caterpillar.network import Network
from caterpillar.rules import mbgd, sgd
from caterpillar.train import initial_state
from tests.train.helpers import batches, last, problem, settings

torch = pytest.importorskip("torch", reason="compares with PyTorch: pip install 'caterpillar-cgra[torch]'")

ACTIVATIONS = {"relu": torch.relu, "tanh": torch.tanh, "sigmoid": torch.sigmoid}
CASES = [
    (sgd(), "relu", 20),
    (sgd(), "tanh", 20),
    (sgd(), "sigmoid", 20),
    (sgd(momentum=0.9), "relu", 20),
    (mbgd(4), "relu", 80),
    (mbgd(4, momentum=0.9), "tanh", 80),
    (mbgd(8, momentum=0.5), "relu", 157),  # the last batch has five samples
]


def in_pytorch(program, samples: Samples, how) -> list[np.ndarray]:
    kind = torch.float64 if how.numerics == "fp64" else torch.float32
    state, momentum = initial_state(program, how), program.passes[-1].ops[-1].momentum
    weights = [torch.tensor(W, dtype=kind, requires_grad=True) for W in state.weights]
    optimiser = torch.optim.SGD(weights, lr=how.learning_rate, momentum=momentum)
    for numbers in batches(samples, program.batch, how, 1):
        h = torch.tensor(samples.images[numbers], dtype=kind)
        for layer, W in enumerate(weights, start=1):
            h = h @ W if layer == len(weights) else ACTIVATIONS[program.network.activation](h @ W)
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(h, torch.tensor(samples.labels[numbers])).backward()
        optimiser.step()
    return [W.detach().numpy() for W in weights]


@pytest.mark.parametrize("numerics", ["fp32", "fp64"])
@pytest.mark.parametrize(("rule", "activation", "count"), CASES)
def test_twenty_steps(rule, activation, count, numerics):
    program = rule(Network.mlp(30, 40, 25, 10, activation=activation))
    samples, how = problem(program.network, count), settings(epochs=1, numerics=numerics)
    got, want = last(program, samples, how).state.weights, in_pytorch(program, samples, how)
    start = initial_state(program, how).weights
    for ours, theirs, before in zip(got, want, start, strict=True):
        assert np.abs(theirs - before).max() > 1e-3
        assert np.linalg.norm(ours - theirs) <= 1e-5 * np.linalg.norm(theirs)
        if numerics == "fp64":
            np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-12)
