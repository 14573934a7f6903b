"""exp, tanh, sigmoid, division and log: near the true values, exact at the ends, the same in every number."""

import math

import numpy as np
import pytest

from caterpillar.numerics import elementwise, functions

UNIT = {"fp16": 2.0**-10, "fp32": 2.0**-23, "fp64": 2.0**-52}
SMALLEST_NORMAL = {"fp16": 2.0**-14, "fp32": 2.0**-126, "fp64": 2.0**-1022}
TYPES = {"fp16": np.float16, "fp32": np.float32, "fp64": np.float64}
TRUE = {"exp": np.exp, "tanh": np.tanh, "sigmoid": lambda x: 1 / (1 + np.exp(-x))}


def units_off(got, true, numerics):
    scale = np.maximum(np.abs(true), SMALLEST_NORMAL[numerics]) * UNIT[numerics]
    return float(np.max(np.abs(got.astype(np.longdouble) - true) / scale))


@pytest.mark.parametrize("numerics", UNIT)
@pytest.mark.parametrize("name", TRUE)
def test_functions_are_within_two_units(name, numerics):
    low, high = (-16.0, 0.0) if name == "exp" else (-9.0, 9.0)
    x = np.linspace(low, high, 20_001).astype(TYPES[numerics])
    got = elementwise.activation(name, x, numerics)
    assert got.dtype == TYPES[numerics]
    assert units_off(got, TRUE[name](x.astype(np.longdouble)), numerics) < 2


@pytest.mark.parametrize("numerics", UNIT)
def test_ends(numerics):
    kind = TYPES[numerics]
    x = np.array([-1e4, -100.0, 0.0, 100.0, 1e4]).astype(kind)
    assert elementwise.activation("tanh", x, numerics).tolist() == [-1, -1, 0, 1, 1]
    assert elementwise.activation("sigmoid", x, numerics)[2:].tolist() == [0.5, 1, 1]
    assert elementwise.activation("exp", x[:3], numerics)[2] == 1
    relu = elementwise.activation("relu", np.array([-1.0, -0.0, 0.0, 2.0]).astype(kind), numerics)
    assert relu.tolist() == [0, 0, 0, 2]
    assert not np.signbit(relu).any()


def test_half_tanh_is_odd_and_falls_by_three_units_at_most():
    x = np.arange(0, 0x7C00, dtype=np.uint16).view(np.float16)
    up, down = elementwise.activation("tanh", x, "fp16"), elementwise.activation("tanh", -x, "fp16")
    assert np.array_equal(up, -down)
    assert (np.diff(up.astype(np.float32)) >= -3 * 2.0**-11).all()  # units of [0.5, 1)
    assert not np.signbit(up).any()


def test_half_division_by_goldschmidt():
    rng = np.random.default_rng(2)
    n, d = rng.uniform(0, 4, 20_000).astype(np.float16), rng.uniform(0.01, 900, 20_000).astype(np.float16)
    assert units_off(elementwise.divide(n, d, "fp16"), n.astype(np.longdouble) / d, "fp16") < 2
    powers = 2.0 ** np.arange(-5, 6).astype(np.float16)
    assert units_off(elementwise.divide(powers, powers, "fp16"), np.ones(11, np.longdouble), "fp16") <= 1


def test_other_formats_divide_as_ieee():
    rng = np.random.default_rng(3)
    n, d = rng.uniform(0, 4, 1000).astype(np.float32), rng.uniform(0.01, 900, 1000).astype(np.float32)
    assert np.array_equal(elementwise.divide(n, d, "fp32"), n / d)


@pytest.mark.parametrize("x", [1.0, 0.5, 2.0, 1e-30, 7.3, 1e12, 1.4142135623730951])
def test_log(x):
    assert functions.log(x) == pytest.approx(math.log(x), rel=1e-15, abs=1e-16)
