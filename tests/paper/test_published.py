"""The published numbers, within the tolerances that this project states (Li and Pedram 2017)."""

import pytest

from caterpillar.reproduce.machine_rows import area_rows, fig10_rows, table2_rows, text_rows
from caterpillar.reproduce.rows import Row

REQUIRED_RULES = ("sgd", "cp", "mbgd50", "dfa8", "dfa50")


def names(row: Row) -> str:
    return f"{row.artifact}-{row.case}-{row.rule}-{row.quantity}"


def distance(row: Row) -> float:
    assert row.difference is not None
    return abs(row.difference)


@pytest.mark.parametrize("row", area_rows(), ids=names)
def test_areas_within_a_fifth_of_a_percent(row: Row) -> None:
    assert row.paper
    assert distance(row) <= 0.002 * row.paper
    assert row.verdict == "reproduced"


@pytest.mark.parametrize("row", [row for row in table2_rows() if row.rule in ("sgd", "cp")], ids=names)
def test_energy_efficiency_of_sgd_and_cp_within_one_and_a_half_percent(row: Row) -> None:
    assert row.paper
    assert distance(row) <= 0.015 * row.paper
    assert row.verdict == "reproduced"


@pytest.mark.parametrize("row", [row for row in table2_rows() if row.rule == "mbgd50"], ids=names)
def test_mbgd_follows_the_energy_model_and_not_the_table(row: Row) -> None:
    assert row.ours is not None
    assert row.paper in (195, 187)
    assert 280 <= row.ours <= 292
    assert row.verdict == "paper-contradicts-itself"
    assert str(row.paper) in row.note


@pytest.mark.parametrize(
    "row",
    [row for row in fig10_rows() if row.quantity == "percent_of_peak" and row.rule in REQUIRED_RULES],
    ids=names,
)
def test_percent_of_peak_within_one_and_a_half_points_two_on_n2(row: Row) -> None:
    assert distance(row) <= (2.0 if row.case == "N2" else 1.5)
    assert row.verdict == "reproduced"


def test_fig10_where_ours_differs() -> None:
    """Only on N2, where a large batch's activations take room that the paper's bars do not allow for."""
    differing = {(row.case, row.rule) for row in fig10_rows() if row.verdict != "reproduced"}
    assert differing == {("N2", "mbcp4"), ("N2", "mbcp8"), ("N2", "mbgd100"), ("N2", "dfa100")}


def test_every_bar_of_fig10_has_its_row() -> None:
    rows = fig10_rows()
    assert len(rows) == 3 * 15 * 2
    density = next(r for r in rows if (r.case, r.rule, r.quantity) == ("N1", "sgd", "gflops_per_mm2"))
    assert density.ours == pytest.approx(2 * 512 / 103.1936 * 0.7348, rel=1e-3)


def test_what_the_text_says() -> None:
    verdicts = {(row.case, row.rule, row.quantity): row.verdict for row in text_rows()}
    contradictions = {key for key, verdict in verdicts.items() if verdict == "paper-contradicts-itself"}
    assert contradictions >= {
        ("N1", "sgd", "percent_of_peak"),
        ("N1", "sgd", "energy_percent_to_90_of_mbgd50"),
        ("N1", "cp", "energy_percent_to_90_of_mbgd50"),
        ("N1", "sgd", "memory_over_fpu_energy"),
        ("N1", "cp", "memory_over_fpu_energy"),
        ("A", "", "area_mm2"),
        ("B", "", "area_mm2"),
        ("N3", "cp", "words_per_pe"),
    }
    assert "differs" not in verdicts.values()
