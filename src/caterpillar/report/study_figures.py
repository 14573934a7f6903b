"""Pictures of the convergence study: Fig. 5, Figs. 6 to 9, and one for each of the paper's questions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from caterpillar.network import PAPER_NETWORKS
from caterpillar.report.energy_bars import COLOURS
from caterpillar.report.figures import BAR_WIDTH, DPI, OURS_COLOUR, PAPER_COLOUR, canvas
from caterpillar.reproduce import Row
from caterpillar.reproduce.fig5 import fig5_curves
from caterpillar.reproduce.paper import cases, epochs_to
from caterpillar.reproduce.questions import LARGE_BATCHES, TARGET
from caterpillar.reproduce.study.plan import CP, REMEDIES, SGD
from caterpillar.reproduce.study.results import Curve, Record, curves
from caterpillar.reproduce.to_accuracy import FIGURES, TARGETS, cost_of_epoch

PARTS = {"fpu": "FPU", "pe_memory": "PE memory", "core_memory": "off-core memory"}
SHOWN_PERCENTS = (85, 90, 93, 95)
CUT = 4  # times the median bar
PERCENT_COLOURS = ("#C6DBEF", "#6BAED6", "#2171B5", "#08306B")  # light to dark: low to high
EPOCH_TICKS = (1, 2, 5, 10, 20, 50)
LINE_COLOURS = {  # Okabe and Ito's
    "sgd": "#0072B2", "cp": "#D55E00",
    "fp32": "#999999", "fp16": "#0072B2", "fp16-stochastic": "#D55E00",
}  # fmt: skip


def fig5(trained: Sequence[Curve], path: Path) -> None:
    """A panel a network, a line a method: in which epoch each accuracy was reached, the paper's above ours."""
    networks = list(dict.fromkeys(curve.network for curve in trained))
    figure, axes = canvas(1, len(networks), 3.4 * len(networks), 5.6, sharey=True)
    for axis, network in zip(axes, networks, strict=True):
        some = [curve for curve in trained if curve.network == network]
        for line, curve in enumerate(some):
            for percent, colour in zip(SHOWN_PERCENTS, PERCENT_COLOURS, strict=True):
                _mark(axis, _printed(curve, percent), line - 0.17, "s", colour)
                _mark(axis, curve.epochs_to(percent / 100), line + 0.17, "o", colour)
        axis.set_yticks(range(len(some)), [curve.method for curve in some])
        axis.set_ylim(len(some) - 0.5, -0.5)
        axis.set_title(network, fontsize=9)
        _epoch_axis(axis)
        axis.grid(axis="x", alpha=0.3)
    figure.supxlabel("epochs", fontsize=10)
    entries = [("s", "white", "paper"), ("o", "white", "ours, median")]
    entries += [("o", c, f"{p} %") for p, c in zip(SHOWN_PERCENTS, PERCENT_COLOURS, strict=True)]
    handles = [_handle(*entry) for entry in entries]
    figure.legend(handles=handles, loc="outside upper center", ncols=len(handles), frameon=False)
    figure.savefig(path, dpi=DPI)


def _mark(axis: Any, epochs: float | None, height: float, marker: str, colour: str) -> None:
    if epochs is not None:
        axis.plot(epochs, height, marker, color=colour, markeredgecolor="#333333", markeredgewidth=0.5, markersize=5)


def _handle(marker: str, colour: str, label: str) -> Any:
    from matplotlib.lines import Line2D

    return Line2D([], [], linestyle="", marker=marker, color=colour, markeredgecolor="#333333", label=label)


def _printed(curve: Curve, percent: int) -> int | None:
    try:
        return epochs_to(curve.network, curve.method, percent)
    except KeyError:
        return None


def _epoch_axis(axis: Any) -> None:
    axis.set_xscale("log")
    axis.set_xticks(EPOCH_TICKS, [str(tick) for tick in EPOCH_TICKS])
    axis.minorticks_off()


def energy(case: str, trained: Sequence[Curve], path: Path) -> None:
    """Energy to the lowest target, the paper's epochs beside ours, and to the highest, ours: stacked by component."""
    from matplotlib.patches import Patch

    network, machine = cases()[case]
    some = [curve for curve in trained if curve.network == network.name]
    figure, axes = canvas(2, 1, 9, 6, sharex=True)
    parts: list[str] = []
    for axis, percent in zip(axes, (TARGETS[0], TARGETS[-1]), strict=True):
        bars: list[tuple[float, float]] = []
        for at, curve in enumerate(some):
            cost = cost_of_epoch(case, curve.method)
            ours, printed = curve.epochs_to(percent / 100), epochs_to(network.name, curve.method, percent)
            if cost is None or ours is None:
                text = "does not fit" if cost is None else "not reached"
                where = at if cost is None or printed is None else at + BAR_WIDTH / 2
                axis.text(where, 0, text, rotation=90, ha="center", va="bottom", fontsize=8, color="#777777")
            if cost is None:
                continue
            total = sum(cost.millijoules.values())
            if printed is not None:
                bars.append((at - BAR_WIDTH / 2, printed * total))
                axis.bar(*bars[-1], BAR_WIDTH, color=PAPER_COLOUR)
            if ours is not None:
                bars.append((at + BAR_WIDTH / 2, ours * total))
                _stack(axis, bars[-1][0], {part: ours * value for part, value in cost.millijoules.items()})
                parts = list(dict.fromkeys([*parts, *cost.millijoules]))
        _cut(axis, bars)
        axis.set_ylabel(f"energy to {percent} % [mJ]")
    axes[-1].set_xticks(range(len(some)), [curve.method for curve in some], fontsize=7)
    axes[0].set_title(f"{case}: {network.name} on {machine.name}", fontsize=10)
    handles = [Patch(color=PAPER_COLOUR, label="the paper's epochs, same energy an epoch")]
    handles += [Patch(color=COLOURS[part], label=f"ours: {PARTS[part]}") for part in parts]
    figure.legend(handles=handles, loc="outside upper center", ncols=len(handles), frameon=False)
    figure.savefig(path, dpi=DPI)


