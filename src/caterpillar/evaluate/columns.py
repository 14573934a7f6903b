"""Evaluations of many machines at once: the scalar formulas on arrays."""

from __future__ import annotations

from caterpillar.checks import Infeasible
from caterpillar.cost import PriceColumns
from caterpillar.counters import Counters
from caterpillar.estimate import closed_form, pass_starts, storage_demands
from caterpillar.evaluate.evaluate import SWEEP_MAPPINGS, check_names
from caterpillar.evaluate.evaluation import Evaluation
from caterpillar.evaluate.late_reads import first_word_cycles
from caterpillar.machine import Machine
from caterpillar.network import Network
from caterpillar.rules import Rule


def evaluate_columns(
    network: Network,
    rule: Rule,
    machines: Machine,
    prices: PriceColumns,
    *,
    mapping: str = "paper",
    numerics: str = "fp16",
) -> tuple[Evaluation, tuple[Infeasible, ...]]:
    """As evaluate, for machine_columns with their price_columns: the same numbers, as arrays over the machines.

    A figure that is the same for all machines may be a plain number. The Infeasibles are all that could be too small:
    a machine does not fit where needs_bytes exceeds has_bytes in one of them (the first is its answer), and figures
    mean nothing there, nor where prices refuse the machine. energy_by_phase is left empty.
    """
    check_names(mapping, numerics, mappings=SWEEP_MAPPINGS)
    program = rule(network)
    placed, demands = storage_demands(program, machines)
    answer = closed_form(program, machines, placed)
    late = sum(pass_starts(program).values()) * first_word_cycles(prices, core_sram=placed.off_core_words > 0)
    counts = answer.counters + Counters(pe_cycles=machines.pes * late)
    evaluation = Evaluation(
        network=network,
        rule=rule.name,
        batch=rule.batch,
        machine=machines,
        mapping=mapping,
        executed=False,
        prices=prices.name,
        numerics=numerics,
        fits=answer.fits,
        macs_per_sample=program.macs_per_sample,
        cycles=answer.cycles | {"memory": late},
        pe_cycles={},
        counts=counts,
        energy_pj=prices.energy_pj(counts),
        energy_range_pj=prices.energy_range_pj(counts),
        energy_by_phase={},
        area=prices.area_mm2(machines),
        matrix_words=placed.matrix_words,
        activation_words=placed.activation_words,
        off_core_words=placed.off_core_words,
    )
    return evaluation, demands
