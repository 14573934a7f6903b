"""What the sizes of a sweep's machines rule out: constraints that no point can meet are refused before any work."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from math import inf
from typing import TYPE_CHECKING, Any

from caterpillar.checks import SpecError
from caterpillar.cost import Prices, area_mm2
from caterpillar.explore.quantities import QUANTITIES
from caterpillar.explore.work import Work
from caterpillar.machine import Machine

if TYPE_CHECKING:
    from caterpillar.explore.plan import Plan

J_PER_PJ = 1e-12
ROUNDING = 1e-9  # what sums in another order may differ by


def refuse_impossible(plan: Plan) -> None:
    """Refuse tables of another node than any machine's, an accuracy that no work reaches, and impossible constraints.

    Raises UsageError or SpecError.
    """
    nodes = plan.axes.get("node_nm", (plan.base.node_nm,))
    for work in plan.works[: plan.tables]:
        if isinstance(work.prices, Prices) and work.prices.node_nm not in nodes:
            work.prices.of(replace(plan.base, node_nm=nodes[0]))  # raises, saying what would help
    if plan.accuracy_percent is not None and all(work.epochs is None for work in plan.works):
        raise SpecError(
            f"accuracy_percent {plan.accuracy_percent:g} is reached by no rule and network of this sweep: the "
            "convergence study has no run of one that does"
        )
    within = reach(plan) if plan.constraints else {}
    for bounds in plan.constraints:
        low, high = within.get(bounds.quantity, (0.0, inf))
        if bounds.least > high * (1 + ROUNDING) or bounds.most < low * (1 - ROUNDING):
            raise SpecError(
                f"constraints.{bounds.quantity} cannot be met: the machines of this sweep reach {low:g} to {high:g}, "
                f"[{bounds.least:g}, {bounds.most:g}] is asked for ({QUANTITIES[bounds.quantity].says})"
            )


def reach(plan: Plan) -> dict[str, tuple[float, float]]:
    """Quantity -> bounds that no point is beyond: on the largest or smallest machine all PEs multiply in all cycles."""
    least, most = _corner(plan, min), _corner(plan, max)
    works = {(work.network, work.rule.label): work for work in plan.works}
    macs = {key: work.rule(work.network).macs_per_sample for key, work in works.items()}

    def fewest(weight: Callable[[Work], float]) -> float:
        return _least(macs[work.network, work.rule.label] * weight(work) for work in plan.works)

    rate = most.pes * most.clock_hz  # MACs a second
    epoch = plan.epoch_samples
    bounds = {
        "pes": (float(least.pes), float(most.pes)),
        "gflops": (0.0, 2 * rate / 1e9),
        "cycles_per_sample": (fewest(lambda _: 1) / most.pes, inf),
        "seconds_per_sample": (fewest(lambda _: 1) / rate, inf),
        "seconds_per_tick": (fewest(lambda work: work.rule.batch) / rate, inf),
        "seconds_per_epoch": (fewest(lambda _: epoch) / rate, inf),
        "seconds_to_accuracy": (fewest(lambda work: epoch * _epochs(work)) / rate, inf),
        "epochs_to_accuracy": (_least(map(_epochs, plan.works)), max(work.epochs or 0.0 for work in plan.works)),
    }
    tables = [work.prices for work in plan.works[: plan.tables] if isinstance(work.prices, Prices)]
    if len(tables) < plan.tables:
        return bounds  # a model's prices are another machine's on every machine
    watts = min(table.pj("pe_cycles") for table in tables) * J_PER_PJ * least.pes * least.clock_hz
    joules = min(table.pj("fma") + table.pj("pe_cycles") for table in tables) * J_PER_PJ  # a MAC, in a PE's cycle
    return bounds | {
        "area_mm2": (min(_least_area(plan, least, table) for table in tables), inf),
        "power_w": (watts, inf),
        "energy_j_per_sample": (fewest(lambda _: joules), inf),
        "energy_j_per_tick": (fewest(lambda work: joules * work.rule.batch), inf),
        "energy_j_per_epoch": (fewest(lambda _: joules * epoch), inf),
        "energy_j_to_accuracy": (fewest(lambda work: joules * epoch * _epochs(work)), inf),
        "gflops_per_watt": (0.0, 2e-9 / joules),
    }


def _least_area(plan: Plan, least: Machine, table: Prices) -> float:
    """mm2; without MEM A where words are of another width than the table's: wider ones may take less."""
    parts = area_mm2(replace(least, node_nm=table.node_nm, pe_sram_word_bits=table.pe_sram_word_bits), table)
    widths = plan.axes.get("pe_sram_word_bits", (plan.base.pe_sram_word_bits,))
    return sum(parts.values()) - parts["pe_memory"] * (widths != (table.pe_sram_word_bits,))


def _epochs(work: Work) -> float:
    return inf if work.epochs is None else work.epochs


def _least(values: Iterable[float]) -> float:
    """The least; 0, which bounds nothing, where none is known."""
    least = min(values)
    return 0.0 if least == inf else least


def _corner(plan: Plan, pick: Callable[..., Any]) -> Machine:
    """The machine with the least or the greatest value of every field."""
    return plan.machine({name: values.index(pick(values)) for name, values in plan.axes.items()})
