"""Kernels for one sample at a time, on one panel of a matrix.

T is the table of integers, F holds floats, W matrices in the storage format. A panel is stored by rows, padded to whole
vectors with zeros: row i starts at W[base + i * stride] and is width long. T[rows : rows + count] lists the rows to
visit, upwards; rows that are left out would have added zeros. key, number and columns are for stochastic rounding: W_ij
of the panel is weight number + i * columns + j of its layer. Vectorised across outputs, so no sum changes its order.
"""

# pyright: basic, reportArgumentType=false, reportCallIssue=false

from __future__ import annotations

from numba import njit

from caterpillar.numerics.stochastic import fma_update
from caterpillar.numerics.sums import store_tree_sums, tree_sum
from caterpillar.numerics.vector import (
    add,
    fma,
    is_clean,
    item,
    keep_apart,
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


@njit(nogil=True)
def list_rows(T, rows, F, h, first, last, skip):
    """List the rows first .. last - 1, or only those where h is not zero; return how many."""
    keep_apart()
    if not skip:
        for i in range(first, last):
            T[rows + i - first] = i
        return last - first
    found = rows
    for i in range(first, last):
        T[found] = i
        found += F[h + i] != 0
    return found - rows


@njit(nogil=True)
def list_either(T, rows, F, h, other, first, last, skip):
    """As list_rows, leaving out only the rows where both h and other are zero."""
    keep_apart()
    found = rows
    for i in range(first, last):
        T[found] = i
        found += (F[h + i] != 0) | (F[other + i] != 0) | (not skip)
    return found - rows


@njit(nogil=True)
def forward_rows(ar, T, F, W, rows, count, base, width, stride, h, a):
    """a_j <- fma(h_i, W_ij, a_j) for the rows in turn."""
    keep_apart()
    k = rows
    while k + 4 <= rows + count:
        i0, i1, i2, i3 = T[k], T[k + 1], T[k + 2], T[k + 3]
        h0, h1, h2, h3 = (
            splat(ar, item(F, h + i0)),
            splat(ar, item(F, h + i1)),
            splat(ar, item(F, h + i2)),
            splat(ar, item(F, h + i3)),
        )
        p0, p1, p2, p3 = (base + i0 * stride, base + i1 * stride, base + i2 * stride, base + i3 * stride)
        for j in range(0, width, 16):
            sums = fma(ar, h0, load_weights(ar, W, p0 + j), load(ar, F, a + j))
            sums = fma(ar, h1, load_weights(ar, W, p1 + j), sums)
            sums = fma(ar, h2, load_weights(ar, W, p2 + j), sums)
            sums = fma(ar, h3, load_weights(ar, W, p3 + j), sums)
            store(ar, F, a + j, sums)
        k += 4
    while k < rows + count:
        h0, p0 = splat(ar, item(F, h + T[k])), base + T[k] * stride
        for j in range(0, width, 16):
            store(ar, F, a + j, fma(ar, h0, load_weights(ar, W, p0 + j), load(ar, F, a + j)))
        k += 1


@njit(nogil=True)
def backward_rows(ar, T, F, W, rows, count, base, width, stride, d, part):
    """F[part + i] = sum over j of d_j W_ij: sixteen partial sums, then halving."""
    keep_apart()
    k = rows
    while k + 4 <= rows + count:
        i0, i1, i2, i3 = T[k], T[k + 1], T[k + 2], T[k + 3]
        p0, p1, p2, p3 = (base + i0 * stride, base + i1 * stride, base + i2 * stride, base + i3 * stride)
        s0, s1, s2, s3 = zeros(ar), zeros(ar), zeros(ar), zeros(ar)
        for j in range(0, width, 16):
            dj = load(ar, F, d + j)
            s0 = fma(ar, dj, load_weights(ar, W, p0 + j), s0)
            s1 = fma(ar, dj, load_weights(ar, W, p1 + j), s1)
            s2 = fma(ar, dj, load_weights(ar, W, p2 + j), s2)
            s3 = fma(ar, dj, load_weights(ar, W, p3 + j), s3)
        store_tree_sums(ar, F, part + i0, part + i1, part + i2, part + i3, s0, s1, s2, s3)
        k += 4
    while k < rows + count:
        p0, s0 = base + T[k] * stride, zeros(ar)
        for j in range(0, width, 16):
            s0 = fma(ar, load(ar, F, d + j), load_weights(ar, W, p0 + j), s0)
        F[part + T[k]] = tree_sum(ar, s0)
        k += 1


@njit(nogil=True)
def update_rows(ar, T, F, W, rows, count, base, width, stride, h, d, rate, key, number, columns):
    """W_ij <- fma(-u_i, d_j, W_ij) with u_i = rate h_i, rounded (rate d would be subnormal in half)."""
    keep_apart()
    for k in range(rows, rows + count):
        i = T[k]
        u, p = splat(ar, -mul(ar, rate, item(F, h + i))), base + i * stride
        for j in range(0, width, 16):
            w = fma_update(ar, u, load(ar, F, d + j), load_weights(ar, W, p + j), key, number + i * columns + j)
            store_weights(ar, W, p + j, w)


@njit(nogil=True)
def backward_update_rows(ar, T, F, W, rows, count, base, width, stride, h, d, part, rate, key, number, columns):
    """backward_rows and update_rows in one: each weight is read once."""
    keep_apart()
    k = rows
    while k + 4 <= rows + count:
        i0, i1, i2, i3 = T[k], T[k + 1], T[k + 2], T[k + 3]
        p0, p1, p2, p3 = (base + i0 * stride, base + i1 * stride, base + i2 * stride, base + i3 * stride)
        u0, u1 = (splat(ar, -mul(ar, rate, item(F, h + i0))), splat(ar, -mul(ar, rate, item(F, h + i1))))
        u2, u3 = (splat(ar, -mul(ar, rate, item(F, h + i2))), splat(ar, -mul(ar, rate, item(F, h + i3))))
        n0, n1, n2, n3 = (number + i0 * columns, number + i1 * columns, number + i2 * columns, number + i3 * columns)
        s0, s1, s2, s3 = zeros(ar), zeros(ar), zeros(ar), zeros(ar)
        for j in range(0, width, 16):
            dj = load(ar, F, d + j)
            w0, w1 = load_weights(ar, W, p0 + j), load_weights(ar, W, p1 + j)
            w2, w3 = load_weights(ar, W, p2 + j), load_weights(ar, W, p3 + j)
            s0, s1 = fma(ar, dj, w0, s0), fma(ar, dj, w1, s1)
            s2, s3 = fma(ar, dj, w2, s2), fma(ar, dj, w3, s3)
            store_weights(ar, W, p0 + j, fma_update(ar, u0, dj, w0, key, n0 + j))
            store_weights(ar, W, p1 + j, fma_update(ar, u1, dj, w1, key, n1 + j))
            store_weights(ar, W, p2 + j, fma_update(ar, u2, dj, w2, key, n2 + j))
            store_weights(ar, W, p3 + j, fma_update(ar, u3, dj, w3, key, n3 + j))
        store_tree_sums(ar, F, part + i0, part + i1, part + i2, part + i3, s0, s1, s2, s3)
        k += 4
    count -= k - rows
    backward_rows(ar, T, F, W, k, count, base, width, stride, d, part)
    update_rows(ar, T, F, W, k, count, base, width, stride, h, d, rate, key, number, columns)


@njit(nogil=True)
def one_pass_rows(ar, T, F, W, rows, count, base, width, stride, h, d, part, rate, entering, a, key, number, columns):
    """backward_update_rows with h and d, then forward_rows with the activations at entering, in one read."""
    keep_apart()
    k = rows
    while k + 4 <= rows + count:
        i0, i1, i2, i3 = T[k], T[k + 1], T[k + 2], T[k + 3]
        p0, p1, p2, p3 = (base + i0 * stride, base + i1 * stride, base + i2 * stride, base + i3 * stride)
        u0, u1 = (splat(ar, -mul(ar, rate, item(F, h + i0))), splat(ar, -mul(ar, rate, item(F, h + i1))))
        u2, u3 = (splat(ar, -mul(ar, rate, item(F, h + i2))), splat(ar, -mul(ar, rate, item(F, h + i3))))
        e0, e1 = splat(ar, item(F, entering + i0)), splat(ar, item(F, entering + i1))
        e2, e3 = splat(ar, item(F, entering + i2)), splat(ar, item(F, entering + i3))
        n0, n1, n2, n3 = (number + i0 * columns, number + i1 * columns, number + i2 * columns, number + i3 * columns)
        s0, s1, s2, s3 = zeros(ar), zeros(ar), zeros(ar), zeros(ar)
        for j in range(0, width, 16):
            dj = load(ar, F, d + j)
            w0, w1 = load_weights(ar, W, p0 + j), load_weights(ar, W, p1 + j)
            w2, w3 = load_weights(ar, W, p2 + j), load_weights(ar, W, p3 + j)
            s0, s1 = fma(ar, dj, w0, s0), fma(ar, dj, w1, s1)
            s2, s3 = fma(ar, dj, w2, s2), fma(ar, dj, w3, s3)
            w0 = stored(ar, fma_update(ar, u0, dj, w0, key, n0 + j))
            w1 = stored(ar, fma_update(ar, u1, dj, w1, key, n1 + j))
            w2 = stored(ar, fma_update(ar, u2, dj, w2, key, n2 + j))
            w3 = stored(ar, fma_update(ar, u3, dj, w3, key, n3 + j))
            sums = fma(ar, e1, w1, fma(ar, e0, w0, load(ar, F, a + j)))
            store(ar, F, a + j, fma(ar, e3, w3, fma(ar, e2, w2, sums)))
            store_weights(ar, W, p0 + j, w0)
            store_weights(ar, W, p1 + j, w1)
            store_weights(ar, W, p2 + j, w2)
            store_weights(ar, W, p3 + j, w3)
        store_tree_sums(ar, F, part + i0, part + i1, part + i2, part + i3, s0, s1, s2, s3)
        k += 4
    count -= k - rows
    backward_rows(ar, T, F, W, k, count, base, width, stride, d, part)
    update_rows(ar, T, F, W, k, count, base, width, stride, h, d, rate, key, number, columns)
    forward_rows(ar, T, F, W, k, count, base, width, stride, entering, a)


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
