"""SRAM organisations: the table as shipped, interpolation, other nodes, and the clock."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from caterpillar.checks import UsageError
from caterpillar.cost.technology.sram import MEASURED, contenders, designs, table


def one(**wanted):
    """The one LOP design, optimised for energy x delay squared, that answers to wanted."""
    found = [s for s in designs(**wanted) if (s.cell, s.periphery, s.objective) == ("lop", "lop", "ED2")]
    assert len(found) == 1
    return found[0]


def test_the_table_has_every_entry_once_and_positive():
    entries = [s for family in table().values() for design in family.values() for s in design]
    assert len(entries) == 6120
    for sram in entries:
        assert all(getattr(sram, name) > 0 for name in MEASURED), sram
    for family in table().values():
        for design in family.values():
            capacities = [s.capacity_bytes for s in design]
            assert capacities == sorted(set(capacities))


def test_an_entry_is_cacti_s():
    sram = one(node_nm=45, capacity_bytes=16384, word_bits=16)
    assert (sram.read_pj, sram.write_pj, sram.leakage_mw) == (5.08571, 2.13807, 1.079072)
    assert (sram.area_mm2, sram.access_ns, sram.cycle_ns) == (0.0508233, 0.705208, 0.72453)


def test_between_two_capacities_lies_between_their_entries():
    low, mid, high = (one(node_nm=45, capacity_bytes=c, word_bits=16) for c in (16384, 23170, 32768))
    assert mid.area_mm2 == pytest.approx(math.sqrt(low.area_mm2 * high.area_mm2), rel=1e-4)
    assert mid.capacity_bytes == 23170
    assert one(node_nm=45, capacity_bytes=100, word_bits=16).capacity_bytes == 256  # the smallest there is


def test_a_narrower_word_takes_the_next_wider_entry():
    assert one(node_nm=45, capacity_bytes=16384, word_bits=48).word_bits == 64


def test_two_ports_go_to_another_node_by_the_ratio_of_one():
    at_45 = one(node_nm=45, capacity_bytes=512, word_bits=16, ports="1R1W")
    at_22 = one(node_nm=22, capacity_bytes=512, word_bits=16, ports="1R1W")
    ratio = (
        one(node_nm=22, capacity_bytes=512, word_bits=16).read_pj
        / one(node_nm=45, capacity_bytes=512, word_bits=16).read_pj
    )
    assert at_22.read_pj == pytest.approx(at_45.read_pj * ratio)
    assert at_22.node_nm == 22


@settings(deadline=None, max_examples=50)
@given(
    capacity=st.integers(64, 1 << 20),
    word_bits=st.sampled_from((16, 32, 64, 128)),
    node=st.sampled_from((90, 65, 45, 32, 22)),
    clock=st.floats(1e8, 1e9),
    cycles=st.integers(1, 4),
)
def test_the_first_contender_keeps_up_with_the_clock_and_is_the_cheapest(capacity, word_bits, node, clock, cycles):
    wanted = {"node_nm": node, "capacity_bytes": capacity, "word_bits": word_bits}
    fits = [s for s in designs(**wanted) if s.cycle_ns * clock <= 1e9 and s.access_ns * clock <= cycles * 1e9]
    if not fits:
        with pytest.raises(UsageError, match="keeps up with clock_hz"):
            contenders(**wanted, clock_hz=clock, read_cycles=cycles)
        return
    sram = contenders(**wanted, clock_hz=clock, read_cycles=cycles)[0]
    assert sram.keeps_up(clock)
    assert sram.read_cycles(clock) <= cycles
    assert sram.busy_pj(clock) == min(s.busy_pj(clock) for s in fits)


def test_a_clock_too_fast_is_refused_with_the_fastest_memory():
    with pytest.raises(UsageError, match=r"16384 bytes in 16-bit words at 45 nm keeps up with clock_hz 5e\+09"):
        contenders(node_nm=45, capacity_bytes=16384, word_bits=16, clock_hz=5e9, read_cycles=2)


def test_what_the_table_does_not_have_is_refused():
    with pytest.raises(UsageError, match="the table ends at 4 MB"):
        contenders(node_nm=45, capacity_bytes=8 << 20, word_bits=16, clock_hz=1e8, read_cycles=8)
    with pytest.raises(UsageError, match="no SRAM of 512-bit words"):
        designs(node_nm=45, capacity_bytes=16384, word_bits=512)


def test_banks_share_the_clock():
    wanted = {"node_nm": 45, "capacity_bytes": 1 << 19, "word_bits": 64, "clock_hz": 1e9, "read_cycles": 8}
    one_bank = contenders(**wanted)[0]
    banked = contenders(**wanted, banks=(1, 2, 4, 8))[0]
    assert banked.banks > 1
    assert banked.capacity_bytes == one_bank.capacity_bytes == 1 << 19
    assert banked.cycle_ns / banked.banks <= 1
    assert banked.busy_pj(1e9) < one_bank.busy_pj(1e9)
