"""Where a batch's values lie in the flat buffers: rings of as many slots as batches are under way."""

# pyright: basic

from __future__ import annotations

from numba import njit

from caterpillar.train import columns as c


@njit(nogil=True)
def batch_size(run, k):
    """Samples in batch k; 0 outside the epoch."""
    if k < 0 or k >= run[c.BATCHES]:
        return 0
    return min(run[c.BATCH], run[c.SAMPLES] - k * run[c.BATCH])


@njit(nogil=True)
def activation_base(t, m, layer, k, s):
    """Start of the activations of sample s in batch k: among the images for layer 0."""
    if layer == 0:
        return m.order[k * t.run[c.BATCH] + s] * t.layers[0, c.PAD]
    row = t.layers[layer]
    return row[c.ACTIVATION] + ((k % row[c.ACTIVATION_SLOTS]) * t.run[c.BATCH] + s) * row[c.PAD]


@njit(nogil=True)
def error_base(t, layer, k, s):
    """Start of the errors of sample s in batch k."""
    row = t.layers[layer]
    return row[c.ERROR] + ((k % row[c.ERROR_SLOTS]) * t.run[c.BATCH] + s) * row[c.PAD]


@njit(nogil=True)
def parts_base(t, layer, k, s, panel):
    """Start of one panel's part of the error sums through W_layer."""
    row, words = t.layers[layer], t.layers[layer - 1, c.PAD]
    return row[c.PARTS] + (((k % row[c.PARTS_SLOTS]) * t.run[c.BATCH] + s) * c.PANELS + panel) * words
