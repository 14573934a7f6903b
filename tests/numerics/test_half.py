"""Half-precision arithmetic against Berkeley TestFloat, float64 and exact fractions, on both code paths."""

import doctest
import gzip
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numba import njit

from caterpillar.checks import SpecError
from caterpillar.numerics import Array, elementwise, fma, from_storage, fused, to_storage
from caterpillar.numerics.arithmetic_type import Arithmetic, has_avx512
from caterpillar.numerics.vector import add, mul, stored

DATA = Path(__file__).parent / "data"
PATHS = [False] + ([True] if has_avx512() else [])
BITS = st.integers(0, 0xFFFF)


def vectors(name: str, columns: int) -> list[Array]:
    with gzip.open(next(DATA.glob(f"{name}.*.gz")), "rt") as file:
        rows = [line.split()[:columns] for line in file]
    return [np.array([int(row[k], 16) for row in rows]) for k in range(columns)]


def halves(bits: Array) -> Array:
    return bits.astype(np.uint16).view(np.float16)


def assert_same(got: Array, want: Array) -> None:
    """Equal bits, any NaN for a NaN."""
    got_bits, want_bits, nan = got.view(np.uint16), want.view(np.uint16), np.isnan(want)
    assert np.isnan(got[nan]).all()
    wrong = np.flatnonzero((got_bits != want_bits) & ~nan)
    assert not len(wrong), (
        f"{len(wrong)} wrong, first at {wrong[0]}: {got_bits[wrong[0]]:04x}, not {want_bits[wrong[0]]:04x}"
    )


@njit
def _scalars(ar, operation, a, b, out):
    for i in range(a.size):
        if operation == 0:
            out[i] = add(ar, a[i], b[i])
        elif operation == 1:
            out[i] = mul(ar, a[i], b[i])
        else:
            out[i] = stored(ar, a[i])


def scalars(operation: int, a: Array, b: Array) -> Array:
    wide = a.astype(np.float32), b.astype(np.float32)
    out = np.empty_like(wide[0])
    _scalars(Arithmetic("fp16", "test"), operation, *wide, out)
    return out.astype(np.float16)


@pytest.mark.parametrize("avx512", PATHS)
def test_fma_gives_testfloats_results(avx512):
    a, b, c, want = (halves(column) for column in vectors("f16_mulAdd", 4))
    assert len(want) == 300_000
    assert_same(elementwise.fma(a, b, c, "fp16", avx512=avx512), want)


def test_scalar_add_gives_testfloats_results():
    a, b, want = (halves(column) for column in vectors("f16_add", 3))
    assert_same(scalars(0, a, b), want)


def test_scalar_mul_gives_testfloats_results():
    a, b, want = (halves(column) for column in vectors("f16_mul", 3))
    assert_same(scalars(1, a, b), want)


def test_storing_gives_testfloats_results():
    single, want = vectors("f32_to_f16", 2)
    values = single.astype(np.uint32).view(np.float32)
    out = np.empty_like(values)
    _scalars(Arithmetic("fp16", "test"), 2, values, values, out)
    with np.errstate(invalid="ignore"):
        assert_same(out.astype(np.float16), halves(want))
    assert_same(to_storage(values, "fp16"), halves(want))


def exact_half(value: Fraction) -> np.float16:
    """The nearest half, ties to even, by integer arithmetic; the value is not zero."""
    size, sign = abs(value), -1.0 if value < 0 else 1.0
    exponent = max(size.numerator.bit_length() - size.denominator.bit_length(), -14)
    exponent = max(exponent - 1, -14) if size < Fraction(2) ** exponent else exponent
    units = round(size / Fraction(2) ** (exponent - 10))  # round() is to nearest, ties to even
    result = Fraction(units) * Fraction(2) ** (exponent - 10)
    return np.float16(sign * (np.inf if result > 65504 else float(result)))


def finite(bits: int) -> bool:
    return bits & 0x7C00 != 0x7C00


@given(st.lists(st.tuples(BITS.filter(finite), BITS.filter(finite), BITS.filter(finite)), min_size=1, max_size=40))
def test_fma_is_the_exact_result_rounded_once(cases):
    a, b, c = (halves(np.array(column)) for column in zip(*cases, strict=True))
    for avx512 in PATHS:
        got = elementwise.fma(a, b, c, "fp16", avx512=avx512)
        for x, y, z, result in zip(a, b, c, got, strict=True):
            exact = Fraction(float(x)) * Fraction(float(y)) + Fraction(float(z))
            if exact:
                assert result.view(np.uint16) == exact_half(exact).view(np.uint16)
            else:
                assert result == 0


