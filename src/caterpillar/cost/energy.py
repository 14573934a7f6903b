"""Energy: counts times prices, by component, and how far the prices' ranges let it lie."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import fsum

from caterpillar.cost.prices import Price, Prices
from caterpillar.counters import Counters

# Every event belongs to one component, save for the parts of its price that name another.
COMPONENTS: dict[str, tuple[str, ...]] = {
    "fpu": ("fma",),
    "pe_memory": ("pe_sram_read_words", "pe_sram_write_words", "mem_b_read_words", "mem_b_write_words"),
    "core_memory": ("core_sram_read_words", "core_sram_write_words"),
    "outside": ("outside_words",),
    "registers": ("register_reads", "register_writes"),
    "buses": ("row_bus_words", "column_bus_words", "neighbour_words"),
    "ring": ("ring_word_hops",),
    "activation": ("activation_words",),
    "leakage": ("pe_cycles",),
    "clock": (),  # parts of pe_cycles
    "control": (),
}

Rate = tuple[str, str, float]  # event, component, pJ an event


@dataclass(frozen=True, slots=True, kw_only=True)
class Swing:
    """What one price does to the total, all others at their values: pJ with it at its low and at its high.

    price: pJ an event, the factor of its table included.
    """

    event: str
    component: str
    low_pj: float
    high_pj: float
    price: Price


def energy_pj(counters: Counters, prices: Prices) -> dict[str, float]:
    """pJ by component, for the events counted; the whole is their sum."""
    return energy_at(
        counters, [(event, part, price.value) for event, part, price in leaves(prices)], prices.factor.value
    )


def energy_at(counters: Counters, rates: Iterable[Rate], factor: float) -> dict[str, float]:
    """pJ by component of the events counted at their rates, all times factor. Elementwise: counts may be arrays."""
    energy = dict.fromkeys(COMPONENTS, 0.0)
    for event, component, rate in rates:
        energy[component] = energy[component] + getattr(counters, event) * rate * factor
    return energy


def energy_range_pj(counters: Counters, prices: Prices) -> tuple[float, float]:
    """The least and the greatest energy that the ranges allow: every price at its low, every one at its high."""
    lows = [(event, part, price.low) for event, part, price in leaves(prices)]
    highs = [(event, part, price.high) for event, part, price in leaves(prices)]
    return total_at(counters, lows) * prices.factor.low, total_at(counters, highs) * prices.factor.high


def total_at(counters: Counters, rates: Iterable[Rate]) -> float:
    """pJ of all events counted at their rates. Elementwise: counts and rates may be arrays."""
    return sum(getattr(counters, event) * rate for event, _, rate in rates)


def sensitivity(counters: Counters, prices: Prices) -> list[Swing]:
    """What each uncertain price does to the total, the one that matters most first: the bars of a tornado plot.

    Prices are moved one at a time, an event's parts each for itself.
    """
    total = fsum(energy_pj(counters, prices).values())
    swings = []
    for event, component, price in leaves(prices):
        weight = getattr(counters, event) * prices.factor.value
        low, high = (total + weight * (end - price.value) for end in (price.low, price.high))
        if low < high:
            priced = price.times(prices.factor.value)
            swings.append(Swing(event=event, component=component, low_pj=low, high_pj=high, price=priced))
    return sorted(swings, key=lambda swing: swing.low_pj - swing.high_pj)


def leaves(prices: Prices) -> Iterator[tuple[str, str, Price]]:
    """(event, component, price) for every price, parts in place of the price that they make up; factor left out."""
    for component, events in COMPONENTS.items():
        for event in events:
            price: Price = getattr(prices, event)
            yield from ((event, part, share) for part, share in price.parts or ((component, price),))
