"""Area, Table 2, Fig. 10 and what the text says of them: the paper's value beside the estimate's and the executed ones.

On the paper's own basis: energy leaves out the first layer's input error, time counts it, as its figures do.
"""

from __future__ import annotations

from dataclasses import replace

from caterpillar.checks import Infeasible
from caterpillar.cost import PAPER, area_mm2
from caterpillar.estimate import Estimate, estimate
from caterpillar.evaluate import Evaluation, evaluate
from caterpillar.machine import MACHINES, Machine
from caterpillar.network import Network
from caterpillar.reproduce.executed import MAPPINGS, Executed
from caterpillar.reproduce.paper import cases, epochs_to, paper, rule_of_label, tolerance, unit
from caterpillar.reproduce.rows import Row, judge

SOURCE = "estimate"
NONE: Executed = {}
BASIS = "the paper's basis: 3 sum(m n) MACs a sample (direct feedback 2 sum(m n) + sum(m n_L)), input error timed"


def area_rows() -> list[Row]:
    """The two machines' areas."""
    return [
        _row("area", case, "", "area_mm2", entry["value"], _area(MACHINES[entry["machine"]]))
        for case, entry in paper()["area_mm2"].items()
    ]


def table2_rows(executed: Executed = NONE) -> list[Row]:
    """GFLOPS/W of SGD, CP and MBGD on the three cases."""
    rows: list[Row] = []
    for case, (network, machine) in cases().items():
        for label, printed in paper()["table2"][case].items():
            ours = _evaluate(network, label, machine).gflops_per_watt
            elsewhere = printed.get("elsewhere")
            note = ""
            if elsewhere is not None:
                note = f"Table 2 prints {printed['value']}; the energy model that fits Figs. 6-8 gives {elsewhere}"
            row = _row("table2", case, label, "gflops_per_watt", printed["value"], ours, elsewhere, note)
            both = (executed.get((case, label, mapping)) for mapping in MAPPINGS)
            rows.append(_with_executed(row, [one and one.gflops_per_watt for one in both]))
    return rows


def fig10_rows(executed: Executed = NONE) -> list[Row]:
    """Percent of peak and GFLOPS/mm2 of every rule the figure has a bar for."""
    figure = paper()["fig10"]
    rows: list[Row] = []
    for case, (network, machine) in cases().items():
        for group, labels in figure["rules"].items():
            for label in labels:
                answer = estimate(rule_of_label(label)(network), machine, input_error=True)
                percent = percent_of_peak(answer) if isinstance(answer, Estimate) else None
                note = _fig10_note(answer)
                peak = 2 * machine.pes * machine.clock_hz / 1e9 / _area(machine)
                density = None if percent is None else percent / 100 * peak
                both = [executed.get((case, label, mapping)) for mapping in MAPPINGS]
                speeds = [one and _of_peak(answer, one.cycles_per_sample) for one in both]
                for quantity, ours, scale in (
                    ("percent_of_peak", percent, 1.0),
                    ("gflops_per_mm2", density, peak / 100),
                ):
                    row = _row("fig10", case, label, quantity, figure[quantity][case][group], ours, None, note)
                    row = _with_executed(row, [speed and speed * scale for speed in speeds])
                    rows.append(replace(row, note=_useful(note, both)) if quantity == "percent_of_peak" else row)
    return rows


def _of_peak(answer: Estimate | Infeasible, cycles_per_sample: float) -> float | None:
    """MACs that the paper times / (PEs x cycles executed), in percent."""
    return 100 * answer.compute_cycles / cycles_per_sample if isinstance(answer, Estimate) else None


def _with_executed(row: Row, values: list[float | None]) -> Row:
    return replace(row, paper_mapping=values[0], best_mapping=values[1])


