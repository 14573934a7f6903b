"""Kernels for one sample at a time, on one panel of a matrix.

T is the table of integers, F holds floats, W matrices in the storage format. A panel is stored by rows, padded to whole
vectors with zeros: row i starts at W[base + i * stride] and is width long. T[rows : rows + count] lists the rows to
visit, upwards; rows that are left out would have added zeros. key, number and columns are for stochastic rounding: W_ij
of the panel is weight number + i * columns + j of its layer. Vectorised across outputs, so no sum changes its order.
"""

# pyright: basic, reportArgumentType=false, reportCallIssue=false

from __future__ import annotations

from numba import njit

from caterpillar.numerics.rows import (
    fma_down,
    fma_down_columns,
    fma_rows,
    fma_update_rows,
    list_marked,
    load_columns,
    load_rows,
    negated_products,
    no_sums,
    nonzero,
    places,
    prefetch,
    rows_at_once,
    several,
    splats,
    store_columns,
    store_rows,
    store_tree_sums,
    update_and_go_down,
)
from caterpillar.numerics.stochastic import fma_update
from caterpillar.numerics.vector import (
    add,
    fma,
    is_clean,
    item,
    keep_apart,
    keep_inside,
    load,
    load_weights,
    mul,
    splat,
    store,
    store_weights,
    stored,
    taint,
    where_positive,
    zeros,
)
from caterpillar.train import columns as c


@njit(nogil=True)
def list_rows(ar, T, rows, F, h, first, last, skip):
    """List the rows first .. last - 1, or only those where h is not zero; return how many."""
    return list_either(ar, T, rows, F, h, h, first, last, skip)


@njit(nogil=True)
def list_either(ar, T, rows, F, h, other, first, last, skip):
    """As list_rows, leaving out only the rows where both h and other are zero."""
    keep_apart()
    found = rows
    for i in range(first, last, 16):
        within = (1 << min(last - i, 16)) - 1
        marks = nonzero(ar, F, h + i) | nonzero(ar, F, other + i) if skip else within
        found = list_marked(T, found, i, marks & within)
    return found - rows


@njit(inline="always")
def _fetch(T, W, i, row, done, end, base, width, stride):
    """Fetch the next piece of the rows T[row], T[row + 1], ... from memory: as many words as the rows i take a step.

    Returns row and done (words of it) of the piece after. Memory likes one long stream better than a stream a row.
    """
    prefetch(W, base + T[row] * stride + done, i)
    done += 16 * len(i)
    if done >= width:
        return min(row + 1, end - 1), 0
    return row, done


@njit(nogil=True)
def _forward(ar, T, F, W, i, row, end, base, width, stride, h, a):
    """a_j <- fma(h_i, W_ij, a_j) for the rows i in turn; the next ones are T[row : end]."""
    keep_inside()
    far, done, step = T[c.FAR] and row < end, 0, 16 * rows_at_once(ar)
    factors, starts = splats(ar, F, places(h, i, 1)), places(base, i, stride)
    wide, tiled = 0 if far else width // (2 * step) * (2 * step), width // step * step
    for j in range(0, wide, 2 * step):
        store_columns(ar, F, a + j, fma_down_columns(ar, factors, W, starts, j, load_columns(ar, F, a + j, 2)))
    for j in range(wide, tiled, step):
        if far:
            for _ in range(rows_at_once(ar)):
                row, done = _fetch(T, W, i, row, done, end, base, width, stride)
        store_columns(ar, F, a + j, fma_down_columns(ar, factors, W, starts, j, load_columns(ar, F, a + j, 1)))
    for j in range(tiled, width, 16):
        if far:
            row, done = _fetch(T, W, i, row, done, end, base, width, stride)
        store(ar, F, a + j, fma_down(ar, factors, load_rows(ar, W, starts, j), load(ar, F, a + j)))


@njit(nogil=True)
def forward_rows(ar, T, F, W, rows, count, base, width, stride, h, a):
    """a_j <- fma(h_i, W_ij, a_j) for the rows in turn."""
    keep_apart()
    k, end = rows, rows + count
    while k + rows_at_once(ar) <= end:
        _forward(ar, T, F, W, several(ar, T, k), k + rows_at_once(ar), end, base, width, stride, h, a)
        k += rows_at_once(ar)
    while k < end:
        _forward(ar, T, F, W, (T[k],), k + 1, end, base, width, stride, h, a)
        k += 1


@njit(nogil=True)
def _backward(ar, T, F, W, i, row, end, base, width, stride, d, part):
    """backward_rows for the rows i; the next ones are T[row : end]."""
    keep_inside()
    far, done = T[c.FAR] and row < end, 0
    starts, sums = places(base, i, stride), no_sums(ar, i)
    for j in range(0, width, 16):
        if far:
            row, done = _fetch(T, W, i, row, done, end, base, width, stride)
        sums = fma_rows(ar, load(ar, F, d + j), load_rows(ar, W, starts, j), sums)
    store_tree_sums(ar, F, places(part, i, 1), sums)


@njit(nogil=True)
def backward_rows(ar, T, F, W, rows, count, base, width, stride, d, part):
    """F[part + i] = sum over j of d_j W_ij: sixteen partial sums, then halving."""
    keep_apart()
    k, end = rows, rows + count
    while k + rows_at_once(ar) <= end:
        _backward(ar, T, F, W, several(ar, T, k), k + rows_at_once(ar), end, base, width, stride, d, part)
        k += rows_at_once(ar)
    while k < end:
        _backward(ar, T, F, W, (T[k],), k + 1, end, base, width, stride, d, part)
        k += 1


