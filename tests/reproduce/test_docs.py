"""The rows shown in the documentation are those that the code gives.

Refresh them with: caterpillar reproduce --quick --out docs/reproduction
"""

import json
from pathlib import Path

from caterpillar.reproduce.fig5 import short_trials
from caterpillar.reproduce.machine_rows import area_rows, fig10_rows, table2_rows, text_rows

SHOWN = Path(__file__).parents[2] / "docs" / "reproduction"


def test_rows_in_the_documentation_are_current() -> None:
    stored = json.loads((SHOWN / "rows.json").read_text(encoding="utf-8"))["rows"]
    rows = [*area_rows(), *table2_rows(), *fig10_rows(), *text_rows()]
    assert [row for row in stored if row["source"] == "estimate"] == [row.as_dict() for row in rows]


def test_trainings_in_the_documentation_used_the_present_learning_rates() -> None:
    stored = json.loads((SHOWN / "rows.json").read_text(encoding="utf-8"))["rows"]
    notes = {row["rule"]: row["note"] for row in stored if row["artifact"] == "fig5"}
    assert set(notes) == {trial.method.label for trial in short_trials()}
    for trial in short_trials():
        assert f"at learning rate {trial.learning_rate:g}," in notes[trial.method.label]
