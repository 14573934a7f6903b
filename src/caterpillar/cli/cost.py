"""caterpillar cost"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from caterpillar.cli import options
from caterpillar.cli.sensitivity import print_sensitivity, sensitivity_document

if TYPE_CHECKING:
    from pathlib import Path

    from caterpillar.cost import Prices
    from caterpillar.evaluate import Evaluation
    from caterpillar.machine import Machine

Runs = dict[tuple[str, str], "Evaluation"]  # by prices and evaluate.WAYS
MEMORY_COMPONENTS = ("pe_memory", "core_memory")

MachineArgument = Annotated[str, typer.Argument(help="A preset (see caterpillar machines) or a TOML file.")]
Sensitivity = Annotated[
    bool,
    typer.Option(
        "--sensitivity",
        help="Also a run's energy: which price's range moves it most, and where it goes by each mapping.",
    ),
]


def cost(
    machine: MachineArgument,
    prices: options.Prices = "cacti",
    volts: options.Volts = None,
    sensitivity: Sensitivity = False,
    network: options.GivenNetwork = None,
    rule: options.GivenRule = None,
    batch: options.GivenBatch = None,
    mapping: options.GivenMapping = None,
    out: options.Out = None,
    json: options.Json = False,
) -> None:
    """Area and peak power of a machine by component, what each event costs and how sure that is.

    With --sensitivity, the energy of a run (--network, --rule, --batch, --mapping), too. --out writes the floorplan to
    scale, and with --sensitivity a tornado plot of the run and its energy by each mapping under every table.
    """
    from caterpillar.checks import UsageError
    from caterpillar.cli.output import print_json
    from caterpillar.cost import parse_prices
    from caterpillar.machine import parse_machine

    target = parse_machine(machine)
    given = {"network": network, "rule": rule, "batch": batch, "mapping": mapping}
    described = [name for name, value in given.items() if value is not None]
    if described and not sensitivity:
        raise UsageError(f"--{described[0]} describes a run: it goes with --sensitivity")
    table = parse_prices(prices, volts).of(target)
    runs: Runs = {}
    missing: dict[tuple[str, str], str] = {}
    if sensitivity:
        work = (network or options.DEFAULT_NETWORK, rule or options.DEFAULT_RULE, 1 if batch is None else batch)
        runs, missing = _runs(target, table, *work, mapping or "paper")
    answer = runs.get((table.name, mapping or "paper"))
    document = _document(target, table, volts, answer)
    if answer is not None:
        of_table = {way: run for (name, way), run in runs.items() if name == table.name}
        document["pj_per_mac"] = {way: _per_mac(run, run.energy_pj) for way, run in of_table.items()}
        document["pj_per_mac_by_phase"] = {way: _per_mac(run, run.phase_pj) for way, run in of_table.items()}
        document["no_run"] = {way: why for (name, way), why in missing.items() if name == table.name}
    if out is not None:
        document["files"] = _pictures(target, table, answer, runs, out)
    if json:
        print_json(document)
    else:
        _print(target, table, document)
        if answer is not None:
            print_sensitivity("a sample", answer.counts, table)
            _print_mappings("component", document["pj_per_mac"])
            _print_mappings("phase", document["pj_per_mac_by_phase"])
            for way, why in document["no_run"].items():
                typer.echo(f"no run by mapping {way}: {why}")
        for name in document.get("files", ()):
            typer.echo(f"wrote {name}")


def _per_mac(run: Evaluation, parts: dict[str, float]) -> dict[str, float]:
    return {name: pj / run.macs_per_sample for name, pj in parts.items()}


def _runs(
    machine: Machine, table: Prices, network: str, rule: str, batch: int, mapping: str
) -> tuple[Runs, dict[tuple[str, str], str]]:
    """The run asked for, by every mapping and under every shipped table; or why there is none."""
    from caterpillar.checks import Infeasible, UsageError
    from caterpillar.cost import SHIPPED, parse_prices
    from caterpillar.evaluate import WAYS, evaluate
    from caterpillar.network import parse_network
    from caterpillar.rules import parse_rule

    net, learning = parse_network(network), parse_rule(rule, batch=batch)
    asked = evaluate(net, learning, machine, mapping=mapping, prices=table)
    if isinstance(asked, Infeasible):
        raise UsageError(f"--sensitivity: {net.name}, {learning.label} on {machine.name} does not fit: {asked}")
    runs: Runs = {}
    missing: dict[tuple[str, str], str] = {}
    for pricing in (table, *(parse_prices(name) for name in SHIPPED if name != table.name)):
        for way, (placed, executed) in WAYS.items():
            try:
                answer = evaluate(net, learning, machine, mapping=placed, prices=pricing, executed=executed)
            except UsageError as error:  # of another node, no such memory, or a rule that the mapping does not know
                missing[pricing.name, way] = str(error)
                continue
            if isinstance(answer, Infeasible):
                missing[pricing.name, way] = f"does not fit: {answer}"
            else:
                runs[answer.prices, way] = answer
    return runs, missing


def _document(machine: Machine, table: Prices, volts: float | None, answer: Evaluation | None) -> dict[str, Any]:
    from caterpillar.cost import areas, leaves, memory_timings, peak_power_range_w, peak_power_w

    area = areas(machine, table)
    power = peak_power_w(machine, table)
    document: dict[str, Any] = {
        "machine": machine.name,
        "prices": table.name,
        "node_nm": table.node_nm,
        "clock_hz": machine.clock_hz,
        "area_mm2": sum(price.value for _, price in area),
        "area_range_mm2": [sum(price.low for _, price in area), sum(price.high for _, price in area)],
        "area": {component: price.value for component, price in area},
        "peak_power_w": sum(power.values()),
        "peak_power_range_w": list(peak_power_range_w(machine, table)),
        "peak_power": power,
        "event_prices": [
            {
                "event": event,
                "component": component,
                "pj": price.value * table.factor.value,
                "range_pj": [price.low * table.factor.low, price.high * table.factor.high],
                "unit": "pJ",
                "node_nm": table.node_nm,
                "volts": table.memory_volts if component in MEMORY_COMPONENTS else table.logic_volts,
                "source": price.source,
            }
            for event, component, price in leaves(table)
        ],
    }
    if table.machine is not None:
        document["memories"] = [asdict(memory) for memory in memory_timings(machine, volts)]
    if answer is not None:
        document["run"] = answer.as_dict()
        document["sensitivity"] = sensitivity_document(answer.counts, table)
    return document


def _pictures(machine: Machine, table: Prices, run: Evaluation | None, runs: Runs, out: Path) -> list[str]:
    from caterpillar.checks import OutputError
    from caterpillar.cost import sensitivity
    from caterpillar.report.energy_bars import save_energy_bars
    from caterpillar.report.floorplan import save_floorplan
    from caterpillar.report.tornado import save_tornado

    files = [out / "floorplan.svg"]
    try:
        out.mkdir(parents=True, exist_ok=True)
        save_floorplan(machine, table, files[0])
        if run is not None:
            files += [out / "tornado.svg", out / "energy.svg"]
            title = f"{run.network.name}, {run.rule} on {machine.name}"
            bars = [(f"{prices} prices,\n{mapping}", one) for (prices, mapping), one in runs.items()]
            swings = sensitivity(run.counts, table)
            save_tornado(
                f"{title} ({table.name} prices, {run.mapping} mapping)", run.energy_pj_per_sample, swings, files[1]
            )
            save_energy_bars(title, bars, files[2])
    except OSError as error:
        raise OutputError(f"--out {out} cannot be written: {error.strerror}") from None
    return [str(file) for file in files]


def _print(machine: Machine, table: Prices, document: dict[str, Any]) -> None:
    from caterpillar.cli.output import print_table

    title = f"{machine.name}, {table.name} prices at {table.node_nm} nm"
    for what, unit in (("area", "mm2"), ("peak_power", "W")):
        total, (low, high) = document[f"{what}_{unit.lower()}"], document[f"{what}_range_{unit.lower()}"]
        rows = [(_plain(name), f"{v:.4g}", f"{v / total:.1%}") for name, v in document[what].items() if v]
        rows.append(("total", f"{total:.4g}", f"{low:.4g} to {high:.4g}"))
        print_table(f"{title}: {_plain(what)}", ("component", unit, "share, range"), rows)
    rows = [
        (_plain(p["event"]), p["component"], f"{p['pj']:.3f}", f"{p['range_pj'][0]:.3f} to {p['range_pj'][1]:.3f}")
        for p in document["event_prices"]
    ]
    print_table(f"{title}: what an event costs", ("event", "component", "pJ", "range"), rows)
    for memory in document.get("memories", ()):
        late = f", first word of a pass {memory['extra_cycles']} later" if memory["extra_cycles"] else ""
        typer.echo(f"{memory['memory']}: {memory['design']}; {memory['read_cycles']} cycles to read{late}")


def _print_mappings(what: str, shares: dict[str, dict[str, float]]) -> None:
    from caterpillar.cli.output import print_table

    rows = [
        (_plain(component), *(f"{parts[component]:.3f}" for parts in shares.values()))
        for component in next(iter(shares.values()))
        if any(parts[component] for parts in shares.values())
    ]
    rows.append(("total", *(f"{sum(parts.values()):.3f}" for parts in shares.values())))
    print_table(f"pJ a useful MAC by {what} and mapping", (what, *shares), rows)


def _plain(name: str) -> str:
    return name.replace("_", " ")
