"""Arithmetic: the machine's number formats, its rounding, and the order of its sums."""

from caterpillar.numerics.order import Combine, GemvOrder, Order

__all__ = ["Combine", "GemvOrder", "Order"]
