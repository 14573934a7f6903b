"""A tornado plot: which price's uncertainty moves a sample's energy most."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from caterpillar.cost import Swing

BARS = 12
LEAST = 0.001  # of the total: prices that move less have no bar


def save_tornado(title: str, total_pj: float, swings: Sequence[Swing], path: Path) -> None:
    """Write the plot, in the format of path's ending; swings as cost.sensitivity gives them, the BARS widest.

    A price's bar goes from the energy with it at its low to the energy with it at its high; its label says the price.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    shown = [swing for swing in swings[:BARS] if swing.high_pj - swing.low_pj > LEAST * total_pj][::-1]
    with rc_context({"svg.hashsalt": "caterpillar", "font.size": 9}):
        figure = Figure(figsize=(9, 1.6 + 0.42 * len(shown)), layout="constrained")
        axes = figure.subplots()
        for place, swing in enumerate(shown):
            low, high = swing.low_pj / 1e6, swing.high_pj / 1e6
            axes.barh(place, total_pj / 1e6 - low, left=low, color="#0072B2", height=0.7)
            axes.barh(place, high - total_pj / 1e6, left=total_pj / 1e6, color="#D55E00", height=0.7)
            change = f"{low * 1e6 / total_pj - 1:+.1%} .. {high * 1e6 / total_pj - 1:+.1%}"
            axes.annotate(change, (high, place), xytext=(4, 0), textcoords="offset points", va="center", fontsize=8)
        axes.set_yticks(range(len(shown)), [_label(swing) for swing in shown])
        axes.axvline(total_pj / 1e6, color="black", lw=0.8)
        axes.use_sticky_edges = False
        axes.margins(x=0.12)
        axes.set_xlabel(
            "energy a sample, uJ: each price at its low (blue) and at its high (orange), the others as they are"
        )
        axes.set_title(title)
        axes.spines[["top", "right"]].set_visible(False)
        figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None, dpi=110)


def _label(swing: Swing) -> str:
    name = f"{swing.component} of a PE, a cycle" if swing.event == "pe_cycles" else swing.event.replace("_", " ")
    return f"{name}\n{swing.price.value:.3g} ({swing.price.low:.3g} to {swing.price.high:.3g}) pJ"
