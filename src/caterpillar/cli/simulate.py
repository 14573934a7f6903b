"""caterpillar simulate"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from caterpillar.cli import options
from caterpillar.cli.sensitivity import print_sensitivity, sensitivity_document

if TYPE_CHECKING:
    from caterpillar.cli.progress import Bar
    from caterpillar.cost import Prices
    from caterpillar.counters import Counters, PeCycles
    from caterpillar.datasets import Samples
    from caterpillar.mapping import Schedule
    from caterpillar.mapping.isa import Phase
    from caterpillar.program import Program
    from caterpillar.train import State

GivenSamples = Annotated[
    int | None,
    typer.Option(
        help="Training images to run through the machine, whole batches; two batches if not given.",
        metavar="N",
        parser=options.whole,
    ),
]
CountOnly = Annotated[
    bool,
    typer.Option(
        "--count-only", help="Execute no values: the same cycles, events and energy, of an epoch in a second."
    ),
]
Trace = Annotated[
    Path | None,
    typer.Option(help="Write a trace of phases, collectives and units' use for the Perfetto UI.", metavar="FILE"),
]
Seed = Annotated[int, typer.Option(help="Draws images, weights and feedback.", metavar="N", parser=options.whole)]
LearningRate = Annotated[float, typer.Option("--lr", help="Learning rate.", metavar="RATE", parser=options.number)]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Done:
    """A run as executed, or as counted. weights_sha256: of the trained weights; None if only counted."""

    schedule: Schedule
    samples: int
    cycles: int
    counters: Counters
    pe_cycles: PeCycles
    weights_sha256: str | None


def simulate(
    network: options.Network = options.DEFAULT_NETWORK,
    rule: options.Rule = options.DEFAULT_RULE,
    machine: options.Machine = "paper-a",
    batch: options.Batch = 1,
    mapping: options.Mapping = "best",
    prices: options.Prices = "paper",
    volts: options.Volts = None,
    sensitivity: options.Sensitivity = False,
    samples: GivenSamples = None,
    seed: Seed = 0,
    lr: LearningRate = 0.01,
    count_only: CountOnly = False,
    trace: Trace = None,
    json: options.Json = False,
) -> None:
    """Train on the machine cycle by cycle: real half-precision values, every event counted, every hazard refused.

    The weights are those that the trainer gives, to the bit, when it adds in the machine's order. As training does, it
    stops in one line, with status 1, at a NaN or an infinity. With --count-only no values are made: cycles and events
    do not depend on data, so of each kind of tick one is counted.
    """
    from caterpillar.checks import Infeasible
    from caterpillar.cli.output import print_json
    from caterpillar.cli.progress import Bar
    from caterpillar.cost import parse_prices
    from caterpillar.machine import parse_machine
    from caterpillar.mapping import place
    from caterpillar.network import parse_network
    from caterpillar.rules import parse_rule
    from caterpillar.simulate.trace import write_trace

    target = parse_machine(machine)
    table = parse_prices(prices, volts).of(target)
    program = parse_rule(rule, batch=batch)(parse_network(network))
    samples = 2 * batch if samples is None else samples
    start, data = (None, None) if count_only else _prepared(program, samples, seed=seed, rate=lr)
    with Bar(quiet=json) as bar:
        bar.update("placing the work", 0, None)
        schedule = place(program, target, mapping=mapping)
    if isinstance(schedule, Infeasible):
        asked = {"network": program.network.name, "rule": program.rule, "machine": target.name, "mapping": mapping}
        if json:
            print_json({**asked, "fits": False, "infeasible": asdict(schedule)})
        else:
            typer.echo(f"{program.network.name}, {program.rule_and_batch} on {target.name} does not fit: {schedule}")
        return
    schedule.ticks(samples)  # refuses batches that are not whole before a trace is written
    with Bar(quiet=json) as bar:
        if trace is not None:
            bar.update("writing the trace", 0, None)
            write_trace(trace, schedule, samples)
        bar.update("counting", 0, None)
        done = _execute(schedule, start, data, lr, bar) if start and data else _count(schedule, samples)
    if json:
        counted = _bill(done, table).counters
        swings = {"sensitivity": sensitivity_document(counted, table)} if sensitivity else {}
        print_json({**_document(done, table), **swings})
    else:
        _print(done, table, program.rule_and_batch)
        if sensitivity:
            print_sensitivity("of the run", _bill(done, table).counters, table)


def _prepared(program: Program, samples: int, *, seed: int, rate: float) -> tuple[State, Samples]:
    """What a run starts from, and its images."""
    from caterpillar.cli.request import refuse_misfit
    from caterpillar.datasets import load_dataset
    from caterpillar.train import Settings, initial_state

    settings = Settings(learning_rate=rate, seed=seed, epochs=1, numerics="fp16")
    dataset = load_dataset(samples=samples, seed=seed)
    refuse_misfit(program.network, dataset)
    return initial_state(program, settings), dataset.train


def _execute(schedule: Schedule, start: State, data: Samples, rate: float, bar: Bar) -> _Done:
    from dataclasses import replace

    import numpy as np

    from caterpillar.simulate import simulate

    feedback = tuple(matrix if matrix.size else None for matrix in start.feedback)
    run = simulate(
        schedule,
        start.weights,
        data.images.astype(np.float16),
        data.labels,
        rate,
        feedback=feedback if any(matrix is not None for matrix in feedback) else (),
        on_progress=lambda done, ticks: bar.update("executing", done, ticks),
    )
    sha256 = replace(start, weights=run.weights).weights_sha256
    return _Done(
        schedule=schedule,
        samples=len(data),
        cycles=run.cycles,
        counters=run.counters,
        pe_cycles=run.pe_cycles,
        weights_sha256=sha256,
    )


def _count(schedule: Schedule, samples: int) -> _Done:
    from caterpillar.simulate import count
    from caterpillar.simulate.causes import pe_cycles

    cycles, counters = count(schedule, samples)
    causes = pe_cycles(schedule, samples)
    return _Done(
        schedule=schedule, samples=samples, cycles=cycles, counters=counters, pe_cycles=causes, weights_sha256=None
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Bill:
    """A run as priced. late: cycles by phase, besides those executed, that passes wait for their first words.

    phases: events by phase, those cycles among them.
    """

    late: dict[str, float]
    phases: dict[str, Counters]

    @property
    def counters(self) -> Counters:
        from caterpillar.counters import Counters

        return sum(self.phases.values(), start=Counters())


def _bill(done: _Done, table: Prices) -> _Bill:
    from caterpillar.counters import Counters
    from caterpillar.evaluate import late_reads_of_run

    late = late_reads_of_run(done.schedule, done.samples, table)
    waiting = {phase: Counters(pe_cycles=done.schedule.machine.pes * cycles) for phase, cycles in late.items()}
    return _Bill(late=late, phases={phase: events + waiting[phase] for phase, events in _phases(done).items()})


def _document(done: _Done, table: Prices) -> dict[str, object]:
    from caterpillar.cost import energy_pj, energy_range_pj
    from caterpillar.cost.control import program_bytes
    from caterpillar.evaluate import late_reads

    schedule, bill = done.schedule, _bill(done, table)
    return {
        "network": schedule.network.name,
        "rule": schedule.rule,
        "machine": schedule.machine.name,
        "mapping": schedule.mapping,
        "prices": table.name,
        "numerics": "fp16",
        "fits": True,
        "samples": done.samples,
        "cycles": done.cycles,
        "late_read_cycles": sum(bill.late.values()),
        "cycles_per_sample": schedule.cycles_per_sample,
        "late_read_cycles_per_sample": sum(late_reads(schedule.steady, table).values()) / schedule.batch,
        "batch": schedule.batch,
        "utilization": schedule.utilization,
        "macs_per_sample": schedule.macs_per_sample,
        "pe_cycles": done.pe_cycles.as_dict(),
        "counts": done.counters.as_dict(),
        "energy_pj": energy_pj(bill.counters, table),
        "energy_range_pj": list(energy_range_pj(bill.counters, table)),
        "energy_by_phase": {phase: energy_pj(events, table) for phase, events in bill.phases.items()},
        "phases": [asdict(phase) for phase in schedule.steady.phases],
        "micro_program_bytes": program_bytes(schedule.steady),
        "weights_sha256": done.weights_sha256,
    }


def _phases(done: _Done) -> dict[str, Counters]:
    """The run's events by phase: those of its closed form, which sum to the counted ones."""
    from caterpillar.estimate.schedule import predict

    schedule = done.schedule
    return predict(schedule).phases(done.samples)


