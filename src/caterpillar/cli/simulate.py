"""caterpillar simulate"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from caterpillar.cli import options
from caterpillar.cli.sensitivity import print_sensitivity, sensitivity_document

if TYPE_CHECKING:
    from caterpillar.cost import Prices
    from caterpillar.counters import Counters
    from caterpillar.mapping import Schedule
    from caterpillar.program import Program
    from caterpillar.simulate import Run
    from caterpillar.train import State

Samples = Annotated[
    int | None,
    typer.Option(
        help="Training images to run through the machine, whole batches; two batches if not given.", metavar="N", min=1
    ),
]
Trace = Annotated[
    Path | None,
    typer.Option(help="Write a trace of phases, collectives and units' use for the Perfetto UI.", metavar="FILE"),
]
Seed = Annotated[int, typer.Option(help="Draws images, weights and feedback.", metavar="N", min=0)]
LearningRate = Annotated[float, typer.Option("--lr", help="Learning rate.", metavar="RATE", min=0.0)]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Done:
    """A run as executed, and what it started from."""

    schedule: Schedule
    run: Run
    start: State
    samples: int


def simulate(
    network: options.Network = options.DEFAULT_NETWORK,
    rule: options.Rule = options.DEFAULT_RULE,
    machine: options.Machine = "paper-a",
    batch: options.Batch = 1,
    mapping: options.Mapping = "best",
    prices: options.Prices = "paper",
    volts: options.Volts = None,
    sensitivity: options.Sensitivity = False,
    samples: Samples = None,
    seed: Seed = 0,
    lr: LearningRate = 0.01,
    trace: Trace = None,
    json: options.Json = False,
) -> None:
    """Train on the machine cycle by cycle: real half-precision values, every event counted, every hazard refused.

    The weights are those that the trainer gives, to the bit, when it adds in the machine's order.
    """
    from caterpillar.checks import Infeasible
    from caterpillar.cli.output import print_json
    from caterpillar.cost import parse_prices
    from caterpillar.machine import parse_machine
    from caterpillar.mapping import place
    from caterpillar.network import parse_network
    from caterpillar.rules import parse_rule
    from caterpillar.simulate.trace import write_trace

    target = parse_machine(machine)
    table = parse_prices(prices, volts).of(target)
    program = parse_rule(rule, batch=batch)(parse_network(network))
    schedule = place(program, target, mapping=mapping)
    if isinstance(schedule, Infeasible):
        asked = {"network": program.network.name, "rule": program.rule, "machine": target.name, "mapping": mapping}
        if json:
            print_json({**asked, "fits": False, "infeasible": asdict(schedule)})
        else:
            typer.echo(f"{program.network.name}, {program.rule} on {target.name} does not fit: {schedule}")
        return
    samples = 2 * batch if samples is None else samples
    if trace is not None:
        write_trace(trace, schedule, samples)
    done = _execute(schedule, program, samples=samples, seed=seed, rate=lr)
    if json:
        counted = _bill(done, table).counters
        swings = {"sensitivity": sensitivity_document(counted, table)} if sensitivity else {}
        print_json({**_document(done, table), **swings})
    else:
        _print(done, table)
        if sensitivity:
            print_sensitivity("of the run", _bill(done, table).counters, table)


def _execute(schedule: Schedule, program: Program, *, samples: int, seed: int, rate: float) -> _Done:
    import numpy as np

    from caterpillar.cli.request import refuse_misfit
    from caterpillar.datasets import load_dataset
    from caterpillar.simulate import simulate
    from caterpillar.train import Settings, initial_state

    dataset = load_dataset(samples=samples, seed=seed)
    refuse_misfit(program.network, dataset)
    data = dataset.train
    settings = Settings(learning_rate=rate, seed=seed, epochs=1, numerics="fp16")
    start = initial_state(program, settings)
    feedback = tuple(matrix if matrix.size else None for matrix in start.feedback)
    run = simulate(
        schedule,
        start.weights,
        data.images.astype(np.float16),
        data.labels,
        rate,
        feedback=feedback if any(matrix is not None for matrix in feedback) else (),
    )
    return _Done(schedule=schedule, run=run, start=start, samples=samples)


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
    from dataclasses import replace

    from caterpillar.cost import energy_pj, energy_range_pj
    from caterpillar.cost.control import program_bytes
    from caterpillar.evaluate import late_reads

    schedule, run, bill = done.schedule, done.run, _bill(done, table)
    return {
        "network": schedule.network.name,
        "rule": schedule.rule,
        "machine": schedule.machine.name,
        "mapping": schedule.mapping,
        "prices": table.name,
        "numerics": "fp16",
        "fits": True,
        "samples": done.samples,
        "cycles": run.cycles,
        "late_read_cycles": sum(bill.late.values()),
        "cycles_per_sample": schedule.cycles_per_sample,
        "late_read_cycles_per_sample": sum(late_reads(schedule.steady, table).values()) / schedule.batch,
        "batch": schedule.batch,
        "utilization": schedule.utilization,
        "macs_per_sample": schedule.macs_per_sample,
        "counts": run.counters.as_dict(),
        "energy_pj": energy_pj(bill.counters, table),
        "energy_range_pj": list(energy_range_pj(bill.counters, table)),
        "energy_by_phase": {phase: energy_pj(events, table) for phase, events in bill.phases.items()},
        "phases": [asdict(phase) for phase in schedule.steady.phases],
        "micro_program_bytes": program_bytes(schedule.steady),
        "weights_sha256": replace(done.start, weights=run.weights).weights_sha256,
    }


def _phases(done: _Done) -> dict[str, Counters]:
    """The run's events by phase: those of its closed form, which sum to the counted ones."""
    from caterpillar.estimate.schedule import predict

    schedule = done.schedule
    return predict(schedule).phases(done.samples)


