"""Cycles that passes wait for memories which answer later than within a cycle, as the prices' circuits have them.

A schedule takes every memory to answer within a cycle. Addresses do not depend on data, so reads are pipelined and
only the first word of a pass is late; a pass that begins to read two memories waits for the slower. It is an upper
bound: a schedule written for the later memory could issue a first read before the stretch begins.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from caterpillar.cost import PriceColumns, Prices
from caterpillar.estimate.elementwise import larger
from caterpillar.estimate.events import PHASES

if TYPE_CHECKING:
    from caterpillar.mapping import Schedule
    from caterpillar.mapping.isa import MicroProgram, Phase


def first_word_cycles(prices: Prices | PriceColumns, *, pe_sram: Any = True, core_sram: Any = False) -> Any:
    """Cycles by which the first word of a pass is late that reads these memories. Elementwise."""
    return larger(pe_sram * prices.pe_sram_late_cycles, core_sram * prices.core_sram_late_cycles)


def late_reads(program: MicroProgram, prices: Prices) -> dict[str, float]:
    """Cycles by phase that the stretches of a micro-program wait for the first words that they read.

    Where groups of cores run different programs, of the one that waits longest: the others wait with it.
    """
    if program.others:
        each = [late_reads(replace(one, others=(), group_of=()), prices) for one in program.groups]
        return max(each, key=lambda late: sum(late.values()))
    late = dict.fromkeys(PHASES, 0.0)
    for stretch in program.phases:
        if stretch.track == "compute":
            wait = _wait(program, stretch, prices)
            for kind in stretch.kinds:
                late[kind] += wait / len(stretch.kinds)
    return late


def late_reads_of_run(schedule: Schedule, samples: int, prices: Prices) -> dict[str, float]:
    """The same for a run of so many samples, fill and drain included."""
    late = dict.fromkeys(PHASES, 0.0)
    programs = schedule.ticks(samples)
    for program in {id(one): one for one in programs}.values():
        times = sum(one is program for one in programs)
        for phase, cycles in late_reads(program, prices).items():
            late[phase] += times * cycles
    return late


def _wait(program: MicroProgram, stretch: Phase, prices: Prices) -> int:
    from caterpillar.mapping.isa import FROM_SRAM, READ  # numpy is slow to import

    begun = [(one.unit, dict(one.fields)) for one in program.instructions if stretch.start <= one.start < stretch.end]
    return first_word_cycles(
        prices,
        pe_sram=any(unit == "mem_a" and fields["a_op"] == READ for unit, fields in begun),
        core_sram=any(unit == "row_bus" and fields["row_from"] == FROM_SRAM for unit, fields in begun),
    )