def _print(done: _Done, table: Prices, rule: str) -> None:
    from caterpillar.cli.output import print_shares, print_table, uj_and_range
    from caterpillar.cost import energy_pj, energy_range_pj
    from caterpillar.cost.control import STORE_BYTES, program_bytes
    from caterpillar.evaluate import late_reads

    schedule, bill = done.schedule, _bill(done, table)
    title = f"{schedule.network.name}, {rule} on {schedule.machine.name}, {schedule.mapping} mapping"
    energy = energy_pj(bill.counters, table)
    late, late_a_tick = sum(bill.late.values()), sum(late_reads(schedule.steady, table).values())
    late_unit = f"not executed: first words that come late from memories as {table.name} prices have them"
    samples_a_tick = "a sample" if schedule.batch == 1 else f"for {schedule.batch} samples"
    store = f"KB a core; {table.name} prices have a store of {STORE_BYTES / 1024:g}" if table.machine else "KB a core"
    figures = [
        ("samples", f"{done.samples:,}", ""),
        ("cycles of the run, fill and drain included", f"{done.cycles:,}", ""),
        ("late reads of the run, besides", f"{late:,.0f}", late_unit),
        ("cycles of a steady tick", f"{schedule.steady.cycles:,}", samples_a_tick),
        ("late reads of a steady tick, besides", f"{late_a_tick:,.0f}", samples_a_tick),
        ("utilization of a steady tick", f"{schedule.utilization:.1%}", "of PEs x cycles"),
        ("micro-program of a steady tick", f"{program_bytes(schedule.steady) / 1024:,.1f}", store),
        ("energy of the run", *uj_and_range(sum(energy.values()), energy_range_pj(bill.counters, table))),
    ]
    if not late:
        figures = [row for row in figures if not row[0].startswith("late reads")]
    print_table(title, ("figure", "value", "unit"), figures)
    phases = _rows(schedule.steady.phases, schedule.steady.cycles)
    columns = ("phase", "track", "times", "from cycle", "cycles", "share")
    tick = "A steady tick of core 0" if schedule.steady.others else "A steady tick"
    print_table(f"{tick}, phase by phase (the two tracks overlap)", columns, phases)
    causes = {cause: float(found) for cause, found in done.pe_cycles.as_dict().items()}
    print_shares("What the FMAs do in the run, and why they are idle", "cause", "PE-cycles", causes)
    print_shares(f"Where the energy of the run goes, {table.name} prices", "component", "pJ", energy)
    by_phase = {phase: sum(energy_pj(counts, table).values()) for phase, counts in bill.phases.items()}
    print_shares("When the energy of the run goes", "phase", "pJ", by_phase)
    events = [(name.replace("_", " "), f"{value:,}") for name, value in done.counters.as_dict().items() if value]
    print_table("Events of the run", ("event", "count"), events)


def _rows(phases: tuple[Phase, ...], tick_cycles: int) -> list[tuple[str, ...]]:
    """A row for each name of a track: a batch's samples go through the same phases."""
    found: dict[tuple[str, str], list[Phase]] = {}
    for phase in phases:
        found.setdefault((phase.name, phase.track), []).append(phase)
    taken = {key: sum(one.end - one.start for one in some) for key, some in found.items()}
    return [
        (*key, f"{len(some):,}", f"{some[0].start:,}", f"{taken[key]:,}", f"{taken[key] / tick_cycles:.1%}")
        for key, some in found.items()
    ]
