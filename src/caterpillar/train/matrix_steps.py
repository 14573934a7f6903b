"""One panel of a matrix step: blocks of rows that stay in cache while backward, update and forward use them."""

# pyright: basic, reportArgumentType=false, reportCallIssue=false

from __future__ import annotations

from numba import njit

from caterpillar.numerics.functions import RELU
from caterpillar.train import columns as c
from caterpillar.train.kernels import (
    backward_rows,
    backward_update_rows,
    forward_rows,
    gradient_rows,
    list_rows,
    look_ahead,
    update_rows,
)
from caterpillar.train.places import activation_base, batch_size, error_base, parts_base


@njit(nogil=True)
def operation(t, step, column, tick):
    """The batch that an operation works on, and its size: 0 if there is none in this step or at this tick."""
    k = tick - step[column]
    return k, batch_size(t.run, k) if step[column] >= 0 else 0


@njit(nogil=True)
def matrix_blocks(ar, t, m, n, panel, thread, tick):
    """Backward, update and forward, block after block."""
    step = t.steps[n]
    layer = step[c.LAYER]
    inputs, stride = t.layers[layer - 1, c.SIZE], t.layers[layer, c.STRIDE + panel]
    backward = operation(t, step, c.BACKWARD_LAG, tick)[1] > 0
    update = operation(t, step, c.UPDATE_LAG, tick)[1] > 0
    forward = operation(t, step, c.FORWARD_LAG, tick)[1] > 0
    single = t.run[c.BATCH] == 1
    whole = single and not step[c.LOOKS_AHEAD] and not ((backward or update) and forward)
    rows = inputs if whole else max(4, c.BLOCK_WORDS // stride // 4 * 4)
    for first in range(0, inputs, rows):
        last = min(first + rows, inputs)
        if single and backward and update and step[c.BACKWARD_LAG] == step[c.UPDATE_LAG] and not step[c.HAS_VELOCITY]:
            backward_update_block(ar, t, m, n, panel, thread, tick, first, last)
        else:
            if backward:
                backward_block(ar, t, m, n, panel, thread, tick, first, last)
            if update:
                update_block(ar, t, m, n, panel, thread, tick, first, last)
        if forward:
            forward_block(ar, t, m, n, panel, thread, tick, first, last)


@njit(nogil=True)
def thread_rows(t, m, thread):
    """This thread's room for a list of rows."""
    words = m.rows.size // t.run[c.THREADS]
    return m.rows[thread * words : (thread + 1) * words]


@njit(nogil=True)
def backward_update_block(ar, t, m, n, panel, thread, tick, first, last):
    """Backward and update for one sample, without momentum."""
    layer, k = t.steps[n, c.LAYER], tick - t.steps[n, c.UPDATE_LAG]
    row, rows = t.layers[layer], thread_rows(t, m, thread)
    h = m.images if layer == 1 else m.activations
    h_base = activation_base(t, m, layer - 1, k, 0)
    d_base = error_base(t, layer, k, 0) + row[c.PANEL_FIRST + panel]
    part = parts_base(t, layer, k, 0, panel)
    found = list_rows(rows, h, h_base, first, last, t.run[c.SKIP] and t.run[c.ACTIVATION_CODE] == RELU)
    base, stride, rate = row[c.WEIGHT + panel], row[c.STRIDE + panel], t.rates[n, 0, c.RATE]
    backward_update_rows(ar, m.weights, base, stride, rows, found, h, h_base, m.errors, d_base, m.parts, part, rate)


@njit(nogil=True)
def backward_block(ar, t, m, n, panel, thread, tick, first, last):
    """Backward through the weights or the feedback."""
    layer, k = t.steps[n, c.LAYER], tick - t.steps[n, c.BACKWARD_LAG]
    row, rows = t.layers[layer], thread_rows(t, m, thread)
    feedback = t.steps[n, c.THROUGH_FEEDBACK]
    matrix = m.feedback if feedback else m.weights
    base, stride = row[(c.FEEDBACK if feedback else c.WEIGHT) + panel], row[c.STRIDE + panel]
    h = m.images if layer == 1 else m.activations
    for s in range(batch_size(t.run, k)):
        h_base = activation_base(t, m, layer - 1, k, s)
        d_base = error_base(t, layer, k, s) + row[c.PANEL_FIRST + panel]
        part = parts_base(t, layer, k, s, panel)
        found = list_rows(rows, h, h_base, first, last, t.run[c.SKIP] and t.run[c.ACTIVATION_CODE] == RELU)
        backward_rows(ar, matrix, base, stride, rows, found, m.errors, d_base, m.parts, part)


@njit(nogil=True)
def update_block(ar, t, m, n, panel, thread, tick, first, last):
    """The update alone: of one sample without momentum, or by the sum over a batch."""
    layer, k = t.steps[n, c.LAYER], tick - t.steps[n, c.UPDATE_LAG]
    row, rows = t.layers[layer], thread_rows(t, m, thread)
    h = m.images if layer == 1 else m.activations
    base, stride = row[c.WEIGHT + panel], row[c.STRIDE + panel]
    d_base = error_base(t, layer, k, 0) + row[c.PANEL_FIRST + panel]
    if t.run[c.BATCH] == 1 and not t.steps[n, c.HAS_VELOCITY]:
        h_base = activation_base(t, m, layer - 1, k, 0)
        found = list_rows(rows, h, h_base, first, last, t.run[c.SKIP])
        update_rows(ar, m.weights, base, stride, rows, found, h, h_base, m.errors, d_base, t.rates[n, 0, c.RATE])
        return
    count = batch_size(t.run, k)
    for s in range(count):
        rows[s] = activation_base(t, m, layer - 1, k, s)
    rates = t.rates[n, 1 if k == t.run[c.BATCHES] - 1 else 0]
    gradient_rows(
        ar, m.weights, m.velocity, base, stride, first, last, count, h, rows, m.errors, d_base, row[c.PAD], rates
    )


@njit(nogil=True)
def forward_block(ar, t, m, n, panel, thread, tick, first, last):
    """Forward, with the weights as they are or as momentum will have made them."""
    step = t.steps[n]
    layer, k = step[c.LAYER], tick - step[c.FORWARD_LAG]
    row, rows = t.layers[layer], thread_rows(t, m, thread)
    base, stride = row[c.WEIGHT + panel], row[c.STRIDE + panel]
    w = m.weights
    if step[c.LOOKS_AHEAD]:
        room = thread * (m.ahead.size // t.run[c.THREADS])
        rate = t.rates[n, 0, c.AHEAD_RATE]
        look_ahead(ar, w, m.velocity, base, stride, first, last, rate, m.ahead, room)
        w, base = m.ahead, room - first * stride
    h = m.images if layer == 1 else m.activations
    for s in range(batch_size(t.run, k)):
        h_base = activation_base(t, m, layer - 1, k, s)
        a_base = activation_base(t, m, layer, k, s) + row[c.PANEL_FIRST + panel]
        found = list_rows(rows, h, h_base, first, last, t.run[c.SKIP])
        forward_rows(ar, w, base, stride, rows, found, h, h_base, m.activations, a_base)
