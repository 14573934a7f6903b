"""Kernels for one sample at a time, on one panel of a matrix.

T is the table of integers, F holds floats, W matrices in the storage format. A panel is stored by rows, padded to whole
vectors with zeros: row i starts at W[base + i * stride]. T[rows : rows + count] lists the rows to visit, upwards; rows
that are left out would have added zeros. Vectorised across outputs, so no sum changes its order.
"""

# pyright: basic, reportArgumentType=false, reportCallIssue=false

from __future__ import annotations

from numba import njit

from caterpillar.numerics.vector import (
    fma,
    keep_apart,
    load,
    load_weights,
    mul,
    splat,
    store,
    store_weights,
    stored,
    tree_sum,
    zeros,
)
from caterpillar.train import columns as c


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
def forward_rows(ar, T, F, W, rows, count, base, stride, h, a):
    """a_j <- fma(h_i, W_ij, a_j) for the rows in turn."""
    keep_apart()
    k = rows
    while k + 4 <= rows + count:
        i0, i1, i2, i3 = T[k], T[k + 1], T[k + 2], T[k + 3]
        h0, h1, h2, h3 = splat(ar, F[h + i0]), splat(ar, F[h + i1]), splat(ar, F[h + i2]), splat(ar, F[h + i3])
        p0, p1, p2, p3 = base + i0 * stride, base + i1 * stride, base + i2 * stride, base + i3 * stride
        for j in range(0, stride, 16):
            sums = fma(ar, h0, load_weights(ar, W, p0 + j), load(ar, F, a + j))
            sums = fma(ar, h1, load_weights(ar, W, p1 + j), sums)
            sums = fma(ar, h2, load_weights(ar, W, p2 + j), sums)
            sums = fma(ar, h3, load_weights(ar, W, p3 + j), sums)
            store(ar, F, a + j, sums)
        k += 4
    while k < rows + count:
        h0, p0 = splat(ar, F[h + T[k]]), base + T[k] * stride
        for j in range(0, stride, 16):
            store(ar, F, a + j, fma(ar, h0, load_weights(ar, W, p0 + j), load(ar, F, a + j)))
        k += 1


@njit(nogil=True)
def backward_rows(ar, T, F, W, rows, count, base, stride, d, part):
    """F[part + i] = sum over j of d_j W_ij: sixteen partial sums, then halving."""
    keep_apart()
    k = rows
    while k + 4 <= rows + count:
        i0, i1, i2, i3 = T[k], T[k + 1], T[k + 2], T[k + 3]
        p0, p1, p2, p3 = base + i0 * stride, base + i1 * stride, base + i2 * stride, base + i3 * stride
        s0, s1, s2, s3 = zeros(ar), zeros(ar), zeros(ar), zeros(ar)
        for j in range(0, stride, 16):
            dj = load(ar, F, d + j)
            s0 = fma(ar, dj, load_weights(ar, W, p0 + j), s0)
            s1 = fma(ar, dj, load_weights(ar, W, p1 + j), s1)
            s2 = fma(ar, dj, load_weights(ar, W, p2 + j), s2)
            s3 = fma(ar, dj, load_weights(ar, W, p3 + j), s3)
        F[part + i0], F[part + i1] = tree_sum(ar, s0), tree_sum(ar, s1)
        F[part + i2], F[part + i3] = tree_sum(ar, s2), tree_sum(ar, s3)
        k += 4
    while k < rows + count:
        p0, s0 = base + T[k] * stride, zeros(ar)
        for j in range(0, stride, 16):
            s0 = fma(ar, load(ar, F, d + j), load_weights(ar, W, p0 + j), s0)
        F[part + T[k]] = tree_sum(ar, s0)
        k += 1


@njit(nogil=True)
def update_rows(ar, T, F, W, rows, count, base, stride, h, d, rate):
    """W_ij <- fma(-u_i, d_j, W_ij) with u_i = rate h_i, rounded (rate d would be subnormal in half)."""
    keep_apart()
    for k in range(rows, rows + count):
        i = T[k]
        u, p = splat(ar, -mul(ar, rate, F[h + i])), base + i * stride
        for j in range(0, stride, 16):
            store_weights(ar, W, p + j, fma(ar, u, load(ar, F, d + j), load_weights(ar, W, p + j)))


@njit(nogil=True)
def backward_update_rows(ar, T, F, W, rows, count, base, stride, h, d, part, rate):
    """backward_rows and update_rows in one: each weight is read once."""
    keep_apart()
    k = rows
    while k + 4 <= rows + count:
        i0, i1, i2, i3 = T[k], T[k + 1], T[k + 2], T[k + 3]
        p0, p1, p2, p3 = base + i0 * stride, base + i1 * stride, base + i2 * stride, base + i3 * stride
        u0, u1 = splat(ar, -mul(ar, rate, F[h + i0])), splat(ar, -mul(ar, rate, F[h + i1]))
        u2, u3 = splat(ar, -mul(ar, rate, F[h + i2])), splat(ar, -mul(ar, rate, F[h + i3]))
        s0, s1, s2, s3 = zeros(ar), zeros(ar), zeros(ar), zeros(ar)
        for j in range(0, stride, 16):
            dj = load(ar, F, d + j)
            w0, w1 = load_weights(ar, W, p0 + j), load_weights(ar, W, p1 + j)
            w2, w3 = load_weights(ar, W, p2 + j), load_weights(ar, W, p3 + j)
            s0, s1 = fma(ar, dj, w0, s0), fma(ar, dj, w1, s1)
            s2, s3 = fma(ar, dj, w2, s2), fma(ar, dj, w3, s3)
            store_weights(ar, W, p0 + j, fma(ar, u0, dj, w0))
            store_weights(ar, W, p1 + j, fma(ar, u1, dj, w1))
            store_weights(ar, W, p2 + j, fma(ar, u2, dj, w2))
            store_weights(ar, W, p3 + j, fma(ar, u3, dj, w3))
        F[part + i0], F[part + i1] = tree_sum(ar, s0), tree_sum(ar, s1)
        F[part + i2], F[part + i3] = tree_sum(ar, s2), tree_sum(ar, s3)
        k += 4
    count -= k - rows
    backward_rows(ar, T, F, W, k, count, base, stride, d, part)
    update_rows(ar, T, F, W, k, count, base, stride, h, d, rate)


