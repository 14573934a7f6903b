"""Closed forms of the `paper` mapping: cycles and event counts a sample.

Source: the algebra of Li and Pedram 2017 and what its printed figures imply (docs/reproduction.md). It deals out
fractions of a cycle and leaves out padding, the latency of the FMA and the time of activation functions.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce

from caterpillar.checks import Infeasible
from caterpillar.counters import Counters
from caterpillar.estimate.elementwise import ceil_log2, larger
from caterpillar.estimate.events import PHASES, pass_phases, phase_of
from caterpillar.estimate.storage import Storage, storage
from caterpillar.estimate.traffic import accesses, is_pipelined, matrix_words, multiplied, outputs, with_input_error
from caterpillar.machine import Machine
from caterpillar.program import Backward, DirectBackward, Forward, Op, OutputError, Pass, Program, Update

# Fig. 10 shows batches up to 8 at the speed of single samples (as SGD), 50 and 100 as matrix products.
SMALL_BATCH = 8

LABEL_WORDS = 1  # a class's number

# Fitted, not printed: on N2 the paper's SGD and CP bars imply 5.24 words a cycle and core from the off-core SRAM.
# Its port is 4 words wide there (Machine.core_sram_words_per_cycle); other widths are taken in proportion.
FITTED_OFF_CORE_WORDS_PER_CYCLE = 5.24
FITTED_AT_PORT_WORDS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A sample's share of the steady tick: cycles, events and where the words lie; fill and drain are left out.

    compute_cycles: MACs / PEs. off_core_cycles: what waiting for off-core words adds. collective_cycles: what
    reductions, all-gathers and reduce-scatters add. The three sum to cycles_per_sample. phases: events by
    phase (PHASES).
    """

    cycles_per_sample: float
    compute_cycles: float
    off_core_cycles: float
    collective_cycles: float
    phases: dict[str, Counters]
    storage: Storage

    @property
    def counters(self) -> Counters:
        """Events a sample, of all phases."""
        return sum(self.phases.values(), start=Counters())

    @property
    def cycles(self) -> dict[str, float]:
        """Cycles a sample by cause."""
        return {
            "compute": self.compute_cycles,
            "off_core": self.off_core_cycles,
            "collective": self.collective_cycles,
        }

    @property
    def fits(self) -> bool:
        """Whether all words lie in the PEs' local memories; if not, the rest streams from the off-core SRAMs."""
        return self.storage.off_core_words == 0


def estimate(program: Program, machine: Machine, *, input_error: bool = False) -> Estimate | Infeasible:
    """Cycles and event counts a sample under the `paper` mapping, or what does not fit.

    Not pipelined (SGD, MBGD, FA, DFA): all PEs work on one operation after the other; a product of n words costs
    n log2(nr) / nr cycles of reduction a sample in small batches, and n (1 - 1/c) / nr cycles of ring all-gather or
    reduce-scatter in large ones, c cores on nr x nr PEs. Pipelined (CP, MBCP): every layer has its own cores and
    collectives overlap with compute. input_error: the time counts the first layer's input error too, as the
    paper's times do; the events never do, as the paper's energy figures do not.
    """
    placed = storage(program, machine)
    if isinstance(placed, Infeasible):
        return placed
    return closed_form(program, machine, placed, input_error=input_error)


