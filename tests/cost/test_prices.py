"""Price tables: complete, sourced, and refused where they are not."""

from importlib.resources import files
from pathlib import Path

import pytest

from caterpillar.checks import SpecError, UsageError
from caterpillar.cost import COMPONENTS, PAPER, parse_prices
from caterpillar.cost.prices import Prices
from caterpillar.counters import Counters
from caterpillar.machine import PAPER_A

SHIPPED_TABLE = files("caterpillar.cost").joinpath("tables", "paper.toml").read_text(encoding="utf-8")
TABLE = SHIPPED_TABLE.replace('name = "paper"', 'name = "mine"')


def test_every_event_has_a_price_and_every_price_an_event() -> None:
    assert set(Counters.names()) == set(Prices.names())


def test_components_partition_the_events() -> None:
    events = [event for group in COMPONENTS.values() for event in group]
    assert sorted(events) == sorted(Counters.names())


def test_paper_prices_are_those_of_its_table_1() -> None:
    assert (PAPER.fma.value, PAPER.pe_sram_read_words.value, PAPER.core_sram_write_words.value) == (2.63, 3.5, 16.0)
    assert PAPER.pj("fma") == pytest.approx(2.63 * 1.1075, rel=1e-15)
    assert "fitted" in PAPER.factor.source


def test_a_zero_of_the_paper_says_that_the_paper_left_it_out() -> None:
    zeros = [name for name in Prices.names() if getattr(PAPER, name).value == 0]
    assert zeros
    assert all("left out by the paper" in getattr(PAPER, name).source for name in zeros)


def test_a_users_table_is_read(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(TABLE.replace("value = 2.63", "value = 5"))
    mine = parse_prices(str(path))
    assert (mine.name, mine.fma.value, mine.areas) == ("mine", 5, PAPER.areas)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("fma = {", "fmaa = {", r"pj: unknown key 'fmaa'; allowed are fma, pe_sram_read_words"),
        ('fma = { value = 2.63, source = "Li and Pedram 2017, Table 1: half-precision FPU" }', "", r"missing pj.fma$"),
        ("value = 2.63", "value = 0", r"Prices.fma must be more than 0 \(every run multiplies\), got 0"),
        ("value = 1.1075", "value = 0", r"Prices.factor must be more than 0"),
        ("node_nm = 45", "node_nm = 45\nlogic_volts = nan", r"logic_volts must be a number in \[0.1, 10\] V, got nan"),
        ("node_nm = 45", "node_nm = 45\npe_sram_late_cycles = -1", r"Prices.pe_sram_late_cycles must be an int in"),
        ("value = 2.63", "value = -1", r"pj.fma: Price.value must be a number in \[0, 1e\+09\], got -1"),
        ("value = 2.63", "value = nan", r"pj.fma: Price.value must be a number in .* got nan"),
        ("value = 2.63", "value = true", r"pj.fma: Price.value must be a number in .* got True"),
        ("value = 2.63, source = ", "value = 2.63, why = ", r"pj.fma: unknown key 'why'; allowed are value, source"),
        ('source = "Li and Pedram 2017, Table 1: half-precision FPU" }\npe_sram_read', 'source = "" }\npe_sram_read',
         r"pj.fma: Price.source must say where the number comes from"),
        ("node_nm = 45", "node_nm = 4.5", r"Prices.node_nm must be an int in \[1, 1000\] nm, got 4.5"),
        ('name = "mine"', "name = 3", r"name must be a word, got 3"),
        ('name = "mine"', 'name = "cacti"', r"name must be another than those of paper, horowitz, cacti, got 'cacti'"),
        ("pe_sram_bytes = 16384", "pe_sram_bytes = 0", r"Areas.pe_sram_bytes must be an int in"),
        ("[sizes]", "sizes = 3\n[other]", r"unknown key"),
        ("[factor]", "[[factor]]", r"factor must be \{ value = number"),
        ("[pj]", "pj", r"is not TOML"),
    ],
)  # fmt: skip
def test_a_table_that_is_not_right_is_refused(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in TABLE
    path = tmp_path / "mine.toml"
    path.write_text(TABLE.replace(old, new, 1))
    with pytest.raises(UsageError, match=message):
        parse_prices(str(path))


def test_missing_prices_are_all_named(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    left_out = ("node_nm", "register_reads", "pe_cycles", "core_sram =", "core_sram_bytes")
    lines = [line for line in TABLE.splitlines() if not line.startswith(left_out)]
    path.write_text("\n".join(lines))
    message = r"missing node_nm, pj.register_reads, pj.pe_cycles, mm2.core_sram, sizes.core_sram_bytes$"
    with pytest.raises(SpecError, match=message):
        parse_prices(str(path))


def test_a_users_table_may_say_its_supplies_and_how_late_its_memories_answer(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    more = "node_nm = 45\nlogic_volts = 0.9\nmemory_volts = 1\npe_sram_late_cycles = 1\ncore_sram_late_cycles = 3"
    path.write_text(TABLE.replace("node_nm = 45", more))
    mine = parse_prices(str(path)).of(PAPER_A)
    assert (mine.logic_volts, mine.memory_volts) == (0.9, 1)
    assert (mine.pe_sram_late_cycles, mine.core_sram_late_cycles) == (1, 3)


def test_an_unknown_name_and_a_missing_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"--prices must be one of paper.*or a .toml file, got 'papper'"):
        parse_prices("papper")
    with pytest.raises(UsageError, match=r"cannot be read: No such file"):
        parse_prices(str(tmp_path / "none.toml"))


def test_a_users_range_is_read_and_must_hold_the_value(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(TABLE.replace("value = 2.63,", "value = 2.63, range = [1.5, 6],", 1))
    mine = parse_prices(str(path)).of(PAPER_A)
    assert (mine.fma.low, mine.fma.value, mine.fma.high) == (1.5, 2.63, 6)
    assert mine.pe_sram_read_words.low == mine.pe_sram_read_words.high == 3.5
    for wrong, message in (
        ("[3, 6]", r"pj.fma: Price.range must hold the value 2.63, got \[3, 6\]"),
        ("[1]", r"pj.fma: range must be \[low, high\], got \[1\]"),
        ('["a", 6]', r"pj.fma: Price.range must be a number in \[0, 1e\+09\], got 'a'"),
        ("[-1, 6]", r"pj.fma: Price.range must be a number in \[0, 1e\+09\], got -1"),
        ("3", r"pj.fma: range must be \[low, high\], got 3"),
    ):
        path.write_text(TABLE.replace("value = 2.63,", f"value = 2.63, range = {wrong},", 1))
        with pytest.raises(SpecError, match=message):
            parse_prices(str(path))


def test_models_by_name_make_the_table_of_a_machine() -> None:
    for name in ("cacti", "horowitz"):
        model = parse_prices(name)
        assert model.name == name
        assert model.of(PAPER_A).name == name
