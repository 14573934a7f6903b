"""What commands print of a run's sensitivity to its prices."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from caterpillar.cost import Prices
    from caterpillar.counters import Counters


def sensitivity_document(counters: Counters, table: Prices) -> list[dict[str, Any]]:
    """For JSON: what each uncertain price does to the energy of these events, the widest swing first."""
    from caterpillar.cost import sensitivity

    return [
        {
            "event": swing.event,
            "component": swing.component,
            "low_pj": swing.low_pj,
            "high_pj": swing.high_pj,
            "price_pj": swing.price.value,
            "price_range_pj": [swing.price.low, swing.price.high],
            "source": swing.price.source,
        }
        for swing in sensitivity(counters, table)
    ]


def print_sensitivity(what: str, counters: Counters, table: Prices) -> None:
    """The same as a table; what: whose energy it is. A table of prices without ranges says so."""
    from caterpillar.cli.output import print_table, uj_and_range
    from caterpillar.cost import energy_pj, energy_range_pj, sensitivity

    total = sum(energy_pj(counters, table).values())
    rows = [
        (
            swing.event.replace("_", " "),
            swing.component.replace("_", " "),
            f"{swing.price.value:.3g} ({swing.price.low:.3g} to {swing.price.high:.3g})",
            f"{swing.low_pj / total - 1:+.1%}",
            f"{swing.high_pj / total - 1:+.1%}",
        )
        for swing in sensitivity(counters, table)
    ]
    figure, unit = uj_and_range(total, energy_range_pj(counters, table))
    title = f"Energy {what} {figure} {unit}: what moves it"
    if not rows:
        title = f"Energy {what} {figure} {unit}: the {table.name} prices have no ranges, so nothing moves it"
    print_table(title, ("event", "component", "pJ (range)", "price at its low", "at its high"), rows)
