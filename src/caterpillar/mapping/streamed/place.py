"""place_streamed: one sample at a time where not all weights, or what waits for the update, fit the PEs' memories."""

from __future__ import annotations

from collections.abc import Sequence

from caterpillar.checks import Infeasible
from caterpillar.machine import WORD_BYTES, Machine
from caterpillar.mapping.descent import reduction_registers
from caterpillar.mapping.encoding import BITS
from caterpillar.mapping.isa import QUEUES, REGISTER
from caterpillar.mapping.room import MEM_A, MEM_B, QUEUE, REGISTERS, SRAM, too_small
from caterpillar.mapping.schedule import Schedule
from caterpillar.mapping.streamed.layout import StreamedLayout, make_streamed
from caterpillar.mapping.streamed.passes import SUMS
from caterpillar.mapping.streamed.propagation import cp_tick, cp_timing
from caterpillar.mapping.streamed.ticks import last_update, tick, timing
from caterpillar.mapping.streamed.timing import Timing
from caterpillar.mapping.streamed.waiting import WaitingLayout, make_waiting, waiting_order
from caterpillar.mapping.sum_order import order_with
from caterpillar.program import Program


def place_streamed(program: Program, machine: Machine) -> Schedule | Infeasible:
    """The micro-programs of sgd, dfa or cp, or what does not fit."""
    return _place_cp(program, machine) if program.rule == "cp" else _place_descent(program, machine)


def _place_descent(program: Program, machine: Machine) -> Schedule | Infeasible:
    layout, back = make_streamed(program.network, machine, program.rule), program.rule == "sgd"
    passes = [timing(layout, machine, index, back=back, update=True) for index in range(2, len(layout.layers))]
    short = _too_small(layout, machine, passes)
    if short:
        return short
    return Schedule(
        network=program.network,
        machine=machine,
        rule=program.rule,
        mapping="best",
        layout=layout,
        order=order_with(layout, machine, program.rule, [range(t.chains) for t in passes]),
        first=tick(layout, machine, update=False),
        steady=tick(layout, machine, update=True),
        last=last_update(layout, machine),
        sample_beats=layout.sample_beats,
        sram_beats=layout.sram_beats,
        streamed_weights=layout.streamed_weights,
        macs_per_sample=program.macs_per_sample,
    )


def _place_cp(program: Program, machine: Machine) -> Schedule | Infeasible:
    layout = make_waiting(program.network, machine)
    passes = [cp_timing(layout, machine, index) for index in range(2, layout.depth)]
    short = _too_small(layout, machine, passes) or _too_deep(layout)
    if short:
        return short
    return Schedule(
        network=program.network,
        machine=machine,
        rule=program.rule,
        mapping="best",
        layout=layout,
        order=waiting_order(layout, machine, [range(t.chains) for t in passes]),
        steady=cp_tick(layout, machine),
        extra_ticks=2 * layout.depth - 1,
        queues=layout.queues,
        sample_beats=layout.sample_beats,
        sram_beats=layout.sram_beats,
        label_lag=layout.depth,
        streamed_weights=layout.streamed_weights,
        macs_per_sample=program.macs_per_sample,
    )


def _too_small(layout: StreamedLayout, machine: Machine, passes: Sequence[Timing]) -> Infeasible | None:
    sums = max((t.chains for t in passes), default=0)
    registers, last = max(SUMS - REGISTER + sums, reduction_registers(layout, machine)), layout.layers[-1]
    waiting = [((2 + t.forward) * t.layer.chunk + 1) * machine.pe_cols for t in passes]
    beats = max(*waiting, last.own * -(-last.owners // machine.pe_rows), 1)
    needs = {
        MEM_A: layout.mem_a_words,
        SRAM: layout.sram_beats * machine.pe_rows,
        MEM_B: layout.mem_b_words,
        REGISTERS: registers,
        QUEUE: beats * machine.pe_rows,
    }
    hints = {
        SRAM: "raise core_sram_bytes, or, for what does not fit MEM A lies there, pe_sram_bytes or the number of cores",
        REGISTERS: "raise pe_registers or lower pe_rows or pe_cols",
    }
    return too_small(machine, needs, hints)


def _too_deep(layout: WaitingLayout) -> Infeasible | None:
    for what, needs, has in (
        ("a core's address registers", len(layout.queues), QUEUES),
        ("the stretches of an address register", max(one.slots for one in layout.queues), 1 << BITS["row_lag"]),
    ):
        if needs > has:
            words = {"needs_bytes": needs * WORD_BYTES, "has_bytes": has * WORD_BYTES}
            return Infeasible(what=what, hint="take fewer layers", **words)
    return None
