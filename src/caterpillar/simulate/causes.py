"""What the FMA of each PE does in every cycle, or why it is idle, read off control words one after the other."""

# pyright: basic

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numba import njit
from numpy.typing import NDArray

from caterpillar.counters import PeCycles
from caterpillar.machine import Machine
from caterpillar.mapping import isa
from caterpillar.mapping.isa import Control, MicroProgram
from caterpillar.mapping.schedule import Schedule, unhidden_collectives, windows
from caterpillar.simulate.fields import (
    A_OP,
    FMA,
    FMA_A,
    FMA_B,
    FMA_C,
    ROW_FROM,
    ROW_TO,
    SOFTMAX_ON,
)
from caterpillar.simulate.hazards import softmax_cycles

CAUSE = {name: index for index, name in enumerate(PeCycles.names())}
MULTIPLY_ADD, ADDITION, ELEMENTWISE = (CAUSE[name] for name in ("padding", "additions", "elementwise"))
SOFTMAX, COLLECTIVE, CORE_SRAM, PORT, LATENCY, WORDS = (
    CAUSE[f"idle_{name}"] for name in ("softmax", "collective", "core_sram", "mem_a_port", "latency", "words")
)
# What is under way: when the softmax unit, the core SRAM's port and MEM A's are free; when the FMA's pipeline is empty.
SOFTMAX_UNTIL, SRAM_UNTIL, PORT_UNTIL, FMA_UNTIL = range(4)


def pe_cycles(schedule: Schedule, samples: int) -> PeCycles:
    """Where the PE-cycles of a run of n samples go. Each tick begins with nothing under way."""
    programs, total, filling = schedule.ticks(samples), PeCycles(), 0
    for program in {id(one): one for one in programs}.values():
        tick = _of_program(program, schedule)
        total += tick * sum(one is program for one in programs)
        if program is schedule.steady:
            filling = tick.padding * schedule.extra_ticks
    return total.split(useful=schedule.macs_per_sample * samples, fill_and_drain=filling)


def _of_program(program: MicroProgram, schedule: Schedule) -> PeCycles:
    """Of one tick on all cores; all multiply-adds are padding as yet."""
    machine, total = schedule.machine, PeCycles()
    for group, members in zip(program.groups, program.members(machine.cores), strict=True):
        counts = _count(windows(group, schedule.queues), unhidden_collectives(group), machine)
        found = dict(zip(PeCycles.names(), counts.tolist(), strict=True))
        total += PeCycles(**found) * (len(members) * machine.pes_per_core)
    return total


def _count(stretches: Iterable[Control], collective: NDArray[np.bool_], machine: Machine) -> NDArray[np.int64]:
    counts, until, start = np.zeros(len(CAUSE), np.int64), np.full(4, -1, np.int64), 0
    softmax = softmax_cycles(machine)
    for words in stretches:
        end = start + len(words)
        _tally(
            words,
            collective[start:end],
            start,
            softmax,
            isa.sram_beat_cycles(machine),
            machine.fma_latency,
            until,
            counts,
        )
        start = end
    return counts


@njit(cache=True)
def _tally(words, collective, start, softmax, sram_beat, latency, until, counts):
    """Count one cause for each control word; until: the last cycle that a unit's work takes part in as a cause."""
    for step in range(len(words)):
        word, t = words[step], start + step
        if word[FMA]:
            counts[_operation(word)] += 1
            until[FMA_UNTIL] = t + latency
        elif until[SOFTMAX_UNTIL] >= t:
            counts[SOFTMAX] += 1
        elif collective[step]:
            counts[COLLECTIVE] += 1
        elif until[SRAM_UNTIL] >= t:
            counts[CORE_SRAM] += 1
        elif until[PORT_UNTIL] >= t:
            counts[PORT] += 1
        else:
            counts[LATENCY if until[FMA_UNTIL] >= t else WORDS] += 1
        if word[SOFTMAX_ON]:
            until[SOFTMAX_UNTIL] = t + softmax[word[SOFTMAX_ON]] - 1
        if word[ROW_FROM] == isa.FROM_SRAM or (word[ROW_FROM] and word[ROW_TO] == isa.TO_SRAM):
            until[SRAM_UNTIL] = t + sram_beat
        if word[A_OP] == isa.WRITE or word[A_OP] == isa.WRITE_GROUP:
            until[PORT_UNTIL] = t + 1


@njit(cache=True)
def _operation(word):
    """What an issue of the FMA is, by what it multiplies."""
    a, b = word[FMA_A], word[FMA_B]
    if a == isa.RATE or b == isa.RATE:
        return ELEMENTWISE
    if a == isa.ONE or b == isa.ONE:
        return ELEMENTWISE if word[FMA_C] == isa.ZERO else ADDITION
    return MULTIPLY_ADD
