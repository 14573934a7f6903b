"""Puts the tables of docs/cost.md in their places: python -m caterpillar.report.cost_page docs/cost.md

A table's place is between the lines <!-- table: NAME --> and <!-- end -->.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path

from caterpillar.report import cost_runs, cost_tables

MADE: dict[str, Callable[[], str]] = {
    made.__name__: made
    for made in (
        cost_tables.prices,
        cost_tables.fma,
        cost_tables.activity,
        cost_tables.programs,
        cost_tables.timing,
        cost_runs.nodes,
        cost_runs.against,
        cost_tables.blocks,
        cost_runs.components,
        cost_runs.mappings,
        cost_runs.phases,
        cost_runs.tornado,
        cost_runs.contradictions,
    )
}
_PLACE = re.compile(r"(<!-- table: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def refreshed(page: str) -> str:
    """The page with every table as the code makes it now. Raises KeyError for a name that no table has."""
    return _PLACE.sub(lambda place: f"{place[1]}{MADE[place[2]]()}\n{place[3]}", page)


def places(page: str) -> list[str]:
    """Names of the tables that a page has places for."""
    return [place[2] for place in _PLACE.finditer(page)]


if __name__ == "__main__":
    for name in sys.argv[1:]:
        Path(name).write_text(refreshed(Path(name).read_text(encoding="utf-8")), encoding="utf-8")
