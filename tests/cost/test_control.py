"""What prices say of the control word is what the executed schedules of the paper's small network have."""

import numpy as np
import pytest

from caterpillar.cost import control
from caterpillar.machine import PAPER_A
from caterpillar.mapping import Schedule, place
from caterpillar.mapping.encoding import BITS, WORD_BITS
from caterpillar.mapping.isa import COLUMN_OF, UNITS
from caterpillar.mapping.schedule import expand
from caterpillar.network import parse_network
from caterpillar.rules import dfa, fa, sgd

N1 = parse_network("500-500-500-10")
ON = {
    "mem_a": "a_op",
    "mem_b0": "b0_op",
    "mem_b1": "b1_op",
    "fma": "fma",
    "row_bus": "row_from",
    "column_bus": "column_on",
    "link": "link_on",
    "softmax": "softmax_on",
}


def activity(schedule: Schedule, *, hold: bool = True) -> tuple[float, float, float, float]:
    """Of a steady tick, a cycle: changed bits of fields, toggles, issues, fetches. hold: an idle unit's fields stay."""
    control_words = expand(schedule.steady).astype(np.int64)
    cycle = np.arange(len(control_words))
    changed = toggles = issues = 0.0
    for unit, names in UNITS.items():
        on = control_words[:, COLUMN_OF[ON[unit]]] != 0
        issues += on.mean()
        held = np.maximum.accumulate(np.where(on, cycle, 0))
        for name in set(names) - set(control.CORE_FIELDS):
            column = control_words[:, COLUMN_OF[name]] & ((1 << BITS[name]) - 1)
            column = column if name in control.SWITCHES or not hold else column[held]
            flips = column[1:] ^ column[:-1]
            toggles += sum(float((flips >> bit & 1).mean()) for bit in range(BITS[name]))
            changed += 0.0 if name in control.SWITCHES else BITS[name] * float((flips != 0).mean())
    return changed, toggles, issues, len(schedule.steady.instructions) / schedule.steady.cycles


def test_activity_is_that_of_the_executed_schedules() -> None:
    measured = []
    for rule in (sgd(), fa(), dfa()):
        schedule = place(rule(N1), PAPER_A)
        assert isinstance(schedule, Schedule)
        measured.append(activity(schedule))
        if rule.name == "sgd":
            assert activity(schedule, hold=False)[1] == pytest.approx(control.TOGGLES[2], rel=0.03)
    said = (control.CHANGED_BITS, control.TOGGLES, control.ISSUES, control.FETCHES)
    for number, (low, value, high) in enumerate(said):
        assert measured[0][number] == pytest.approx(value, rel=0.03)
        assert min(each[number] for each in measured) == pytest.approx(low, rel=0.03)
        assert max(each[number] for each in measured) < high
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
