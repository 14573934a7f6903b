"""Events of a pass under the `paper` mapping, a sample's share of them.

Priced by the paper: multiply-adds, one operand read from the local memory for each, and the matrix accesses (one read
a pass, one write an update, a batch sharing them). It prices nothing else; buses, links and ring are counted here
from its placement: outputs of a layer dealt to the layer's cores, and inside a core 2D round robin.
"""

from __future__ import annotations

from caterpillar.counters import Counters
from caterpillar.estimate.traffic import accesses, is_pipelined, matrix_words
from caterpillar.machine import Machine
from caterpillar.program import Backward, DirectBackward, Forward, Op, OutputError, Pass, Program, Update


def pass_counters(program: Program, machine: Machine, one_pass: Pass, off_core_share: float) -> Counters:
    """Events a sample of one pass, off_core_share of its matrix accesses going to the off-core SRAM."""
    reads, writes = accesses(one_pass)
    read_words = sum(matrix_words(program, tensor) for tensor in reads) / program.batch
    written_words = sum(matrix_words(program, tensor) for tensor in writes) / program.batch
    macs = sum(program.macs(op) for op in one_pass.ops)
    on_chip = 1.0 - off_core_share
    counters = Counters(
        fma=macs,
        pe_sram_read_words=macs + read_words * on_chip,
        pe_sram_write_words=written_words * on_chip,
        core_sram_read_words=read_words * off_core_share,
        core_sram_write_words=written_words * off_core_share,
    )
    return sum((_moves(program, machine, op) for op in one_pass.ops), start=counters)


def _moves(program: Program, machine: Machine, op: Op) -> Counters:
    """Broadcasts, reductions and ring transfers of one operation and sample, on the cores that work on its layer."""
    match op:
        case OutputError():
            return Counters()
        case Forward():
            layer, cores = program.network.layers[op.layer - 1], _cores_of(program, machine, op.layer)
            sums = _reduction(machine, layer.outputs * (machine.pe_rows - 1), along="column")
            ring = layer.outputs * (cores - 1)
            broadcast = Counters(row_bus_words=layer.inputs * cores, ring_word_hops=ring)
            return broadcast + sums + Counters(activation_words=layer.outputs)
        case Backward():
            layer, cores = program.network.layers[op.layer - 1], _cores_of(program, machine, op.layer)
            sums = _reduction(machine, layer.inputs * cores * (machine.pe_cols - 1), along="row")
            return Counters(column_bus_words=layer.outputs, ring_word_hops=layer.inputs * (cores - 1)) + sums
        case DirectBackward():
            layer, cores = program.network.layers[op.layer - 1], _cores_of(program, machine, op.layer)
            sums = _reduction(machine, layer.outputs * (machine.pe_rows - 1), along="column")
            return Counters(row_bus_words=program.network.outputs * cores) + sums
        case Update():
            layer, cores = program.network.layers[op.layer - 1], _cores_of(program, machine, op.layer)
            return Counters(row_bus_words=layer.inputs * cores, column_bus_words=layer.outputs)


def _cores_of(program: Program, machine: Machine, layer: int) -> float:
    """All cores, or in a pipeline a share in proportion to the layer's weights, at least one."""
    if not is_pipelined(program):
        return machine.cores
    network = program.network
    return max(1.0, machine.cores * network.layers[layer - 1].weights / network.weights)


def _reduction(machine: Machine, words: float, *, along: str) -> Counters:
    """Partial sums on their way to the PE that adds them up, over links if there are any, else over a bus."""
    if machine.neighbour_links:
        return Counters(neighbour_words=words)
    return Counters(column_bus_words=words) if along == "column" else Counters(row_bus_words=words)
