"""Pictures of a reproduction: the paper's value and ours side by side. Colours: Okabe and Ito's, for all eyes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from caterpillar.reproduce import Row
from caterpillar.reproduce.paper import cases

PAPER_COLOUR, OURS_COLOUR, PAPER_MAPPING_COLOUR = "#999999", "#0072B2", "#56B4E9"
BAR_WIDTH = 0.38
GROUP_WIDTH = 0.84  # of three bars
DPI = 150


@dataclass(frozen=True, slots=True)
class Series:
    """Bars of one kind: how they are called, their colour, their value in a row, None where there is none."""

    label: str
    colour: str
    value: Callable[[Row], float | None]


PAPER = Series("paper", PAPER_COLOUR, lambda row: row.paper)
OURS = Series("ours (estimate)", OURS_COLOUR, lambda row: row.ours)
EXECUTED = (
    Series("mapping paper, executed", PAPER_MAPPING_COLOUR, lambda row: row.paper_mapping),
    Series("mapping best, executed", OURS_COLOUR, lambda row: row.best_mapping),
)
ALGEBRA = "the paper's algebra, by our estimate"
NONE = "none"


def canvas(rows: int, columns: int, width: float, height: float, **options: Any) -> tuple[Any, list[Any]]:
    """A figure and its axes in reading order; drawn straight to a file, no display needed."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(rows, columns, squeeze=False, **options)
    axes = list(grid.flat)
    for axis in axes:
        axis.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _bars(
    axis: Any, rows: Sequence[Row], series: Sequence[Series], *, width: float, upright: bool, digits: int
) -> None:
    """A group of bars a row, values on top. upright: values stand, where bars are too narrow for them to lie."""
    for place, row in enumerate(rows):
        for number, one in enumerate(series):
            at, value = place + (number - (len(series) - 1) / 2) * width, one.value(row)
            axis.bar(at, value or 0.0, width, color=one.colour)
            axis.annotate(
                NONE if value is None else f"{value:.{digits}f}",
                (at, value or 0.0),
                xytext=(0, 3),
                textcoords="offset points",
                ha="center",
                va="bottom",
                fontsize=7,
                color="#777777" if value is None else "black",
                rotation=90 if upright or value is None else 0,
            )
    axis.set_xticks(range(len(rows)), [row.rule for row in rows], fontsize=8)
    axis.margins(x=0.02, y=0.12)


def _algebra(axis: Any, rows: Sequence[Row], *, width: float) -> None:
    """A line across the paper's bar, the first of three, where our reckoning of its algebra is."""
    for place, row in enumerate(rows):
        if row.ours is not None:
            left = place - 1.5 * width
            axis.plot([left, left + width], [row.ours, row.ours], color="black", linewidth=1.6, solid_capstyle="butt")


def _legend(figure: Any, series: Sequence[Series], *, executed: bool = False) -> None:
    """Above the axes, where it hides nothing. executed: with the line of the algebra, and what none means."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    entries: list[Any] = [Patch(color=one.colour, label=one.label) for one in series]
    if executed:
        entries.insert(1, Line2D([], [], color="black", linewidth=1.6, label=ALGEBRA))
        entries.append(Line2D([], [], linestyle="", label=f"{NONE}: does not fit, or has no programs"))
    figure.legend(handles=entries, loc="outside upper center", ncols=len(entries), frameon=False, fontsize=8)


def _title(axis: Any, case: str) -> None:
    network, machine = cases()[case]
    axis.set_title(f"{case}: {network.name}, {machine.pes:,} PEs", loc="left", fontsize=9)


def area(rows: Sequence[Row], path: Path) -> None:
    """mm2 of both machines."""
    figure, (axis,) = canvas(1, 1, 4.5, 3.6)
    _bars(axis, rows, (PAPER, OURS), width=BAR_WIDTH, upright=False, digits=1)
    axis.set_xticks(range(len(rows)), [f"machine {row.case}" for row in rows], fontsize=8)
    axis.set_ylabel("area [mm²], 45 nm")
    _legend(figure, (PAPER, OURS))
    figure.savefig(path, dpi=DPI)


def table2(rows: Sequence[Row], path: Path) -> None:
    """GFLOPS/W of three rules, a panel for each case: as printed, and as both mappings take when executed."""
    names, width = list(dict.fromkeys(row.case for row in rows)), GROUP_WIDTH / 3
    figure, axes = canvas(1, len(names), 10, 4, sharey=True)
    for axis, case in zip(axes, names, strict=True):
        some = [row for row in rows if row.case == case]
        _bars(axis, some, (PAPER, *EXECUTED), width=width, upright=False, digits=0)
        _algebra(axis, some, width=width)
        _title(axis, case)
    axes[0].set_ylabel("energy efficiency [GFLOPS/W]")
    _legend(figure, (PAPER, *EXECUTED), executed=True)
    figure.savefig(path, dpi=DPI)


def fig10(rows: Sequence[Row], path: Path) -> None:
    """Percent of peak of every rule, a panel for each case: as drawn, and as both mappings take when executed."""
    names, width = list(dict.fromkeys(row.case for row in rows)), GROUP_WIDTH / 3
    figure, axes = canvas(len(names), 1, 12, 2.7 * len(names), sharey=True)
    for axis, case in zip(axes, names, strict=True):
        some = [row for row in rows if row.case == case and row.quantity == "percent_of_peak"]
        _bars(axis, some, (PAPER, *EXECUTED), width=width, upright=True, digits=1)
        _algebra(axis, some, width=width)
        axis.set_ylabel("speed [% of peak]")
        _title(axis, case)
        axis.set_ylim(0, 142)
        axis.set_yticks(range(0, 121, 20))
    _legend(figure, (PAPER, *EXECUTED), executed=True)
    figure.savefig(path, dpi=DPI)


FIGURES: dict[str, Callable[[Sequence[Row], Path], None]] = {
    "area": area,
    "table2": table2,
    "fig10": fig10,
}
