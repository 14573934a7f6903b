"""Kernels that add in any given Order (numerics.order): slower, for comparison with a machine.

An order lies in T: forward lanes and how they are combined, backward lanes and the same, panels P, how far on its
blocks are, and their spacing (0: none); then P + 1 bounds, the first input of each panel, and the first panel of each
input. Of the blocks: their sums (0 if they have none of their own), their number C, and C + 1 input bounds. Then the
number of inputs, the partial sum of each input, and that of each output. Orders said term by term lie after
them (layout.py).
"""

# pyright: basic, reportArgumentType=false, reportCallIssue=false

from __future__ import annotations

from numba import njit

from caterpillar.numerics.constants import number
from caterpillar.numerics.vector import add, fma, keep_apart, load, load_weight, load_weights, splat, store, zeros
from caterpillar.train import columns as c

CHAIN, TREE, PAIRS = 0, 1, 2


@njit(nogil=True)
def _combine(ar, F, sums, lanes, how):
    """Sixteen sums at once: the partial sums, 16 floats each from F[sums] on, become one."""
    if how == CHAIN:
        for lane in range(1, lanes):
            store(ar, F, sums, add(ar, load(ar, F, sums), load(ar, F, sums + 16 * lane)))
        return
    if how == PAIRS:
        apart = 1
        while apart < lanes:
            for lane in range(0, lanes - apart, 2 * apart):
                at = sums + 16 * lane
                store(ar, F, at, add(ar, load(ar, F, at), load(ar, F, at + 16 * apart)))
            apart *= 2
        return
    count = 1
    while count < lanes:
        count *= 2
    while count > 1:
        count //= 2
        for lane in range(min(count, max(lanes - count, 0))):
            at = sums + 16 * lane
            store(ar, F, at, add(ar, load(ar, F, at), load(ar, F, at + 16 * count)))
        lanes = min(lanes, count)


@njit(nogil=True)
def _clear(ar, F, sums, lanes):
    for lane in range(lanes):
        store(ar, F, sums + 16 * lane, zeros(ar))


@njit(nogil=True)
def _places(T, order):
    """Where in T the partial sums of the inputs are named."""
    blocks = order + T[order + 5] + 2
    return blocks + T[blocks - 1] + 2


@njit(inline="always")
def _spaced(T, order, panel, i, lanes):
    """The partial sum of input i where blocks are spaced."""
    blocks = order + T[order + 5] + 2
    block = 0
    while T[blocks + block + 1] <= i:
        block += 1
    return ((block - panel) % T[blocks - 1] * T[order + 6] + i - T[blocks + block]) % lanes


@njit(nogil=True)
def _running_sums(ar, T, F, W, order, panel, first_input, inputs, base, stride, h, sums):
    """F[sums] = sum over all inputs, from first_input upwards and round, of h_i W_i: sixteen outputs from base on."""
    lanes, places = T[order], _places(T, order)
    _clear(ar, F, sums, lanes)
    for n in range(inputs):
        i = (first_input + n) % inputs
        at = sums + 16 * (_spaced(T, order, panel, i, lanes) if T[order + 6] else T[places + i])
        store(ar, F, at, fma(ar, splat(ar, F[h + i]), load_weights(ar, W, base + i * stride), load(ar, F, at)))
    _combine(ar, F, sums, lanes, T[order + 1])


@njit(nogil=True)
def _block_sums(ar, T, F, W, order, inputs, base, stride, h, sums):
    """F[sums] = the same, each block summed by itself and the blocks' sums added."""
    lanes, blocks, places = T[order], order + T[order + 5] + 2, _places(T, order)
    block_lanes, count = T[blocks - 2], T[blocks - 1]
    partial = sums + 16 * block_lanes
    _clear(ar, F, sums, block_lanes)
    for block in range(count):
        start = T[blocks + block]
        _clear(ar, F, partial, lanes)
        for i in range(start, min(T[blocks + block + 1], inputs)):
            at = partial + 16 * T[places + i]
            store(ar, F, at, fma(ar, splat(ar, F[h + i]), load_weights(ar, W, base + i * stride), load(ar, F, at)))
        _combine(ar, F, partial, lanes, T[order + 1])
        at = sums + 16 * (block % block_lanes)
        store(ar, F, at, add(ar, load(ar, F, at), load(ar, F, partial)))
    _combine(ar, F, sums, block_lanes, TREE)


