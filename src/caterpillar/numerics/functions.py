"""exp, tanh, sigmoid, division and log as fixed sequences of IEEE operations: no libm, so the same bits everywhere.

All of them rest on one polynomial, q(r) = e^r - 1 = r + r^2 (1/2! + r (1/3! + ...)) for |r| <= ln(2)/2, Taylor's, cut
off below half a unit in the last place: up to r^4 in half, r^7 in float32, r^13 in float64. x = k ln 2 + r gives
e^x = 2^k q + 2^k and e^x - 1 = 2^k q + (2^k - 1), one FMA each. In half every step is a half FMA, and division is a
table of 64 reciprocals with one Goldschmidt step, so that hardware can be built from this page:

    exp(x), x <= 0        x at least -16.5;  k = round(x log2 e) by adding and subtracting 1536;
                          r = x - k ln2_high - k ln2_low, two FMAs
    n / d, 0 <= n, 0 < d  d = m 2^e, 1 <= m < 2;  y = TABLE[first six bits of m's fraction];
                          q = n y;  q = q + q (1 - m y), two FMAs;  q 2^-e
    tanh(x)               t = e^(2|x|) - 1, |x| at most 5;  t / (t + 2), with the sign of x
    sigmoid(x)            z = e^-|x|;  1 / (1 + z), or z / (1 + z) for x < 0
"""

# pyright: basic, reportArgumentType=false, reportCallIssue=false

from __future__ import annotations

import math

import numpy as np
from numba import njit

from caterpillar.numerics.constants import by_width, float_bits, number, power_of_two
from caterpillar.numerics.vector import add, div, fma, mul

RECIPROCALS = tuple(float(np.float16(1 / (1 + (k + 0.5) / 64))) for k in range(64))
INVERSE_FACTORIALS = tuple(1 / math.factorial(n) for n in range(14))
RELU, TANH, SIGMOID = 0, 1, 2


@njit(inline="always")
def _split(ar, x):
    """2^k and q(r) for x = k ln 2 + r."""
    magic = number(ar, by_width(ar, 1536.0, 12582912.0, 6755399441055744.0))
    rounded = fma(ar, x, number(ar, 1.4426950408889634), magic)
    k = add(ar, rounded, -magic)
    high = number(ar, by_width(ar, 0.693359375, 0.693147182464599609375, 0.6931471805599453094))
    low = number(ar, by_width(ar, -2.1219444005469057e-4, -1.904654299957768e-9, 2.3190468138462996e-17))
    r = fma(ar, -k, low, fma(ar, -k, high, x))
    last = by_width(ar, 4, 7, 13)
    p = number(ar, INVERSE_FACTORIALS[last])
    for n in range(last - 1, 1, -1):
        p = fma(ar, p, r, number(ar, INVERSE_FACTORIALS[n]))
    return power_of_two(ar, np.int64(k)), fma(ar, mul(ar, r, r), p, r)


@njit
def exp_negative(ar, x):
    """e^x for x <= 0; below the format's range it stays at its smallest value."""
    lowest = number(ar, by_width(ar, -16.5, -87.0, -708.0))
    scale, q = _split(ar, x if x > lowest else lowest)
    return fma(ar, scale, q, scale)


@njit
def divide(ar, n, d):
    """n / d for 0 <= n, 0 < d; in half by table and Goldschmidt, else as IEEE."""
    if by_width(ar, 0, 1, 1):
        return div(ar, n, d)
    bits = float_bits(ar, d)
    exponent = (bits >> 23) - 127
    m = mul(ar, d, power_of_two(ar, -exponent))
    y = number(ar, RECIPROCALS[(bits >> 17) & 63])
    q = mul(ar, n, y)
    q = fma(ar, q, fma(ar, -m, y, number(ar, 1.0)), q)
    return mul(ar, q, power_of_two(ar, -exponent))


@njit
def tanh(ar, x):
    """tanh x."""
    size = x if x > 0 else -x
    highest = number(ar, by_width(ar, 5.0, 10.0, 20.0))
    size = size if size < highest else highest
    scale, q = _split(ar, add(ar, size, size))
    one = number(ar, 1.0)
    t = fma(ar, scale, q, add(ar, scale, -one))
    result = divide(ar, t, add(ar, t, number(ar, 2.0)))
    return result if x >= 0 else -result


@njit
def sigmoid(ar, x):
    """1 / (1 + e^-x)."""
    z = exp_negative(ar, -x if x > 0 else x)
    one = number(ar, 1.0)
    return divide(ar, one if x > 0 else z, add(ar, one, z))


@njit
def activate(ar, code, a):
    """h = f(a); ReLU gives +0 for anything not above zero."""
    if code == RELU:
        return a if a > 0 else number(ar, 0.0)
    if code == TANH:
        return tanh(ar, a)
    return sigmoid(ar, a)


@njit
def through_slope(ar, code, s, h):
    """s f'(a), from h = f(a): ReLU h > 0, tanh 1 - h^2, sigmoid h - h^2."""
    if code == RELU:
        return s if h > 0 else number(ar, 0.0)
    if code == TANH:
        return mul(ar, s, fma(ar, -h, h, number(ar, 1.0)))
    return mul(ar, s, fma(ar, -h, h, h))


@njit
def log(x):
    """ln x in float64, for normal x > 0: 2 atanh((m - 1) / (m + 1)) as a series, plus the exponent's part."""
    exponent, m = 0, x
    while m > 1.4142135623730951:
        m *= 0.5
        exponent += 1
    while m < 0.7071067811865476:
        m *= 2.0
        exponent -= 1
    z = (m - 1.0) / (m + 1.0)
    square, series = z * z, 0.0
    for n in range(23, 0, -2):
        series = series * square + 1.0 / n
    return exponent * 0.6931471805599453 + 2.0 * z * series
