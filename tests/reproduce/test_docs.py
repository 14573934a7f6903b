"""What the documentation shows is what the code and the stored study give.

Refresh it with: caterpillar reproduce --quick --out docs/reproduction
"""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from caterpillar.report.reproduction import markdown, questions_page
from caterpillar.reproduce import Row, executed, run_reproduction
from caterpillar.reproduce.executed import Cell, cells
from caterpillar.reproduce.machine_rows import fig10_rows, table2_rows
from caterpillar.reproduce.questions import answers
from caterpillar.reproduce.study.plan import LARGE_EPOCHS, SMALL_EPOCHS
from caterpillar.reproduce.study.results import known_records

SHOWN = Path(__file__).parents[2] / "docs" / "reproduction"


# minutes of placing: looked at in `make test-slow`
SLOW = {("N1", "mbcp8")}


def shown_rows() -> list[Row]:
    """The documentation's."""
    stored = json.loads((SHOWN / "rows.json").read_text(encoding="utf-8"))["rows"]
    rows = [Row(**{name: value for name, value in one.items() if name != "difference"}) for one in stored]
    assert [row.as_dict() for row in rows] == stored
    return rows


def test_rows_in_the_documentation_are_current(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All but what the mappings' programs take."""
    monkeypatch.setattr(executed, "cells", list)
    found, shown = run_reproduction(tmp_path, quick=True), shown_rows()
    without = [
        replace(row, paper_mapping=None, best_mapping=None, note=row.note.split("; executed, ")[0]) for row in shown
    ]
    assert without == list(found.rows)
    assert (SHOWN / "rows.md").read_text(encoding="utf-8") == markdown(replace(found, rows=tuple(shown)))


@pytest.mark.parametrize(
    "cell",
    [pytest.param(one, id=" ".join(one), marks=[pytest.mark.slow] if one[:2] in SLOW else []) for one in cells()],
)
def test_what_the_programs_take_is_current(cell: Cell) -> None:
    case, rule, mapping = cell
    answer = executed.executed(cell)
    found = {cell: answer} if answer else {}
    shown = [row for row in shown_rows() if (row.case, row.rule) == (case, rule)]
    rows = [row for row in (*table2_rows(found), *fig10_rows(found)) if (row.case, row.rule) == (case, rule)]
    assert len(rows) >= 2
    for row in rows:
        same = next(one for one in shown if (one.artifact, one.quantity) == (row.artifact, row.quantity))
        assert getattr(same, f"{mapping}_mapping") == getattr(row, f"{mapping}_mapping")
        if row.quantity == "percent_of_peak":
            useful = f"{mapping} {answer.utilization:.1%}" if answer else f"{mapping} "
            assert (useful in same.note.partition("useful MACs only: ")[2]) == bool(answer)


def test_the_page_says_what_the_records_say() -> None:
    page = " ".join((SHOWN.parent / "reproduction.md").read_text(encoding="utf-8").split())
    for answer in answers(known_records()):
        verdict = {True: " **Agrees.**", False: " **Does not agree.**", None: ""}[answer.agrees]
        assert f"### {answer.question} The paper: {answer.paper}{verdict} {answer.finding}" in page
    shown = json.loads((SHOWN / "rows.json").read_text(encoding="utf-8"))["rows"]
    orders = [row for row in shown if row["artifact"] == "ranking"]
    assert len(orders) == 4
    for row in orders:
        assert f"| {row['case']} | {row['note'].split()[0]} | {row['ours']:.2f} |" in page
    assert f"{SMALL_EPOCHS} of its 50, and {LARGE_EPOCHS} of its 30" in page


def test_the_answers_in_the_documentation_are_those_of_the_stored_records() -> None:
    page = (SHOWN / "questions.md").read_text(encoding="utf-8")
    assert page == questions_page(known_records())
    for line in page.splitlines():
        if line.startswith("!["):
            assert (SHOWN / line.rsplit("(", 1)[1].rstrip(")")).is_file()
