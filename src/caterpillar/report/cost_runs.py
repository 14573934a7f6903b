"""The tables of docs/cost.md on runs, each made from the code that it speaks of."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

from caterpillar.checks import Infeasible, UsageError
from caterpillar.cost import CACTI, HOROWITZ, PAPER, Prices, Pricing, areas, sensitivity
from caterpillar.cost.technology.scaling import LOGIC_V
from caterpillar.evaluate import WAYS, Evaluation, evaluate
from caterpillar.machine import MACHINES, PAPER_A
from caterpillar.report.cost_tables import COMPARED, plain, table
from caterpillar.reproduce.paper import cases, epochs_to, paper, rule_of_label

TABLES: dict[str, Pricing] = {"paper": PAPER, "cacti": CACTI, "horowitz": HOROWITZ}
PARTS = {  # of the energy, as columns
    "FMA": ("fpu",),
    "PE memory": ("pe_memory",),
    "core memory": ("core_memory",),
    "outside": ("outside",),
    "registers": ("registers",),
    "buses, ring": ("buses", "ring"),
    "activation": ("activation",),
    "leakage": ("leakage",),
    "clock": ("clock",),
    "control": ("control",),
}


def nodes() -> str:
    """Area and efficiency of the paper's machines at every node."""
    rows = []
    for case, label in (("N1", "sgd"), ("N3", "cp")):
        network, machine = cases()[case]
        row = [f"{label} on {case}, {machine.name}: mm2, GFLOPS/W"]
        for node in LOGIC_V:
            run = _fitting(evaluate(network, rule_of_label(label), replace(machine, node_nm=node), prices=CACTI))
            row.append(f"{run.area_mm2:.3g}, {run.gflops_per_watt:.3g}")
        rows.append(row)
    return table(("`cacti`, 1 GHz", *(f"{node} nm, {volts:g} V" for node, volts in LOGIC_V.items())), rows)


def against() -> str:
    """The paper's areas and Table 2 beside ours, nothing fitted in cacti and horowitz."""
    rows = []
    for name, entry in paper()["area_mm2"].items():
        machine = MACHINES[entry["machine"]]
        parts = areas(machine, CACTI.of(machine))
        ours, low, high = (sum(getattr(area, end) for _, area in parts) for end in ("value", "low", "high"))
        others = [sum(area.value for _, area in areas(machine, one.of(machine))) for one in (PAPER, HOROWITZ)]
        printed = entry["value"]
        span = f"{ours:.1f} ({low:.0f} to {high:.0f})"
        rows.append(
            (f"machine {name}, mm2", printed, f"{others[0]:.1f}", span, _off(ours, printed), f"{others[1]:.1f}")
        )
    for case, printed in paper()["table2"].items():
        for label, entry in printed.items():
            runs = {name: run_of(case, label, "paper", name) for name in TABLES}
            low, high = (2000 * runs["cacti"].macs_per_sample / pj for pj in reversed(runs["cacti"].energy_range_pj))
            ours = runs["cacti"].gflops_per_watt
            elsewhere = f" (its figures: {entry['elsewhere']})" if "elsewhere" in entry else ""
            row = (
                f"{label} on {case}, GFLOPS/W",
                f"{entry['value']}{elsewhere}",
                f"{runs['paper'].gflops_per_watt:.0f}",
                f"{ours:.0f} ({low:.0f} to {high:.0f})",
                _off(ours, entry.get("elsewhere", entry["value"])),
                f"{runs['horowitz'].gflops_per_watt:.0f}",
            )
            rows.append(row)
    return table(("", "the paper", "`paper` prices", "`cacti` prices (range)", "", "`horowitz` prices"), rows)


def components() -> str:
    """CP on N3, the row of Table 2 farthest from ours: pJ a MAC by component."""
    rows = [(name, *_parts(run_of("N3", "cp", "paper", name), PAPER if name == "paper" else None)) for name in TABLES]
    return table(("prices", *PARTS, "the paper's factor", "sum"), rows)


def mappings() -> str:
    """The paper mapping beside best: pJ a useful MAC by component; or why there is no run."""
    rows = []
    for case, label in COMPARED:
        for way in WAYS:
            for name in ("cacti", "paper"):
                run = _try(case, label, way, name)
                head = (f"{label} on {case}", name, way)
                if isinstance(run, str):
                    if name == "cacti":
                        rows.append((*head, run, *[""] * (len(PARTS) + 2)))
                    continue
                use = f"{run.utilization:.1%}"
                rows.append((*head, *_parts(run)[:-2], _parts(run)[-1], f"{run.gflops_per_watt:.0f}", use))
    return table(("", "prices", "mapping", *PARTS, "sum", "GFLOPS/W", "utilization"), rows)


def phases() -> str:
    """The same by phase, cacti prices."""
    rows = []
    for case, label in COMPARED:
        for way in WAYS:
            run = _try(case, label, way, "cacti")
            if not isinstance(run, str):
                shares = [f"{pj / run.macs_per_sample:.2f}" for pj in run.phase_pj.values()]
                total = f"{run.energy_pj_per_sample / run.macs_per_sample:.2f}"
                rows.append((f"{label} on {case}", way, *shares, total))
    return table(("", "mapping", *map(plain, run_phases()), "sum"), rows)


def run_phases() -> tuple[str, ...]:
    """The phases of an account, in order."""
    return tuple(run_of("N1", "sgd", "paper", "cacti").phase_pj)


