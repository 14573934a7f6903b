"""Pictures of a sweep: its Pareto front with the paper's machines, and what the machines on it have in common."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from caterpillar.explore import MACHINE_FIELDS, QUANTITIES, Plan, paper_points, read_results
from caterpillar.explore.results import fronts, objective_values
from caterpillar.report.sweep_maps import save_crossover, save_utilization

Array = NDArray[Any]
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#4D5B66")  # Okabe and Ito's
MARKERS = "os^Dvhp<>"
WAYS = ("prices", "mapping", "numerics")  # of judging a machine under a rule
CLOUD_POINTS = 20_000  # of the feasible points, so many are drawn, evenly taken
LINES = 200
WIDE = 30  # a quantity that spans more than this factor is drawn on a logarithmic axis
DPI = 130


def save_sweep_pictures(plan: Plan, folder: Path) -> list[Path]:
    """Draw the results in a sweep's folder beside them; those that the sweep has something to show for."""
    wanted: tuple[tuple[str, Callable[[Plan, Any, Path], bool]], ...] = (
        ("pareto.png", save_front),
        ("parallel.png", save_parallel),
        ("utilization.png", save_utilization),
        ("crossover.png", save_crossover),
    )
    columns = [
        "point",
        "network",
        "rule",
        "batch",
        *WAYS,
        "front",
        *MACHINE_FIELDS,
        "pes",
        "utilization",
        "off_core_words",
    ]
    columns += [name for name, _ in plan.objectives]
    table = read_results(folder, "feasible", columns=list(dict.fromkeys(columns)))
    return [folder / name for name, draw in wanted if table.num_rows and draw(plan, table, folder / name)]


def canvas(width: float, height: float, **options: Any) -> tuple[Any, Any]:
    """A figure and its axes; drawn straight to a file, no display needed."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots(**options)


def save_front(plan: Plan, table: Any, path: Path) -> bool:
    """Feasible points, the front by rule, the paper's machines; the first two objectives. False with one objective."""
    if len(plan.objectives) < 2:
        return False
    (vertical, _), (across, _) = plan.objectives[:2]
    x, y = table[across].to_numpy(), table[vertical].to_numpy()
    figure, axes = canvas(8, 5)
    some = np.unique(np.linspace(0, len(x) - 1, min(len(x), CLOUD_POINTS)).astype(int))
    axes.scatter(x[some], y[some], s=3, color="#CCCCCC", linewidths=0, rasterized=True, label="feasible")
    _draw_front(axes, plan, table.filter(table["front"]), across, vertical)
    for machine, marker, some in _paper(plan):
        x_paper, y_paper = some[across].to_numpy(), some[vertical].to_numpy()
        axes.scatter(x_paper, y_paper, s=110, marker=marker, color="black", label=machine, zorder=4)
        for *place, way in zip(x_paper, y_paper, _ways(plan, some), strict=True):
            axes.annotate(way, place, xytext=(6, 5), textcoords="offset points", fontsize=7)
    for scale, values in ((axes.set_xscale, x), (axes.set_yscale, y)):
        if values.min() > 0 and values.max() / values.min() > WIDE:
            scale("log")
    axes.set_xlabel(QUANTITIES[across].label)
    axes.set_ylabel(QUANTITIES[vertical].label)
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside right upper", frameon=False, fontsize=8)
    figure.savefig(path, dpi=DPI)
    return True


def _draw_front(axes: Any, plan: Plan, front: Any, across: str, vertical: str) -> None:
    """A colour for each rule, a marker for each price table, mapping and arithmetic where the sweep has several."""
    x, y = front[across].to_numpy(), front[vertical].to_numpy()
    rules, ways = _rule_labels(front), _ways(plan, front)
    for rule, colour in zip(_names(rules), cycle(COLOURS), strict=False):
        for way, marker in zip(_names(ways), cycle(MARKERS), strict=False):
            some = (rules == rule) & (ways == way)
            text = ", ".join(filter(None, (f"front: {rule}", way)))
            if some.any():
                axes.scatter(x[some], y[some], s=22, color=colour, marker=marker, label=text, zorder=3)


def _paper(plan: Plan) -> list[tuple[str, str, Any]]:
    """The paper's machines at their best in the sweep's objectives, by price table: (name, marker, rows)."""
    table = paper_points(plan)
    values, machine = objective_values(plan, table), table["point"].to_numpy()
    tables = np.unique(table["prices"].to_numpy(), return_inverse=True)[1]
    found: list[tuple[str, str, Any]] = []
    for place, (name, marker) in enumerate((("paper-a", "*"), ("paper-b", "P"))):
        rows = np.flatnonzero(machine == place)
        best = rows[fronts(values[rows], tables[rows])]
        if best.size:
            found.append((name, marker, table.take(best)))
    return found


