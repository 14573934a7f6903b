"""How each layer is split over the lanes: the splits that cost the fewest cycles, with so many words of MEM B."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from caterpillar.machine import Machine
from caterpillar.mapping.isa import beat_cycles, sram_beat_cycles
from caterpillar.mapping.pipeline.split import Block, Split
from caterpillar.network import Network


@dataclass(frozen=True, slots=True)
class Plan:
    """Splits of the first layers, with about the cycles of a tick that they take."""

    splits: tuple[Split, ...]
    cycles: int


def choices(network: Network, machine: Machine) -> Iterator[tuple[Split, ...]]:
    """Splits of layers 1 .. L - 1, from the fewest cycles on: the best for each bound of a pass's words of MEM B."""
    bounds = {_words(split) for index in range(1, network.depth) for split in _splits(network, machine, index, None)}
    found: dict[tuple[Split, ...], int] = {}
    for bound in sorted(bounds):
        plan = _best(network, machine, bound)
        if plan:
            found.setdefault(plan.splits, plan.cycles)
    yield from sorted(found, key=lambda splits: found[splits])


def _best(network: Network, machine: Machine, bound: int) -> Plan | None:
    """The fewest cycles, none of whose passes leaves or takes more words."""
    plans = [Plan((), 0)]
    for index in range(1, network.depth):
        better: dict[tuple[int, int], Plan] = {}
        for plan in plans:
            for split in _splits(network, machine, index, plan.splits[-1] if plan.splits else None):
                if _words(split) <= bound:
                    one = _with(plan, split, machine)
                    key = (split.input_lanes, split.grain)
                    if key not in better or one.cycles < better[key].cycles:
                        better[key] = one
        plans = list(better.values())
    return min(plans, key=lambda plan: plan.cycles, default=None)


def _words(split: Split) -> int:
    return split.padded + split.sums


def _splits(network: Network, m: Machine, index: int, before: Split | None) -> list[Split]:
    """Splits of a layer that goes on with the activations of the split before."""
    layer, found = network.layers[index - 1], list[Split]()
    panel, pace = -(-layer.outputs // m.cores), 3 if index > 1 else 2
    width = -(-m.fma_latency // 3) if index > 1 else 1
    # sums of one output are width (shift - 1) + 1 turns apart, at least: their way through MEM B takes two more cycles
    least = -(-(m.fma_latency + 2) // pace) + width - 1
    lanes = m.pe_rows
    while lanes <= m.pes_per_core:
        groups = m.pes_per_core // lanes
        sums = max(-(-panel // groups), width * -(-least // width))
        several = list[tuple[Block, ...]]()
        for grain in (1 << bit for bit in reversed(range(lanes.bit_length()))):
            split = Split(
                input_lanes=lanes,
                output_lanes=groups,
                rows=m.pe_rows,
                sums=sums,
                width=width,
                chunks=(),
                joined=False,
                positions=-(-layer.inputs // lanes),
                grain=grain,
                alike=index == network.depth - 1,
            )
            if index > 1 and before:
                split = _divided(split, before, layer.inputs, m)
            if split.blocks not in several:
                found.append(split)
                several.append(split.blocks)
        lanes *= 2
    # layer 1 takes 3 O + 4 of a position's 4 O accesses of MEM B: some shall remain for what goes on beside it
    roomy = [split for split in found if index > 1 or split.sums >= 8]
    return roomy or found


def _divided(split: Split, before: Split, inputs: int, m: Machine) -> Split:
    """The split with the chunks of positions that cores get: as few as hold all inputs, spread evenly.

    Some cores' chunks are a position shorter than the others'. Where even the longest are too short for an error sum to
    come round the ring in time, all are as long.
    """
    longest = max(before.chunk_for(split.steps), split.width if m.cores > 1 else 1)
    shortest = next(n for n in itertools.count(1) if split.between(n) * 3 >= hop_cycles(m))
    joined = m.cores > 1 and longest < shortest
    filled = np.bincount(before.place_in_chunk(split.steps).ravel(), minlength=longest).cumsum()
    chunks = (longest,) * m.cores
    for fewer in range(1 if joined else min(m.cores, (longest - shortest) * m.cores + 1)):
        some = [longest - (k + 1) * fewer // m.cores + k * fewer // m.cores for k in range(m.cores)]
        if filled[np.array(some) - 1].sum() < inputs:
            break
        chunks = tuple(some)
    return replace(split, chunks=chunks, joined=joined, positions=sum(chunks))


def hop_cycles(m: Machine) -> int:
    """From an error sum's last multiply-add to the first of the next core that begins with it, at least."""
    return m.fma_latency + m.pe_cols * (beat_cycles(m) + 1) + 2


def pass_cycles(split: Split, m: Machine, index: int) -> int:
    """Cycles of a layer's pass without gaps."""
    return -(-split.weights * least_period(split, m, index) // split.group_words)


def least_period(split: Split, m: Machine, index: int) -> int:
    """Cycles of a group of positions: of its weights, or of what the buses must move meanwhile."""
    width, ring, sram = split.width, beat_cycles(m), sram_beat_cycles(m)
    moved = 2 * split.steps
    if index == 1:
        return max(2 * split.sums, moved * sram + 2)
    around = m.pe_cols if m.cores > 1 else 0
    buses = width * (moved + 2 * around)
    latches = width * (2 * ((split.steps - 1) * sram + 1) + around)
    weights = 3 * width * split.sums + 3 * -(-width * split.joined // 3)
    busy = max(buses, latches, width * moved * sram, width * around * ring)
    return weights if busy <= weights else 3 * -(-busy // 3)


def after_pass(split: Split, before: Split | None, m: Machine) -> int:
    """Multiply-adds on what a hidden layer's pass has made: sums over the lanes, error sums over the columns."""
    lanes, columns = (split.input_lanes - 1).bit_length(), (m.pe_cols - 1).bit_length()
    found = sum(block.size + lanes - (block.size - 1).bit_length() for block in split.blocks)
    for words in (before.words(block, split.steps) for block in before.blocks) if before else ():
        found += words // split.steps + columns - (words - 1).bit_length()
    return found


def _with(plan: Plan, split: Split, m: Machine) -> Plan:
    before = plan.splits[-1] if plan.splits else None
    cycles = pass_cycles(split, m, len(plan.splits) + 1)
    return Plan((*plan.splits, split), plan.cycles + cycles + after_pass(split, before, m))
