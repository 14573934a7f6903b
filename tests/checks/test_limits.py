"""Limits: one table checks a field and words the error."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caterpillar.checks import Choice, DataError, Diverged, Infeasible, Limit, OutputError, SpecError, UsageError, check

COUNT = Limit("count", int, 1, 60_000_000, "things")
RATE = Limit("rate", float, 0.5, 2.0)
COLOUR = Choice("colour", ("red", "green"))


@dataclass
class Thing:
    count: object = 1
    rate: object = 1.0
    colour: object = "red"


@given(value=st.integers())
def test_a_whole_number_passes_within_its_limits_only(value: int):
    if 1 <= value <= 60_000_000:
        check(Thing(count=value), (COUNT,))
    else:
        with pytest.raises(SpecError):
            check(Thing(count=value), (COUNT,))


@pytest.mark.parametrize("value", [1.5, 2.0, True, "3", None, float("nan")])
def test_what_is_no_whole_number_is_refused(value: object):
    with pytest.raises(SpecError, match=r"^Thing.count must be an int in \[1, 60000000\] things, got ") as raised:
        check(Thing(count=value), (COUNT,))
    assert str(raised.value).endswith(f"got {value!r}")


@pytest.mark.parametrize("value", [0.49, 2.01, float("nan"), float("inf"), -1, True, "1", None])
def test_what_is_no_number_in_the_range_is_refused(value: object):
    with pytest.raises(SpecError, match=r"^Thing.rate must be a number in \[0.5, 2\], got "):
        check(Thing(rate=value), (RATE,))


@pytest.mark.parametrize("value", [0.5, 1, 2.0])
def test_numbers_in_the_range_pass(value: float):
    check(Thing(rate=value), (RATE, COUNT, COLOUR))


def test_a_choice_names_what_is_allowed():
    with pytest.raises(SpecError, match=r"^Thing.colour must be one of red, green, got 'blue'$"):
        check(Thing(colour="blue"), (COLOUR,))


def test_exit_statuses():
    for error in (UsageError, SpecError, DataError, OutputError):
        assert issubclass(error, ValueError)
        assert error.exit_status == 2
    diverged = Diverged(epoch=2, tick=5, layer=3, what="NaN")
    assert diverged.exit_status == 1
    assert str(diverged).startswith("training diverged: NaN in layer 3, epoch 2, tick 5; try a lower")


def test_infeasible_says_by_how_much_and_what_helps():
    answer = Infeasible(what="MEM B of a PE", needs_bytes=600, has_bytes=512, hint="raise pe_mem_b_bytes")
    assert str(answer) == "MEM B of a PE needs 600 bytes and has 512: raise pe_mem_b_bytes"


@pytest.mark.parametrize("value", [1, "True", None])
def test_a_choice_minds_the_type(value: object):
    with pytest.raises(SpecError, match=r"^Thing.colour must be one of False, True, got "):
        check(Thing(colour=value), (Choice("colour", (False, True)),))
