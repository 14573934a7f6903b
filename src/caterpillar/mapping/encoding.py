"""The control word as bits: the fields in the order of isa.FIELDS, the first in the lowest bits."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from caterpillar.checks import SpecError
from caterpillar.mapping.isa import FIELDS, Control

BITS = {
    "a_op": 2,
    "a_address": 19,
    "a_slot": 9,
    "a_queue": 4,
    "a_lag": 4,
    "b0_op": 2,
    "b0_address": 15,
    "b0_slot": 9,
    "b0_mode": 3,
    "b0_offset": 15,
    "b0_bits": 4,
    "b0_queue": 4,
    "b0_lag": 4,
    "b1_op": 2,
    "b1_address": 15,
    "b1_slot": 9,
    "b1_mode": 3,
    "b1_offset": 15,
    "b1_bits": 4,
    "b1_queue": 4,
    "b1_lag": 4,
    "fma": 1,
    "fma_a": 9,
    "fma_b": 9,
    "fma_c": 9,
    "fma_to": 10,
    "fma_flags": 3,
    "fma_gate": 10,
    "row_from": 3,
    "row_column": 7,
    "row_slot": 9,
    "row_to": 8,
    "row_mask": 6,
    "row_send": 2,
    "row_address": 16,
    "row_queue": 4,
    "row_lag": 4,
    "column_on": 1,
    "column_row": 7,
    "column_slot": 9,
    "link_on": 1,
    "link_bit": 4,
    "link_slot": 9,
    "softmax_on": 13,
    "softmax_label": 16,
}
SIGNED = ("fma_to", "fma_gate", "row_to")  # two's complement: below zero are their special meanings
WORD_BITS = sum(BITS.values())


def encode(control: Control) -> list[int]:
    """Each cycle's control word as a number of WORD_BITS bits. Raises SpecError where a value exceeds its field."""
    words = [0] * len(control)
    shift = 0
    for name, column in zip(FIELDS, control.T, strict=True):
        bits = BITS[name]
        low = -(1 << (bits - 1)) if name in SIGNED else 0
        bad = np.flatnonzero((column < low) | (column >= low + (1 << bits)))
        if len(bad):
            cycle = int(bad[0])
            raise SpecError(f"cycle {cycle}: {name} must be in [{low}, {low + (1 << bits) - 1}], got {column[cycle]}")
        mask = (1 << bits) - 1
        for cycle in np.flatnonzero(column):
            words[cycle] |= (int(column[cycle]) & mask) << shift
        shift += bits
    return words


def decode(words: list[int]) -> Control:
    """The control words of encoded ones."""
    control: NDArray[np.int32] = np.zeros((len(words), len(FIELDS)), np.int32)
    for cycle, word in enumerate(words):
        rest = word
        for index, name in enumerate(FIELDS):
            bits = BITS[name]
            value = rest & ((1 << bits) - 1)
            control[cycle, index] = value - (1 << bits) if name in SIGNED and value >> (bits - 1) else value
            rest >>= bits
    return control
