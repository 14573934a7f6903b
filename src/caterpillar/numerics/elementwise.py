"""Our arithmetic on NumPy arrays, element by element, for anyone who wants to check it or compute with it."""

# pyright: basic, reportArgumentType=false, reportCallIssue=false

from __future__ import annotations

from pathlib import Path

import numpy as np
from numba import njit

from caterpillar.numerics import functions
from caterpillar.numerics.arithmetic import Array, Numerics, sum_dtype, wide_dtype
from caterpillar.numerics.arithmetic_type import LANES, Arithmetic, sources_digest
from caterpillar.numerics.vector import fma as fma_of_vectors
from caterpillar.numerics.vector import load, store

DIGEST = sources_digest(Path(__file__).parent)
RELU, TANH, SIGMOID, EXP = functions.RELU, functions.TANH, functions.SIGMOID, 3


@njit(nogil=True, cache=True)
def _fma(ar, a, b, c, out):
    for i in range(0, out.size, 16):
        store(ar, out, i, fma_of_vectors(ar, load(ar, a, i), load(ar, b, i), load(ar, c, i)))


@njit(nogil=True, cache=True)
def _function(ar, which, x, out):
    for i in range(x.size):
        out[i] = functions.exp_negative(ar, x[i]) if which == EXP else functions.activate(ar, which, x[i])


@njit(nogil=True, cache=True)
def _divide(ar, n, d, out):
    for i in range(n.size):
        out[i] = functions.divide(ar, n[i], d[i])


def fma(a: Array, b: Array, c: Array, numerics: Numerics, *, avx512: bool | None = None) -> Array:
    """See caterpillar.numerics.fma. avx512: as for Arithmetic."""
    shape = np.broadcast_shapes(a.shape, b.shape, c.shape)
    size = int(np.prod(shape))
    operands = [np.zeros(-(-size // LANES) * LANES, wide_dtype(numerics)) for _ in range(4)]
    for operand, given in zip(operands, (a, b, c), strict=False):
        operand[:size] = np.broadcast_to(given, shape).ravel()
    _fma(Arithmetic(numerics, DIGEST, avx512=avx512), *operands)
    return operands[3][:size].astype(sum_dtype(numerics)).reshape(shape)


def activation(name: str, a: Array, numerics: Numerics) -> Array:
    """h = f(a) for relu, tanh, sigmoid, and exp (of what is not above 0), in the format that products are added in."""
    which = {"relu": RELU, "tanh": TANH, "sigmoid": SIGMOID, "exp": EXP}[name]
    x = np.ascontiguousarray(a, wide_dtype(numerics)).ravel()
    out = np.empty_like(x)
    _function(Arithmetic(numerics, DIGEST), which, x, out)
    return out.astype(sum_dtype(numerics)).reshape(a.shape)


def divide(n: Array, d: Array, numerics: Numerics) -> Array:
    """n / d for 0 <= n, 0 < d, as the machine divides (see functions.py)."""
    x, y = (np.ascontiguousarray(v, wide_dtype(numerics)).ravel() for v in np.broadcast_arrays(n, d))
    out = np.empty_like(x)
    _divide(Arithmetic(numerics, DIGEST), x, y, out)
    return out.astype(sum_dtype(numerics)).reshape(np.broadcast_shapes(n.shape, d.shape))