@njit(nogil=True)
def update_rows(ar, T, F, W, rows, count, base, width, stride, h, d, rate, key, number, columns):
    """W_ij <- fma(-u_i, d_j, W_ij) with u_i = rate h_i, rounded (rate d would be subnormal in half)."""
    keep_apart()
    end = rows + count
    for k in range(rows, end):
        i, row, done = (T[k],), k + 1, 0
        far, p, n = T[c.FAR] and row < end, base + T[k] * stride, number + T[k] * columns
        u = splat(ar, -mul(ar, rate, item(F, h + T[k])))
        for j in range(0, width, 16):
            if far:
                row, done = _fetch(T, W, i, row, done, end, base, width, stride)
            w = fma_update(ar, u, load(ar, F, d + j), load_weights(ar, W, p + j), key, n + j)
            store_weights(ar, W, p + j, w)


@njit(nogil=True)
def _backward_update(ar, T, F, W, i, row, end, base, width, stride, h, d, part, rate, key, number, columns):
    """backward_update_rows for the rows i; the next ones are T[row : end]."""
    keep_inside()
    far, done = T[c.FAR] and row < end, 0
    starts, sums, numbers = places(base, i, stride), no_sums(ar, i), places(number, i, columns)
    factors = negated_products(ar, rate, splats(ar, F, places(h, i, 1)))
    for j in range(0, width, 16):
        if far:
            row, done = _fetch(T, W, i, row, done, end, base, width, stride)
        dj, weights = load(ar, F, d + j), load_rows(ar, W, starts, j)
        sums = fma_rows(ar, dj, weights, sums)
        store_rows(ar, W, starts, j, fma_update_rows(ar, factors, dj, weights, key, numbers, j))
    store_tree_sums(ar, F, places(part, i, 1), sums)


@njit(nogil=True)
def backward_update_rows(ar, T, F, W, rows, count, base, width, stride, h, d, part, rate, key, number, columns):
    """backward_rows and update_rows in one: each weight is read once."""
    keep_apart()
    k, end = rows, rows + count
    rest = (end, base, width, stride, h, d, part, rate, key, number, columns)
    while k + rows_at_once(ar) <= end:
        _backward_update(ar, T, F, W, several(ar, T, k), k + rows_at_once(ar), *rest)
        k += rows_at_once(ar)
    while k < end:
        _backward_update(ar, T, F, W, (T[k],), k + 1, *rest)
        k += 1


@njit(nogil=True)
def _one_pass(ar, T, F, W, i, row, end, base, width, stride, h, d, part, rate, entering, a, key, number, columns):
    """one_pass_rows for the rows i; the next ones are T[row : end]."""
    keep_inside()
    far, done = T[c.FAR] and row < end, 0
    starts, sums, numbers = places(base, i, stride), no_sums(ar, i), places(number, i, columns)
    factors = negated_products(ar, rate, splats(ar, F, places(h, i, 1)))
    next_factors = splats(ar, F, places(entering, i, 1))
    for j in range(0, width, 16):
        if far:
            row, done = _fetch(T, W, i, row, done, end, base, width, stride)
        dj, total = load(ar, F, d + j), load(ar, F, a + j)
        if part >= 0:
            sums = fma_rows(ar, dj, load_rows(ar, W, starts, j), sums)
        total = update_and_go_down(ar, W, starts, j, factors, dj, key, numbers, next_factors, total)
        store(ar, F, a + j, total)
    if part >= 0:
        store_tree_sums(ar, F, places(part, i, 1), sums)


@njit(nogil=True)
def one_pass_rows(ar, T, F, W, rows, count, base, width, stride, h, d, part, rate, entering, a, key, number, columns):
    """backward_update_rows with h and d, then forward_rows with the activations at entering, in one read.

    part: -1 if nobody wants the sums of backward_rows.
    """
    keep_apart()
    k, end = rows, rows + count
    rest = (end, base, width, stride, h, d, part, rate, entering, a, key, number, columns)
    while k + rows_at_once(ar) <= end:
        _one_pass(ar, T, F, W, several(ar, T, k), k + rows_at_once(ar), *rest)
        k += rows_at_once(ar)
    while k < end:
        _one_pass(ar, T, F, W, (T[k],), k + 1, *rest)
        k += 1


@njit(nogil=True)
def look_ahead(ar, W, base, velocity, width, stride, first, last, rate, room):
    """W - rate v for the rows first .. last - 1, in the storage format, from W[room] on."""
    keep_apart()
    minus = splat(ar, -rate)
    for i in range(first, last):
        for j in range(0, width, 16):
            p = i * stride + j
            ahead = fma(ar, minus, load_weights(ar, W, velocity + p), load_weights(ar, W, base + p))
            store_weights(ar, W, room + p - first * stride, ahead)


@njit(nogil=True)
def relu_activations(ar, F, a, width):
    """h = max(a, +0), stored, in place; whether all are numbers."""
    keep_apart()
    mark = zeros(ar)
    for j in range(a, a + width, 16):
        sums = load(ar, F, j)
        h = stored(ar, where_positive(ar, sums, sums))
        mark = taint(ar, taint(ar, mark, sums), h)
        store(ar, F, j, h)
    return is_clean(ar, mark)


@njit(nogil=True)
def relu_errors(ar, F, h, d, part, panels, words, width):
    """d = sum of the panels' parts where h > 0, else +0, stored; whether all are numbers. words: of one part."""
    keep_apart()
    mark = zeros(ar)
    for j in range(0, width, 16):
        total = load(ar, F, part + j)
        for panel in range(1, panels):
            total = add(ar, total, load(ar, F, part + panel * words + j))
        error = stored(ar, where_positive(ar, load(ar, F, h + j), total))
        mark = taint(ar, mark, error)
        store(ar, F, d + j, error)
    return is_clean(ar, mark)
