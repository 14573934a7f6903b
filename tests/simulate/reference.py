"""Training in half precision, one addition after the other in a given Order, written from its docstring."""

from __future__ import annotations

import functools

import numpy as np
from numba import njit

from caterpillar.numerics import GemvOrder, Order, Visits
from caterpillar.numerics.arithmetic_type import Arithmetic
from caterpillar.numerics.functions import divide, exp_negative
from caterpillar.numerics.vector import add, fma

HALF = Arithmetic("fp16", "tests/simulate/reference")


@njit
def _fma(ar, a, b, c):
    return fma(ar, a, b, c)


@njit
def _add(ar, a, b):
    return add(ar, a, b)


@njit
def _exp(ar, x):
    return exp_negative(ar, x)


@njit
def _divide(ar, n, d):
    return divide(ar, n, d)


def _f(x: float) -> np.float32:
    return np.float32(x)


def multiply_add(a: float, b: float, c: float) -> np.float32:
    return _fma(HALF, _f(a), _f(b), _f(c))


def plus(a: float, b: float) -> np.float32:
    return _add(HALF, _f(a), _f(b))


def combine(sums: list[np.float32], how: str) -> np.float32:
    if how == "chain":
        return functools.reduce(plus, sums)
    count = 1
    while count < len(sums):
        count *= 2
    sums = sums + [_f(0)] * (count - len(sums))
    if how == "pairs":
        while len(sums) > 1:
            sums = [plus(a, b) for a, b in zip(sums[::2], sums[1::2], strict=True)]
    while count > 1:
        count //= 2
        sums = [plus(sums[k], sums[k + count]) for k in range(count)]
    return sums[0]


def _sum_of(named: tuple[int, ...] | None, index: int, start: int, lanes: int) -> int:
    return named[index] if named else (index - start) % lanes


def visited(visits: Visits, index: int, x: np.ndarray, weights: np.ndarray) -> np.float32:
    """One sum, as Visits' docstring says; weights: one for each term's number."""
    row = visits.row[index]
    sums = [_f(0)] * (visits.lanes * visits.blocks)
    for n, k in zip(visits.terms[row], visits.sums[row], strict=True):
        sums[k] = multiply_add(x[n], weights[n], sums[k])
    starts = range(0, len(sums), visits.lanes)
    return combine([combine(sums[at : at + visits.lanes], visits.combine) for at in starts], "tree")


def forward(order: GemvOrder, h: np.ndarray, W: np.ndarray) -> np.ndarray:
    inputs, outputs = W.shape
    if order.forward:
        return np.array([visited(order.forward, j, h, W[:, j]) for j in range(outputs)], np.float32)
    blocks = order.input_bounds or (0, inputs)
    result = np.zeros(outputs, np.float32)
    for panel, (low, high) in enumerate(zip(order.bounds, order.bounds[1:], strict=False)):
        first = order.forward_first[panel] if order.forward_first else 0
        visit = [*range(first, inputs), *range(first)]
        for j in range(low, high):
            if order.block_lanes is None:
                sums = [_f(0)] * order.forward_lanes
                for i in visit:
                    block = max(c for c in range(len(blocks) - 1) if blocks[c] <= i)
                    lane = _sum_of(order.forward_sums, i, blocks[block], order.forward_lanes)
                    if order.block_spacing:
                        distance = (block - panel) % (len(blocks) - 1)
                        lane = (distance * order.block_spacing + i - blocks[block]) % order.forward_lanes
                    sums[lane] = multiply_add(h[i], W[i, j], sums[lane])
                result[j] = combine(sums, order.forward_combine)
                continue
            totals = [_f(0)] * order.block_lanes
            for c in range(len(blocks) - 1):
                sums = [_f(0)] * order.forward_lanes
                for i in range(blocks[c], blocks[c + 1]):
                    lane = _sum_of(order.forward_sums, i, blocks[c], order.forward_lanes)
                    sums[lane] = multiply_add(h[i], W[i, j], sums[lane])
                k = c % order.block_lanes
                totals[k] = plus(totals[k], combine(sums, order.forward_combine))
            result[j] = combine(totals, "tree")
    return result


def backward(order: GemvOrder, d: np.ndarray, W: np.ndarray) -> np.ndarray:
    inputs = W.shape[0]
    if order.backward:
        return np.array([visited(order.backward, i, d, W[i]) for i in range(inputs)], np.float32)
    panels = len(order.bounds) - 1
    result = np.zeros(inputs, np.float32)
    for i in range(inputs):
        parts: list[np.float32] = []
        for low, high in zip(order.bounds, order.bounds[1:], strict=False):
            sums = [_f(0)] * order.backward_lanes
            for j in range(low, high):
                lane = _sum_of(order.backward_sums, j, low, order.backward_lanes)
                sums[lane] = multiply_add(d[j], W[i, j], sums[lane])
            parts.append(combine(sums, order.backward_combine))
        first = order.backward_first[i] if order.backward_first else 0
        result[i] = functools.reduce(plus, [parts[(first + k) % panels] for k in range(panels)])
    return result


def softmax_error(logits: np.ndarray, label: int) -> np.ndarray:
    best = logits[0]
    for a in logits[1:]:
        best = max(best, a)
    exps, total = [], _f(0)
    for a in logits:
        exps.append(_exp(HALF, _f(plus(a, -best))))
        total = plus(total, exps[-1])
    return np.array(
        [plus(_divide(HALF, _f(e), _f(total)), -1.0 if j == label else 0.0) for j, e in enumerate(exps)], np.float32
    )


def train(
    rule: str,
    order: Order,
    weights: list[np.ndarray],
    inputs: np.ndarray,
    labels: np.ndarray,
    rate: float,
    feedback: tuple[np.ndarray | None, ...] = (),
) -> list[np.ndarray]:
    """Weights after a pass over the samples by sgd, fa or dfa, ReLU and softmax; float16 in and out."""
    W = [w.astype(np.float32) for w in weights]
    B = [None if b is None else b.astype(np.float32) for b in feedback]
    rate = float(np.float16(rate))
    for x, label in zip(inputs, labels, strict=True):
        h = [x.astype(np.float32)]
        for index, order_of_layer in enumerate(order.layers):
            a = forward(order_of_layer, h[-1], W[index])
            h.append(np.where(a > 0, a, 0).astype(np.float32) if index < len(W) - 1 else a)
        e = d = softmax_error(h[-1], int(label))
        for index in reversed(range(len(W))):
            sums = None
            if index and rule == "dfa":
                sums = backward(order.feedback[index - 1], e, B[index - 1])
            elif index:
                through = order.layers[index] if rule == "sgd" else order.feedback[index]
                sums = backward(through, d, W[index] if rule == "sgd" else B[index])
            for i, j in np.ndindex(*W[index].shape):
                u = multiply_add(rate, h[index][i], 0)
                W[index][i, j] = multiply_add(-u, d[j], W[index][i, j])
            d = np.where(h[index] > 0, sums, 0).astype(np.float32) if index else d
    return [w.astype(np.float16) for w in W]
