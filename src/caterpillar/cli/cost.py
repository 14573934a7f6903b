"""caterpillar cost"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from caterpillar.cli import options

if TYPE_CHECKING:
    from pathlib import Path

    from caterpillar.cost import Prices
    from caterpillar.evaluate import Evaluation
    from caterpillar.machine import Machine

Runs = dict[tuple[str, str], "Evaluation"]  # by (prices, mapping)
MEMORY_COMPONENTS = ("pe_memory", "core_memory")

MachineArgument = Annotated[str, typer.Argument(help="A preset (see caterpillar machines) or a TOML file.")]
Volts = Annotated[
    float | None,
    typer.Option(help="Supply of the logic, 0.7 to 1.1; cacti only.", show_default="by node, 0.9 at 45 nm"),
]
Sensitivity = Annotated[
    bool,
    typer.Option("--sensitivity", help="Which price's range moves a sample's energy most, for --network and --rule."),
]


def cost(
    machine: MachineArgument,
    prices: options.Prices = "cacti",
    volts: Volts = None,
    sensitivity: Sensitivity = False,
    network: options.Network = options.DEFAULT_NETWORK,
    rule: options.Rule = options.DEFAULT_RULE,
    batch: options.Batch = 1,
    mapping: options.Mapping = "paper",
    out: options.Out = None,
    json: options.Json = False,
) -> None:
    """Area and peak power of a machine by component, what each event costs and how sure that is.

    --out writes the floorplan to scale, and with --sensitivity a tornado plot of the run and its energy by either
    mapping under every table.
    """
    from caterpillar.cli.output import print_json
    from caterpillar.cost import parse_prices
    from caterpillar.machine import parse_machine

    target = parse_machine(machine)
    table = parse_prices(prices).of(target) if volts is None else _at_volts(prices, target, volts)
    runs = _runs(target, table, network, rule, batch, mapping) if sensitivity else {}
    answer = runs.get((table.name, mapping))
    document = _document(target, table, volts, answer)
    if answer is not None:
        document["pj_per_mac"] = _by_mapping(table, runs)
    if out is not None:
        document["files"] = _pictures(target, table, answer, runs, out)
    if json:
        print_json(document)
    else:
        _print(target, table, document)


def _runs(machine: Machine, table: Prices, network: str, rule: str, batch: int, mapping: str) -> Runs:
    """The run asked for, and by the other mapping and under the other shipped tables wherever they can say."""
    from caterpillar.checks import Infeasible, UsageError
    from caterpillar.cost import SHIPPED, parse_prices
    from caterpillar.evaluate import MAPPINGS, evaluate
    from caterpillar.network import parse_network
    from caterpillar.rules import parse_rule

    net, learning = parse_network(network), parse_rule(rule, batch=batch)
    asked = evaluate(net, learning, machine, mapping=mapping, prices=table)
    if isinstance(asked, Infeasible):
        raise UsageError(f"--sensitivity: {net.name}, {learning.label} on {machine.name} does not fit: {asked}")
    runs: Runs = {}
    for pricing in (table, *(parse_prices(name) for name in SHIPPED if name != table.name)):
        for way in MAPPINGS:
            try:
                answer = evaluate(net, learning, machine, mapping=way, prices=pricing)
            except UsageError:  # of another node, no such memory, or a rule that the mapping does not know
                continue
            if not isinstance(answer, Infeasible):
                runs[answer.prices, way] = answer
    return runs


def _at_volts(prices: str, machine: Machine, volts: float) -> Prices:
    from caterpillar.checks import UsageError
    from caterpillar.cost import cacti

    if prices != "cacti":
        raise UsageError(f"--volts goes with --prices cacti, not with {prices!r}")
    return cacti(machine, volts)


def _document(machine: Machine, table: Prices, volts: float | None, answer: Evaluation | None) -> dict[str, Any]:
    from caterpillar.cost import areas, leaves, memory_timings, peak_power_range_w, peak_power_w, sensitivity

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
        document["sensitivity"] = [asdict(swing) for swing in sensitivity(answer.counts, table)]
    return document


def _by_mapping(table: Prices, runs: Runs) -> dict[str, dict[str, float]]:
    """pJ a useful MAC by component, of each mapping."""
    return {
        mapping: {component: pj / run.macs_per_sample for component, pj in run.energy_pj.items()}
        for (prices, mapping), run in runs.items()
        if prices == table.name
    }


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
            bars = [(f"{prices} prices,\n{mapping} mapping", one) for (prices, mapping), one in runs.items()]
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
    if "sensitivity" in document:
        total = document["run"]["energy_pj_per_sample"]
        swings = [
            (_plain(s["event"]), s["component"], f"{s['low_pj'] / total - 1:+.1%}", f"{s['high_pj'] / total - 1:+.1%}")
            for s in document["sensitivity"]
        ]
        low, high = document["run"]["energy_range_pj"]
        heading = f"Energy a sample {total / 1e6:.4g} uJ ({low / 1e6:.4g} to {high / 1e6:.4g}): what moves it"
        print_table(heading, ("event", "component", "price at its low", "at its high"), swings)
        _print_mappings(document["pj_per_mac"])
    for name in document.get("files", ()):
        typer.echo(f"wrote {name}")


def _print_mappings(shares: dict[str, dict[str, float]]) -> None:
    from caterpillar.cli.output import print_table

    rows = [
        (_plain(component), *(f"{parts[component]:.3f}" for parts in shares.values()))
        for component in next(iter(shares.values()))
        if any(parts[component] for parts in shares.values())
    ]
    rows.append(("total", *(f"{sum(parts.values()):.3f}" for parts in shares.values())))
    print_table("pJ a useful MAC by mapping", ("component", *shares), rows)


def _plain(name: str) -> str:
    return name.replace("_", " ")
