"""What prices say of the control word is what the executed schedules of the paper's small network have."""

import pytest

from caterpillar.cost import CACTI, control, leaves
from caterpillar.cost.activity import measured
from caterpillar.cost.physical import control_pj
from caterpillar.machine import PAPER_A
from caterpillar.mapping import Schedule, place
from caterpillar.mapping.encoding import BITS, WORD_BITS
from caterpillar.mapping.isa import FORWARD, Instruction, Loop, MicroProgram
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


def test_bytes_of_a_program_by_hand() -> None:
    """Fields of 2 and 19 bits and a loop that steps the latter; a field of 1 bit. A start takes 13 bits, a loop 26."""
    loop = Loop(count=3, period=2, strides=(("a_address", 1),))
    first = Instruction(unit="mem_a", start=0, fields=(("a_op", 1), ("a_address", 5)), loops=(loop,), kinds=FORWARD)
    second = Instruction(unit="fma", start=1, fields=(("fma", 1),), loops=(), kinds=FORWARD)
    program = MicroProgram(cycles=9, instructions=(first, second), phases=())
    assert control.program_bytes(program) == -(-((13 + 2 + 19 + 26 + 19) + (13 + 1)) // 8)


def test_the_store_holds_a_steady_tick_of_one_sample() -> None:
    for rule in (sgd(), fa(), dfa()):
        schedule = place(rule(N1), PAPER_A)
        assert isinstance(schedule, Schedule)
        assert control.program_bytes(schedule.steady) <= control.STORE_BYTES
        assert max(len(one.loops) for one in schedule.steady.instructions) <= control.LOOPS


def test_bits_of_the_control_word() -> None:
    assert set(control.CORE_FIELDS) | set(control.SWITCHES) <= set(BITS)
    assert control.pe_word_bits() == WORD_BITS - 3 - 2 - 16 - (13 + 16) - 8 * 4
    assert control.switch_bits() == 2 + 2 + 2 + 1 + 1 + 1
