"""caterpillar estimate"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from caterpillar.cli import options
from caterpillar.cli.sensitivity import print_sensitivity, sensitivity_document

if TYPE_CHECKING:
    from caterpillar.evaluate import Evaluation

Executed = Annotated[
    bool, typer.Option("--executed", help="Mapping paper, too, as simulate executes it and not by the paper's algebra.")
]

# What JSON says as null of a machine that the network does not fit.
UNKNOWN = (
    "cycles_per_sample",
    "cycles",
    "pe_cycles",
    "utilization",
    "energy_pj_per_sample",
    "energy_pj",
    "energy_range_pj",
    "counts",
    "power_w",
    "gflops",
    "gflops_per_watt",
    "gflops_per_mm2",
)


def estimate(
    network: options.Network = options.DEFAULT_NETWORK,
    rule: options.Rule = options.DEFAULT_RULE,
    machine: options.Machine = "paper-a",
    batch: options.Batch = 1,
    momentum: options.Momentum = 0.0,
    mapping: options.Mapping = "paper",
    prices: options.Prices = "paper",
    volts: options.Volts = None,
    sensitivity: options.Sensitivity = False,
    numerics: options.MachineNumerics = "fp16",
    executed: Executed = False,
    json: options.Json = False,
) -> None:
    """Cycles, energy and area of training, a sample, in closed form.

    A machine too small for the network is an answer too: fits is false, with what is lacking and what would help.
    """
    from caterpillar.checks import Infeasible
    from caterpillar.cli.output import print_json
    from caterpillar.cli.progress import Bar
    from caterpillar.cost import area_mm2, parse_prices
    from caterpillar.evaluate import evaluate
    from caterpillar.machine import parse_machine
    from caterpillar.network import parse_network
    from caterpillar.rules import parse_rule

    net, learning = parse_network(network), parse_rule(rule, batch=batch, momentum=momentum)
    target, table = parse_machine(machine), parse_prices(prices, volts)
    with Bar(quiet=json) as bar:
        bar.update("placing the work", 0, None)
        answer = evaluate(net, learning, target, mapping=mapping, prices=table, numerics=numerics, executed=executed)
    if isinstance(answer, Infeasible):
        if json:
            known: dict[str, object] = {
                "network": net.name,
                "sizes": list(net.sizes),
                "activation": net.activation,
                "rule": learning.name,
                "batch": learning.batch,
                "machine": target.name,
                "mapping": mapping,
                "executed": executed or mapping == "best",
                "prices": table.name,
                "numerics": numerics,
                "fits": False,
                "infeasible": asdict(answer),
                "macs_per_sample": learning(net).macs_per_sample,
                "area_mm2": sum(area_mm2(target, table.of(target)).values()),
            }
            print_json({**known, **dict.fromkeys(UNKNOWN)})
        else:
            typer.echo(f"{net.name}, {learning(net).rule_and_batch} on {target.name} does not fit: {answer}")
    elif json:
        swings = {"sensitivity": sensitivity_document(answer.counts, table.of(target))} if sensitivity else {}
        print_json({**answer.as_dict(), **swings})
    else:
        _print(answer)
        if sensitivity:
            print_sensitivity("a sample", answer.counts, table.of(target))


def _print(answer: Evaluation) -> None:
    from caterpillar.cli.output import print_shares, print_table, uj_and_range

    name = answer.rule if answer.batch == 1 else f"{answer.rule} with batch {answer.batch}"
    way = f"{answer.mapping} mapping{' as executed' if answer.executed else ''}, {answer.prices} prices"
    title = f"{answer.network.name}, {name} on {answer.machine.name} ({way})"
    figures = [
        ("fits in local memory", "yes" if answer.fits else f"no, {answer.off_core_words:,} words are off-core", ""),
        ("useful MACs a sample", f"{answer.macs_per_sample:,}", ""),
        ("cycles a sample", f"{answer.cycles_per_sample:,.0f}", ""),
        ("time a sample", f"{answer.seconds_per_sample * 1e6:,.3f}", "us"),
        ("utilization", f"{answer.utilization:.1%}", "of PEs x cycles"),
        ("energy a sample", *uj_and_range(answer.energy_pj_per_sample, answer.energy_range_pj)),
        ("power", f"{answer.power_w:,.3f}", "W"),
        ("speed", f"{answer.gflops:,.1f}", "GFLOPS"),
        ("efficiency", f"{answer.gflops_per_watt:,.1f}", "GFLOPS/W"),
        ("density", f"{answer.gflops_per_mm2:,.2f}", "GFLOPS/mm2"),
        ("area", f"{answer.area_mm2:,.1f}", "mm2"),
    ]
    print_table(title, ("figure", "value", "unit"), figures)
    print_shares("Where the cycles go", "cause", "cycles a sample", answer.cycles)
    if answer.pe_cycles:
        print_shares("What the FMAs do, and why they are idle", "cause", "PE-cycles a sample", answer.pe_cycles)
    print_shares("Where the energy goes", "component", "pJ a sample", answer.energy_pj)
    print_shares("When the energy goes", "phase", "pJ a sample", answer.phase_pj)
