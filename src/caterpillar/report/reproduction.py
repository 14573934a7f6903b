"""A reproduction as tables in the terminal, as a Markdown page and as pictures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from caterpillar.checks import OutputError
from caterpillar.reproduce import Row, Verdict

if TYPE_CHECKING:
    from rich.table import Table

TITLES = {
    "area": "Area",
    "table2": "Table 2: GFLOPS/W",
    "fig10": "Fig. 10: speed",
    "text": "What the text says",
    "fig5": "Fig. 5: epochs to an accuracy",
}
NUMBERS = ("paper", "ours", "difference")
EXECUTED = ("paper mapping", "best mapping")  # the same as micro-programs take it
COLUMNS = ("case", "rule", "quantity", "unit", *NUMBERS, "verdict", *EXECUTED)
STYLES: dict[Verdict, str] = {"reproduced": "", "differs": "red", "paper-contradicts-itself": "yellow"}
NOT_THERE = "–"


def reproduction_tables(rows: Sequence[Row]) -> list[Table]:
    """A rich table for each artifact, and one that counts verdicts."""
    from rich.table import Table

    tables: list[Table] = []
    for artifact, some in by_artifact(rows).items():
        table = Table(title=TITLES[artifact], title_justify="left")
        for column in COLUMNS:
            table.add_column(column, justify="right" if column in (*NUMBERS, *EXECUTED) else "left")
        for row in some:
            table.add_row(*cells(row), style=STYLES[row.verdict])
        tables.append(table)
    verdicts = Table(title="Verdicts", title_justify="left")
    for column in ("artifact", *STYLES):
        verdicts.add_column(column, justify="left" if column == "artifact" else "right")
    for artifact, some in by_artifact(rows).items():
        counts = Counter(row.verdict for row in some)
        verdicts.add_row(TITLES[artifact], *(str(counts[verdict]) for verdict in STYLES))
    return [*tables, verdicts]


def markdown(rows: Sequence[Row]) -> str:
    """The same as Markdown, notes as well."""
    lines = ["# The paper's values beside ours", ""]
    for artifact, some in by_artifact(rows).items():
        lines += [f"## {TITLES[artifact]}", ""]
        lines += ["| " + " | ".join((*COLUMNS, "note")) + " |", "|---|---|---|---|--:|--:|--:|---|--:|--:|---|"]
        lines += ["| " + " | ".join((*cells(row), row.note)) + " |" for row in some]
        lines.append("")
    return "\n".join(lines)


def write_reproduction(rows: Sequence[Row], out_dir: Path) -> list[Path]:
    """Write rows.md and a PNG for each artifact to out_dir, which must exist. Raises OutputError."""
    from caterpillar.report.figures import FIGURES

    written = [out_dir / "rows.md"]
    try:
        written[0].write_text(markdown(rows), encoding="utf-8")
        for artifact, some in by_artifact(rows).items():
            if artifact in FIGURES:
                written.append(out_dir / f"{artifact}.png")
                FIGURES[artifact](some, written[-1])
    except OSError as error:
        raise OutputError(f"--out {out_dir} cannot be written: {error.strerror or error}") from None
    return written


def by_artifact(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """Rows under their artifact, in the order of TITLES."""
    groups = {artifact: [row for row in rows if row.artifact == artifact] for artifact in TITLES}
    return {artifact: some for artifact, some in groups.items() if some}


def cells(row: Row) -> tuple[str, ...]:
    """A row's columns as text."""
    numbers = (_number(row.paper), _number(row.ours), _number(row.difference, sign=True))
    executed = (_number(row.paper_mapping), _number(row.best_mapping))
    return (row.case, row.rule or NOT_THERE, row.quantity, row.unit, *numbers, row.verdict, *executed)


def _number(value: float | None, *, sign: bool = False) -> str:
    if value is None:
        return NOT_THERE
    plus = "+" if sign else ""
    if float(value).is_integer():
        return f"{value:{plus},.0f}"
    return f"{value:{plus},.2f}" if abs(value) < 1000 else f"{value:{plus},.0f}"