def _stack(axis: Any, at: float, heights: dict[str, float]) -> None:
    bottom = 0.0
    for part, height in heights.items():
        axis.bar(at, height, BAR_WIDTH, bottom=bottom, color=COLOURS[part])
        bottom += height


def _cut(axis: Any, bars: Sequence[tuple[float, float]]) -> None:
    """A few bars are ten times as tall as the others, whose parts shall be seen: cut, with their height written on."""
    if not bars:
        return
    limit = min(CUT * median(height for _, height in bars), 1.05 * max(height for _, height in bars))
    axis.set_ylim(0, limit)
    for at, height in bars:
        if height > limit:
            axis.text(at, 0.98 * limit, f"{height:.0f}", rotation=90, ha="center", va="top", fontsize=7)


def fig9(rows: Sequence[Row], path: Path) -> None:
    """Time to each target, a panel a case: the paper's epochs as bars, ours as marks."""
    names = list(dict.fromkeys(row.case for row in rows))
    figure, axes = canvas(len(names), 1, 9, 2.5 * len(names), sharex=True)
    shades = PERCENT_COLOURS[1:]
    for axis, case in zip(axes, names, strict=True):
        some = [row for row in rows if row.case == case]
        methods = list(dict.fromkeys(row.rule for row in some))
        for at, method in enumerate(methods):
            of_method = [row for row in some if row.rule == method]
            printed = of_method[0].paper
            if printed is not None:
                axis.bar(at, printed, 0.7, color=PAPER_COLOUR, alpha=0.6)
            for row, colour in zip(of_method, shades, strict=True):
                if row.ours is not None:
                    axis.plot(at, row.ours, "o", color=colour, markeredgecolor="#333333", markeredgewidth=0.5)
            if all(row.ours is None for row in of_method) and "does not fit" in of_method[0].note:
                axis.text(at, 0.5, "does not fit", rotation=90, ha="center", va="center", fontsize=8,
                          transform=axis.get_xaxis_transform())  # fmt: skip
        axis.set_yscale("log")
        axis.set_ylabel("time [ms]")
        axis.set_title(case, loc="left", fontsize=10)
        axis.grid(axis="y", alpha=0.3)
        axis.set_xticks(range(len(methods)), methods, fontsize=7)
    from matplotlib.patches import Patch

    handles = [Patch(color=PAPER_COLOUR, alpha=0.6, label=f"the paper's epochs, to {TARGETS[0]} %")]
    handles += [_handle("o", c, f"ours, to {p} %") for p, c in zip(TARGETS, shades, strict=True)]
    figure.legend(handles=handles, loc="outside upper center", ncols=len(handles), frameon=False)
    figure.savefig(path, dpi=DPI)


def half(records: Sequence[Record], path: Path) -> None:
    """Settled accuracy of each method: the range of the fp32 seeds, fp16 as a point."""
    single, other = curves(records), curves(records, arithmetic="fp16")
    keys = [key for key in single if key in other]
    figure, (axis,) = canvas(1, 1, 5.5, 0.8 + 0.24 * len(keys))
    for line, key in enumerate(keys):
        ends = [100 * value for value in single[key].settled()]
        axis.plot([min(ends), max(ends)], [line, line], color=PAPER_COLOUR, linewidth=5, solid_capstyle="round")
        axis.plot(100 * other[key].settled()[0], line, "o", color=OURS_COLOUR)
    from matplotlib.lines import Line2D

    handles = [Line2D([], [], color=PAPER_COLOUR, linewidth=5, label="fp32, from seed to seed")]
    handles.append(Line2D([], [], linestyle="", marker="o", color=OURS_COLOUR, label="fp16, one seed"))
    figure.legend(handles=handles, loc="outside upper center", ncols=2, frameon=False)
    axis.set_yticks(range(len(keys)), [f"{method}, {network}" for network, method in keys], fontsize=8)
    axis.invert_yaxis()
    axis.set_xlabel("settled accuracy [%]")
    axis.grid(axis="x", alpha=0.3)
    figure.savefig(path, dpi=DPI)


