"""Maps of a sweep: utilization against PEs and network size; where batched rules overtake single samples."""

from __future__ import annotations

from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from caterpillar.explore import QUANTITIES, Plan

Array = NDArray[Any]
DPI = 130
MB = 1 << 20
CELLS_WITH_TEXT = 14


def save_utilization(plan: Plan, table: Any, path: Path) -> bool:
    """Best utilization over PEs, a panel a rule and a line a network. False where all machines have as many PEs."""
    from matplotlib import colormaps
    from matplotlib.figure import Figure

    pes, best = table["pes"].to_numpy(), table["utilization"].to_numpy()
    if len(np.unique(pes)) < 2:
        return False
    labels = {work.rule.label: (work.rule.name, work.rule.batch) for work in plan.works}
    networks = {work.label("network"): work.network.weights for work in plan.works}
    networks = dict(sorted(networks.items(), key=lambda entry: entry[1]))
    columns = min(3, len(labels))
    rows = ceil(len(labels) / columns)
    figure = Figure(figsize=(3.4 * columns + 2.2, 2.9 * rows + 0.4), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    rule, batch, name = (table[column].to_numpy() for column in ("rule", "batch", "network"))
    ticks = np.unique(pes)[:: ceil(len(np.unique(pes)) / 8)]
    shades = colormaps["viridis"](np.linspace(0, 0.9, len(networks)))
    for axes, (text, (rule_name, size)) in zip(grid.flat, labels.items(), strict=False):
        for shade, (network, weights) in zip(shades, networks.items(), strict=True):
            some = (rule == rule_name) & (batch == size) & (name == network)
            x, y = _best_of(pes[some], best[some])
            axes.plot(x, y * 100, color=shade, marker="o", ms=3, label=f"{network}\n({weights / 1e6:.2g} M weights)")
        axes.set_title(text, loc="left", fontsize=9)
        axes.set_xscale("log", base=2)
        axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axes.tick_params(labelbottom=True, labelsize=8)
        axes.set_ylim(0, 103)
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    for axes in list(grid.flat)[len(labels) :]:
        axes.set_visible(False)
    figure.supxlabel("PEs", fontsize=10)
    figure.supylabel("best utilization of a feasible machine [%]", fontsize=10)
    handles, texts = grid.flat[0].get_legend_handles_labels()
    figure.legend(handles, texts, loc="outside right upper", frameon=False, fontsize=7)
    figure.savefig(path, dpi=DPI)
    return True


def save_crossover(plan: Plan, table: Any, path: Path) -> bool:
    """The first objective, best batched rule over best single-sample one, by network size and local memory.

    Of several price tables the first one's, which the picture then names.
    False where the sweep has not both kinds of rule, or fewer than two networks or two sizes of all local memories.
    """
    objective, sense = plan.objectives[0]
    prices = plan.works[0].label("prices")
    table = table.filter(np.equal(table["prices"].to_numpy(), prices))
    networks = sorted({work.label("network"): work.network.weights for work in plan.works}.items(), key=lambda e: e[1])
    memory = table["pes"].to_numpy() * table["pe_sram_bytes"].to_numpy()
    sizes = np.unique(memory)
    batched, name = table["batch"].to_numpy() > 1, table["network"].to_numpy()
    if len(networks) < 2 or len(sizes) < 2 or batched.all() or not batched.any():
        return False
    values = table[objective].to_numpy() * (1 if sense == "max" else -1)
    cells = np.full((2, len(networks), len(sizes)), -np.inf)
    for row, (network, _) in enumerate(networks):
        for kind in (0, 1):
            some = (name == network) & (batched == bool(kind))
            np.maximum.at(cells[kind, row], np.searchsorted(sizes, memory[some]), values[some])
    cells[:, ~np.isfinite(cells).all(axis=0)] = np.nan
    gain = cells[1] / cells[0] if sense == "max" else cells[0] / cells[1]
    title = QUANTITIES[objective].title + (f", {prices} prices" if plan.tables > 1 else "")
    _draw_crossover(title, gain, networks, sizes, path)
    return True


def _draw_crossover(title: str, gain: Array, networks: list[tuple[str, int]], sizes: Array, path: Path) -> None:
    """gain: how much better the best batched rule is; above 1 it wins."""
    from matplotlib.colors import LogNorm
    from matplotlib.figure import Figure

    figure = Figure(figsize=(min(14.0, 4.5 + 0.55 * len(sizes)), 2.4 + 0.42 * len(networks)), layout="constrained")
    axes = figure.subplots()
    reach = max(1.05, float(np.nanmax(np.maximum(gain, 1 / gain)))) if np.isfinite(gain).any() else 2.0
    mesh = axes.imshow(gain, cmap="RdBu_r", norm=LogNorm(1 / reach, reach), origin="lower", aspect="auto")
    axes.set_facecolor("#BBBBBB")
    if max(gain.shape) <= CELLS_WITH_TEXT:
        for row, column in zip(*np.nonzero(np.isfinite(gain)), strict=True):
            dark = abs(np.log(gain[row, column])) > 0.6 * np.log(reach)
            colour = "white" if dark else "black"
            axes.text(column, row, f"{gain[row, column]:.2f}", ha="center", va="center", fontsize=7, color=colour)
    fits = [np.searchsorted(sizes, 2 * weights) - 0.5 for _, weights in networks]
    edges = np.arange(len(networks) + 1) - 0.5
    axes.stairs(fits, edges, orientation="horizontal", baseline=None, color="black", lw=1.5)
    step = max(1, len(sizes) // 12)
    places = range(0, len(sizes), step)
    axes.set_xticks(places, [f"{sizes[place] / MB:.3g}" for place in places])
    axes.set_yticks(
        range(len(networks)), [f"{network}  ({weights / 1e6:.2g} M)" for network, weights in networks], fontsize=8
    )
    axes.set_xlabel("local memory of all PEs [MB]; weights fit to the right of the black line; grey: no feasible pair")
    axes.set_ylabel("network (weights)")
    axes.set_xlim(-0.5, len(sizes) - 0.5)
    bar = figure.colorbar(mesh, ax=axes, ticks=_ticks(reach), format="%.3g")
    bar.minorticks_off()
    bar.set_label(f"{title}: how many times\nbetter the best batched rule is")
    figure.savefig(path, dpi=DPI)


def _ticks(reach: float) -> list[float]:
    return [reach**power for power in (-1, -0.5, 0, 0.5, 1)]


def _best_of(x: Array, y: Array) -> tuple[Array, Array]:
    """The greatest y of each x, x rising."""
    values, place = np.unique(x, return_inverse=True)
    best = np.full(len(values), -np.inf)
    np.maximum.at(best, place, y)
    return values, best
