"""The tables of docs/cost.md are those that the code makes. Refresh them with: make cost-page"""

import re
from pathlib import Path

import pytest

from caterpillar.report import cost_runs
from caterpillar.report.cost_page import MADE, places, refreshed

PAGE = Path(__file__).parents[2] / "docs" / "cost.md"


def test_every_table_is_on_the_page_once_and_current() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert sorted(places(page)) == sorted(MADE)
    assert page == refreshed(page), "docs/cost.md is not what the code gives: make cost-page"


def test_a_stale_or_unknown_table_shows() -> None:
    page = PAGE.read_text(encoding="utf-8")
    stale = re.sub(r"\| paper-a \| MEM A \|", "| paper-a | MEM Z |", page)
    assert stale != page
    assert refreshed(stale) == page
    with pytest.raises(KeyError, match="nothing"):
        refreshed("<!-- table: nothing -->\n<!-- end -->")


def test_the_bullets_on_sgd_say_what_is_counted() -> None:
    """Words and multiply-adds a MAC that the page's prose names."""
    page = " ".join(PAGE.read_text(encoding="utf-8").split())
    paper, best = (cost_runs.run_of("N1", "sgd", mapping, "cacti") for mapping in ("paper", "best"))
    words = [
        (run.counts.pe_sram_read_words + run.counts.pe_sram_write_words) / run.macs_per_sample for run in (paper, best)
    ]
    assert (
        f"takes {words[0]:.2f} words from or to MEM A for each MAC (one is the operand), `best` {words[1]:.2f}" in page
    )
    assert f"`best` does {best.counts.fma / best.macs_per_sample - 1:.0%} more".replace("%", " %") in page
    mem_b = (best.counts.mem_b_read_words + best.counts.mem_b_write_words) / best.macs_per_sample
    registers = (best.counts.register_reads + best.counts.register_writes) / best.macs_per_sample
    assert f"at {mem_b:.1f} words of MEM B and {registers:.1f} register accesses a MAC" in page
