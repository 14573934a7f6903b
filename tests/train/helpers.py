"""Small problems, and references written from the formulas alone: they know nothing of Program or of the kernels."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from caterpillar.datasets import Samples
from caterpillar.network import Network
from caterpillar.numerics import GemvOrder, elementwise
from caterpillar.program import Program
from caterpillar.train import Epoch, Settings, State, train
from caterpillar.train.random import shuffled

Array = NDArray[Any]


def problem(network: Network, count: int, seed: int = 0) -> Samples:
    """Random images, some pixels zero as in MNIST, and random labels."""
    rng = np.random.default_rng(seed)
    images = rng.random((count, network.inputs)) * (rng.random((count, network.inputs)) < 0.6)
    return Samples(
        images=(np.round(images * 255) / 255).astype(np.float32),
        labels=rng.integers(0, network.outputs, count).astype(np.int64),
    )


def settings(**changes: Any) -> Settings:
    """Settings for small problems."""
    return Settings(**{"learning_rate": 0.05, "epochs": 2, "numerics": "fp64", **changes})


def last(program: Program, samples: Samples, how: Settings, **options: Any) -> Epoch:
    """Train to the end."""
    *_, epoch = train(program, samples, how, test=samples, **options)
    return epoch


def batches(samples: Samples, batch: int, how: Settings, epoch: int) -> list[Array]:
    """The samples of each batch of an epoch, by their numbers."""
    order = shuffled(how.seed, epoch, len(samples))
    return [order[start : start + batch] for start in range(0, len(samples), batch)]


def fused(a: float, b: float, c: float, numerics: str = "fp64") -> float:
    """a * b + c, rounded once."""
    return float(elementwise.fma(np.array(a), np.array(b), np.array(c), numerics))  # type: ignore[arg-type]


def combined(partial: list[float], how: str) -> float:
    """Partial sums to one, float64: chain or tree."""
    if how == "chain":
        total = partial[0]
        for value in partial[1:]:
            total += value
        return total
    count = 1
    while count < len(partial):
        count *= 2
    partial = partial + [0.0] * (count - len(partial))
    while len(partial) > 1:
        half = len(partial) // 2
        partial = [partial[k] + partial[k + half] for k in range(half)]
    return partial[0]


def forward_sums(h: Array, W: Array, order: GemvOrder) -> Array:
    """h W in the order, by the words of GemvOrder, float64."""
    return np.array([_forward_sum(h, W[:, j], order, panel) for panel, j in _panels(order)])


def _panels(order: GemvOrder) -> list[tuple[int, int]]:
    return [(panel, j) for panel, (start, end) in enumerate(pairwise(order.bounds)) for j in range(start, end)]


def _forward_sum(h: Array, column: Array, order: GemvOrder, panel: int) -> float:
    inputs, lanes = len(column), order.forward_lanes
    blocks = list(pairwise(order.input_bounds or (0, inputs)))
    starts = {i: start for start, end in blocks for i in range(start, end)}
    if order.block_lanes is None:
        first = order.forward_first[panel] if order.forward_first else 0
        runs = [[*range(first, inputs), *range(first)]]
    else:
        runs = [list(range(start, end)) for start, end in blocks]
    sums = []
    for run in runs:
        partial = [0.0] * lanes
        for i in run:
            lane = order.forward_sums[i] if order.forward_sums else (i - starts[i]) % lanes
            partial[lane] = fused(h[i], column[i], partial[lane])
        sums.append(combined(partial, order.forward_combine))
    if order.block_lanes is None:
        return sums[0]
    totals = [0.0] * order.block_lanes
    for block, value in enumerate(sums):
        totals[block % order.block_lanes] += value
    return combined(totals, "tree")


def backward_sums(d: Array, W: Array, order: GemvOrder) -> Array:
    """d W^T in the order, by the words of GemvOrder, float64."""
    panels, sums = list(pairwise(order.bounds)), np.zeros(W.shape[0])
    for i in range(W.shape[0]):
        totals = []
        for start, end in panels:
            partial = [0.0] * order.backward_lanes
            for j in range(start, end):
                lane = order.backward_sums[j] if order.backward_sums else (j - start) % order.backward_lanes
                partial[lane] = fused(d[j], W[i, j], partial[lane])
            totals.append(combined(partial, order.backward_combine))
        first = order.backward_first[i] if order.backward_first else 0
        sums[i] = combined([*totals[first:], *totals[:first]], "chain")
    return sums


def activation(network: Network, a: Array) -> Array:
    """h = f(a), float64."""
    return elementwise.activation(network.activation, a, "fp64")


def slope(network: Network, h: Array) -> Array:
    """f'(a) from h, float64, each step rounded as in numerics.functions."""
    if network.activation == "relu":
        return (h > 0).astype(np.float64)
    one = np.ones_like(h) if network.activation == "tanh" else h
    return elementwise.fma(-h, h, one, "fp64")


def softmax(a: Array) -> Array:
    """Softmax, summed in order, float64."""
    exps = elementwise.activation("exp", a - a.max(), "fp64")
    total = 0.0
    for value in exps:
        total += value
    return exps / total


def momentum_update(
    W: Array, v: Array, h: list[Array], d: list[Array], *, rate: float, momentum: float, batch: int, spike: int = 0
) -> None:
    """One batch's update of W and v in place, weight by weight.

    g = sum over the samples of h_i d_j, scaled to a full batch; v <- m v + g; W <- W - rate / batch (a v + b g), with
    a = m^D, b = (1 - m^D) / (1 - m) for spike compensation of delay D (Kosson et al. 2020), and a = 1, b = 0 for D = 0.
    """
    a, b = momentum**spike, (1 - momentum**spike) / (1 - momentum)
    for i in range(W.shape[0]):
        for j in range(W.shape[1]):
            g = 0.0
            for x, y in zip(h, d, strict=True):
                g = fused(x[i], y[j], g)
            g *= batch / len(h)
            v[i, j] = fused(momentum, v[i, j], g)
            W[i, j] = fused(-(rate / batch), fused(b, g, a * v[i, j]), W[i, j])


def output_error(h: Array, label: int) -> Array:
    """h - onehot."""
    onehot = np.zeros_like(h)
    onehot[label] = 1.0
    return h - onehot


def same(got: State, want: list[Array]) -> bool:
    """Equal weights, to the last bit."""
    return all(np.array_equal(a, b) for a, b in zip(got.weights, want, strict=True))
