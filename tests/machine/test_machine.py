"""Machines: the presets, files, and every field's limits."""

from dataclasses import fields, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caterpillar.checks import Limit, SpecError, UsageError
from caterpillar.machine import MACHINES, PAPER_A, PAPER_B, Machine, parse_machine
from caterpillar.machine.machine import LIMITS

NUMBERS = [limit for limit in LIMITS if isinstance(limit, Limit)]


def test_the_papers_machines():
    assert (PAPER_A.cores, PAPER_A.pes_per_core, PAPER_A.pes) == (32, 16, 512)
    assert (PAPER_B.cores, PAPER_B.pes_per_core, PAPER_B.pes) == (8, 256, 2048)
    assert PAPER_A.pe_sram_words == PAPER_B.pe_sram_words == 8192
    assert list(MACHINES)[:2] == ["paper-a", "paper-b"]
    assert parse_machine("paper-b") is PAPER_B


@given(rows=st.integers(1, 16), per_row=st.integers(1, 256), pe_rows=st.integers(1, 64), pe_cols=st.integers(1, 64))
def test_counts_multiply(rows: int, per_row: int, pe_rows: int, pe_cols: int):
    machine = replace(PAPER_A, core_rows=rows, cores_per_row=per_row, pe_rows=pe_rows, pe_cols=pe_cols)
    assert machine.pes == rows * per_row * pe_rows * pe_cols == machine.cores * machine.pes_per_core


@pytest.mark.parametrize("limit", NUMBERS, ids=lambda limit: limit.field)
def test_every_field_is_held_to_its_limits(limit: Limit):
    for inside in (limit.kind(limit.low), limit.kind(limit.high)):
        assert getattr(replace(PAPER_A, **{limit.field: inside}), limit.field) == inside
    for outside in (limit.low - 1, limit.high + 1, "4", None, True, float("nan")):
        with pytest.raises(SpecError, match=rf"^Machine.{limit.field} must be "):
            replace(PAPER_A, **{limit.field: outside})


def test_a_file_may_leave_out_what_has_a_default(tmp_path: Path):
    path = tmp_path / "mine.toml"
    path.write_text("cores_per_row = 2\npe_rows = 4\npe_cols = 4\nclock_hz = 5e8\n")
    expected = Machine(name="mine", cores_per_row=2, pe_rows=4, pe_cols=4, ring_words_per_cycle=4, clock_hz=5e8)
    assert parse_machine(str(path)) == expected


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("pe_rows = 4\npe_cols = 4", r"mine.toml: Machine.cores_per_row is missing$"),
        (
            "cores_per_row = 2\npe_rows = 4\npe_cols = 4\ncolour = 1",
            r"mine.toml: unknown key 'colour'; allowed are name",
        ),
        (
            "cores_per_row = 2\npe_rows = 4.5\npe_cols = 4",
            r"^Machine.pe_rows must be an int in \[1, 64\] PEs, got 4.5$",
        ),
        ("cores_per_row = '2'\npe_rows = 4\npe_cols = 4", r"^Machine.cores_per_row must be an int .* got '2'$"),
        ("cores_per_row = 2\npe_rows = 4\npe_cols = 4\nname = 7", r"^Machine.name must be a text, got 7$"),
        (
            "cores_per_row = 2\npe_rows = 4\npe_cols = 4\nneighbour_links = 'no'",
            r"^Machine.neighbour_links must be one of False, True",
        ),
        ("cores_per_row = 2\npe_rows = 4\npe_cols = 4\nneighbour_links = 1", r"^Machine.neighbour_links .* got 1$"),
        ("cores_per_row = 2\npe_rows = 4\npe_cols = 4\nnode_nm = 7", r"^Machine.node_nm must be one of 90, 65, 45, 32"),
        ("cores_per_row == 2", r"^--machine file .*mine.toml is not TOML: "),
    ],
)
def test_bad_files(tmp_path: Path, content: str, message: str):
    path = tmp_path / "mine.toml"
    path.write_text(content)
    with pytest.raises(UsageError, match=message):
        parse_machine(str(path))


def test_unknown_names_and_missing_files(tmp_path: Path):
    with pytest.raises(
        UsageError, match=r"^--machine must be one of paper-a, paper-b, .*, or a .toml file, got 'paper-c'$"
    ):
        parse_machine("paper-c")
    with pytest.raises(UsageError, match=r"none.toml cannot be read: No such file or directory$"):
        parse_machine(str(tmp_path / "none.toml"))


def test_every_field_but_the_name_has_a_limit():
    limited = {limit.field for limit in LIMITS}
    assert {field.name for field in fields(Machine)} - limited == {"name"}