def stochastic(records: Sequence[Record], path: Path) -> None:
    """Accuracy by epoch, a panel a network and method: fp32, fp16, fp16 with the update rounded at random."""
    kinds = {kind: curves(records, arithmetic=kind) for kind in ("fp32", "fp16", "fp16-stochastic")}
    keys = list(kinds["fp16-stochastic"])
    figure, axes = canvas(1, len(keys), 3 * len(keys), 3.2, sharey=True)
    for axis, key in zip(axes, keys, strict=True):
        for kind, some in kinds.items():
            _curve(axis, some[key].accuracies[0], LINE_COLOURS[kind], kind)
        axis.set_title(f"{key[1]}\n{key[0]}", fontsize=8)
    _finish_curves(figure, axes, bottom=90)
    figure.savefig(path, dpi=DPI)


def batches(records: Sequence[Record], path: Path) -> None:
    """Settled accuracy, a panel a network: SGD and large batches."""
    _settled(records, list(PAPER_NETWORKS), ("sgd", *LARGE_BATCHES), path)


def remedies(records: Sequence[Record], path: Path) -> None:
    """Settled accuracy, a panel a network: SGD, CP, momentum and what is done against staleness."""
    labels = [method.label for method in (SGD, CP, *REMEDIES)]
    trained = curves(records)
    _settled(records, [n for n in PAPER_NETWORKS if (n, labels[-1]) in trained], labels, path)


def _settled(records: Sequence[Record], networks: Sequence[str], methods: Sequence[str], path: Path) -> None:
    """A line a method: from the lowest seed to the highest, the median as a point."""
    single = curves(records)
    figure, axes = canvas(
        1, len(networks), 1.5 + 2.6 * len(networks), 1.1 + 0.3 * len(methods), sharex=True, sharey=True
    )
    for axis, network in zip(axes, networks, strict=True):
        for line, method in enumerate(methods):
            ends = [100 * value for value in single[network, method].settled()]
            axis.plot([min(ends), max(ends)], [line, line], color=PAPER_COLOUR, linewidth=5, solid_capstyle="round")
            axis.plot(median(ends), line, "o", color=OURS_COLOUR)
        axis.set_title(network, fontsize=8)
        axis.set_yticks(range(len(methods)), methods, fontsize=8)
        axis.grid(axis="x", alpha=0.3)
    axes[0].invert_yaxis()
    figure.supxlabel("settled accuracy [%]: median, and from seed to seed", fontsize=9)
    figure.savefig(path, dpi=DPI)


def pipelining(records: Sequence[Record], path: Path) -> None:
    """Accuracy by epoch, a panel a network: SGD and CP."""
    single = curves(records)
    trained = fig5_curves(single.values())
    networks = list(dict.fromkeys(curve.network for curve in trained))
    figure, axes = canvas(1, len(networks), 3 * len(networks), 3.2, sharey=True)
    for axis, network in zip(axes, networks, strict=True):
        for method in ("sgd", "cp"):
            runs = single[network, method].accuracies
            _curve(axis, [median(epoch) for epoch in zip(*runs, strict=False)], LINE_COLOURS[method], method)
        axis.axhline(TARGET, color="#333333", linewidth=0.6, linestyle=":")
        axis.set_title(network, fontsize=8)
    _finish_curves(figure, axes, bottom=88)
    figure.savefig(path, dpi=DPI)


def _curve(axis: Any, accuracies: Sequence[float], colour: str, label: str) -> None:
    epochs = range(1, len(accuracies) + 1)
    axis.plot(epochs, [100 * value for value in accuracies], color=colour, label=label, linewidth=1.4)


def _finish_curves(figure: Any, axes: Sequence[Any], *, bottom: float) -> None:
    for axis in axes:
        _epoch_axis(axis)
        axis.set_xlim(0.9, max(max(line.get_xdata()) for line in axis.get_lines()) * 1.1)
        axis.set_ylim(bottom, 97.5)
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("accuracy [%]")
    figure.supxlabel("epochs", fontsize=10)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=len(labels), frameon=False)


QUESTIONS: dict[str, Callable[[Sequence[Record], Path], None]] = {
    "half": half,
    "stochastic": stochastic,
    "batches": batches,
    "pipelining": pipelining,
    "remedies": remedies,
}


def draw_study(rows: Sequence[Row], records: Sequence[Record], out_dir: Path) -> list[Path]:
    """Every picture; their paths. Raises OSError."""
    trained = fig5_curves(curves(records).values())
    fig5(trained, out_dir / "fig5.png")
    written = [out_dir / "fig5.png"]
    for case, name in FIGURES.items():
        written.append(out_dir / f"{name}.png")
        energy(case, trained, written[-1])
    written.append(out_dir / "fig9.png")
    fig9([row for row in rows if row.artifact == "fig9"], written[-1])
    for key, draw in QUESTIONS.items():
        written.append(out_dir / f"question-{key}.png")
        draw(records, written[-1])
    return written
