"""Queries pick rows; what is not in their grammar is refused and never run."""

from collections.abc import Callable
from pathlib import Path

import pytest

from caterpillar.checks import OutputError, UsageError
from caterpillar.explore import Sweep, explore, read_best, read_objectives, read_results, read_swept


@pytest.fixture
def folder(sweep: Callable[..., Sweep], tmp_path: Path) -> Path:
    explore(sweep(), tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("query", "test"),
    [
        ("feasible", lambda row: row["feasible"]),
        ("not feasible", lambda row: not row["feasible"]),
        ("front and rule == 'cp'", lambda row: row["front"] and row["rule"] == "cp"),
        ("pes >= 512 or batch != 1", lambda row: row["pes"] >= 512 or row["batch"] != 1),
        ("4 < pe_rows <= 16", lambda row: 4 < row["pe_rows"] <= 16),
        ("pe_rows in (2, 8)", lambda row: row["pe_rows"] in (2, 8)),
        ("rule not in ('cp', 'sgd')", lambda row: row["rule"] == "mbgd"),
        ("neighbour_links == false and pes > -1", lambda row: not row["neighbour_links"]),
        ("area_mm2 < needs_bytes", lambda row: None not in (row["area_mm2"], row["needs_bytes"])),
    ],
)
def test_a_query_picks(folder: Path, query: str, test: Callable[..., bool]) -> None:
    rows = read_results(folder).to_pylist()
    assert read_results(folder, query).to_pylist() == [row for row in rows if test(row)]


def test_the_best_rows_come_first_and_whole(folder: Path) -> None:
    rows = read_results(folder, "rule == 'cp'").to_pylist()
    rows.sort(key=lambda row: (row["gflops_per_watt"] is None, -(row["gflops_per_watt"] or 0), row["point"]))
    for limit in (1, 7, 1000):
        best, picked = read_best(folder, "rule == 'cp'", limit)
        assert (best.to_pylist(), picked) == (rows[:limit], len(rows))
    best, picked = read_best(folder, "pes < 0", 5)
    assert (best.num_rows, picked) == (0, 0)


@pytest.mark.parametrize(
    ("query", "error"),
    [
        ("__import__('os').system('true')", "--query may hold columns, .*; got"),
        ("area_mm2.real < 3", "got 'area_mm2.real'"),
        ("speed > 3", "--query: unknown column 'speed'; there are point, network"),
        ("area_mm2 <", "--query is no expression: 'area_mm2 <'"),
        ("area_mm2 + 1 < 3", r"got 'area_mm2 \+ 1'"),
        ("area_mm2 is 3", "got 'area_mm2'"),
        ("[x for x in (1,)]", "--query may hold"),
        ("", "--query is no expression: ''"),
        ("rule < 3", "--query compares what cannot be compared"),
        ("area_mm2", "--query compares what cannot be compared"),
        (
            "area_mm2 < 99999999999999999999999999",
            "--query has an integer of more than 64 bits: write it with an exponent",
        ),
        ("pes in (1, -99999999999999999999999999)", "--query has an integer of more than 64 bits"),
        ("pes in (2, 'many')", "--query compares what cannot be compared: .*'many'"),
        (r"rule == '\ud800'", "--query compares what cannot be compared"),
        ("(" * 300 + "1" + ")" * 300, "--query is no expression"),
    ],
)
def test_a_query_outside_the_grammar_is_refused(folder: Path, query: str, error: str) -> None:
    with pytest.raises(UsageError, match=error):
        read_results(folder, query)


def test_a_folder_may_be_a_text(sweep: Callable[..., Sweep], tmp_path: Path) -> None:
    done = explore(sweep(), str(tmp_path / "out"))
    assert read_results(str(tmp_path / "out")).num_rows == done.points
    assert read_swept(str(tmp_path / "out"))[0] == "cores_per_row"
    assert list(read_objectives(str(tmp_path / "out"))) == list(sweep().objectives)


def test_no_results_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="does not exist"):
        read_results(tmp_path)