def _useful(note: str, both: list[Evaluation | None]) -> str:
    """The note, and the executed utilizations, which count useful MACs only."""
    shares = [f"{mapping} {one.utilization:.1%}" for mapping, one in zip(MAPPINGS, both, strict=True) if one]
    return f"{note}; executed, useful MACs only: {', '.join(shares)}" if shares else note


def _fig10_note(answer: Estimate | Infeasible) -> str:
    if isinstance(answer, Infeasible):
        return f"does not fit: {answer}"
    if answer.fits:
        return BASIS
    return f"{BASIS}; {answer.storage.off_core_share:.1%} of the weights lie off-core, streamed at the fitted rate"


def text_rows() -> list[Row]:
    """What the paper's sentences and printed formulas say, where they can be checked."""
    return [_text_row(claim) for claim in paper()["text"]]


def percent_of_peak(answer: Estimate) -> float:
    """MACs timed / (PEs x cycles), in percent."""
    return 100 * answer.compute_cycles / answer.cycles_per_sample


def _text_row(claim: dict[str, str | float]) -> Row:
    case, label, quantity = str(claim["case"]), str(claim["rule"]), str(claim["quantity"])
    elsewhere = claim.get("elsewhere")
    return _row(
        "text",
        case,
        label,
        quantity,
        float(claim["paper"]),
        _text_value(case, label, quantity),
        None if elsewhere is None else float(elsewhere),
        str(claim["note"]),
    )


def _text_value(case: str, label: str, quantity: str) -> float:
    if quantity == "area_mm2":
        return _area(MACHINES[paper()["area_mm2"][case]["machine"]])
    network, machine = cases()[case]
    result = _evaluate(network, label, machine)
    counts = result.counts
    match quantity:
        case "percent_of_peak":
            answer = estimate(rule_of_label(label)(network), machine, input_error=True)
            assert isinstance(answer, Estimate)  # noqa: S101  _evaluate has found that it fits
            return percent_of_peak(answer)
        case "energy_percent_to_90_of_mbgd50":
            batched = _evaluate(network, "mbgd50", machine)
            return 100 * _energy_to_90(result, label) / _energy_to_90(batched, "mbgd50")
        case "memory_over_fpu_energy":
            return (result.energy_pj["pe_memory"] + result.energy_pj["core_memory"]) / result.energy_pj["fpu"]
        case "weight_accesses_per_weight":
            words = counts.pe_sram_read_words + counts.pe_sram_write_words - counts.fma  # less one operand a MAC
            return (words + counts.core_sram_read_words + counts.core_sram_write_words) / network.weights
        case "macs_per_sample":
            return result.macs_per_sample
        case "words_per_pe":
            return (result.matrix_words + result.activation_words) / machine.pes
        case _:
            raise ValueError(f"no such quantity: {quantity}")


def _energy_to_90(result: Evaluation, label: str) -> float:
    """Energy a training sample of the epochs that Fig. 5 shows to 90 %."""
    epochs = epochs_to(result.network.name, label, 90)
    if epochs is None:
        raise ValueError(f"{label} does not reach 90 % in Fig. 5")
    return epochs * result.energy_pj_per_sample


def _evaluate(network: Network, label: str, machine: Machine) -> Evaluation:
    result = evaluate(network, rule_of_label(label), machine)
    if isinstance(result, Infeasible):
        raise ValueError(f"{network.name}, {label} on {machine.name}: {result}")
    return result


def _area(machine: Machine) -> float:
    return sum(area_mm2(machine, PAPER).values())


def _row(
    artifact: str,
    case: str,
    rule: str,
    quantity: str,
    printed: float,
    ours: float | None,
    elsewhere: float | None = None,
    note: str = "",
) -> Row:
    allowed = tolerance(quantity, case)
    return Row(
        artifact=artifact,
        case=case,
        rule=rule,
        quantity=quantity,
        unit=unit(quantity),
        paper=printed,
        ours=ours,
        source=SOURCE,
        verdict=judge(printed, ours, allowed, elsewhere=elsewhere),
        note=note,
    )
