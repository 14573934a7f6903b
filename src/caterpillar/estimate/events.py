"""Events of a pass under the `paper` mapping, a sample's share of them.

Priced by the paper: multiply-adds, one operand read from the local memory for each, and the matrix accesses (one read
a pass, one write an update, a batch sharing them). It prices nothing else; buses, links and ring are counted here
from its placement: outputs of a layer dealt to the layer's cores, and inside a core 2D round robin.
"""

from __future__ import annotations

from caterpillar.counters import Counters
from caterpillar.estimate.elementwise import larger
from caterpillar.estimate.traffic import accesses, is_pipelined, matrix_words
from caterpillar.machine import Machine
from caterpillar.program import Backward, DirectBackward, Forward, Op, OutputError, Pass, Program, Update

PHASES: tuple[str, ...] = ("forward", "backward", "update", "collective", "off_core")


def pass_phases(program: Program, machine: Machine, one_pass: Pass, off_core_share: float) -> dict[str, Counters]:
    """Events a sample of one pass by phase, off_core_share of its matrix accesses going to the off-core SRAM.

    Its operations share the read of a matrix evenly; the write is the update's. Reductions and ring transfers are
    the phase "collective"; what waits for off-core words, "off_core", has no events here.
    """
    reads, writes = accesses(one_pass)
    users = {tensor: [op for op in one_pass.ops if tensor in op.reads] for tensor in reads}
    phases = dict.fromkeys(PHASES, Counters())
    for op in one_pass.ops:
        read = sum(matrix_words(program, t) / len(users[t]) for t in reads if op in users[t]) / program.batch
        written = sum(matrix_words(program, t) for t in writes if t in op.writes) / program.batch
        macs = program.macs(op)
        phases[phase_of(op)] += Counters(
            fma=macs,
            pe_sram_read_words=macs + read * (1.0 - off_core_share),
            pe_sram_write_words=written * (1.0 - off_core_share),
            core_sram_read_words=read * off_core_share,
            core_sram_write_words=written * off_core_share,
        )
        broadcast, collective = _moves(program, machine, op)
        phases[phase_of(op)] += broadcast
        phases["collective"] += collective
    return phases


def phase_of(op: Op) -> str:
    """The phase an operation belongs to."""
    match op:
        case Forward():
            return "forward"
        case Backward() | DirectBackward() | OutputError():
            return "backward"
        case Update():
            return "update"


def _moves(program: Program, machine: Machine, op: Op) -> tuple[Counters, Counters]:
    """Broadcasts of one operation and sample, and its reductions and ring transfers, on its layer's cores."""
    match op:
        case OutputError():
            return Counters(), Counters()
        case Forward():
            layer, cores = program.network.layers[op.layer - 1], _cores_of(program, machine, op.layer)
            sums = _reduction(machine, layer.outputs * (machine.pe_rows - 1), along="column")
            ring = Counters(ring_word_hops=layer.outputs * (cores - 1))
            return Counters(row_bus_words=layer.inputs * cores, activation_words=layer.outputs), sums + ring
        case Backward():
            layer, cores = program.network.layers[op.layer - 1], _cores_of(program, machine, op.layer)
            sums = _reduction(machine, layer.inputs * cores * (machine.pe_cols - 1), along="row")
            ring = Counters(ring_word_hops=layer.inputs * (cores - 1))
            return Counters(column_bus_words=layer.outputs), sums + ring
        case DirectBackward():
            layer, cores = program.network.layers[op.layer - 1], _cores_of(program, machine, op.layer)
            sums = _reduction(machine, layer.outputs * (machine.pe_rows - 1), along="column")
            return Counters(row_bus_words=program.network.outputs * cores), sums
        case Update():
            layer, cores = program.network.layers[op.layer - 1], _cores_of(program, machine, op.layer)
            return Counters(row_bus_words=layer.inputs * cores, column_bus_words=layer.outputs), Counters()


def _cores_of(program: Program, machine: Machine, layer: int) -> float:
    """All cores, or in a pipeline a share in proportion to the layer's weights, at least one."""
    if not is_pipelined(program):
        return machine.cores
    network = program.network
    return larger(1.0, machine.cores * network.layers[layer - 1].weights / network.weights)


def _reduction(machine: Machine, words: float, *, along: str) -> Counters:
    """Partial sums on their way to the PE that adds them up, over links if there are any, else over a bus."""
    linked, on_bus = machine.neighbour_links * words, (1 - machine.neighbour_links) * words
    if along == "column":
        return Counters(neighbour_words=linked, column_bus_words=on_bus)
    return Counters(neighbour_words=linked, row_bus_words=on_bus)
