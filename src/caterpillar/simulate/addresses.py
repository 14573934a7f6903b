"""Whether the addresses that a micro-program names exist in every tick, wherever address registers have led to.

The walk over control words sees one tick; an address register gives an address another start in each. Here an
instruction's lowest and highest address are enough: its loops step evenly, and a register goes through all its slots.
Where loops step an address's mode, too, each issue is looked at.
"""

from __future__ import annotations

from dataclasses import replace

from caterpillar.machine import Machine
from caterpillar.mapping import isa
from caterpillar.mapping.isa import Instruction
from caterpillar.mapping.schedule import QUEUED, Schedule
from caterpillar.simulate.hazards import Hazard, at_address


def check_addresses(schedule: Schedule) -> None:
    """Raises Hazard for an address outside the words that the schedule's layout has, in any tick."""
    machine, layout = schedule.machine, schedule.layout
    group = isa.halves(machine)
    words = {"a": -(-layout.mem_a_words // group) * group, "row": schedule.sram_beats}
    words["b0"] = words["b1"] = layout.mem_b_words
    for program in {id(one): one for one in (schedule.first, schedule.steady, schedule.last) if one}.values():
        members = program.members(machine.cores)
        for number, one in enumerate(program.groups):
            for instruction in one.instructions:
                prefix = QUEUED.get(instruction.unit)
                if prefix is None or not _names_memory(instruction, prefix):
                    continue
                low, high = _reach(instruction, prefix, schedule)
                if low < 0 or high >= words[prefix]:
                    where = f"core {members[number][0]}" if program.others else "every core"
                    wrong = low if low < 0 else high
                    raise Hazard(
                        cycle=instruction.start,
                        unit=instruction.unit,
                        what=at_address(instruction.unit, wrong),
                        where=where,
                    )


def _names_memory(one: Instruction, prefix: str) -> bool:
    fields = dict(one.fields)
    return prefix != "row" or fields["row_from"] == isa.FROM_SRAM or fields.get("row_to") == isa.TO_SRAM


def _reach(one: Instruction, prefix: str, schedule: Schedule) -> tuple[int, int]:
    """The lowest and the highest address of all issues in all ticks."""
    modes = {f"{prefix}_mode", f"{prefix}_bits"}
    if any(modes & {field for field, _ in loop.strides} for loop in one.loops):
        each = [_reach(issue, prefix, schedule) for issue in _issues(one)]  # how far it reaches changes on the way
        return min(low for low, _ in each), max(high for _, high in each)
    fields, name = dict(one.fields), f"{prefix}_address"
    low = high = fields.get(name, 0)
    for loop in one.loops:
        way = (loop.count - 1) * dict(loop.strides).get(name, 0)
        low, high = low + min(0, way), high + max(0, way)
    queue = fields.get(f"{prefix}_queue", 0)
    if queue:
        register = schedule.queues[queue - 1]
        high += register.words * (register.slots - 1)
    return low, high + _span(fields, prefix, schedule.machine, schedule.copies) - 1


def _issues(one: Instruction) -> list[Instruction]:
    """Each of an instruction's issues, as one without loops."""
    steps = [one.values(name, base).tolist() for name, base in one.fields]
    names = [name for name, _ in one.fields]
    return [
        replace(one, start=start, fields=tuple(zip(names, values, strict=True)), loops=())
        for start, *values in zip(one.cycles().tolist(), *steps, strict=True)
    ]


def _span(fields: dict[str, int], prefix: str, machine: Machine, copies: int) -> int:
    """Words from the address on that the PEs of all cores reach."""
    mode, bits = fields.get(f"{prefix}_mode", isa.PLAIN), fields.get(f"{prefix}_bits", 0)
    if mode == isa.ROTATE_CORE:
        return machine.cores // copies
    spans = {isa.XOR_LANE: machine.pes_per_core, isa.XOR_ROW: machine.pe_rows, isa.XOR_COLUMN: machine.pe_cols}
    span = spans.get(mode, 1)
    return min(span, 1 << bits) if bits else span
