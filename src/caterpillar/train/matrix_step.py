"""One panel of a matrix step: blocks of rows that stay in cache while backward, update and forward use them."""

# pyright: basic, reportArgumentType=false, reportCallIssue=false

from __future__ import annotations

from numba import njit

from caterpillar.numerics.functions import RELU
from caterpillar.train import columns as c
from caterpillar.train.batch_kernels import batch_backward, batch_forward, batch_update
from caterpillar.train.kernels import (
    backward_rows,
    backward_update_rows,
    forward_rows,
    list_either,
    list_rows,
    look_ahead,
    one_pass_rows,
    update_rows,
)
from caterpillar.train.ordered import ordered_backward, ordered_forward
from caterpillar.train.places import activation_at, batch_size, error_at, layer_row, parts_at, random_key


@njit(inline="always")
def _present(T, lag, tick):
    """Samples that an operation of this lag works on at this tick."""
    return batch_size(T, tick - lag) if lag >= 0 else 0


@njit(nogil=True)
def matrix_step(ar, T, F, W, step, panel, thread, tick):
    """Backward, update and forward, block after block."""
    layer = T[step + c.LAYER]
    inputs, stride = (T[layer_row(T, layer - 1) + c.SIZE], T[layer_row(T, layer) + c.STRIDE + panel])
    backward = _present(T, T[step + c.BACKWARD_LAG], tick)
    update = _present(T, T[step + c.UPDATE_LAG], tick)
    forward = _present(T, T[step + c.FORWARD_LAG], tick)
    single = T[c.BATCH] == 1
    simple_update = single and update and not T[step + c.HAS_VELOCITY]
    fused = simple_update and backward and T[step + c.BACKWARD_LAG] == T[step + c.UPDATE_LAG] and not T[c.ORDERED]
    if simple_update and (fused or not backward) and forward and not T[step + c.LOOKS_AHEAD] and not T[c.ORDERED]:
        _one_pass(ar, T, F, W, step, panel, thread, tick, backward)
        return
    whole = single and not T[step + c.LOOKS_AHEAD] and not ((backward or update) and forward)
    rows = inputs if whole or T[c.ORDERED] else max(4, c.BLOCK_WORDS // stride // 4 * 4)
    for first in range(0, inputs, rows):
        last = min(first + rows, inputs)
        if backward:
            _backward(ar, T, F, W, step, panel, thread, tick, first, last, backward, fused)
        if update and not fused:
            _update(ar, T, F, W, step, panel, thread, tick, first, last, update)
        if forward:
            _forward(ar, T, F, W, step, panel, thread, tick, first, last, forward)


@njit(nogil=True)
def _one_pass(ar, T, F, W, step, panel, thread, tick, backward):
    """Backward (if any), update and forward of one sample each in one go."""
    layer, rows = T[step + c.LAYER], T[c.LISTS] + thread * T[c.LIST_WORDS]
    k, entering = tick - T[step + c.UPDATE_LAG], tick - T[step + c.FORWARD_LAG]
    row, inputs = layer_row(T, layer), T[layer_row(T, layer - 1) + c.SIZE]
    base, column = T[row + c.WEIGHT + panel], T[row + c.FIRST + panel]
    width, stride = T[row + c.WIDTH + panel], T[row + c.STRIDE + panel]
    h, d = activation_at(T, layer - 1, k, 0), error_at(T, layer, k, 0) + column
    part = parts_at(T, layer, k, 0, panel) if backward else -1
    e, a = (activation_at(T, layer - 1, entering, 0), activation_at(T, layer, entering, 0) + column)
    skip = T[c.SKIP] and (not backward or T[c.CODE] == RELU)
    found = list_either(ar, T, rows, F, h, e, 0, inputs, skip)
    rate = F[T[step + c.CONSTANTS] + c.RATE]
    key, columns = random_key(T, layer, k), T[row + c.SIZE]
    one_pass_rows(ar, T, F, W, rows, found, base, width, stride, h, d, part, rate, e, a, key, column, columns)


@njit(nogil=True)
def _backward(ar, T, F, W, step, panel, thread, tick, first, last, count, fused):
    """Through the weights or the feedback; fused: and the update of one sample."""
    layer, k, rows = (T[step + c.LAYER], tick - T[step + c.BACKWARD_LAG], T[c.LISTS] + thread * T[c.LIST_WORDS])
    row, feedback = layer_row(T, layer), T[step + c.THROUGH_FEEDBACK]
    base = T[row + (c.FEEDBACK if feedback else c.WEIGHT) + panel]
    width, stride = T[row + c.WIDTH + panel], T[row + c.STRIDE + panel]
    outs = rows + T[c.LIST_WORDS] // 2
    for s in range((count + 3) // 4 * 4):
        T[rows + s] = error_at(T, layer, k, min(s, count - 1)) + T[row + c.FIRST + panel]
        T[outs + s] = parts_at(T, layer, k, min(s, count - 1), panel)
    if T[c.ORDERED]:
        order = T[row + (c.FEEDBACK_ORDER if feedback else c.WEIGHT_ORDER)]
        for s in range(count):
            ordered_backward(ar, T, F, W, order, s, first, last, base, stride, T[rows + s], T[outs + s], T[c.SCRATCH])
    elif T[c.BATCH] > 1:
        batch_backward(ar, T, F, W, rows, outs, count, base, width, stride, first, last)
    else:
        h, d, part = activation_at(T, layer - 1, k, 0), T[rows], T[outs]
        found = list_rows(ar, T, rows, F, h, first, last, T[c.SKIP] and T[c.CODE] == RELU)
        if fused:
            rate = F[T[step + c.CONSTANTS] + c.RATE]
            key, number, columns = (random_key(T, layer, k), T[row + c.FIRST + panel], T[row + c.SIZE])
            backward_update_rows(ar, T, F, W, rows, found, base, width, stride, h, d, part, rate, key, number, columns)
        else:
            backward_rows(ar, T, F, W, rows, found, base, width, stride, d, part)


@njit(nogil=True)
def _update(ar, T, F, W, step, panel, thread, tick, first, last, count):
    """Of one sample without momentum, or by the sum over a batch."""
    layer, k, rows = (T[step + c.LAYER], tick - T[step + c.UPDATE_LAG], T[c.LISTS] + thread * T[c.LIST_WORDS])
    row, constants, ds = (layer_row(T, layer), T[step + c.CONSTANTS], rows + T[c.LIST_WORDS] // 2)
    base, width, stride = (T[row + c.WEIGHT + panel], T[row + c.WIDTH + panel], T[row + c.STRIDE + panel])
    for s in range(count):
        T[rows + s] = activation_at(T, layer - 1, k, s)
        T[ds + s] = error_at(T, layer, k, s) + T[row + c.FIRST + panel]
    key, number, columns = (random_key(T, layer, k), T[row + c.FIRST + panel], T[row + c.SIZE])
    if T[c.BATCH] == 1 and not T[step + c.HAS_VELOCITY]:
        h, d = T[rows], T[ds]
        found = list_rows(ar, T, rows, F, h, first, last, T[c.SKIP])
        rate = F[constants + c.RATE]
        update_rows(ar, T, F, W, rows, found, base, width, stride, h, d, rate, key, number, columns)
        return
    if k == T[c.BATCHES] - 1:
        constants += c.RATE_COLUMNS
    velocity = T[row + c.VELOCITY + panel]
    batch_update(
        ar, T, F, W, rows, ds, count, base, velocity, width, stride, first, last, constants, key, number, columns
    )


@njit(nogil=True)
def _forward(ar, T, F, W, step, panel, thread, tick, first, last, count):
    """With the weights as they are, or as momentum will have made them."""
    layer, k, rows = (T[step + c.LAYER], tick - T[step + c.FORWARD_LAG], T[c.LISTS] + thread * T[c.LIST_WORDS])
    row, outs = layer_row(T, layer), rows + T[c.LIST_WORDS] // 2
    base, width, stride = (T[row + c.WEIGHT + panel], T[row + c.WIDTH + panel], T[row + c.STRIDE + panel])
    if T[step + c.LOOKS_AHEAD]:
        room = T[c.AHEAD] + thread * T[c.AHEAD_WORDS]
        rate = F[T[step + c.CONSTANTS] + c.AHEAD_RATE]
        look_ahead(ar, W, base, T[row + c.VELOCITY + panel], width, stride, first, last, rate, room)
        base = room - first * stride
    for s in range((count + 3) // 4 * 4):
        T[rows + s] = activation_at(T, layer - 1, k, min(s, count - 1))
        T[outs + s] = activation_at(T, layer, k, min(s, count - 1)) + T[row + c.FIRST + panel]
    if T[c.ORDERED]:
        order = T[row + c.WEIGHT_ORDER]
        for s in range(count):
            ordered_forward(ar, T, F, W, order, s, last, base, stride, T[rows + s], T[outs + s], T[c.SCRATCH])
    elif T[c.BATCH] > 1:
        batch_forward(ar, T, F, W, rows, outs, count, base, width, stride, first, last)
    else:
        h, a = T[rows], T[outs]
        found = list_rows(ar, T, rows, F, h, first, last, T[c.SKIP])
        forward_rows(ar, T, F, W, rows, found, base, width, stride, h, a)
