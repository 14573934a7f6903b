"""The loop over ticks: walks the table of steps and calls kernels on slices of the flat buffers."""

# pyright: basic, reportArgumentType=false, reportCallIssue=false

from __future__ import annotations

from numba import njit

from caterpillar.numerics.functions import RELU, activate, divide, exp_negative, log, through_slope
from caterpillar.numerics.vector import add, number, stored
from caterpillar.train import columns as c
from caterpillar.train.barrier import wait
from caterpillar.train.kernels import backward_rows, list_rows
from caterpillar.train.matrix_steps import matrix_blocks, thread_rows
from caterpillar.train.places import activation_base, batch_size, error_base, parts_base


@njit(nogil=True)
def report(status, thread, tick, layer, what):
    """Keep a thread's first NaN or infinity."""
    at = thread * c.STATUS_WORDS
    if not status[at]:
        status[at], status[at + 1], status[at + 2], status[at + 3] = 1, tick, layer, what


@njit(nogil=True)
def is_finite(x):
    """Neither NaN nor infinity."""
    return x - x == 0


@njit(nogil=True)
def activation_function(ar, t, m, layer, k, count, panel, thread, tick):
    """h = f(a) in place; the last layer keeps a, for its softmax needs all of them."""
    row = t.layers[layer]
    last_layer = layer == t.layers.shape[0] - 1
    for s in range(count):
        base = activation_base(t, m, layer, k, s)
        finite = True
        for j in range(base + row[c.PANEL_FIRST + panel], base + row[c.PANEL_LAST + panel]):
            a = m.activations[j]
            h = a if last_layer else stored(ar, activate(ar, t.run[c.ACTIVATION_CODE], a))
            finite &= is_finite(a) and is_finite(h)
            m.activations[j] = h
        if not finite:
            report(m.status, thread, tick, layer, c.BAD_ACTIVATION)


@njit(nogil=True)
def finish_step(ar, t, m, layer, k, count, panel, thread, tick):
    """d = (sum of the parts, in the order of the panels) f'(h), for this panel of the layer's outputs."""
    row, next_row = t.layers[layer], t.layers[layer + 1]
    first, last, parts_words = row[c.PANEL_FIRST + panel], row[c.PANEL_LAST + panel], row[c.PAD]
    code = t.run[c.ACTIVATION_CODE]
    for s in range(count):
        h, d = activation_base(t, m, layer, k, s), error_base(t, layer, k, s)
        part = parts_base(t, layer + 1, k, s, 0)
        finite = True
        for j in range(first, last):
            total = m.parts[part + j]
            for other in range(1, next_row[c.PANEL_COUNT]):
                total = add(ar, total, m.parts[part + other * parts_words + j])
            error = stored(ar, through_slope(ar, code, total, m.activations[h + j]))
            finite &= is_finite(error)
            m.errors[d + j] = error
        if not finite:
            report(m.status, thread, tick, layer, c.BAD_ERROR)


@njit(nogil=True)
def direct_step(ar, t, m, layer, output_layer, k, count, panel, thread, tick):
    """d_l = (d_L B_l^T) f'(h_l), for this panel of the layer's outputs, which are rows of B_l."""
    row, code = t.layers[layer], t.run[c.ACTIVATION_CODE]
    first, last = row[c.PANEL_FIRST + panel], row[c.PANEL_LAST + panel]
    words = m.scratch.size // t.run[c.THREADS]
    rows, sums = thread_rows(t, m, thread), m.scratch[thread * words :]
    for s in range(count):
        h, d, e = activation_base(t, m, layer, k, s), error_base(t, layer, k, s), error_base(t, output_layer, k, s)
        found = list_rows(rows, m.activations, h, first, last, code == RELU and t.run[c.SKIP])
        base, stride = row[c.FEEDBACK], row[c.FEEDBACK_STRIDE]
        backward_rows(ar, m.feedback, base, stride, rows, found, m.errors, e, sums, 0)
        finite = True
        for j in range(first, last):
            error = stored(ar, through_slope(ar, code, sums[j], m.activations[h + j]))
            finite &= is_finite(error)
            m.errors[d + j] = error
        if not finite:
            report(m.status, thread, tick, layer, c.BAD_ERROR)


@njit(nogil=True)
def output_step(ar, t, m, layer, k, count, thread):
    """Softmax, loss and d_L = h_L - onehot. Every thread computes all of it and writes the panels it owns."""
    row, threads = t.layers[layer], t.run[c.THREADS]
    words = m.scratch.size // threads
    exps = m.scratch[thread * words :]
    for s in range(count):
        a, d = activation_base(t, m, layer, k, s), error_base(t, layer, k, s)
        label = m.labels[m.order[k * t.run[c.BATCH] + s]]
        best = 0
        for j in range(1, row[c.SIZE]):
            if m.activations[a + j] > m.activations[a + best]:
                best = j
        highest = m.activations[a + best]
        total = number(ar, 0.0)
        for j in range(row[c.SIZE]):
            exps[j] = exp_negative(ar, add(ar, m.activations[a + j], -highest))
            total = add(ar, total, exps[j])
        for panel in range(thread, row[c.PANEL_COUNT], threads):
            for j in range(row[c.PANEL_FIRST + panel], row[c.PANEL_LAST + panel]):
                h = stored(ar, divide(ar, exps[j], total))
                m.errors[d + j] = stored(ar, add(ar, h, number(ar, -1.0 if j == label else 0.0)))
        if thread == 0:
            m.totals[0] += log(float(total)) + (float(highest) - float(m.activations[a + label]))
            m.totals[1] += best == label


@njit(nogil=True)
def matrix_step(ar, t, m, n, panel, thread, tick):
    """Backward, update and forward of one panel."""
    step = t.steps[n]
    layer, k = step[c.LAYER], tick - step[c.FORWARD_LAG]
    count = batch_size(t.run, k) if step[c.FORWARD_LAG] >= 0 else 0
    row = t.layers[layer]
    for s in range(count):
        base = activation_base(t, m, layer, k, s)
        m.activations[base + row[c.PANEL_FIRST + panel] : base + row[c.PANEL_LAST + panel]] = 0
    matrix_blocks(ar, t, m, n, panel, thread, tick)
    if count:
        activation_function(ar, t, m, layer, k, count, panel, thread, tick)


@njit(nogil=True, cache=True)
def run(ar, t, m, first_tick, last_tick, thread):
    """Ticks first_tick .. last_tick - 1 of an epoch, as one of the threads."""
    threads, arrivals = t.run[c.THREADS], 0
    for tick in range(first_tick, last_tick):
        for n in range(t.steps.shape[0]):
            step = t.steps[n]
            if step[c.BARRIER] and threads > 1:
                arrivals += threads
                wait(m.sync, arrivals)
            kind, layer, k = step[c.KIND], step[c.LAYER], tick - step[c.LAG]
            count = batch_size(t.run, k)
            if kind == c.OUTPUT:
                output_step(ar, t, m, layer, k, count, thread)
                continue
            for panel in range(thread, t.layers[layer, c.PANEL_COUNT], threads):
                if kind == c.MATRIX:
                    matrix_step(ar, t, m, n, panel, thread, tick)
                elif kind == c.FINISH:
                    finish_step(ar, t, m, layer, k, count, panel, thread, tick)
                else:
                    direct_step(ar, t, m, layer, step[c.OUTPUT_LAYER], k, count, panel, thread, tick)
