"""Prices made of a machine's circuits: complete, in their ranges, and moving the right way with the machine."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from caterpillar.checks import UsageError
from caterpillar.cost import (
    CACTI,
    COMPONENTS,
    HOROWITZ,
    area_mm2,
    areas,
    cacti,
    energy_pj,
    energy_range_pj,
    horowitz,
    sensitivity,
)
from caterpillar.cost.circuits import circuits
from caterpillar.cost.energy import leaves
from caterpillar.cost.prices import Prices
from caterpillar.counters import Counters
from caterpillar.machine import PAPER_A, PAPER_B, Machine

COUNTS = st.builds(Counters, **dict.fromkeys(Counters.names(), st.integers(0, 10**9)))
MACHINES = st.builds(
    Machine,
    name=st.just("any"),
    core_rows=st.sampled_from((1, 2)),
    cores_per_row=st.integers(1, 16),
    pe_rows=st.sampled_from((2, 4, 16)),
    pe_cols=st.sampled_from((2, 4, 16)),
    pe_sram_bytes=st.integers(1024, 32768),
    pe_sram_word_bits=st.sampled_from((16, 32, 64)),
    pe_mem_b_bytes=st.sampled_from((64, 512, 1000)),
    pe_registers=st.integers(1, 64),
    core_sram_bytes=st.sampled_from((0, 100_000, 1 << 19)),
    core_sram_words_per_cycle=st.sampled_from((1, 3, 4, 16)),
    ring_words_per_cycle=st.integers(1, 16),
    neighbour_links=st.booleans(),
    clock_hz=st.sampled_from((1e8, 5e8)),
    node_nm=st.sampled_from((90, 65, 45, 32, 22)),
)


@settings(deadline=None, max_examples=60)
@given(MACHINES, COUNTS)
def test_components_sum_to_the_total_for_any_machine_and_counts(machine, counters):
    prices = cacti(machine)
    total = sum(energy_pj(counters, prices).values())
    by_event = sum(getattr(counters, event) * prices.pj(event) for event in Prices.names())
    assert total == pytest.approx(by_event)
    low, high = energy_range_pj(counters, prices)
    assert low <= total * (1 + 1e-12)
    assert total <= high * (1 + 1e-12)
    assert sum(area_mm2(machine, prices).values()) == pytest.approx(
        machine.pes * (prices.areas.fpu.value + prices.areas.pe_sram.value + prices.areas.pe_rest.value)
        + machine.cores * prices.areas.core_sram.value
    )


@settings(deadline=None, max_examples=30)
@given(MACHINES)
def test_every_price_has_a_source_a_range_and_a_known_component(machine):
    prices = cacti(machine)
    for event, component, price in leaves(prices):
        assert component in COMPONENTS
        assert price.low <= price.value <= price.high
        assert price.value > 0 or (event.startswith("core_sram") and not machine.core_sram_bytes)
    assert all(area.low <= area.value <= area.high for _, area in areas(machine, prices))


@settings(deadline=None)
@given(COUNTS)
def test_swings_are_the_ranges_one_price_at_a_time(counters):
    prices = cacti(PAPER_A)
    total = sum(energy_pj(counters, prices).values())
    low, high = energy_range_pj(counters, prices)
    swings = sensitivity(counters, prices)
    assert sum(total - swing.low_pj for swing in swings) == pytest.approx(total - low, abs=1e-6 * total)
    assert sum(swing.high_pj - total for swing in swings) == pytest.approx(high - total, abs=1e-6 * total)
    widths = [swing.high_pj - swing.low_pj for swing in swings]
    assert widths == sorted(widths, reverse=True)


def test_a_longer_bus_costs_more():
    assert cacti(PAPER_B).row_bus_words.value > 3 * cacti(PAPER_A).row_bus_words.value


def test_a_wide_word_is_cheaper_a_word():
    wide = replace(PAPER_A, pe_sram_word_bits=64)
    assert cacti(wide).pe_sram_read_words.value < cacti(PAPER_A).pe_sram_read_words.value


def test_a_smaller_node_is_smaller_and_cheaper():
    counters = Counters(fma=100, pe_sram_read_words=150, pe_sram_write_words=40, pe_cycles=120)
    energy, area = [], []
    for node in (90, 65, 45, 32, 22):
        machine = replace(PAPER_A, node_nm=node, clock_hz=5e8)
        energy.append(sum(energy_pj(counters, cacti(machine)).values()))
        area.append(sum(area_mm2(machine, cacti(machine)).values()))
    assert energy == sorted(energy, reverse=True)
    assert area == sorted(area, reverse=True)


def test_less_voltage_saves_energy_until_the_fma_is_too_slow():
    assert cacti(PAPER_A, volts=0.85).fma.value < cacti(PAPER_A).fma.value
    with pytest.raises(UsageError, match=r"an FMA of fma_latency 4 takes .* ns a stage at 45 nm and 0.75 V"):
        cacti(PAPER_A, volts=0.75)
    assert cacti(replace(PAPER_A, clock_hz=5e8), volts=0.75).fma.value < cacti(PAPER_A, volts=0.85).fma.value


def test_a_clock_that_memories_cannot_follow_is_refused():
    with pytest.raises(UsageError, match="keeps up with clock_hz"):
        cacti(replace(PAPER_A, node_nm=90, pe_sram_bytes=1 << 20))


def test_all_but_the_srams_and_the_control_store_answer_within_the_cycle():
    for machine in (PAPER_A, PAPER_B, replace(PAPER_A, node_nm=90), replace(PAPER_A, clock_hz=2e9, fma_latency=8)):
        built = circuits(machine)
        for memory in (built.mem_b, built.ring_queue, built.softmax):
            assert memory.late_cycles == 0
        prices = cacti(machine)
        assert prices.pe_sram_late_cycles == built.mem_a.late_cycles <= 1
        assert prices.core_sram_late_cycles == built.off_core.late_cycles <= 7


def test_a_refused_memory_is_named():
    with pytest.raises(UsageError, match=r"^MEM A: no SRAM of 1048576 bytes .* keeps up with clock_hz"):
        cacti(replace(PAPER_A, node_nm=90, pe_sram_bytes=1 << 20))
    with pytest.raises(UsageError, match=r"^off-core SRAM: no SRAM of .* the table ends at 4 MB"):
        cacti(replace(PAPER_A, core_sram_bytes=1 << 28))


def test_the_off_core_memory_starts_an_access_every_cycle():
    built = circuits(PAPER_A)
    assert built.off_core is not None
    assert built.off_core.sram.cycle_ns <= built.off_core.sram.banks
    assert circuits(replace(PAPER_A, core_sram_words_per_cycle=16)).off_core.lanes == 4


def test_horowitz_interpolates_his_memories():
    # 16 KB lies half way between 8 KB (10 pJ) and 32 KB (20 pJ) in the logarithm; a quarter of 64 bits is a word
    assert horowitz(PAPER_A).pe_sram_read_words.value == pytest.approx(10 * 2**0.5 / 4)
    with pytest.raises(UsageError, match="memories of 8192 to 1048576 bytes; pe_sram_bytes is 1024"):
        horowitz(replace(PAPER_A, pe_sram_bytes=1024))
    with pytest.raises(UsageError, match="horowitz prices are of 45 nm"):
        horowitz(replace(PAPER_A, node_nm=22))


def test_prices_of_one_machine_are_refused_for_another():
    prices = CACTI.of(PAPER_A)
    assert prices.of(PAPER_A) is prices
    with pytest.raises(UsageError, match="cacti prices at hand were made for another machine than paper-b"):
        area_mm2(PAPER_B, prices)
    assert HOROWITZ.of(PAPER_B).machine == PAPER_B
