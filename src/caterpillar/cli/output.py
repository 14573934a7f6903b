"""What commands print: one JSON document, or tables for people."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
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
