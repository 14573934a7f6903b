"""The loop over ticks: walks the table of steps and calls kernels on the flat buffers (T, F, W: see layout.py)."""

# pyright: basic, reportArgumentType=false, reportCallIssue=false

from __future__ import annotations

from numba import njit

from caterpillar.numerics.constants import number
from caterpillar.numerics.functions import RELU, activate, divide, exp_negative, log, through_slope
from caterpillar.numerics.vector import add, keep_apart, stored
from caterpillar.train import columns as c
from caterpillar.train.barrier import wait
from caterpillar.train.kernels import backward_rows, list_rows, relu_activations, relu_errors
from caterpillar.train.matrix_step import matrix_step
from caterpillar.train.ordered import ordered_backward
from caterpillar.train.places import activation_at, batch_size, error_at, layer_row, parts_at


@njit(nogil=True)
def report(T, thread, tick, layer, what):
    """Keep a thread's first NaN or infinity."""
    at = T[c.STATUS] + thread * c.STATUS_WORDS
    if not T[at]:
        T[at], T[at + 1], T[at + 2], T[at + 3] = 1, tick, layer, what


@njit(inline="always")
def is_finite(x):
    """Neither NaN nor infinity."""
    return x - x == 0


@njit(nogil=True)
def start_sums(T, F, layer, k, count, panel):
    """Set the sums of a panel's outputs to +0."""
    row = layer_row(T, layer)
    for s in range(count):
        a = activation_at(T, layer, k, s)
        F[a + T[row + c.FIRST + panel] : a + T[row + c.LAST + panel]] = 0


@njit(nogil=True)
def activation_function(ar, T, F, layer, k, count, panel, thread, tick):
    """h = f(a) in place; the last layer keeps a, for its softmax needs all of them."""
    keep_apart()
    row = layer_row(T, layer)
    for s in range(count):
        a, finite = activation_at(T, layer, k, s) + T[row + c.FIRST + panel], True
        if layer < T[c.DEPTH] and T[c.CODE] == RELU:
            finite = relu_activations(ar, F, a, T[row + c.WIDTH + panel])
        else:
            for j in range(a, a + T[row + c.LAST + panel] - T[row + c.FIRST + panel]):
                h = F[j] if layer == T[c.DEPTH] else stored(ar, activate(ar, T[c.CODE], F[j]))
                finite &= is_finite(F[j]) & is_finite(h)
                F[j] = h
        if not finite:
            report(T, thread, tick, layer, c.BAD_ACTIVATION)


@njit(nogil=True)
def finish_step(ar, T, F, layer, k, count, panel, thread, tick):
    """d = (sum of the parts, in the order of the panels) f'(h), for this panel of the layer's outputs."""
    keep_apart()
    row, panels = layer_row(T, layer), T[layer_row(T, layer + 1) + c.PANEL_COUNT]
    words, first = T[row + c.PAD], T[row + c.FIRST + panel]
    for s in range(count):
        h, d = activation_at(T, layer, k, s) + first, error_at(T, layer, k, s) + first
        part, finite = parts_at(T, layer + 1, k, s, 0) + first, True
        if T[c.CODE] == RELU:
            finite = relu_errors(ar, F, h, d, part, panels, words, T[row + c.WIDTH + panel])
        else:
            for j in range(T[row + c.LAST + panel] - first):
                total = F[part + j]
                for other in range(1, panels):
                    total = add(ar, total, F[part + other * words + j])
                F[d + j] = stored(ar, through_slope(ar, T[c.CODE], total, F[h + j]))
                finite &= is_finite(F[d + j])
        if not finite:
            report(T, thread, tick, layer, c.BAD_ERROR)


