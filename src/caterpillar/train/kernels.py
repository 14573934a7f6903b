"""Kernels for one sample at a time, on one panel of a matrix.

A panel is stored by rows, padded to whole vectors with zeros: row i starts at base + i * stride. rows lists the rows to
visit, upwards; rows that are left out would have added zeros. Vectorised across outputs, so no sum changes its order.
"""

# pyright: basic, reportArgumentType=false, reportCallIssue=false

from __future__ import annotations

from numba import njit

from caterpillar.numerics.vector import (
    fma,
    load,
    load_weights,
    mul,
    splat,
    store,
    store_weights,
    tree_sum,
    zeros,
)


@njit(nogil=True)
def list_rows(rows, h, base, first, last, skip):
    """Fill rows with first .. last - 1, or with those of them where h is not zero; return how many."""
    if not skip:
        for i in range(first, last):
            rows[i - first] = i
        return last - first
    found = 0
    for i in range(first, last):
        rows[found] = i
        found += h[base + i] != 0
    return found


@njit(nogil=True)
def forward_rows(ar, w, base, stride, rows, count, h, h_base, a, a_base):
    """a_j <- fma(h_i, W_ij, a_j) for the rows in turn."""
    k = 0
    while k + 4 <= count:
        i0, i1, i2, i3 = rows[k], rows[k + 1], rows[k + 2], rows[k + 3]
        h0, h1 = splat(ar, h[h_base + i0]), splat(ar, h[h_base + i1])
        h2, h3 = splat(ar, h[h_base + i2]), splat(ar, h[h_base + i3])
        p0, p1, p2, p3 = base + i0 * stride, base + i1 * stride, base + i2 * stride, base + i3 * stride
        for j in range(0, stride, 16):
            sums = fma(ar, h0, load_weights(ar, w, p0 + j), load(ar, a, a_base + j))
            sums = fma(ar, h1, load_weights(ar, w, p1 + j), sums)
            sums = fma(ar, h2, load_weights(ar, w, p2 + j), sums)
            sums = fma(ar, h3, load_weights(ar, w, p3 + j), sums)
            store(ar, a, a_base + j, sums)
        k += 4
    while k < count:
        i0 = rows[k]
        h0 = splat(ar, h[h_base + i0])
        p0 = base + i0 * stride
        for j in range(0, stride, 16):
            sums = fma(ar, h0, load_weights(ar, w, p0 + j), load(ar, a, a_base + j))
            store(ar, a, a_base + j, sums)
        k += 1


@njit(nogil=True)
def backward_rows(ar, w, base, stride, rows, count, d, d_base, parts, part_base):
    """parts_i = sum over j of d_j W_ij: sixteen partial sums, then halving."""
    k = 0
    while k + 4 <= count:
        i0, i1, i2, i3 = rows[k], rows[k + 1], rows[k + 2], rows[k + 3]
        p0, p1, p2, p3 = base + i0 * stride, base + i1 * stride, base + i2 * stride, base + i3 * stride
        s0, s1, s2, s3 = zeros(ar), zeros(ar), zeros(ar), zeros(ar)
        for j in range(0, stride, 16):
            dj = load(ar, d, d_base + j)
            s0 = fma(ar, dj, load_weights(ar, w, p0 + j), s0)
            s1 = fma(ar, dj, load_weights(ar, w, p1 + j), s1)
            s2 = fma(ar, dj, load_weights(ar, w, p2 + j), s2)
            s3 = fma(ar, dj, load_weights(ar, w, p3 + j), s3)
        parts[part_base + i0] = tree_sum(ar, s0)
        parts[part_base + i1] = tree_sum(ar, s1)
        parts[part_base + i2] = tree_sum(ar, s2)
        parts[part_base + i3] = tree_sum(ar, s3)
        k += 4
    while k < count:
        p0 = base + rows[k] * stride
        s0 = zeros(ar)
        for j in range(0, stride, 16):
            s0 = fma(ar, load(ar, d, d_base + j), load_weights(ar, w, p0 + j), s0)
        parts[part_base + rows[k]] = tree_sum(ar, s0)
        k += 1