def save_parallel(plan: Plan, table: Any, path: Path) -> bool:
    """The front's points as lines over what was swept and the objectives, coloured by the first objective."""
    from matplotlib import colormaps
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    front = table.filter(table["front"])
    if front.num_rows < 2:
        return False
    first, sense = plan.objectives[0]
    order = np.argsort(front[first].to_numpy() * (1 if sense == "max" else -1), kind="stable")
    front = front.take(order[np.unique(np.linspace(0, len(order) - 1, min(len(order), LINES)).astype(int))])
    axes_shown = _parallel_axes(plan, front)
    shade = front[first].to_numpy()
    figure, axes = canvas(1.6 + 1.25 * len(axes_shown), 5)
    norm, colours = Normalize(shade.min(), shade.max()), colormaps["viridis"]
    heights = np.column_stack([places for _, places, _ in axes_shown])
    for line, value in zip(heights, shade, strict=True):
        axes.plot(range(len(axes_shown)), line, color=colours(norm(value)), alpha=0.6, lw=1.2)
    for place, (_, _, ticks) in enumerate(axes_shown):
        axes.axvline(place, color="black", lw=0.6)
        for height, text in ticks:
            axes.text(place - 0.04, height, text, ha="right", va="center", fontsize=7, bbox=_BOX)
    axes.set_xticks(range(len(axes_shown)), [_wrapped(name) for name, _, _ in axes_shown], fontsize=8)
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
    axes.set_xlim(-0.6, len(axes_shown) - 0.8)
    figure.colorbar(ScalarMappable(norm, "viridis"), ax=axes, label=QUANTITIES[first].label, shrink=0.8)
    figure.savefig(path, dpi=DPI)
    return True


_BOX = {"facecolor": "white", "alpha": 0.75, "linewidth": 0, "pad": 0.8}


def _parallel_axes(plan: Plan, front: Any) -> list[tuple[str, Array, list[tuple[float, str]]]]:
    """(name, heights in [0, 1], ticks) of what differs among the lines: work, machine, objectives."""
    shown: list[tuple[str, Array, list[tuple[float, str]]]] = []
    works = [("network", front["network"].to_numpy()), ("rule", _rule_labels(front))]
    for name, column in works + [(name, front[name].to_numpy()) for name in WAYS]:
        if len(_names(column)) > 1:
            shown.append((name, *_by_place(column, _names(column))))
    for name in plan.axes:
        column = front[name].to_numpy()
        if len(np.unique(column)) > 1:
            shown.append((name, *_by_place(column, list(np.unique(column)))))
    for name, _ in plan.objectives:
        column = front[name].to_numpy()
        low, high = column.min(), column.max()
        if low < high:
            ticks = [(t, f"{low + t * (high - low):.3g}") for t in (0.0, 0.25, 0.5, 0.75, 1.0)]
            shown.append((QUANTITIES[name].label, (column - low) / (high - low), ticks))
    return shown


def _by_place(column: Array, values: Sequence[Any]) -> tuple[Array, list[tuple[float, str]]]:
    """Values that are few stand evenly, each with its tick; of many, every so manieth has one."""
    height = {value: place / (len(values) - 1) for place, value in enumerate(values)}
    step = -(-len(values) // 12)
    ticks = [(height[v], f"{v:g}" if isinstance(v, int | float | np.number) else str(v)) for v in values[::step]]
    return np.array([height[value] for value in column]), ticks


def _rule_labels(table: Any) -> Array:
    names, batches = table["rule"].to_pylist(), table["batch"].to_pylist()
    return np.array([name if batch == 1 else f"{name}{batch}" for name, batch in zip(names, batches, strict=True)])


def _ways(plan: Plan, table: Any) -> Array:
    """Of each row, what the sweep has several of among price tables, mappings and arithmetics; empty where nothing."""
    several = [name for name in WAYS if len({work.label(name) for work in plan.works}) > 1]
    columns = [table[name].to_pylist() for name in several]
    return np.array([", ".join(row) for row in zip(*columns, strict=True)] if columns else [""] * table.num_rows)


def _names(column: Array) -> list[Any]:
    """In order of appearance."""
    return list(dict.fromkeys(column.tolist()))


def _wrapped(name: str) -> str:
    return name.replace(" [", "\n[").replace("_", "\n")
