"""What this machine could do at best, measured now: passes over memory, and fused multiply-adds in registers."""

from __future__ import annotations

import time

import numpy as np
from numba import njit

from caterpillar.numerics.arithmetic_type import Arithmetic
from caterpillar.numerics.vector import fma, load, splat, store, zeros
from caterpillar.train.layout import aligned

FP32 = Arithmetic("fp32", "benchmark")


@njit(nogil=True)
def _read(ar, W, out, passes):
    s0, s1, s2, s3, one = zeros(ar), zeros(ar), zeros(ar), zeros(ar), splat(ar, out[0])
    for _ in range(passes):
        for j in range(0, W.size - 63, 64):
            s0, s1 = fma(ar, one, load(ar, W, j), s0), fma(ar, one, load(ar, W, j + 16), s1)
            s2, s3 = fma(ar, one, load(ar, W, j + 32), s2), fma(ar, one, load(ar, W, j + 48), s3)
    store(ar, out, 16, fma(ar, s0, s1, fma(ar, s2, s3, s0)))


@njit(nogil=True)
def _read_and_write(ar, W, out, passes):
    factor = splat(ar, out[0])
    for _ in range(passes):
        for j in range(0, W.size - 63, 64):
            for k in range(j, j + 64, 16):
                store(ar, W, k, fma(ar, factor, factor, load(ar, W, k)))


@njit(nogil=True)
def _multiply_add(ar, rounds, out):
    a, b = splat(ar, out[0]), splat(ar, out[1])
    s0, s1, s2, s3, s4, s5 = zeros(ar), zeros(ar), zeros(ar), zeros(ar), zeros(ar), zeros(ar)
    t0, t1, t2, t3, t4, t5 = zeros(ar), zeros(ar), zeros(ar), zeros(ar), zeros(ar), zeros(ar)
    for _ in range(rounds):
        s0, s1, s2 = fma(ar, a, b, s0), fma(ar, a, b, s1), fma(ar, a, b, s2)
        s3, s4, s5 = fma(ar, a, b, s3), fma(ar, a, b, s4), fma(ar, a, b, s5)
        t0, t1, t2 = fma(ar, a, b, t0), fma(ar, a, b, t1), fma(ar, a, b, t2)
        t3, t4, t5 = fma(ar, a, b, t3), fma(ar, a, b, t4), fma(ar, a, b, t5)
    store(ar, out, 16, fma(ar, s0, s1, fma(ar, s2, s3, fma(ar, s4, s5, t0))))
    store(ar, out, 32, fma(ar, t1, t2, fma(ar, t3, t4, t5)))


class Roofline:
    """Seconds of one pass over the words of a network's weights, and of one fused multiply-add at peak."""

    def __init__(self, words: int) -> None:
        self._weights, self._out = aligned(-(-words // 64) * 64, np.float32), aligned(64, np.float32)
        self._passes = max(4, 100_000_000 // words)  # as long as a round of training
        for _ in range(2):
            self.read(), self.read_and_write(), self.multiply_add()

    def read(self) -> float:
        """Read every weight once."""
        return self._time(_read)

    def read_and_write(self) -> float:
        """Read and write every weight once."""
        return self._time(_read_and_write)

    def multiply_add(self) -> float:
        """One of the sixteen in a vector, with nothing to wait for."""
        rounds = 300_000
        started = time.perf_counter()
        _multiply_add(FP32, rounds, self._out)
        return (time.perf_counter() - started) / (rounds * 12 * 16)

    def _time(self, kernel) -> float:
        started = time.perf_counter()
        kernel(FP32, self._weights, self._out, self._passes)
        return (time.perf_counter() - started) / self._passes
