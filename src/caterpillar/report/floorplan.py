"""A machine drawn to scale: the ring of cores, one core, one PE. Areas are those that its prices give."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from caterpillar.cost import Prices, areas
from caterpillar.machine import Machine

COLOURS = {  # Okabe and Ito's, for all eyes, and tints of them
    "fpu": "#D55E00",
    "pe_memory": "#0072B2",
    "mem_b": "#56B4E9",
    "registers": "#E69F00",
    "latches": "#F3CF80",
    "control": "#CC79A7",
    "micro_program": "#E5BCD3",
    "ring_queues": "#F0E442",
    "softmax": "#F2A57C",
    "logits": "#B0765A",
    "pe_rest": "#999999",
    "core_memory": "#009E73",
    "pe": "#4D5B66",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """A block of the floorplan, in mm from its parent's lower left corner."""

    name: str
    x: float
    y: float
    width: float
    height: float

    @property
    def area(self) -> float:
        """mm2."""
        return self.width * self.height


def pe_boxes(machine: Machine, prices: Prices) -> list[Box]:
    """A square PE cut into its blocks, each as large as its area."""
    blocks = [(name, area.value / machine.pes) for name, area in areas(machine, prices) if name != "core_memory"]
    side = math.sqrt(math.fsum(area for _, area in blocks))
    return _cut(sorted(blocks, key=lambda block: -block[1]), 0.0, 0.0, side, side)


def core_boxes(machine: Machine, prices: Prices) -> list[Box]:
    """The PEs of a core in their rows and columns, its SRAM along the upper edge."""
    side = math.sqrt(math.fsum(box.area for box in pe_boxes(machine, prices)))
    boxes = [
        Box(name="pe", x=column * side, y=row * side, width=side, height=side)
        for row in range(machine.pe_rows)
        for column in range(machine.pe_cols)
    ]
    memory = dict(areas(machine, prices))["core_memory"].value / machine.cores
    if memory:
        width = side * machine.pe_cols
        boxes.append(Box(name="core_memory", x=0.0, y=side * machine.pe_rows, width=width, height=memory / width))
    return boxes