@njit(nogil=True)
def direct_step(ar, T, F, W, layer, output_layer, k, count, panel, thread, tick):
    """d_l = (d_L B_l^T) f'(h_l), for this panel of the layer's outputs, which are rows of B_l."""
    keep_apart()
    row, rows, sums = (
        layer_row(T, layer),
        T[c.LISTS] + thread * T[c.LIST_WORDS],
        T[c.SCRATCH] + thread * T[c.SCRATCH_WORDS],
    )
    first, last = T[row + c.FIRST + panel], T[row + c.LAST + panel]
    width, stride = T[row + c.FEEDBACK_WIDTH], T[row + c.FEEDBACK_STRIDE]
    for s in range(count):
        h, d, e = (activation_at(T, layer, k, s), error_at(T, layer, k, s), error_at(T, output_layer, k, s))
        if T[c.ORDERED]:
            order, room = T[row + c.FEEDBACK_ORDER], sums + T[row + c.PAD]
            ordered_backward(ar, T, F, W, order, s, first, last, T[row + c.FEEDBACK], stride, e, sums, room)
        else:
            found = list_rows(ar, T, rows, F, h, first, last, T[c.CODE] == RELU and T[c.SKIP])
            backward_rows(ar, T, F, W, rows, found, T[row + c.FEEDBACK], width, stride, e, sums)
        finite = True
        for j in range(first, last):
            error = stored(ar, through_slope(ar, T[c.CODE], F[sums + j], F[h + j]))
            finite &= is_finite(error)
            F[d + j] = error
        if not finite:
            report(T, thread, tick, layer, c.BAD_ERROR)


@njit(nogil=True)
def output_step(ar, T, F, totals, layer, k, count, thread):
    """Softmax, loss and d_L = h_L - onehot. Every thread computes all of it and writes the panels it owns."""
    keep_apart()
    row, exps = layer_row(T, layer), T[c.SCRATCH] + thread * T[c.SCRATCH_WORDS]
    for s in range(count):
        a, d = activation_at(T, layer, k, s), error_at(T, layer, k, s)
        label = T[T[c.LABELS] + T[T[c.ORDER] + k * T[c.BATCH] + s]]
        best = 0
        for j in range(1, T[row + c.SIZE]):
            if F[a + j] > F[a + best]:
                best = j
        total = number(ar, 0.0)
        for j in range(T[row + c.SIZE]):
            F[exps + j] = exp_negative(ar, add(ar, F[a + j], -F[a + best]))
            total = add(ar, total, F[exps + j])
        for panel in range(thread, T[row + c.PANEL_COUNT], T[c.THREADS]):
            for j in range(T[row + c.FIRST + panel], T[row + c.LAST + panel]):
                h = stored(ar, divide(ar, F[exps + j], total))
                F[d + j] = stored(ar, add(ar, h, number(ar, -1.0 if j == label else 0.0)))
        if thread == 0:
            totals[0] += log(float(total)) + (float(F[a + best]) - float(F[a + label]))
            totals[1] += best == label


@njit(nogil=True)
def one_step(ar, T, F, W, step, panel, thread, tick):
    """A step of the tick, on a panel that this thread owns."""
    kind, layer, k = T[step + c.KIND], T[step + c.LAYER], tick - T[step + c.LAG]
    if kind == c.FINISH:
        finish_step(ar, T, F, layer, k, batch_size(T, k), panel, thread, tick)
    elif kind == c.DIRECT:
        direct_step(ar, T, F, W, layer, T[step + c.OUTPUT_LAYER], k, batch_size(T, k), panel, thread, tick)
    else:
        k = tick - T[step + c.FORWARD_LAG]
        forward = batch_size(T, k) if T[step + c.FORWARD_LAG] >= 0 else 0
        start_sums(T, F, layer, k, forward, panel)
        matrix_step(ar, T, F, W, step, panel, thread, tick)
        activation_function(ar, T, F, layer, k, forward, panel, thread, tick)


@njit(nogil=True, cache=True)
def run(ar, T, F, W, totals, sync, first_tick, last_tick, thread):
    """Ticks first_tick .. last_tick - 1 of an epoch, as one of the threads."""
    threads, arrivals = T[c.THREADS], 0
    for tick in range(first_tick, last_tick):
        for n in range(T[c.STEPS]):
            step = T[c.STEP_ROWS] + n * c.STEP_COLUMNS
            layer = T[step + c.LAYER]
            if T[step + c.BARRIER] and threads > 1:
                arrivals += threads
                wait(sync, arrivals)
            if T[step + c.KIND] == c.OUTPUT:
                k = tick - T[step + c.LAG]
                output_step(ar, T, F, totals, layer, k, batch_size(T, k), thread)
            else:
                for panel in range(thread, T[layer_row(T, layer) + c.PANEL_COUNT], threads):
                    one_step(ar, T, F, W, step, panel, thread, tick)
