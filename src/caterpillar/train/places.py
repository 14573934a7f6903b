"""Where a batch's values lie in the flat buffers: rings of as many slots as batches are under way."""

# pyright: basic

from __future__ import annotations

import numpy as np
from numba import njit

from caterpillar.train import columns as c


@njit(inline="always")
def batch_size(T, k):
    """Samples in batch k; 0 outside the epoch."""
    return min(T[c.BATCH], T[c.SAMPLES] - k * T[c.BATCH]) if 0 <= k < T[c.BATCHES] else 0


@njit(inline="always")
def layer_row(T, layer):
    """Start of a layer's row in T."""
    return T[c.LAYER_ROWS] + layer * c.LAYER_COLUMNS


@njit(nogil=True)
def activation_at(T, layer, k, s):
    """Start in F of the activations of sample s in batch k: an image for layer 0."""
    row = layer_row(T, layer)
    if layer == 0:
        return T[row + c.ACTIVATION] + T[T[c.ORDER] + k * T[c.BATCH] + s] * T[row + c.PAD]
    return T[row + c.ACTIVATION] + ((k % T[row + c.ACTIVATION_SLOTS]) * T[c.BATCH] + s) * T[row + c.PAD]


@njit(inline="always")
def error_at(T, layer, k, s):
    """Start in F of the errors of sample s in batch k."""
    row = layer_row(T, layer)
    return T[row + c.ERROR] + ((k % T[row + c.ERROR_SLOTS]) * T[c.BATCH] + s) * T[row + c.PAD]


@njit(inline="always")
def parts_at(T, layer, k, s, panel):
    """Start in F of one panel's part of the error sums through W_layer."""
    row, words = layer_row(T, layer), T[layer_row(T, layer - 1) + c.PAD]
    return T[row + c.PARTS] + (((k % T[row + c.PARTS_SLOTS]) * T[c.BATCH] + s) * c.PANELS + panel) * words


@njit(nogil=True)
def random_key(T, layer, k):
    """64 bits for one update of one layer, from the seed: SplitMix64's finalizer (Steele and others 2014)."""
    update = np.uint64(T[c.BATCHES_BEFORE] + k)
    x = np.uint64(T[c.SEED]) ^ (np.uint64(layer) * np.uint64(0xBF58476D1CE4E5B9))
    x = x + (update + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.int64(x ^ (x >> np.uint64(31)))
