"""Rule -> Program -> estimate -> counts times prices."""

from __future__ import annotations

from caterpillar.checks import Infeasible, UsageError
from caterpillar.cost import PAPER, Pricing, area_mm2, energy_pj, energy_range_pj
from caterpillar.estimate import estimate
from caterpillar.evaluate.evaluation import Evaluation
from caterpillar.machine import Machine
from caterpillar.network import Network
from caterpillar.rules import Rule

MAPPINGS = ("paper",)
NUMERICS = ("fp16",)  # events count 16-bit words and half-precision multiply-adds


def evaluate(
    network: Network,
    rule: Rule,
    machine: Machine,
    *,
    mapping: str = "paper",
    prices: Pricing = PAPER,
    numerics: str = "fp16",
) -> Evaluation | Infeasible:
    """What it takes to train a network by a rule on a machine, a sample; or what does not fit, by how much.

    mapping: how the work is placed ("paper"). prices: what events cost and blocks occupy. numerics: "fp16".
    Raises UsageError for another mapping or numerics, for a price table of another node than the machine, and where no
    circuit of a price model keeps up with the machine's clock.
    """
    check_names(mapping, numerics)
    table = prices.of(machine)
    area = area_mm2(machine, table)
    program = rule(network)
    answer = estimate(program, machine)
    if isinstance(answer, Infeasible):
        return answer
    return Evaluation(
        network=network,
        rule=rule.name,
        batch=rule.batch,
        machine=machine,
        mapping=mapping,
        prices=table.name,
        numerics=numerics,
        fits=answer.fits,
        macs_per_sample=program.macs_per_sample,
        cycles=answer.cycles,
        counts=answer.counters,
        energy_pj=energy_pj(answer.counters, table),
        energy_range_pj=energy_range_pj(answer.counters, table),
        energy_by_phase={phase: energy_pj(counts, table) for phase, counts in answer.phases.items()},
        area=area,
        matrix_words=answer.storage.matrix_words,
        activation_words=answer.storage.activation_words,
        off_core_words=answer.storage.off_core_words,
    )


def check_names(mapping: str, numerics: str) -> None:
    """Raise UsageError for a mapping or an arithmetic that there is not."""
    if mapping not in MAPPINGS:
        raise UsageError(f"--mapping must be one of {', '.join(MAPPINGS)}, got {mapping!r}")
    if numerics not in NUMERICS:
        raise UsageError(f"--numerics must be one of {', '.join(NUMERICS)} on a machine, got {numerics!r}")