def _print(done: _Done, table: Prices) -> None:
    from caterpillar.cli.output import print_shares, print_table, uj_and_range
    from caterpillar.cost import energy_pj, energy_range_pj
    from caterpillar.cost.control import STORE_BYTES, program_bytes
    from caterpillar.evaluate import late_reads

    schedule, run, bill = done.schedule, done.run, _bill(done, table)
    title = f"{schedule.network.name}, {schedule.rule} on {schedule.machine.name}, {schedule.mapping} mapping"
    energy = energy_pj(bill.counters, table)
    late, late_a_tick = sum(bill.late.values()), sum(late_reads(schedule.steady, table).values())
    late_unit = f"not executed: first words that come late from memories as {table.name} prices have them"
    samples_a_tick = "a sample" if schedule.batch == 1 else f"for {schedule.batch} samples"
    store = f"KB a core; {table.name} prices have a store of {STORE_BYTES / 1024:g}" if table.machine else "KB a core"
    figures = [
        ("samples", f"{done.samples:,}", ""),
        ("cycles of the run, fill and drain included", f"{run.cycles:,}", ""),
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
    lengths = [(phase, phase.end - phase.start) for phase in schedule.steady.phases]
    phases = [
        (phase.name, phase.track, f"{phase.start:,}", f"{cycles:,}", f"{cycles / schedule.steady.cycles:.1%}")
        for phase, cycles in lengths
    ]
    columns = ("phase", "track", "from cycle", "cycles", "share")
    tick = "A steady tick of core 0" if schedule.steady.others else "A steady tick"
    print_table(f"{tick}, phase by phase (the two tracks overlap)", columns, phases)
    print_shares(f"Where the energy of the run goes, {table.name} prices", "component", "pJ", energy)
    by_phase = {phase: sum(energy_pj(counts, table).values()) for phase, counts in bill.phases.items()}
    print_shares("When the energy of the run goes", "phase", "pJ", by_phase)
    events = [(name.replace("_", " "), f"{value:,}") for name, value in run.counters.as_dict().items() if value]
    print_table("Events of the run", ("event", "count"), events)
