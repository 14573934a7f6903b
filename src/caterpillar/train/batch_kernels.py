"""Kernels for a batch, on one panel of a matrix: tiles of sixteen accumulators, in the orders of kernels.py.

T[hs + s] and T[outs + s] are where sample s's values start in F; both lists are padded to a multiple of four by
repeating the last sample, which is then computed twice with the same result.
"""

# pyright: basic, reportArgumentType=false, reportCallIssue=false

from __future__ import annotations

from numba import njit

from caterpillar.numerics.stochastic import fma_update
from caterpillar.numerics.sums import store_tree_sums_by_four, tree_sum
from caterpillar.numerics.vector import (
    fma,
    item,
    keep_apart,
    load,
    load_weights,
    mul,
    splat,
    store,
    store_weights,
    zeros,
)
from caterpillar.train import columns as c


@njit(inline="always")
def _load4(ar, F, at):
    return (load(ar, F, at), load(ar, F, at + 16), load(ar, F, at + 32), load(ar, F, at + 48))


@njit(inline="always")
def _store4(ar, F, at, x):
    store(ar, F, at, x[0])
    store(ar, F, at + 16, x[1])
    store(ar, F, at + 32, x[2])
    store(ar, F, at + 48, x[3])


@njit(inline="always")
def _fma4(ar, factor, x, sums):
    """Sixty-four FMAs with one factor."""
    return (
        fma(ar, factor, x[0], sums[0]),
        fma(ar, factor, x[1], sums[1]),
        fma(ar, factor, x[2], sums[2]),
        fma(ar, factor, x[3], sums[3]),
    )


