"""Wider words of MEM A under a table that was made for 16-bit words."""

from __future__ import annotations

from dataclasses import replace

import pytest

from caterpillar.cost import PAPER, area_mm2
from caterpillar.cost.circuits import local_sram
from caterpillar.machine import PAPER_A


@pytest.mark.parametrize("bits", [32, 64, 128])
def test_the_ratio_is_cacti_s(bits: int) -> None:
    machine = replace(PAPER_A, pe_sram_word_bits=bits)
    old, new = local_sram(PAPER_A), local_sram(machine)
    table = PAPER.of(machine)
    by_hand = 3.5 * (new.sram.read_pj * 16 / bits) / old.sram.read_pj
    assert table.pe_sram_read_words.value == pytest.approx(by_hand)
    assert table.pe_sram_read_words.value < 3.5
    assert "CACTI's ratio" in table.pe_sram_write_words.source
    grown = new.sram.area_mm2 / old.sram.area_mm2
    assert area_mm2(machine, PAPER)["pe_memory"] == pytest.approx(512 * 0.0617 * grown)
    assert table.of(machine) == table  # once is enough


def test_the_paper_s_own_width_is_left_alone() -> None:
    assert PAPER.of(PAPER_A) is PAPER


def test_what_is_not_the_memory_s_stays() -> None:
    table = PAPER.of(replace(PAPER_A, pe_sram_word_bits=64))
    changed = {name for name in PAPER.names() if getattr(table, name) != getattr(PAPER, name)}
    assert changed == {"pe_sram_read_words", "pe_sram_write_words"}
