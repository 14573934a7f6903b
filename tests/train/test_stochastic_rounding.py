"""Stochastic rounding of the update: unbiased, to a neighbour, the same for any threads, order and resumption."""

import numpy as np
import pytest
from numba import njit

from caterpillar.network import Network
from caterpillar.numerics import from_storage, to_storage
from caterpillar.numerics.arithmetic_type import Arithmetic
from caterpillar.numerics.stochastic import fma_update
from caterpillar.numerics.vector import load, splat, store
from caterpillar.rules import cp, mbgd, sgd
from caterpillar.train import train
from caterpillar.train.default_order import default_order
from tests.train.helpers import last, problem, settings

SIXTEEN_BITS = ["fp16", "fp16-fp32acc", "bf16-fp32acc"]
NET = Network.mlp(20, 40, 33, 5)


@njit
def _draw(ar, value, key, out):
    one = load(ar, value, 0)
    for i in range(0, out.size, 16):
        store(ar, out, i, fma_update(ar, splat(ar, value[16]), splat(ar, value[16]), one, key, i))


def draws(value: float, numerics: str, count: int = 65_536, key: int = 12345) -> np.ndarray:
    """The value, rounded at random, by many weights."""
    values = np.array([value] * 16 + [0.0], np.float32)
    out = np.empty(count, np.float32)
    _draw(Arithmetic(numerics, "test", stochastic=True), values, key, out)
    return out


def neighbours(value: float, numerics: str) -> tuple[float, float]:
    near = to_storage(np.array([value], np.float32), numerics)
    bits = near.view(np.uint16).astype(np.int64)
    options = [np.array([int(bits[0]) + k], np.uint16).view(near.dtype) for k in (-1, 0, 1)]
    floats = sorted(float(from_storage(option, numerics)[0]) for option in options)
    return max(x for x in floats if x <= value), min(x for x in floats if x >= value)


VALUES = [1.0003, -1.0003, 0.1, 65000.0, 3.1e-5, -3.1e-5, 1.7e-7, 6.2e-5]


@pytest.mark.parametrize("numerics", ["fp16", "bf16-fp32acc"])
@pytest.mark.parametrize("value", VALUES)
def test_a_value_goes_to_its_neighbours_without_bias(value, numerics):
    exact, got = float(np.float32(value)), draws(value, numerics)
    low, high = neighbours(exact, numerics)
    assert set(np.unique(got).tolist()) == {low, high}
    up, chance = float(np.mean(got == high)), (exact - low) / (high - low)
    assert abs(up - chance) < 5 * (chance * (1 - chance) / len(got)) ** 0.5 + 2.0**-12


@pytest.mark.parametrize("numerics", SIXTEEN_BITS)
def test_stored_values_stay(numerics):
    values = [0.0, 1.0, -2.5, 2.0**-20] + ([np.inf] if numerics != "fp16" else [])
    for value in values:
        assert (draws(value, numerics, 1024) == value).all()


def test_keys_and_weights_draw_independently():
    first, second = (draws(1.0003, "fp16", key=key) > 1.0003 for key in (1, 2))
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.02
    assert abs(np.corrcoef(first[:-1], first[1:])[0, 1]) < 0.02


@pytest.mark.parametrize("numerics", SIXTEEN_BITS)
@pytest.mark.parametrize("rule", [sgd(), cp(), mbgd(4), mbgd(4, momentum=0.9)])
def test_threads_skipping_and_resumption_change_nothing(rule, numerics):
    program, samples = rule(NET), problem(NET, 21)
    how = {"numerics": numerics, "stochastic_rounding": True, "learning_rate": 0.01}
    shas = {
        last(program, samples, settings(threads=threads, skip_zeros=skip, **how)).state.weights_sha256
        for threads, skip in ((1, True), (2, True), (1, False))
    }
    first = next(train(program, samples, settings(**how), test=samples))
    shas.add(last(program, samples, settings(**how), state=first.state).state.weights_sha256)
    assert len(shas) == 1
    assert shas != {last(program, samples, settings(numerics=numerics, learning_rate=0.01)).state.weights_sha256}
    assert shas != {last(program, samples, settings(seed=1, **how)).state.weights_sha256}


def test_the_kernels_for_any_order_draw_the_same():
    """A single layer of few outputs: its sums are the same in any order, so its weights must be too."""
    program = sgd()(Network.mlp(1, 3))
    samples, how = problem(program.network, 9), settings(numerics="fp16", stochastic_rounding=True)
    other = default_order(program).layers[0]
    order = default_order(program)
    order = type(order)(layers=(type(other)(bounds=(0, 1, 3)),), feedback=(None,))
    assert (
        last(program, samples, how).state.weights_sha256
        == last(program, samples, how, order=order).state.weights_sha256
    )


def test_small_updates_arrive_on_average():
    """Updates below half a unit in the last place: lost by rounding to nearest, kept by stochastic rounding."""
    network = Network.mlp(20, 5)
    samples, rate = problem(network, 200), {"learning_rate": 2e-5, "epochs": 4}
    moved = {}
    for name, how in (
        ("exact", settings(**rate)),
        ("nearest", settings(numerics="fp16", **rate)),
        ("stochastic", settings(numerics="fp16", stochastic_rounding=True, **rate)),
    ):
        start = next(train(sgd()(network), samples, settings(**{**rate, "epochs": 1, "learning_rate": 1e-9,
                     "numerics": how.numerics}), test=samples)).state.weights[0].astype(np.float64)  # fmt: skip
        moved[name] = last(sgd()(network), samples, how).state.weights[0].astype(np.float64) - start
    shares = {
        name: float(np.vdot(moved[name], moved["exact"]) / np.vdot(moved["exact"], moved["exact"])) for name in moved
    }
    assert shares["nearest"] < 0.6
    assert 0.8 < shares["stochastic"] < 1.2
