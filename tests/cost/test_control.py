"""What prices say of the control word is what the executed schedules of the paper's small network have."""

import pytest

from caterpillar.cost import CACTI, control, leaves
from caterpillar.cost.activity import measured
from caterpillar.cost.physical import control_pj
from caterpillar.machine import PAPER_A
from caterpillar.mapping import Schedule, place
from caterpillar.mapping.encoding import BITS, WORD_BITS
from caterpillar.network import parse_network
from caterpillar.rules import dfa, fa, sgd

N1 = parse_network("500-500-500-10")


def test_activity_is_that_of_the_executed_schedules() -> None:
    found: list[tuple[float, ...]] = []
    for rule in (sgd(), fa(), dfa()):
        schedule = place(rule(N1), PAPER_A)
        assert isinstance(schedule, Schedule)
        one = measured(schedule)
        found.append((one.changed_bits, one.toggles, one.issues, one.fetches))
        if rule.name == "sgd":
            assert measured(schedule, hold=False).toggles == pytest.approx(control.TOGGLES[2], rel=0.03)
            _, _, price = next(leaf for leaf in leaves(CACTI.of(PAPER_A)) if leaf[1] == "control")
            assert control_pj(PAPER_A, one) == pytest.approx(price.value, rel=0.03)
    said = (control.CHANGED_BITS, control.TOGGLES, control.ISSUES, control.FETCHES)
    for number, (low, value, high) in enumerate(said):
        assert found[0][number] == pytest.approx(value, rel=0.03)
        assert min(each[number] for each in found) == pytest.approx(low, rel=0.03)
        assert max(each[number] for each in found) < high
    assert control.CHANGED_BITS[2] == control.pe_word_bits() - control.switch_bits()


def test_the_store_holds_a_steady_tick() -> None:
    """Fields at the control word's widths; 13 bits for a start, a count, a period."""
    for rule in (sgd(), fa(), dfa()):
        schedule = place(rule(N1), PAPER_A)
        assert isinstance(schedule, Schedule)
        bits = sum(
            13
            + sum(BITS[name] for name, _ in one.fields)
            + sum(26 + sum(BITS[name] for name, _ in loop.strides) for loop in one.loops)
            for one in schedule.steady.instructions
        )
        assert bits <= 8 * control.STORE_BYTES
        assert max(len(one.loops) for one in schedule.steady.instructions) <= control.LOOPS


def test_bits_of_the_control_word() -> None:
    assert set(control.CORE_FIELDS) | set(control.SWITCHES) <= set(BITS)
    assert control.pe_word_bits() == WORD_BITS - 3 - 2 - 16 - (13 + 16) - 8 * 4
    assert control.switch_bits() == 2 + 2 + 2 + 1 + 1 + 1