@njit(nogil=True)
def _visited(ar, T, F, W, visits, index, sample, base, along, x, sums):
    """The sum with this index, of x_n W[base + n along] over its terms n, for a sample of the batch."""
    lanes, blocks, tree = T[visits], T[visits + 1], T[visits + 2]
    for k in range(lanes * blocks):
        F[sums + 16 * k] = 0
    first = visits + T[visits + 6 + 2 * index]
    for term in range(T[visits + 7 + 2 * index]):
        n, at = T[first + 2 * term], sums + 16 * T[first + 2 * term + 1]
        F[at] = fma(ar, F[x + n], load_weight(ar, W, base + n * along), F[at])
    if T[visits + 4]:
        lane = T[visits + T[visits + 4] + index * T[visits + 5] + sample]
        total = F[sums + 16 * lane]
        for n in range(1, lanes):
            total = add(ar, total, F[sums + 16 * ((lane + n) % lanes)])
        return total
    for block in range(blocks):
        _combine(ar, F, sums + 16 * block * lanes, lanes, tree)
        F[sums + 16 * block] = F[sums + 16 * block * lanes]
    _combine(ar, F, sums, blocks, TREE)
    return F[sums]


@njit(nogil=True)
def ordered_forward(ar, T, F, W, order, sample, inputs, base, stride, h, a, sums):
    """F[a + j] = sum over i of h_i W_ij, for all outputs; sixteen outputs of a panel at once. sample: of the batch."""
    keep_apart()
    panels = T[order + 4]
    if T[order + c.FORWARD_VISITS]:
        visits = order + T[order + c.FORWARD_VISITS]
        for j in range(T[visits + 3]):
            F[a + j] = _visited(ar, T, F, W, visits, j, sample, base + j, stride, h, sums)
        return
    for p in range(panels):
        last, first_input = (T[order + c.BOUNDS + p + 1], T[order + c.BOUNDS + panels + 1 + p])
        for j in range(T[order + c.BOUNDS + p], last, 16):
            if T[order + T[order + 5]]:
                _block_sums(ar, T, F, W, order, inputs, base + j, stride, h, sums)
            else:
                _running_sums(ar, T, F, W, order, p, first_input, inputs, base + j, stride, h, sums)
            for k in range(min(16, last - j)):
                F[a + j + k] = F[sums + k]


@njit(nogil=True)
def ordered_backward(ar, T, F, W, order, sample, first, last, base, stride, d, part, sums):
    """F[part + i] = sum over j of d_j W_ij, for the inputs first .. last - 1."""
    keep_apart()
    lanes, tree, panels = T[order + 2], T[order + 3], T[order + 4]
    places = _places(T, order)
    places += T[places - 1]
    if T[order + c.BACKWARD_VISITS]:
        visits = order + T[order + c.BACKWARD_VISITS]
        for i in range(first, last):
            F[part + i] = _visited(ar, T, F, W, visits, i, sample, base + i * stride, 1, d, sums)
        return
    for i in range(first, last):
        first_panel, total = T[order + c.BOUNDS + 2 * panels + 1 + i], number(ar, 0.0)
        for n in range(panels):
            p = (first_panel + n) % panels
            start = T[order + c.BOUNDS + p]
            for lane in range(lanes):
                store(ar, F, sums + 16 * lane, zeros(ar))
            for j in range(start, T[order + c.BOUNDS + p + 1]):
                at = sums + 16 * T[places + j]
                F[at] = fma(ar, F[d + j], load_weight(ar, W, base + i * stride + j), F[at])
            _combine(ar, F, sums, lanes, tree)
            total = F[sums] if n == 0 else add(ar, total, F[sums])
        F[part + i] = total
