"""What commands print: one JSON document, or tables for people."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import typer
from rich.console import Console
from rich.table import Table

FILE_WIDTH = 160  # columns when the output is no terminal: nothing is cut off


def print_json(document: dict[str, Any]) -> None:
    """One JSON document on stdout. NaN and infinity are no JSON, and a defect here."""
    typer.echo(json.dumps(document, indent=2, allow_nan=False))


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A table on stdout; numbers are put to the right."""
    table = Table()
    cells = [list(row) for row in rows]
    for position, column in enumerate(columns):
        numeric = all(isinstance(row[position], int | float) for row in cells)
        table.add_column(column, justify="right" if numeric else "left", overflow="fold")
    for row in cells:
        table.add_row(*(_cell(value) for value in row))
    typer.echo(title)
    print_rich(table)


def print_shares(title: str, what: str, unit: str, parts: Mapping[str, float]) -> None:
    """What something is made of, the largest part first."""
    total = sum(parts.values())
    rows = [
        (name.replace("_", " "), f"{value:,.0f}", f"{value / total:.1%}")
        for name, value in sorted(parts.items(), key=lambda part: -part[1])
        if value
    ]
    print_table(title, (what, unit, "share"), rows)


def uj_and_range(pj: float, ends: tuple[float, float]) -> tuple[str, str]:
    """An energy in uJ, and its unit with the range that the prices allow."""
    low, high = (end / 1e6 for end in ends)
    return f"{pj / 1e6:,.3f}", "uJ" if low == high else f"uJ, {low:,.1f} to {high:,.1f} by the prices' ranges"


def print_rich(table: Table) -> None:
    """A rich table on stdout."""
    Console(width=None if sys.stdout.isatty() else FILE_WIDTH).print(table)


def _cell(value: object) -> str:
    match value:
        case bool():
            return "yes" if value else "no"
        case int():
            return f"{value:,}"
        case float():
            return f"{value:.4g}"
        case _:
            return str(value)
