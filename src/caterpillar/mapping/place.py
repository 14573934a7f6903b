"""place: a Program on a Machine -> a Schedule, or what does not fit."""

from __future__ import annotations

from itertools import pairwise

from caterpillar.checks import Infeasible, UsageError
from caterpillar.machine import WORD_BYTES, Machine
from caterpillar.mapping.descent import first_tick, last_update, steady_tick
from caterpillar.mapping.isa import FIFO_BEATS, SOFTMAX_OUTPUTS, accumulators
from caterpillar.mapping.layout import LayerLayout, Layout, back_unit, make_layout
from caterpillar.mapping.paper import place_paper
from caterpillar.mapping.schedule import Schedule
from caterpillar.numerics import GemvOrder, Order
from caterpillar.program import Program, Update

MAPPINGS = ("best", "paper")
RULES = ("sgd", "fa", "dfa")


def place(program: Program, machine: Machine, *, mapping: str = "best") -> Schedule | Infeasible:
    """The micro-programs of a run. Raises UsageError for what no mapping here can do."""
    if mapping not in MAPPINGS:
        raise UsageError(f"--mapping must be one of {', '.join(MAPPINGS)}, got {mapping!r}")
    _check_supported(program, machine)
    if mapping == "paper":
        return place_paper(program, machine)
    layout = make_layout(program.network, machine, program.rule)
    short = _too_small(layout, machine)
    if short:
        return short
    return Schedule(
        network=program.network,
        machine=machine,
        rule=program.rule,
        mapping=mapping,
        layout=layout,
        order=_order(layout, machine, program.rule),
        first=first_tick(layout, machine, program.rule),
        steady=steady_tick(layout, machine, program.rule),
        last=last_update(layout, machine),
        sample_beats=sample_beats(layout, machine),
        sram_beats=sample_beats(layout, machine),
        macs_per_sample=program.macs_per_sample,
    )


def sample_beats(layout: Layout, machine: Machine) -> int:
    """Beats of core SRAM that a sample takes."""
    return layout.layers[0].positions * machine.pe_cols


def _check_supported(program: Program, machine: Machine) -> None:
    if program.rule not in RULES:
        raise UsageError(
            f"--rule must be one of {', '.join(RULES)} with --batch 1 for a simulation, got {program.rule!r}"
        )
    if any(isinstance(op, Update) and op.momentum for op in program.ops):
        raise UsageError("--momentum must be 0 for a simulation")
    if program.network.activation != "relu":
        raise UsageError(f"Network.activation must be relu for a simulation, got {program.network.activation!r}")
    if program.network.depth < 2:
        raise UsageError("Network.sizes must have at least 3 entries for a simulation, got 2")
    if program.network.outputs > SOFTMAX_OUTPUTS:
        raise UsageError(
            f"Network.sizes must end in at most {SOFTMAX_OUTPUTS} for a simulation, got {program.network.outputs}"
        )
    if not machine.neighbour_links:
        raise UsageError("Machine.neighbour_links must be true for a simulation, got false")
    if machine.pe_sram_word_bits != 16:
        raise UsageError(f"Machine.pe_sram_word_bits must be 16 for a simulation, got {machine.pe_sram_word_bits}")
    for name in ("pe_rows", "pe_cols"):
        size = getattr(machine, name)
        if size & (size - 1):
            raise UsageError(f"Machine.{name} must be a power of two for a simulation, got {size}")


def _too_small(layout: Layout, machine: Machine) -> Infeasible | None:
    registers = max(machine.pes_per_core // 2, 2 * back_unit(machine) + 1, accumulators(machine) + 1)
    beats = max(layer.blocks for layer in layout.layers) * machine.pe_cols
    for what, needs, has, hint in (
        (
            "MEM A of a PE",
            layout.mem_a_words * WORD_BYTES,
            machine.pe_sram_bytes,
            "raise pe_sram_bytes or the number of cores",
        ),
        (
            "MEM B of a PE",
            layout.mem_b_words * WORD_BYTES,
            machine.pe_mem_b_bytes,
            "raise pe_mem_b_bytes or the number of cores",
        ),
        (
            "the register file of a PE",
            registers * WORD_BYTES,
            machine.pe_registers * WORD_BYTES,
            "raise pe_registers or lower pe_rows or pe_cols",
        ),
        (
            "the SRAM of a core",
            sample_beats(layout, machine) * machine.pe_rows * WORD_BYTES,
            machine.core_sram_bytes,
            "raise core_sram_bytes",
        ),
        (
            "the ring's receive queue",
            beats * machine.pe_rows * WORD_BYTES,
            FIFO_BEATS * machine.pe_rows * WORD_BYTES,
            "raise the number of cores or of PEs",
        ),
    ):
        if needs > has:
            return Infeasible(what=what, needs_bytes=needs, has_bytes=has, hint=hint)
    return None


def _bounds(layer: LayerLayout, cores: int) -> tuple[int, ...]:
    """Where each core's panel of outputs begins; cores past the last output have none."""
    return tuple(min(core * layer.panel, layer.outputs) for core in range(cores + 1))


def _order(layout: Layout, machine: Machine, rule: str) -> Order:
    cores, lanes = machine.cores, machine.pes_per_core
    bounds = [_bounds(layer, cores) for layer in layout.layers[:-1]]
    orders = [GemvOrder(bounds=bounds[0], forward_lanes=lanes, forward_combine="tree")]
    for before, mine in pairwise(bounds):
        owner = tuple(core for core in range(cores) for _ in range(before[core], before[core + 1]))
        orders.append(
            GemvOrder(
                bounds=mine,
                forward_lanes=lanes,
                forward_combine="tree",
                forward_first=tuple(start % before[-1] for start in before[:-1]),
                input_bounds=before if any(start % lanes for start in before[:-1]) else None,
                backward_first=tuple((core + 1) % cores for core in owner),
            )
        )
    last = GemvOrder(
        bounds=(0, layout.layers[-1].outputs),
        forward_lanes=lanes,
        forward_combine="tree",
        input_bounds=bounds[-1],
        block_lanes=min(accumulators(machine), cores),
    )
    layers = (*orders, last)
    through: dict[str, tuple[GemvOrder | None, ...]] = {
        "sgd": (None,) * len(layers),
        "fa": (None, *layers[1:]),
        "dfa": (*(GemvOrder(bounds=(0, layout.layers[-1].outputs)) for _ in orders), None),
    }
    return Order(layers=layers, feedback=through[rule])
