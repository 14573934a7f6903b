"""Rule -> Program -> estimate -> counts times prices."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from caterpillar.checks import Infeasible, UsageError
from caterpillar.cost import PAPER, Prices, Pricing, area_mm2, energy_pj, energy_range_pj
from caterpillar.counters import Counters, PeCycles
from caterpillar.estimate import estimate, pass_starts
from caterpillar.estimate.events import PHASES
from caterpillar.estimate.storage import activation_words, matrices, matrix_words
from caterpillar.evaluate.evaluation import Evaluation
from caterpillar.evaluate.late_reads import first_word_cycles, late_reads
from caterpillar.machine import Machine
from caterpillar.network import Network
from caterpillar.program import Program
from caterpillar.rules import Rule

if TYPE_CHECKING:
    from caterpillar.estimate.schedule import Segment
    from caterpillar.mapping import Schedule

MAPPINGS = ("paper", "best")
SWEEP_MAPPINGS = ("paper",)  # those whose closed forms also take arrays of machines
WAYS = {"paper": ("paper", False), "paper, executed": ("paper", True), "best": ("best", True)}  # mapping, executed
NUMERICS = ("fp16",)  # events count 16-bit words and half-precision multiply-adds


def evaluate(
    network: Network,
    rule: Rule,
    machine: Machine,
    *,
    mapping: str = "paper",
    prices: Pricing = PAPER,
    numerics: str = "fp16",
    executed: bool = False,
) -> Evaluation | Infeasible:
    """What it takes to train a network by a rule on a machine, a sample; or what does not fit, by how much.

    mapping: how the work is placed: "paper" by the paper's closed forms; "best" by the schedule that the simulator
    executes and whose closed forms equal it (weights lie in the PEs, those of sgd, dfa and cp of one sample that do not
    fit there in the core SRAMs).
    prices: what events cost and blocks occupy. numerics: "fp16". executed: mapping "paper", too, by the schedule that
    the simulator executes, where it has one.
    Raises UsageError for another mapping or numerics, for what a mapping cannot place, for a price table of another
    node than the machine, and where no circuit of a price model keeps up with the machine's clock.
    """
    check_names(mapping, numerics)
    table = prices.of(machine)
    area = area_mm2(machine, table)
    program = rule(network)
    executed = executed or mapping == "best"
    answer = _scheduled(program, machine, table, mapping) if executed else _closed_form(program, machine, table)
    if isinstance(answer, Infeasible):
        return answer
    waiting = {phase: Counters(pe_cycles=machine.pes * cycles) for phase, cycles in answer.late.items()}
    late_cycles = sum(answer.late.values())
    counts = sum(answer.phases.values(), start=Counters()) + Counters(pe_cycles=machine.pes * late_cycles)
    return Evaluation(
        network=network,
        rule=rule.name,
        batch=rule.batch,
        machine=machine,
        mapping=mapping,
        executed=executed,
        prices=table.name,
        numerics=numerics,
        fits=answer.off_core_words == 0,
        macs_per_sample=program.macs_per_sample,
        cycles=answer.cycles | {"memory": late_cycles},
        pe_cycles=answer.pe_cycles and answer.pe_cycles | {"memory": machine.pes * late_cycles},
        counts=counts,
        energy_pj=energy_pj(counts, table),
        energy_range_pj=energy_range_pj(counts, table),
        energy_by_phase={phase: energy_pj(answer.phases[phase] + waiting[phase], table) for phase in PHASES},
        area=area,
        matrix_words=sum(matrix_words(program, tensor) for tensor in matrices(program)),
        activation_words=activation_words(program),
        off_core_words=answer.off_core_words,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    """A sample's share of a steady tick: cycles by cause and events by phase, of memories that answer within a cycle.

    pe_cycles: as Evaluation has them. late: cycles by phase that passes wait, besides, for their first words.
    """

    cycles: dict[str, float]
    pe_cycles: dict[str, float]
    phases: dict[str, Counters]
    late: dict[str, float]
    off_core_words: int


def _closed_form(program: Program, machine: Machine, prices: Prices) -> _Answer | Infeasible:
    answer = estimate(program, machine)
    if isinstance(answer, Infeasible):
        return answer
    late = first_word_cycles(prices, core_sram=answer.storage.off_core_words > 0)
    return _Answer(
        cycles=answer.cycles,
        pe_cycles={},
        phases=answer.phases,
        late={phase: starts * late for phase, starts in pass_starts(program).items()},
        off_core_words=answer.storage.off_core_words,
    )


def _scheduled(program: Program, machine: Machine, prices: Prices, mapping: str) -> _Answer | Infeasible:
    """By a mapping's schedule: a sample's share of a steady tick. Cycles by name of phase, events by phase.

    Where groups of cores run different programs, cycles by name are an average over the cores.
    """
    from caterpillar.estimate.schedule import BETWEEN, cycles_by_name  # numpy is slow to import

    placed = _placed(program, machine, mapping)
    if isinstance(placed, Infeasible):
        return placed
    schedule, tick, causes = placed
    share = 1 / schedule.batch
    cycles: dict[str, float] = {}
    for group, members in zip(schedule.steady.groups, schedule.steady.members(machine.cores), strict=True):
        of_cores = share * len(members) / machine.cores if schedule.steady.others else share
        for name, taken in cycles_by_name(group).items():
            cycles[name] = cycles.get(name, 0) + taken * of_cores
    cycles[BETWEEN] += tick.cycles * share - sum(cycles.values())  # what rounding leaves
    phases = {phase: events * share if share < 1 else events for phase, events in tick.phases.items()}
    late = {phase: cycles * share for phase, cycles in late_reads(schedule.steady, prices).items()}
    pe_cycles = {cause: found * share for cause, found in causes.as_dict().items()}
    streamed = schedule.streamed_weights
    return _Answer(cycles=cycles, pe_cycles=pe_cycles, phases=phases, late=late, off_core_words=streamed)


@lru_cache(maxsize=4)
def _placed(program: Program, machine: Machine, mapping: str) -> tuple[Schedule, Segment, PeCycles] | Infeasible:
    """A schedule, and its steady tick's events and PE-cycles, kept so that several tables price one schedule."""
    from caterpillar.estimate.pe_cycles import steady_pe_cycles  # numpy is slow to import
    from caterpillar.estimate.schedule import predict
    from caterpillar.mapping import place

    schedule = place(program, machine, mapping=mapping)
    if isinstance(schedule, Infeasible):
        return schedule
    return schedule, predict(schedule).tick, steady_pe_cycles(schedule)


def check_names(mapping: str, numerics: str, *, mappings: tuple[str, ...] = MAPPINGS) -> None:
    """Raise UsageError for a mapping or an arithmetic that there is not."""
    if mapping not in mappings:
        raise UsageError(f"--mapping must be one of {', '.join(mappings)}, got {mapping!r}")
    if numerics not in NUMERICS:
        raise UsageError(f"--numerics must be one of {', '.join(NUMERICS)} on a machine, got {numerics!r}")
