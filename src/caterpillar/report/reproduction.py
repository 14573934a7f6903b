"""A reproduction as tables in the terminal, as a Markdown page and as pictures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from caterpillar.checks import OutputError
from caterpillar.report.study import Sheet, cost_sheets, fig5_sheets
from caterpillar.report.study_figures import QUESTIONS
from caterpillar.reproduce import Reproduction, Row, Verdict
from caterpillar.reproduce.fig5 import fig5_curves
from caterpillar.reproduce.questions import Answer, answers
from caterpillar.reproduce.study.results import SETTLED_EPOCHS, Record, curves

if TYPE_CHECKING:
    from rich.table import Table

TITLES = {
    "area": "Area",
    "table2": "Table 2: GFLOPS/W",
    "fig10": "Fig. 10: speed",
    "text": "What the text says",
    "fig5": "Fig. 5: epochs to an accuracy",
    "ranking": "Fig. 5: the order of the methods",
    "fig6": "Fig. 6: energy to an accuracy, N1",
    "fig7": "Fig. 7: energy to an accuracy, N2",
    "fig8": "Fig. 8: energy to an accuracy, N3",
    "fig9": "Fig. 9: time to an accuracy",
}
NUMBERS = ("paper", "ours", "difference")
EXECUTED = ("paper mapping", "best mapping")  # the same as micro-programs take it
COLUMNS = ("case", "rule", "quantity", "unit", *NUMBERS, "verdict", *EXECUTED)
IN_SHEETS = ("fig5", "fig6", "fig7", "fig8", "fig9")  # methods by accuracies, shown as such; all rows are in rows.json
STYLES: dict[Verdict, str] = {"reproduced": "", "differs": "red", "paper-contradicts-itself": "yellow"}
QUESTIONS_HEAD = """Made by `caterpillar reproduce` from the convergence study's records. Accuracy is on the 10,000 test
images and settled: the mean of a run's last {epochs} epochs, the median over its seeds. A difference counts as one
where it exceeds what another seed makes: the root mean square over all pairs of seeds of the runs in the table.
"""
NOT_THERE = "–"


def reproduction_tables(found: Reproduction) -> list[Table]:
    """A rich table for each artifact, the study's sheets, and a table that counts verdicts."""
    from rich.table import Table

    tables: list[Table] = []
    for artifact, some in by_artifact(found.rows).items():
        if artifact in IN_SHEETS:
            continue
        table = Table(title=TITLES[artifact], title_justify="left")
        for column in COLUMNS:
            table.add_column(column, justify="right" if column in (*NUMBERS, *EXECUTED) else "left")
        for row in some:
            table.add_row(*cells(row), style=STYLES[row.verdict])
        tables.append(table)
    tables += [sheet.rich() for sheet in (*sheets(found), *(answer_sheet(a) for a in answers(found.records)))]
    verdicts = Table(title="Verdicts", title_justify="left")
    for column in ("artifact", *STYLES):
        verdicts.add_column(column, justify="left" if column == "artifact" else "right")
    for artifact, some in by_artifact(found.rows).items():
        counts = Counter(row.verdict for row in some)
        verdicts.add_row(TITLES[artifact], *(str(counts[verdict]) for verdict in STYLES))
    return [*tables, verdicts]


def sheets(found: Reproduction) -> list[Sheet]:
    """Fig. 5 by network, Figs. 6 to 9 by case."""
    return [*fig5_sheets(fig5_curves(curves(found.records).values())), *cost_sheets(found.rows)]


def answer_sheet(answer: Answer) -> Sheet:
    """An answer's numbers under its question."""
    verdict = {True: "Agrees with the paper.", False: "Does not agree with the paper.", None: ""}[answer.agrees]
    note = f"The paper: {answer.paper} Ours: {answer.finding} {verdict}".rstrip()
    return Sheet(title=answer.question, note=note, columns=answer.columns, lines=answer.lines)


def markdown(found: Reproduction) -> str:
    """The same as Markdown, notes as well."""
    lines = ["# The paper's values beside ours", ""]
    for artifact, some in by_artifact(found.rows).items():
        if artifact in IN_SHEETS:
            continue
        lines += [f"## {TITLES[artifact]}", ""]
        lines += ["| " + " | ".join((*COLUMNS, "note")) + " |", "|---|---|---|---|--:|--:|--:|---|--:|--:|---|"]
        lines += ["| " + " | ".join((*cells(row), row.note)) + " |" for row in some]
        lines.append("")
    return "\n".join([*lines, *(sheet.markdown() for sheet in sheets(found))])


def questions_page(records: Sequence[Record]) -> str:
    """The paper's questions, each with its answer, its numbers and its picture, as Markdown."""
    parts = ["# The paper's questions", "", QUESTIONS_HEAD.format(epochs=SETTLED_EPOCHS)]
    for answer in answers(records):
        parts.append(answer_sheet(answer).markdown())
        if answer.key in QUESTIONS:
            parts.append(f"![{answer.question}](question-{answer.key}.png)\n")
    return "\n".join(parts)


def write_reproduction(found: Reproduction, out_dir: Path) -> list[Path]:
    """Write rows.md, questions.md and a PNG for each artifact to out_dir, which must exist. Raises OutputError."""
    from caterpillar.report.figures import FIGURES
    from caterpillar.report.study_figures import draw_study

    written = [out_dir / "rows.md", out_dir / "questions.md"]
    try:
        written[0].write_text(markdown(found), encoding="utf-8")
        written[1].write_text(questions_page(found.records), encoding="utf-8")
        for artifact, some in by_artifact(found.rows).items():
            if artifact in FIGURES:
                written.append(out_dir / f"{artifact}.png")
                FIGURES[artifact](some, written[-1])
        written += draw_study(found.rows, found.records, out_dir)
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
