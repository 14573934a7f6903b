"""How each layer is split over the lanes: the splits that cost the fewest cycles and fit MEM B."""

from __future__ import annotations

import math
from dataclasses import dataclass

from caterpillar.machine import Machine
from caterpillar.mapping.isa import beat_cycles, halves, sram_beat_cycles
from caterpillar.mapping.pipeline.layout import Split
from caterpillar.network import Network


@dataclass(frozen=True, slots=True)
class Plan:
    """Splits of the first layers, with the cycles of a tick and the words of MEM B that they take."""

    splits: tuple[Split, ...]
    cycles: int
    words: int


def choose(network: Network, machine: Machine, words: int) -> tuple[Split, ...]:
    """The splits of layers 1 .. L - 1 of the fewest cycles with at most these words of MEM B, or else of the fewest."""
    plans = [Plan((), 0, 0)]
    for layer in network.layers[:-1]:
        plans = _best(
            [_with(plan, split, machine) for plan in plans for split in _splits(network, machine, layer.index, plan)]
        )
    fitting = [plan for plan in plans if plan.words <= words]
    return min(fitting, key=lambda p: p.cycles).splits if fitting else min(plans, key=lambda p: p.words).splits


def _best(plans: list[Plan]) -> list[Plan]:
    """Those that no other beats in both cycles and words with the same number of beats for the next layer."""
    kept: list[Plan] = []
    for plan in sorted(plans, key=lambda p: (p.cycles, p.words)):
        beats = len(plan.splits[-1].beats)
        if not any(len(one.splits[-1].beats) <= beats and one.words <= plan.words for one in kept):
            kept.append(plan)
    return kept


def _splits(network: Network, m: Machine, index: int, plan: Plan) -> list[Split]:
    layer, found = network.layers[index - 1], []
    panel = -(-layer.outputs // m.cores)
    width = -(-m.fma_latency // 3) if index > 1 else 1
    # sums of one output are 3 (shift width - 1) cycles apart, at least: their way through MEM B takes two more
    pace = 3 if index > 1 else 2
    least = -(-(m.fma_latency + 2) // pace) + (width > 1)
    lanes = m.pe_rows
    while lanes <= m.pes_per_core:
        groups, steps = m.pes_per_core // lanes, lanes // m.pe_rows
        sums = max(-(-panel // groups), width * -(-least // width))
        whole = halves(m) // math.gcd(halves(m), width)  # turns that make whole groups of MEM A's words
        sums = -(-sums // whole) * whole
        if index == 1:
            chunk = positions = -(-layer.inputs // lanes)
        else:
            beats = len(plan.splits[-1].beats)
            chunk = -(-max(-(-beats // steps), 2 * width if m.cores > 1 else 1) // width) * width
            positions = chunk * m.cores
        found.append(
            Split(
                panel=panel,
                input_lanes=lanes,
                output_lanes=groups,
                sums=sums,
                width=width,
                chunk=chunk,
                positions=positions,
                rows=m.pe_rows,
                alike=index == network.depth - 1,
            )
        )
        lanes *= 2
    # in layer 1 a collective's step of all columns, a beat in four cycles, shall fit between two positions' inputs
    roomy = [split for split in found if index > 1 or pace * split.sums >= 4 * m.pe_cols]
    return roomy or found


def least_period(split: Split, m: Machine, index: int) -> int:
    """Cycles of a group of positions: of its weights, or of what the buses must move meanwhile."""
    width, ring, sram = split.width, beat_cycles(m), sram_beat_cycles(m)
    moved = 2 * split.steps
    if index == 1:
        return max(2 * split.sums, moved * sram + 2)
    around = m.pe_cols if m.cores > 1 else 0
    buses = width * (moved + 2 * around)
    latches = width * (2 * ((split.steps - 1) * sram + 1) + around)
    weights = 3 * width * split.sums
    busy = max(buses, latches, width * moved * sram, width * around * ring)
    return weights if busy <= weights else 3 * -(-busy // 3)


def _with(plan: Plan, split: Split, m: Machine) -> Plan:
    index = len(plan.splits) + 1
    cycles = split.groups * least_period(split, m, index)
    adds = sum(size - 1 + (split.input_lanes // size).bit_length() - 1 + 2 for size in split.blocks)
    if index > 1:
        adds += len(plan.splits[-1].blocks) * split.output_lanes
    words = split.padded + split.sums + (split.chunk if index > 1 else 0) + 4 * len(split.blocks)
    return Plan((*plan.splits, split), plan.cycles + cycles + adds, plan.words + words)
