"""Where the words of a training run lie: in the PEs' local memories, or behind them in the cores' off-core SRAMs."""

from __future__ import annotations

from dataclasses import dataclass

from caterpillar.checks import Infeasible
from caterpillar.estimate.elementwise import larger
from caterpillar.estimate.traffic import activation_words, matrices, matrix_words
from caterpillar.machine import WORD_BYTES, Machine
from caterpillar.program import Program


@dataclass(frozen=True, slots=True, kw_only=True)
class Storage:
    """Words that a Program keeps on a Machine.

    matrix_words: weights, feedback and velocity. activation_words: activations and errors of all batches under way.
    off_core_words: the part of matrix_words that the PEs' local memories cannot hold besides the activations.
    """

    matrix_words: int
    activation_words: int
    off_core_words: int

    @property
    def off_core_share(self) -> float:
        """f, the share of the matrices that lies off-core, in [0, 1]."""
        return self.off_core_words / self.matrix_words


def storage(program: Program, machine: Machine) -> Storage | Infeasible:
    """Where the words lie, or what they do not fit."""
    placed, demands = storage_demands(program, machine)
    return next((demand for demand in demands if demand.needs_bytes > demand.has_bytes), placed)


def storage_demands(program: Program, machine: Machine) -> tuple[Storage, tuple[Infeasible, ...]]:
    """Where the words lie, and all that could be too small for it, the first shortage being the answer.

    Activations must lie in the PEs; matrices come after them, and what is left over goes off-core. Elementwise: of
    machine_columns the numbers are arrays.
    """
    stored = sum(matrix_words(program, tensor) for tensor in matrices(program))
    alive = activation_words(program)
    local = machine.pes * machine.pe_sram_words
    off_core = larger(0, stored + alive - local)
    demands = (
        Infeasible(
            what=f"a PE's local memory, for its part of the activations and errors of a batch of {program.batch},",
            needs_bytes=WORD_BYTES * -(-alive // machine.pes),
            has_bytes=machine.pe_sram_bytes,
            hint="lower the batch, raise pe_sram_bytes, or take more PEs",
        ),
        Infeasible(
            what="a core's off-core SRAM, for the weights that the PEs cannot hold,",
            needs_bytes=WORD_BYTES * -(-off_core // machine.cores),
            has_bytes=machine.core_sram_bytes,
            hint="raise core_sram_bytes or pe_sram_bytes, or take more cores or PEs",
        ),
    )
    return Storage(matrix_words=stored, activation_words=alive, off_core_words=off_core), demands
