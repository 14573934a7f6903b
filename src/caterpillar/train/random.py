"""Counter-based random numbers: Philox's raw 64-bit words, which are the same in every NumPy and on every machine.

NumPy's distributions and permutations may change between its versions; the raw words may not.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from caterpillar.network import Network

WEIGHTS, FEEDBACK, SAMPLES = 1, 2, 3  # what the words are for: the upper half of the key's second word


def words(seed: int, purpose: int, number: int, count: int) -> NDArray[np.uint64]:
    """count raw words of the stream (seed, purpose, number)."""
    return np.random.Philox(key=np.array([seed, (purpose << 32) | number], np.uint64)).random_raw(count)


def uniform(seed: int, purpose: int, number: int, shape: tuple[int, int], limit: float) -> NDArray[np.float64]:
    """Uniform in (-limit, limit): the 2^24 odd multiples of limit 2^-24, one rounding each."""
    top = words(seed, purpose, number, shape[0] * shape[1]) >> np.uint64(40)
    numbers = (2 * top.astype(np.int64) + 1 - (1 << 24)).astype(np.float64)
    return (numbers * 2.0**-24 * limit).reshape(shape)


def weight_limit(network: Network, layer: int) -> float:
    """He's sqrt(6 / m) for ReLU networks, Glorot's sqrt(6 / (m + n)) for tanh and sigmoid (W_l is m x n)."""
    m, n = network.sizes[layer - 1], network.sizes[layer]
    return math.sqrt(6.0 / m) if network.activation == "relu" else math.sqrt(6.0 / (m + n))


def shuffled(seed: int, epoch: int, count: int) -> NDArray[np.int64]:
    """The order in which an epoch (from 1) visits its samples: a stable sort of random words."""
    return np.argsort(words(seed, SAMPLES, epoch, count), kind="stable").astype(np.int64)