@njit(nogil=True)
def update_rows(ar, w, base, stride, rows, count, h, h_base, d, d_base, rate):
    """W_ij <- fma(-u_i, d_j, W_ij) with u_i = rate h_i, rounded (rate d would be subnormal in half)."""
    for k in range(count):
        i = rows[k]
        u = splat(ar, -mul(ar, rate, h[h_base + i]))
        p = base + i * stride
        for j in range(0, stride, 16):
            store_weights(ar, w, p + j, fma(ar, u, load(ar, d, d_base + j), load_weights(ar, w, p + j)))


@njit(nogil=True)
def backward_update_rows(ar, w, base, stride, rows, count, h, h_base, d, d_base, parts, part_base, rate):
    """backward_rows and update_rows in one: each weight is read once."""
    k = 0
    while k + 4 <= count:
        i0, i1, i2, i3 = rows[k], rows[k + 1], rows[k + 2], rows[k + 3]
        p0, p1, p2, p3 = base + i0 * stride, base + i1 * stride, base + i2 * stride, base + i3 * stride
        u0, u1 = splat(ar, -mul(ar, rate, h[h_base + i0])), splat(ar, -mul(ar, rate, h[h_base + i1]))
        u2, u3 = splat(ar, -mul(ar, rate, h[h_base + i2])), splat(ar, -mul(ar, rate, h[h_base + i3]))
        s0, s1, s2, s3 = zeros(ar), zeros(ar), zeros(ar), zeros(ar)
        for j in range(0, stride, 16):
            dj = load(ar, d, d_base + j)
            w0, w1 = load_weights(ar, w, p0 + j), load_weights(ar, w, p1 + j)
            w2, w3 = load_weights(ar, w, p2 + j), load_weights(ar, w, p3 + j)
            s0, s1 = fma(ar, dj, w0, s0), fma(ar, dj, w1, s1)
            s2, s3 = fma(ar, dj, w2, s2), fma(ar, dj, w3, s3)
            store_weights(ar, w, p0 + j, fma(ar, u0, dj, w0))
            store_weights(ar, w, p1 + j, fma(ar, u1, dj, w1))
            store_weights(ar, w, p2 + j, fma(ar, u2, dj, w2))
            store_weights(ar, w, p3 + j, fma(ar, u3, dj, w3))
        parts[part_base + i0] = tree_sum(ar, s0)
        parts[part_base + i1] = tree_sum(ar, s1)
        parts[part_base + i2] = tree_sum(ar, s2)
        parts[part_base + i3] = tree_sum(ar, s3)
        k += 4
    if k < count:
        backward_rows(ar, w, base, stride, rows[k:], count - k, d, d_base, parts, part_base)
        update_rows(ar, w, base, stride, rows[k:], count - k, h, h_base, d, d_base, rate)


@njit(nogil=True)
def gradient_rows(ar, w, v, base, stride, first, last, count, h, h_bases, d, d_base, d_pad, rates):
    """Update of rows first .. last - 1 by a batch of count samples, with momentum if rates[2] is not zero.

    G_ij is the sum over the samples, in order, by FMA from +0. rates: see columns.py.
    """
    rate, boost, momentum = rates[0], rates[1], rates[2]
    velocity_scale, gradient_scale = splat(ar, rates[3]), splat(ar, rates[4])
    for i in range(first, last):
        p = base + i * stride
        for j in range(0, stride, 16):
            g = zeros(ar)
            for s in range(count):
                g = fma(ar, splat(ar, h[h_bases[s] + i]), load(ar, d, d_base + s * d_pad + j), g)
            if momentum != 0:
                g = mul(ar, g, splat(ar, boost))
                velocity = fma(ar, splat(ar, momentum), load_weights(ar, v, p + j), g)
                store_weights(ar, v, p + j, velocity)
                g = fma(ar, gradient_scale, g, mul(ar, velocity_scale, load_weights(ar, v, p + j)))
            store_weights(ar, w, p + j, fma(ar, splat(ar, -rate), g, load_weights(ar, w, p + j)))


@njit(nogil=True)
def look_ahead(ar, w, v, base, stride, first, last, rate, ahead, room):
    """ahead = W - rate v for the rows first .. last - 1, in the storage format, from ahead[room] on."""
    minus = splat(ar, -rate)
    for i in range(first, last):
        for j in range(0, stride, 16):
            p = base + i * stride + j
            value = fma(ar, minus, load_weights(ar, v, p), load_weights(ar, w, p))
            store_weights(ar, ahead, room + (i - first) * stride + j, value)