@njit(nogil=True)
def one_pass_rows(ar, T, F, W, rows, count, base, stride, h, d, part, rate, entering, a):
    """backward_update_rows with h and d, then forward_rows with the activations at entering, in one read."""
    keep_apart()
    k = rows
    while k + 4 <= rows + count:
        i0, i1, i2, i3 = T[k], T[k + 1], T[k + 2], T[k + 3]
        p0, p1, p2, p3 = base + i0 * stride, base + i1 * stride, base + i2 * stride, base + i3 * stride
        u0, u1 = splat(ar, -mul(ar, rate, F[h + i0])), splat(ar, -mul(ar, rate, F[h + i1]))
        u2, u3 = splat(ar, -mul(ar, rate, F[h + i2])), splat(ar, -mul(ar, rate, F[h + i3]))
        e0, e1 = splat(ar, F[entering + i0]), splat(ar, F[entering + i1])
        e2, e3 = splat(ar, F[entering + i2]), splat(ar, F[entering + i3])
        s0, s1, s2, s3 = zeros(ar), zeros(ar), zeros(ar), zeros(ar)
        for j in range(0, stride, 16):
            dj = load(ar, F, d + j)
            w0, w1 = load_weights(ar, W, p0 + j), load_weights(ar, W, p1 + j)
            w2, w3 = load_weights(ar, W, p2 + j), load_weights(ar, W, p3 + j)
            s0, s1 = fma(ar, dj, w0, s0), fma(ar, dj, w1, s1)
            s2, s3 = fma(ar, dj, w2, s2), fma(ar, dj, w3, s3)
            w0, w1 = stored(ar, fma(ar, u0, dj, w0)), stored(ar, fma(ar, u1, dj, w1))
            w2, w3 = stored(ar, fma(ar, u2, dj, w2)), stored(ar, fma(ar, u3, dj, w3))
            sums = fma(ar, e1, w1, fma(ar, e0, w0, load(ar, F, a + j)))
            store(ar, F, a + j, fma(ar, e3, w3, fma(ar, e2, w2, sums)))
            store_weights(ar, W, p0 + j, w0)
            store_weights(ar, W, p1 + j, w1)
            store_weights(ar, W, p2 + j, w2)
            store_weights(ar, W, p3 + j, w3)
        F[part + i0], F[part + i1] = tree_sum(ar, s0), tree_sum(ar, s1)
        F[part + i2], F[part + i3] = tree_sum(ar, s2), tree_sum(ar, s3)
        k += 4
    count -= k - rows
    backward_rows(ar, T, F, W, k, count, base, stride, d, part)
    update_rows(ar, T, F, W, k, count, base, stride, h, d, rate)
    forward_rows(ar, T, F, W, k, count, base, stride, entering, a)


@njit(nogil=True)
def gradient_rows(ar, T, F, W, samples, count, base, velocity, stride, first, last, d, d_pad, constants):
    """Update of rows first .. last - 1 by a batch of count samples, with momentum if its constant is not zero.

    G_ij is the sum over the samples, in order, by FMA from +0. T[samples + s] is where sample s's h starts.
    """
    keep_apart()
    rate, boost = splat(ar, -F[constants + c.RATE]), splat(ar, F[constants + c.BOOST])
    momentum = splat(ar, F[constants + c.MOMENTUM])
    velocity_scale = splat(ar, F[constants + c.VELOCITY_SCALE])
    gradient_scale = splat(ar, F[constants + c.GRADIENT_SCALE])
    for i in range(first, last):
        p, v = base + i * stride, velocity + i * stride
        for j in range(0, stride, 16):
            g = zeros(ar)
            for s in range(count):
                g = fma(ar, splat(ar, F[T[samples + s] + i]), load(ar, F, d + s * d_pad + j), g)
            if F[constants + c.MOMENTUM] != 0:
                g = mul(ar, g, boost)
                store_weights(ar, W, v + j, fma(ar, momentum, load_weights(ar, W, v + j), g))
                g = fma(ar, gradient_scale, g, mul(ar, velocity_scale, load_weights(ar, W, v + j)))
            store_weights(ar, W, p + j, fma(ar, rate, g, load_weights(ar, W, p + j)))


@njit(nogil=True)
def look_ahead(ar, W, base, velocity, stride, first, last, rate, room):
    """W - rate v for the rows first .. last - 1, in the storage format, from W[room] on."""
    keep_apart()
    minus = splat(ar, -rate)
    for p in range(first * stride, last * stride, 16):
        ahead = fma(ar, minus, load_weights(ar, W, velocity + p), load_weights(ar, W, base + p))
        store_weights(ar, W, room + p - first * stride, ahead)