def tornado() -> str:
    """What each price's range does to SGD on N1."""
    run = run_of("N1", "sgd", "paper", "cacti")
    total = run.energy_pj_per_sample
    rows = []
    for swing in sensitivity(run.counts, CACTI.of(PAPER_A)):
        name = swing.component if swing.event == "pe_cycles" else plain(swing.event)
        ends = (f"{swing.low_pj / total - 1:+.1%}", f"{swing.high_pj / total - 1:+.1%}")
        rows.append((name, f"{swing.price.value:.3g} ({swing.price.low:.3g} to {swing.price.high:.3g})", *ends))
    low, high = (end / total - 1 for end in run.energy_range_pj)
    rows.append(("all of them at once", "", f"{low:+.1%}", f"{high:+.1%}"))
    return table(("price", "pJ (range)", "at its low", "at its high"), rows)


def contradictions() -> str:
    """What the paper says of energy in two ways, and what each table gives."""
    rows = []
    for label, said, shown in (("sgd", "1.5", "2.9"), ("cp", "1", "2.3")):
        weights, all_of_it = zip(*(_memory_over_fpu(label, name) for name in TABLES), strict=True)
        rows.append((f"{label}, N1: memory / FPU energy, weights alone", said, "", *weights))
        rows.append((f"{label}, N1: the same with an operand a MAC", "", shown, *all_of_it))
    for case in ("N1", "N3"):
        for label, said, shown in (("sgd", "70 %", "36 to 39 %"), ("cp", "30 %", "25 to 27 %")):
            ours = [_share_to_90(case, label, name) for name in TABLES]
            told = (said, shown) if case == "N1" else ("", "")
            rows.append((f"{label}, {case}: energy to 90 %, of batches of 100 and of 50", *told, *ours))
    for case, printed in paper()["table2"].items():
        entry = printed["mbgd50"]
        ours = [f"{run_of(case, 'mbgd50', 'paper', name).gflops_per_watt:.0f}" for name in TABLES]
        rows.append((f"mbgd50, {case}: GFLOPS/W", entry["value"], entry["elsewhere"], *ours))
    for name, other in (("A", "B"), ("B", "A")):
        printed, machine = paper()["area_mm2"], MACHINES[paper()["area_mm2"][name]["machine"]]
        ours = [f"{sum(area.value for _, area in areas(machine, t.of(machine))):.1f}" for t in TABLES.values()]
        rows.append((f"area of {name}, mm2", printed[other]["value"], printed[name]["value"], *ours))
    for case, label in (("N1", "sgd"), ("N3", "cp")):
        ours = [_wires(run_of(case, label, "paper", name)) for name in TABLES]
        rows.append((f"{label}, {case}: buses and ring, of all energy", "negligible", "", *ours))
    return table(("", "a sentence or Table 2", "its bars", *(f"`{name}`" for name in TABLES)), rows)


def run_of(case: str, label: str, way: str, name: str) -> Evaluation:
    """A rule (its label) on a case in one of WAYS under a table of TABLES. Raises UsageError where there is no run."""
    answer = _try(case, label, way, name)
    if isinstance(answer, str):
        raise UsageError(f"{label} on {case}, mapping {way}: {answer}")
    return answer


def _memory_over_fpu(label: str, name: str) -> tuple[str, str]:
    """Energy of weight accesses over the FPU's, and of all memory accesses."""
    run = run_of("N1", label, "paper", name)
    used: Prices = TABLES[name].of(run.machine)
    whole = run.energy_pj["pe_memory"]
    operands = run.counts.fma * used.pj("pe_sram_read_words")
    fpu = run.energy_pj["fpu"]
    return f"{(whole - operands) / fpu:.2f}", f"{whole / fpu:.2f}"


def _share_to_90(case: str, label: str, name: str) -> str:
    """Energy to 90 % by Fig. 5's epochs, of that of batches of 100 and of 50."""
    run = run_of(case, label, "paper", name)
    mine = _to_90(run, label)
    return " and ".join(f"{mine / _to_90(run_of(case, one, 'paper', name), one):.0%}" for one in ("mbgd100", "mbgd50"))


def _to_90(run: Evaluation, label: str) -> float:
    epochs = epochs_to(run.network.name, label, 90)
    if epochs is None:
        raise ValueError(f"{label} does not reach 90 % in Fig. 5")
    return epochs * run.energy_pj_per_sample


def _wires(run: Evaluation) -> str:
    return f"{(run.energy_pj['buses'] + run.energy_pj['ring']) / run.energy_pj_per_sample:.1%}"


def _parts(run: Evaluation, unscaled: Prices | None = None) -> list[str]:
    """pJ a useful MAC by column of PARTS, what the factor adds (unscaled: the table to take it off), and the sum."""
    scale = 1.0 if unscaled is None else unscaled.factor.value
    shares = [sum(run.energy_pj[name] for name in names) / run.macs_per_sample for names in PARTS.values()]
    whole = sum(shares)
    return [*(f"{share / scale:.2f}" for share in shares), f"{whole - whole / scale:.2f}", f"{whole:.2f}"]


@cache
def _try(case: str, label: str, way: str, name: str) -> Evaluation | str:
    (network, machine), (mapping, executed) = cases()[case], WAYS[way]
    rule, prices = rule_of_label(label), TABLES[name]
    try:
        answer = evaluate(network, rule, machine, mapping=mapping, prices=prices, executed=executed)
    except UsageError as error:
        return f"not placed: {error}"
    return f"does not fit: {answer}" if isinstance(answer, Infeasible) else answer


def _fitting(answer: Evaluation | Infeasible) -> Evaluation:
    if isinstance(answer, Infeasible):
        raise UsageError(str(answer))
    return answer


def _off(ours: float, printed: float) -> str:
    return f"{ours / printed - 1:+.0%}"