def save_floorplan(machine: Machine, prices: Prices, path: Path) -> None:
    """Write the picture, in the format of path's ending (svg, png, pdf)."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context({"svg.hashsalt": "caterpillar", "font.size": 9}):
        figure = Figure(figsize=(15, 5.4), layout="constrained")
        axes = figure.subplots(1, 3, width_ratios=(2.2, 1.1, 1.1))
        total = math.fsum(area.value for _, area in areas(machine, prices))
        _draw_chip(axes[0], machine, prices)
        axes[0].set_title(f"{machine.name}: {machine.cores} cores on a ring, {total:.1f} mm² ({prices.name} prices)")
        core, pe = core_boxes(machine, prices), pe_boxes(machine, prices)
        _draw(axes[1], core, label_from=0.1)
        for place in (box for box in core if box.name == "pe"):
            _fill(axes[1], [replace(part, x=place.x + part.x, y=place.y + part.y) for part in pe], edge=0.0)
            axes[1].plot(*_outline(place), color="white", lw=0.8)
        axes[1].set_title(
            f"a core: {machine.pe_rows} x {machine.pe_cols} PEs, {math.fsum(b.area for b in core):.2f} mm²"
        )
        _draw(axes[2], pe, label_from=0.002)
        axes[2].set_title(f"a PE: {math.fsum(b.area for b in pe):.4f} mm²")
        _legend(figure, {name: area.value / total for name, area in areas(machine, prices)})
        figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None, dpi=110)


def _cut(blocks: Sequence[tuple[str, float]], x: float, y: float, width: float, height: float) -> list[Box]:
    """A rectangle cut in two across its longer side, as near to halves as the blocks allow, and so on."""
    if len(blocks) == 1:
        return [Box(name=blocks[0][0], x=x, y=y, width=width, height=height)]
    total = math.fsum(area for _, area in blocks)
    split = min(range(1, len(blocks)), key=lambda at: abs(math.fsum(a for _, a in blocks[:at]) - total / 2))
    share = math.fsum(area for _, area in blocks[:split]) / total
    if width >= height:
        return _cut(blocks[:split], x, y, width * share, height) + _cut(
            blocks[split:], x + width * share, y, width * (1 - share), height
        )
    return _cut(blocks[:split], x, y, width, height * share) + _cut(
        blocks[split:], x, y + height * share, width, height * (1 - share)
    )


def _draw(axes: Any, boxes: Sequence[Box], *, label_from: float) -> None:
    _fill(axes, boxes, edge=0.8)
    for box in boxes:
        if box.area >= label_from and box.name != "pe":
            middle = (box.x + box.width / 2, box.y + box.height / 2)
            text = f"{_words(box.name)}\n{box.area:.3g} mm²"
            turned = 90 if box.height > 2 * box.width else 0
            axes.text(*middle, text, ha="center", va="center", rotation=turned, color="white", fontsize=8)
    _frame(axes, boxes)


def _draw_chip(axes: Any, machine: Machine, prices: Prices) -> None:
    """Rows of cores, every second one upside down so that PEs face PEs, and the ring through the middles of the PEs."""
    core = core_boxes(machine, prices)
    width, height = max(b.x + b.width for b in core), max(b.y + b.height for b in core)
    pes = [b for b in core if b.name == "pe"]
    pe_height = max(b.y + b.height for b in pes)
    gap = 0.04 * width
    placed: list[Box] = []
    middles: list[list[tuple[float, float]]] = []
    for row in range(machine.core_rows):
        upside_down = row % 2 == 0
        middles.append([])
        for column in range(machine.cores_per_row):
            x, y = column * (width + gap), row * (height + gap)
            for name, low, high in (("pe", 0.0, pe_height), ("core_memory", pe_height, height)):
                if high > low:
                    start = y + (height - high if upside_down else low)
                    placed.append(Box(name=name, x=x, y=start, width=width, height=high - low))
            middles[-1].append((x + width / 2, y + (height - pe_height / 2 if upside_down else pe_height / 2)))
    _fill(axes, placed, edge=0.6)
    way = [point for row, points in enumerate(middles) for point in (points if row % 2 == 0 else points[::-1])]
    axes.plot(*zip(*way, way[0], strict=True), color="black", lw=1.2, marker="o", ms=2.5)
    _frame(axes, placed)


def _fill(axes: Any, boxes: Sequence[Box], *, edge: float) -> None:
    from matplotlib.patches import Rectangle

    for box in boxes:
        place = Rectangle(
            (box.x, box.y), box.width, box.height, facecolor=COLOURS[box.name], edgecolor="white", lw=edge
        )
        axes.add_patch(place)


def _outline(box: Box) -> tuple[list[float], list[float]]:
    right, top = box.x + box.width, box.y + box.height
    return [box.x, right, right, box.x, box.x], [box.y, box.y, top, top, box.y]


def _frame(axes: Any, boxes: Sequence[Box]) -> None:
    axes.set_xlim(0, max(box.x + box.width for box in boxes))
    axes.set_ylim(0, max(box.y + box.height for box in boxes))
    axes.set_aspect("equal")
    axes.set_xlabel("mm")
    axes.spines[:].set_visible(False)


def _legend(figure: Any, shares: dict[str, float]) -> None:
    """Blocks with their shares of the machine, the largest first; the PEs, whose blocks the chip does not show."""
    from matplotlib.patches import Patch

    order = sorted(filter(shares.get, shares), key=lambda name: -shares[name])
    handles = [Patch(facecolor=COLOURS[name], label=f"{_words(name)} {shares[name]:.1%}") for name in order]
    handles.append(Patch(facecolor=COLOURS["pe"], label=f"PEs {1 - shares['core_memory']:.1%}"))
    figure.legend(handles=handles, loc="outside lower center", ncols=7, frameon=False)


def _words(name: str) -> str:
    return {"fpu": "FMA", "pe_memory": "local SRAM", "core_memory": "off-core SRAM", "mem_b": "MEM B", "pe": "PEs"}.get(
        name, name.replace("_", " ").replace("pe rest", "rest of the PE")
    )
