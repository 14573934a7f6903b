"""Pictures of a reproduction: the paper's value and ours side by side. Colours: Okabe and Ito's, for all eyes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from caterpillar.reproduce import Row

PAPER_COLOUR, OURS_COLOUR, CONTRADICTION_COLOUR = "#999999", "#0072B2", "#D55E00"
BAR_WIDTH = 0.38
DPI = 150


def _canvas(rows: int, columns: int, width: float, height: float, **options: Any) -> tuple[Any, list[Any]]:
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
    figure, (axis,) = _canvas(1, 1, 4.5, 3.6)
    _bars(axis, rows, [f"machine {row.case}" for row in rows], digits=1)
    axis.set_ylabel("area [mm²], 45 nm")
    _legend(figure, contradiction=False)
    figure.savefig(path, dpi=DPI)


def table2(rows: Sequence[Row], path: Path) -> None:
    """GFLOPS/W of three rules on three cases."""
    figure, (axis,) = _canvas(1, 1, 8, 4)
    _bars(axis, rows, [f"{row.rule}\n{row.case}" for row in rows], digits=0)
    axis.set_ylabel("energy efficiency [GFLOPS/W]")
    _legend(figure, contradiction=True)
    figure.savefig(path, dpi=DPI)


def fig10(rows: Sequence[Row], path: Path) -> None:
    """Percent of peak of every rule, a panel for each case."""
    cases = list(dict.fromkeys(row.case for row in rows))
    figure, axes = _canvas(len(cases), 1, 10, 2.6 * len(cases), sharey=True)
    for axis, case in zip(axes, cases, strict=True):
        some = [row for row in rows if row.case == case and row.quantity == "percent_of_peak"]
        _bars(axis, some, [row.rule for row in some], digits=1, upright=True)
        axis.set_ylabel("speed [% of peak]")
        axis.set_title(case, loc="left", fontsize=10)
        axis.set_ylim(0, 135)
        axis.set_yticks(range(0, 101, 20))
    _legend(figure, contradiction=False)
    figure.savefig(path, dpi=DPI)


def fig5(rows: Sequence[Row], path: Path) -> None:
    """Epochs to an accuracy, a panel for each network and rule; what was never reached has no point."""
    panels = list(dict.fromkeys((row.case, row.rule) for row in rows))
    columns = min(5, len(panels))
    lines = -(-len(panels) // columns)
    figure, axes = _canvas(lines, columns, 2.3 * columns, 0.7 + 2.5 * lines, sharex=True, sharey=True)
    styles = (("paper", PAPER_COLOUR, "s"), ("ours", OURS_COLOUR, "o"))
    for axis, (case, rule) in zip(axes, panels, strict=False):
        some = [row for row in rows if (row.case, row.rule) == (case, rule)]
        for which, colour, marker in styles:
            points = [(getattr(row, which), int(row.quantity.rsplit("_", 1)[1])) for row in some]
            reached = [point for point in points if point[0] is not None]
            epochs, percents = [point[0] for point in reached], [point[1] for point in reached]
            axis.plot(epochs, percents, color=colour, marker=marker, markersize=4)
        axis.set_title(f"{rule}\n{case}", fontsize=8)
        axis.set_xscale("log")
        axis.set_xticks([1, 2, 5, 10, 20, 50], ["1", "2", "5", "10", "20", "50"])
        axis.minorticks_off()
        axis.set_yticks(range(80, 96, 5))
        axis.grid(alpha=0.3)
    for axis in axes[len(panels) :]:
        axis.set_visible(False)
    figure.supxlabel("epochs", fontsize=10)
    figure.supylabel("accuracy reached [%]", fontsize=10)
    _line_legend(figure, styles)
    figure.savefig(path, dpi=DPI)


def _line_legend(figure: Any, styles: Sequence[tuple[str, str, str]]) -> None:
    from matplotlib.lines import Line2D

    entries = [Line2D([], [], color=colour, marker=marker, label=name) for name, colour, marker in styles]
    figure.legend(handles=entries, loc="outside upper center", ncols=len(entries), frameon=False)


FIGURES: dict[str, Callable[[Sequence[Row], Path], None]] = {
    "area": area,
    "table2": table2,
    "fig10": fig10,
    "fig5": fig5,
}