@njit(nogil=True)
def batch_forward(ar, T, F, W, hs, outs, count, base, width, stride, first, last):
    """a_j <- fma(h_i, W_ij, a_j) for the rows first .. last - 1 in turn, for every sample."""
    keep_apart()
    for j in range(0, width // 64 * 64, 64):
        for s in range(0, count, 4):
            h0, h1, h2, h3 = T[hs + s], T[hs + s + 1], T[hs + s + 2], T[hs + s + 3]
            o0, o1, o2, o3 = (T[outs + s] + j, T[outs + s + 1] + j, T[outs + s + 2] + j, T[outs + s + 3] + j)
            a0, a1, a2, a3 = (_load4(ar, F, o0), _load4(ar, F, o1), _load4(ar, F, o2), _load4(ar, F, o3))
            for i in range(first, last):
                p = base + i * stride + j
                w0, w1 = load_weights(ar, W, p), load_weights(ar, W, p + 16)
                w = w0, w1, load_weights(ar, W, p + 32), load_weights(ar, W, p + 48)
                a0, a1 = (_fma4(ar, splat(ar, item(F, h0 + i)), w, a0), _fma4(ar, splat(ar, item(F, h1 + i)), w, a1))
                a2, a3 = (_fma4(ar, splat(ar, item(F, h2 + i)), w, a2), _fma4(ar, splat(ar, item(F, h3 + i)), w, a3))
            _store4(ar, F, o0, a0)
            _store4(ar, F, o1, a1)
            _store4(ar, F, o2, a2)
            _store4(ar, F, o3, a3)
    for j in range(width // 64 * 64, width, 16):
        for s in range(0, count, 4):
            h0, h1, h2, h3 = T[hs + s], T[hs + s + 1], T[hs + s + 2], T[hs + s + 3]
            o0, o1, o2, o3 = (T[outs + s] + j, T[outs + s + 1] + j, T[outs + s + 2] + j, T[outs + s + 3] + j)
            x0, x1, x2, x3 = (load(ar, F, o0), load(ar, F, o1), load(ar, F, o2), load(ar, F, o3))
            for i in range(first, last):
                w0 = load_weights(ar, W, base + i * stride + j)
                x0, x1 = (fma(ar, splat(ar, item(F, h0 + i)), w0, x0), fma(ar, splat(ar, item(F, h1 + i)), w0, x1))
                x2, x3 = (fma(ar, splat(ar, item(F, h2 + i)), w0, x2), fma(ar, splat(ar, item(F, h3 + i)), w0, x3))
            store(ar, F, o0, x0)
            store(ar, F, o1, x1)
            store(ar, F, o2, x2)
            store(ar, F, o3, x3)


@njit(nogil=True)
def batch_backward(ar, T, F, W, ds, outs, count, base, width, stride, first, last):
    """F[out + i] = sum over j of d_j W_ij for the rows i = first .. last - 1, for every sample; T[ds + s]: its d."""
    keep_apart()
    tiled = first + (last - first) // 4 * 4
    for block in range(first, tiled, 16):  # of W, in the first-level cache for all samples
        for s in range(0, count, 4):
            d0, d1, d2, d3 = T[ds + s], T[ds + s + 1], T[ds + s + 2], T[ds + s + 3]
            o0, o1, o2, o3 = (T[outs + s], T[outs + s + 1], T[outs + s + 2], T[outs + s + 3])
            for i in range(block, min(block + 16, tiled), 4):
                p0 = base + i * stride
                p1, p2, p3 = p0 + stride, p0 + 2 * stride, p0 + 3 * stride
                zero = zeros(ar)
                a0 = a1 = a2 = a3 = (zero, zero, zero, zero)
                for j in range(0, width, 16):
                    w0, w1 = load_weights(ar, W, p0 + j), load_weights(ar, W, p1 + j)
                    w = w0, w1, load_weights(ar, W, p2 + j), load_weights(ar, W, p3 + j)
                    a0, a1 = (_fma4(ar, load(ar, F, d0 + j), w, a0), _fma4(ar, load(ar, F, d1 + j), w, a1))
                    a2, a3 = (_fma4(ar, load(ar, F, d2 + j), w, a2), _fma4(ar, load(ar, F, d3 + j), w, a3))
                store_tree_sums_by_four(ar, F, (o0 + i, o1 + i, o2 + i, o3 + i), a0 + a1 + a2 + a3)
    for i in range(tiled, last):
        for s in range(count):
            total = zeros(ar)
            for j in range(0, width, 16):
                total = fma(ar, load(ar, F, T[ds + s] + j), load_weights(ar, W, base + i * stride + j), total)
            F[T[outs + s] + i] = tree_sum(ar, total)


@njit(nogil=True)
def _apply(ar, F, W, constants, p, v, g, key, number):
    """Sixteen weights' update from the sums g; v is where their velocity is."""
    if F[constants + c.MOMENTUM] != 0:
        g = mul(ar, g, splat(ar, item(F, constants + c.BOOST)))
        store_weights(ar, W, v, fma(ar, splat(ar, item(F, constants + c.MOMENTUM)), load_weights(ar, W, v), g))
        moving = mul(ar, splat(ar, item(F, constants + c.VELOCITY_SCALE)), load_weights(ar, W, v))
        g = fma(ar, splat(ar, item(F, constants + c.GRADIENT_SCALE)), g, moving)
    rate = splat(ar, -item(F, constants + c.RATE))
    store_weights(ar, W, p, fma_update(ar, rate, g, load_weights(ar, W, p), key, number))


@njit(nogil=True)
def batch_update(
    ar, T, F, W, hs, ds, count, base, velocity, width, stride, first, last, constants, key, number, columns
):
    """Update of the rows first .. last - 1 by a batch of count samples, with momentum if its constant is not zero.

    G_ij is the sum over the samples, in order, by FMA from +0.
    """
    keep_apart()
    tiled = first + (last - first) // 4 * 4
    for j in range(0, width // 64 * 64, 64):
        for i in range(first, tiled, 4):
            zero = zeros(ar)
            g0 = g1 = g2 = g3 = (zero, zero, zero, zero)
            for s in range(count):
                d, h = _load4(ar, F, item(T, ds + s) + j), item(T, hs + s) + i
                g0, g1 = (_fma4(ar, splat(ar, item(F, h)), d, g0), _fma4(ar, splat(ar, item(F, h + 1)), d, g1))
                g2, g3 = (_fma4(ar, splat(ar, item(F, h + 2)), d, g2), _fma4(ar, splat(ar, item(F, h + 3)), d, g3))
            for r, g in enumerate((g0, g1, g2, g3)):
                at, n = (i + r) * stride + j, number + (i + r) * columns + j
                for q, sums in enumerate(g):
                    _apply(ar, F, W, constants, base + at + 16 * q, velocity + at + 16 * q, sums, key, n + 16 * q)
    for i in range(first, last):
        for j in range(0 if i >= tiled else width // 64 * 64, width, 16):
            sums = zeros(ar)
            for s in range(count):
                sums = fma(ar, splat(ar, item(F, T[hs + s] + i)), load(ar, F, T[ds + s] + j), sums)
            at = i * stride + j
            _apply(ar, F, W, constants, base + at, velocity + at, sums, key, number + i * columns + j)
