"""What the documentation shows is what the code and the stored study give.

Refresh it with: caterpillar reproduce --quick --out docs/reproduction
"""

import json
from pathlib import Path

from caterpillar.report.reproduction import markdown, questions_page
from caterpillar.reproduce import Reproduction, run_reproduction
from caterpillar.reproduce.questions import answers
from caterpillar.reproduce.study.plan import LARGE_EPOCHS, SMALL_EPOCHS
from caterpillar.reproduce.study.results import known_records

SHOWN = Path(__file__).parents[2] / "docs" / "reproduction"


def test_rows_in_the_documentation_are_current(tmp_path: Path) -> None:
    found: Reproduction = run_reproduction(tmp_path, quick=True)
    shown = json.loads((SHOWN / "rows.json").read_text(encoding="utf-8"))["rows"]
    assert shown == [row.as_dict() for row in found.rows]
    assert (SHOWN / "rows.md").read_text(encoding="utf-8") == markdown(found)


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
