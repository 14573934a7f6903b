"""The convergence study as tables: Fig. 5 with medians and spreads, and Figs. 6 to 9 in numbers.

A table is a Sheet, which becomes a rich table or Markdown.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from caterpillar.reproduce import Row
from caterpillar.reproduce.paper import ACCURACIES, epochs_to
from caterpillar.reproduce.study.results import Curve
from caterpillar.reproduce.to_accuracy import TARGETS

if TYPE_CHECKING:
    from rich.table import Table

NOT_REACHED = "–"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """A table of text; the first column is a name, the others are numbers. note: how to read it."""

    title: str
    note: str = ""
    columns: tuple[str, ...]
    lines: tuple[tuple[str, ...], ...]

    def markdown(self) -> str:
        """As a section of Markdown."""
        head = ["| " + " | ".join(self.columns) + " |", "|---|" + "--:|" * (len(self.columns) - 1)]
        body = ["| " + " | ".join(line) + " |" for line in self.lines]
        return "\n".join([f"## {self.title}", "", *([self.note, ""] if self.note else []), *head, *body, ""])

    def rich(self) -> Table:
        """For the terminal."""
        from rich.table import Table

        table = Table(title=self.title, caption=self.note, title_justify="left", caption_justify="left")
        for index, column in enumerate(self.columns):
            table.add_column(column, justify="right" if index else "left")
        for line in self.lines:
            table.add_row(*line)
        return table


def fig5_sheets(trained: Sequence[Curve]) -> list[Sheet]:
    """A sheet a network: epochs to every accuracy, the paper's / ours, and the best accuracy."""
    sheets: list[Sheet] = []
    for network in dict.fromkeys(curve.network for curve in trained):
        some = [curve for curve in trained if curve.network == network]
        seeds, epochs = some[0].seeds, some[0].epochs
        spread = f"median of {seeds} seeds (lowest–highest)" if seeds > 1 else "one seed"
        sheets.append(
            Sheet(
                title=f"Fig. 5: epochs to an accuracy, {network}",
                note=f"The paper's / ours, {spread}, {epochs} epochs. {NOT_REACHED} not reached; the paper's left out "
                "where it is not on record. Best accuracy in %, ours.",
                columns=("method", "rate", *(f"{percent} %" for percent in ACCURACIES), "best"),
                lines=tuple(
                    (
                        curve.method,
                        f"{curve.learning_rate:g}",
                        *(_cell(curve, percent) for percent in ACCURACIES),
                        _best(curve),
                    )
                    for curve in some
                ),
            )
        )
    return sheets


def _cell(curve: Curve, percent: int) -> str:
    ours = _epochs(curve.epochs_to(percent / 100))
    spread = [epoch if epoch is not None else float("inf") for epoch in curve.epochs_to_spread(percent / 100)]
    if min(spread) != max(spread):
        low, high = (_epochs(None if end == float("inf") else end) for end in (min(spread), max(spread)))
        ours += f" ({low}–{high})" if high != NOT_REACHED else f" ({low}–never)"
    try:
        return f"{_epochs(epochs_to(curve.network, curve.method, percent))} / {ours}"
    except KeyError:
        return ours


def _epochs(epochs: float | None) -> str:
    return NOT_REACHED if epochs is None else f"{epochs:g}"


def _best(curve: Curve) -> str:
    middle, low, high = (f"{100 * value:.1f}" for value in curve.best())
    return middle if low == high else f"{middle} ({low}–{high})"


def cost_sheets(rows: Sequence[Row]) -> list[Sheet]:
    """A sheet a case of the rows of Figs. 6 to 9: energy and time to each target, the paper's / ours."""
    some = [row for row in rows if row.quantity.startswith(("energy_to", "time_to"))]
    sheets: list[Sheet] = []
    for case in dict.fromkeys(row.case for row in some):
        of_case = {(row.rule, row.quantity): row for row in some if row.case == case}
        quantities = [f"{kind}_{percent}" for percent in TARGETS for kind in ("energy_to", "time_to")]
        sheets.append(
            Sheet(
                title=f"Figs. 6-9: energy and time to an accuracy, {case}",
                note=f"The paper's epochs / ours, times the same cost an epoch. {NOT_REACHED} not reached, or does "
                "not fit.",
                columns=("method", *(f"{of_case['sgd', q].unit} to {q.rsplit('_', 1)[1]} %" for q in quantities)),
                lines=tuple(
                    (rule, *(_pair(of_case[rule, quantity]) for quantity in quantities))
                    for rule in dict.fromkeys(rule for rule, _ in of_case)
                ),
            )
        )
    return sheets


def _pair(row: Row) -> str:
    return f"{_number(row.paper)} / {_number(row.ours)}"


def _number(value: float | None) -> str:
    return NOT_REACHED if value is None else f"{value:,.0f}"
