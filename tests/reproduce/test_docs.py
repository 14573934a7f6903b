"""The rows shown in the documentation are those that the code gives.

Refresh them with: caterpillar reproduce --quick --out docs/reproduction
"""

import json
from pathlib import Path

from caterpillar.reproduce.machine_rows import area_rows, fig10_rows, table2_rows, text_rows

SHOWN = Path(__file__).parents[2] / "docs" / "reproduction"


def test_rows_in_the_documentation_are_current() -> None:
    stored = json.loads((SHOWN / "rows.json").read_text(encoding="utf-8"))["rows"]
    rows = [*area_rows(), *table2_rows(), *fig10_rows(), *text_rows()]
    assert [row for row in stored if row["source"] == "estimate"] == [row.as_dict() for row in rows]
