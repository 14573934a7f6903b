"""Energy is counts times prices; area is blocks times areas; both sum over their components."""

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caterpillar.checks import UsageError
from caterpillar.cost import PAPER, Price, area_mm2, energy_pj
from caterpillar.counters import Counters
from caterpillar.machine import PAPER_A, PAPER_B

COUNTS = st.builds(Counters, **dict.fromkeys(Counters.names(), st.integers(0, 10**12)))  # type: ignore[arg-type]


def test_smallest_case_by_hand() -> None:
    parts = energy_pj(Counters(fma=2, pe_sram_read_words=1, pe_sram_write_words=1, core_sram_read_words=1), PAPER)
    assert parts["fpu"] == pytest.approx(2 * 2.63 * 1.1075)
    assert parts["pe_memory"] == pytest.approx(2 * 3.5 * 1.1075)
    assert parts["core_memory"] == pytest.approx(16 * 1.1075)
    assert parts["registers"] == parts["buses"] == parts["ring"] == parts["activation"] == parts["leakage"] == 0


@given(COUNTS)
def test_components_sum_to_events_times_prices(counters: Counters) -> None:
    priced = replace(PAPER, pe_cycles=Price(value=0.25, source="test"), ring_word_hops=Price(value=1.5, source="test"))
    total = math.fsum(count * priced.pj(event) for event, count in counters.as_dict().items())
    assert sum(energy_pj(counters, priced).values()) == pytest.approx(total, rel=1e-12)


@given(COUNTS, COUNTS)
def test_energy_adds_as_counts_do(first: Counters, second: Counters) -> None:
    both = sum(energy_pj(first + second, PAPER).values())
    assert both == pytest.approx(sum(energy_pj(first, PAPER).values()) + sum(energy_pj(second, PAPER).values()))


def test_area_of_paper_a_by_hand() -> None:
    parts = area_mm2(PAPER_A, PAPER)
    assert parts["fpu"] == pytest.approx(512 * 0.0056)
    assert parts["core_memory"] == pytest.approx(32 * 1.948)
    assert sum(parts.values()) == pytest.approx(512 * (0.0056 + 0.0617 + 0.0125) + 32 * 1.948)


def test_memories_scale_with_their_bytes() -> None:
    doubled = replace(PAPER_B, pe_sram_bytes=32 * 1024, core_sram_bytes=0)
    assert area_mm2(doubled, PAPER)["pe_memory"] == 2 * area_mm2(PAPER_B, PAPER)["pe_memory"]
    assert area_mm2(doubled, PAPER)["core_memory"] == 0


def test_a_table_of_another_node_is_refused() -> None:
    with pytest.raises(UsageError, match=r"--prices paper is a table of 45 nm; machine paper-a has node_nm 22"):
        area_mm2(replace(PAPER_A, node_nm=22), PAPER)