def closed_form(program: Program, machine: Machine, placed: Storage, *, input_error: bool = False) -> Estimate:
    """As estimate, for words placed so. Elementwise: of machine_columns the numbers are arrays."""
    passes = with_input_error(program) if input_error else program.passes
    compute = sum(program.macs(op) for one_pass in passes for op in one_pass.ops) / machine.pes
    streaming = _off_core_cycles(program, passes, machine, placed.off_core_share)
    off_core = larger(0.0, streaming - compute)
    collective = _collective_cycles(program, passes, machine)
    if is_pipelined(program):
        collective = larger(0.0, collective - compute - off_core)
    cycles = compute + off_core + collective
    phases = dict.fromkeys(PHASES, Counters())
    phases["forward"] = Counters(outside_words=program.network.inputs + LABEL_WORDS)
    phases["collective"] = Counters(pe_cycles=machine.pes * collective)
    phases["off_core"] = Counters(pe_cycles=machine.pes * off_core)
    for one_pass in passes:
        for op in one_pass.ops:
            phases[phase_of(op)] += Counters(pe_cycles=program.macs(op))
    for one_pass in program.passes:
        for phase, events in pass_phases(program, machine, one_pass, placed.off_core_share).items():
            phases[phase] += events
    return Estimate(
        cycles_per_sample=cycles,
        compute_cycles=compute,
        off_core_cycles=off_core,
        collective_cycles=collective,
        phases=phases,
        storage=placed,
    )


def pass_starts(program: Program) -> dict[str, float]:
    """Passes over a matrix that begin, a sample, by phase: each waits for its first word.

    None in a pipeline, where words of the next pass follow those of the one before. Larger batches share a pass.
    """
    starts = dict.fromkeys(PHASES, 0.0)
    for one_pass in () if is_pipelined(program) else program.passes:
        if not isinstance(one_pass.ops[0], OutputError):
            starts[phase_of(one_pass.ops[0])] += 1 / program.batch if program.batch > SMALL_BATCH else 1.0
    return starts


def _off_core_cycles(program: Program, passes: tuple[Pass, ...], machine: Machine, share: float) -> float:
    """Cycles a sample that the off-core words need, were there nothing else.

    A matrix takes one transfer to multiply by it and one to write it. A pass that only updates it takes one in all,
    and small batches stream once a sample: so Fig. 10 has it (N2: DFA; SGD beside MBGD 8), although the energy
    figures count every access, and each of them once a batch. Both are the paper's own; the counters keep the latter.
    """
    words = 0
    for one_pass in passes:
        _, written = accesses(one_pass)
        words += sum(matrix_words(program, tensor) for tensor in (*multiplied(one_pass), *written))
    samples_a_stream = program.batch if program.batch > SMALL_BATCH else 1
    words_per_cycle = FITTED_OFF_CORE_WORDS_PER_CYCLE * machine.core_sram_words_per_cycle / FITTED_AT_PORT_WORDS
    return share * words / samples_a_stream / (words_per_cycle * machine.cores)


def _collective_cycles(program: Program, passes: tuple[Pass, ...], machine: Machine) -> float:
    """Cycles a sample of all collectives one after the other; if pipelined, of the layer that has most of them."""
    by_layer: dict[int, float] = {}
    for one_pass in passes:
        for op in one_pass.ops:
            cycles = outputs(program, op) * _cycles_per_output(op, machine, large=program.batch > SMALL_BATCH)
            by_layer[op.layer] = by_layer.get(op.layer, 0.0) + cycles
    return reduce(larger, by_layer.values()) if is_pipelined(program) else sum(by_layer.values())


def _cycles_per_output(op: Op, machine: Machine, *, large: bool) -> float:
    """What one word of a product costs on its way to all cores.

    Large batch: the ring alone. Small batch: partial sums of a column (backward: of a row) reduced, one bus or tree
    of links for each column, then the ring, which the reduction hides wherever it is the longer (as on paper-a, -b).
    """
    ring = (1 - 1 / machine.cores) / machine.ring_words_per_cycle
    match op:
        case Forward() | DirectBackward():
            summed, trees = machine.pe_rows, machine.pe_cols
        case Backward():
            summed, trees = machine.pe_cols, machine.pe_rows
        case OutputError() | Update():
            return 0.0
    if large:
        return ring
    links = machine.neighbour_links
    steps = links * ceil_log2(summed) + (1 - links) * (summed - 1)
    return larger(ring, steps / trees)
