"""The control word's bits hold what the fields say."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from caterpillar.checks import SpecError
from caterpillar.machine import PAPER_A
from caterpillar.mapping import Schedule, place
from caterpillar.mapping.encoding import BITS, WORD_BITS, decode, encode
from caterpillar.mapping.isa import COLUMN_OF, FIELDS
from caterpillar.mapping.schedule import expand
from caterpillar.network import Network
from caterpillar.rules import sgd


def test_there_and_back() -> None:
    schedule = place(sgd()(Network.mlp(784, 500, 500, 500, 10)), PAPER_A)
    assert isinstance(schedule, Schedule)
    control = expand(schedule.steady)
    words = encode(control)
    assert max(words).bit_length() <= WORD_BITS
    np.testing.assert_array_equal(decode(words), control)


def test_a_value_that_does_not_fit_its_field() -> None:
    control = np.zeros((3, len(FIELDS)), np.int32)
    control[2, COLUMN_OF["row_column"]] = 128
    with pytest.raises(SpecError, match=r"cycle 2: row_column must be in \[0, 127\], got 128"):
        encode(control)


def test_the_page_gives_the_same_widths() -> None:
    page = (Path(__file__).parents[2] / "docs" / "machine.md").read_text()
    assert f"{WORD_BITS} bits" in page
    table = page[page.index("| unit | field: bits |") : page.index("Operand codes")]
    widths = sorted(int(bits) for bits in re.findall(r"[a-z]+: (\d+)", table))
    shared = [bits for name, bits in BITS.items() if not name.startswith("b1")]  # the page has one of the two ports
    assert widths == sorted(shared)