EDGES = np.array(
    [0x0000, 0x8000, 0x0001, 0x8001, 0x03FF, 0x0400, 0x8400, 0x3C00, 0xBC00, 0x3C01, 0x3BFF, 0x7BFF, 0xFBFF, 0x7C00,
     0xFC00, 0x7E00, 0x1400, 0x13FF, 0x6400, 0x6401, 0x0200, 0x5BFF]
)  # fmt: skip


def test_edges_as_float64_has_them():
    """Zeros of both signs, subnormals, midpoints, overflow, infinities and NaN, every combination.

    Where float64 holds the sum exactly, and it nearly always does, NumPy's one rounding from it is the right one.
    """
    a, b, c = (halves(grid.ravel()) for grid in np.meshgrid(EDGES, EDGES, EDGES))
    with np.errstate(all="ignore"):
        exact = a.astype(np.float64) * b + c.astype(np.float64)
        want = exact.astype(np.float16)
    fits = np.isnan(exact) | np.isinf(exact) | (np.abs(exact) == 0) | fits_in_float64(a, b, c)
    assert fits.mean() > 0.95
    for avx512 in PATHS:
        assert_same(elementwise.fma(a, b, c, "fp16", avx512=avx512)[fits], want[fits])


def fits_in_float64(a: Array, b: Array, c: Array) -> Array:
    """Where a * b + c is exact in float64."""
    exact = [Fraction(float(x)) * Fraction(float(y)) + Fraction(float(z)) if np.isfinite([x, y, z]).all() else None
             for x, y, z in zip(a, b, c, strict=True)]  # fmt: skip
    with np.errstate(all="ignore"):
        return np.array([v is not None and Fraction(float(v)) == v for v in exact])


def test_bfloat_rounds_to_nearest_even():
    values = np.array([1.0, 1 + 2**-8, 1 + 3 * 2**-8, 1 + 2**-8 + 2**-20, -0.0, 3.4e38, np.inf, 1e-40], np.float32)
    back = from_storage(to_storage(values, "bf16-fp32acc"), "bf16-fp32acc")
    assert back[:4].tolist() == [1.0, 1.0, 1 + 2**-6, 1 + 2**-7]
    assert np.signbit(back[4])
    assert np.isinf(back[5])
    assert np.isinf(back[6])
    assert 0 < back[7] < 1.1e-40
    assert np.isnan(from_storage(to_storage(np.array([np.nan]), "bf16-fp32acc"), "bf16-fp32acc")).all()


def test_storing_in_a_kernel_is_to_storage():
    values = np.random.default_rng(0).integers(0, 2**32, 20_000, np.uint64).astype(np.uint32).view(np.float32)
    values = values[~np.isnan(values)]
    for numerics in ("fp16-fp32acc", "bf16-fp32acc"):
        out = np.empty_like(values)
        _scalars(Arithmetic(numerics, "test"), 2, values, values, out)
        assert np.array_equal(out, from_storage(to_storage(values, numerics), numerics))


def test_fma_of_other_formats_rounds_once():
    rng = np.random.default_rng(1)
    a, b = (rng.standard_normal(1000).astype(np.float16) for _ in range(2))
    c = rng.standard_normal(1000).astype(np.float32)
    exact = a.astype(np.float64) * b.astype(np.float64) + c
    assert np.array_equal(fma(a, b, c, "fp16-fp32acc"), exact.astype(np.float32))
    x = a.astype(np.float32)
    assert np.array_equal(fma(x, x, -x * x, "fp32"), (x.astype(np.float64) ** 2 - x * x).astype(np.float32))


def test_fma_broadcasts_and_refuses_other_types():
    assert fma(np.float16(2), np.ones((3, 1), np.float16), np.zeros(5, np.float16)).shape == (3, 5)
    with pytest.raises(SpecError, match="a must be an array of float16 for fp16, got float64"):
        fma(np.float64(2), np.float16(1), np.float16(1))
    with pytest.raises(SpecError, match="numerics must be one of"):
        fma(np.float16(2), np.float16(1), np.float16(1), "fp8")  # type: ignore[arg-type]


def test_the_docstring_s_example_is_one_rounding_and_not_two():
    assert doctest.testmod(fused).failed == 0
    assert doctest.testmod(fused).attempted == 2


def test_shapes_that_do_not_broadcast_are_named():
    one, other = np.zeros(3, np.float16), np.zeros(2, np.float16)
    with pytest.raises(SpecError, match=r"shapes that broadcast, got \(3,\), \(2,\), \(3,\)"):
        fma(one, other, one)
