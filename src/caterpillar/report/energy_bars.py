"""Where the energy goes: runs side by side, pJ a useful MAC by component, with the range that the prices allow."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from caterpillar.evaluate import Evaluation

COLOURS = {  # Okabe and Ito's, for all eyes, and tints of them
    "fpu": "#D55E00",
    "pe_memory": "#0072B2",
    "core_memory": "#009E73",
    "outside": "#4D5B66",
    "registers": "#E69F00",
    "buses": "#F3CF80",
    "ring": "#F0E442",
    "activation": "#E5BCD3",
    "leakage": "#999999",
    "clock": "#CC79A7",
    "control": "#56B4E9",
}
LABEL_FROM = 0.045  # of the highest bar: thinner shares carry no number


def save_energy_bars(title: str, runs: Sequence[tuple[str, Evaluation]], path: Path) -> None:
    """Write the picture, in the format of path's ending; runs are (label, Evaluation)."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context({"svg.hashsalt": "caterpillar", "font.size": 9}):
        figure = Figure(figsize=(3.5 + 1.4 * len(runs), 5), layout="constrained")
        axes = figure.subplots()
        highest = max(run.energy_pj_per_sample / run.macs_per_sample for _, run in runs)
        for place, (_, run) in enumerate(runs):
            bottom = 0.0
            for component, pj in run.energy_pj.items():
                share = pj / run.macs_per_sample
                axes.bar(place, share, 0.6, bottom=bottom, color=COLOURS[component])
                if share > LABEL_FROM * highest:
                    axes.text(place, bottom + share / 2, f"{share:.2f}", ha="center", va="center", fontsize=8)
                bottom += share
            axes.text(place, bottom, _caption(run), ha="center", va="bottom")
        axes.set_xticks(range(len(runs)), [label for label, _ in runs])
        axes.set_ylabel("pJ a useful MAC (in brackets: what the prices' ranges allow)")
        axes.set_title(title)
        axes.margins(y=0.2)
        axes.spines[["top", "right"]].set_visible(False)
        shown = [name for name in COLOURS if any(run.energy_pj[name] for _, run in runs)]
        handles = [axes.bar(0, 0, color=COLOURS[name], label=name.replace("_", " ")) for name in reversed(shown)]
        figure.legend(handles=handles, loc="outside right upper", frameon=False)
        figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None, dpi=110)


def _caption(run: Evaluation) -> str:
    pj, (low, high) = run.energy_pj_per_sample / run.macs_per_sample, run.energy_range_pj
    ends = f"\n({low / run.macs_per_sample:.1f} to {high / run.macs_per_sample:.1f})" if low < high else ""
    return f"{run.gflops_per_watt:.0f} GFLOPS/W\n{pj:.1f} pJ{ends}"
