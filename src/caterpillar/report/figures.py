"""Pictures of a reproduction: the paper's value and ours side by side. Colours: Okabe and Ito's, for all eyes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from caterpillar.reproduce import Row

PAPER_COLOUR, OURS_COLOUR, CONTRADICTION_COLOUR = "#999999", "#0072B2", "#D55E00"
BAR_WIDTH = 0.38
DPI = 150


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


def _bars(axis: Any, rows: Sequence[Row], labels: Sequence[str], *, digits: int, upright: bool = False) -> None:
    """A pair of bars a row, its values on top; a row in which the paper contradicts itself in another colour.

    upright: values stand, where bars are too narrow for them to lie.
    """
    for place, row in enumerate(rows):
        ours_colour = CONTRADICTION_COLOUR if row.verdict == "paper-contradicts-itself" else OURS_COLOUR
        pairs = ((row.paper, -BAR_WIDTH / 2, PAPER_COLOUR), (row.ours, BAR_WIDTH / 2, ours_colour))
        for value, shift, colour in pairs:
            text = "does not fit" if value is None else f"{value:.{digits}f}"
            axis.bar(place + shift, value or 0.0, BAR_WIDTH, color=colour)
            axis.annotate(
                text,
                (place + shift, value or 0.0),
                xytext=(0, 2),
                textcoords="offset points",
                ha="center",
                va="bottom",
                fontsize=7,
                rotation=90 if upright or value is None else 0,
            )
    axis.set_xticks(range(len(rows)), labels, fontsize=8)
    axis.margins(x=0.02, y=0.12)


def _legend(figure: Any, *, contradiction: bool) -> None:
    """Above the axes, where it hides nothing."""
    from matplotlib.patches import Patch

    entries = [Patch(color=PAPER_COLOUR, label="paper"), Patch(color=OURS_COLOUR, label="ours (estimate)")]
    if contradiction:
        entries.append(Patch(color=CONTRADICTION_COLOUR, label="ours, where the paper contradicts itself"))
    figure.legend(handles=entries, loc="outside upper center", ncols=len(entries), frameon=False)


def area(rows: Sequence[Row], path: Path) -> None:
    """mm2 of both machines."""
    figure, (axis,) = canvas(1, 1, 4.5, 3.6)
    _bars(axis, rows, [f"machine {row.case}" for row in rows], digits=1)
    axis.set_ylabel("area [mm²], 45 nm")
    _legend(figure, contradiction=False)
    figure.savefig(path, dpi=DPI)


def table2(rows: Sequence[Row], path: Path) -> None:
    """GFLOPS/W of three rules on three cases."""
    figure, (axis,) = canvas(1, 1, 8, 4)
    _bars(axis, rows, [f"{row.rule}\n{row.case}" for row in rows], digits=0)
    axis.set_ylabel("energy efficiency [GFLOPS/W]")
    _legend(figure, contradiction=True)
    figure.savefig(path, dpi=DPI)


def fig10(rows: Sequence[Row], path: Path) -> None:
    """Percent of peak of every rule, a panel for each case."""
    cases = list(dict.fromkeys(row.case for row in rows))
    figure, axes = canvas(len(cases), 1, 10, 2.6 * len(cases), sharey=True)
    for axis, case in zip(axes, cases, strict=True):
        some = [row for row in rows if row.case == case and row.quantity == "percent_of_peak"]
        _bars(axis, some, [row.rule for row in some], digits=1, upright=True)
        axis.set_ylabel("speed [% of peak]")
        axis.set_title(case, loc="left", fontsize=10)
        axis.set_ylim(0, 135)
        axis.set_yticks(range(0, 101, 20))
    _legend(figure, contradiction=False)
    figure.savefig(path, dpi=DPI)


FIGURES: dict[str, Callable[[Sequence[Row], Path], None]] = {
    "area": area,
    "table2": table2,
    "fig10": fig10,
}
