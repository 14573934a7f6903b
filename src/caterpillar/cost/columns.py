"""Prices of many machines at once, as arrays: the same tables, each made once for all machines that share it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from caterpillar.checks import UsageError
from caterpillar.cost.area import block_counts, block_leaves
from caterpillar.cost.energy import Rate, energy_at, leaves, total_at
from caterpillar.cost.prices import Pricing
from caterpillar.counters import Counters
from caterpillar.machine import Machine

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

TABLES_KEPT = 20_000  # a worker's memory for them stays below 50 MB


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rates:
    """A table without its sources: names, and the numbers in the order of _numbers; or why there is none."""

    events: tuple[tuple[str, str], ...] = ()
    blocks: tuple[tuple[str, str], ...] = ()
    numbers: tuple[float, ...] = ()
    refusal: str = ""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PriceColumns:
    """Price tables of many machines: numbers[k] is an array with an element for each machine.

    refusals: what prevents a table, and refused[i] the place of machine i's reason in it, -1 where it has a table (its
    numbers are ones where it has none).
    """

    name: str
    rates: _Rates
    numbers: NDArray[np.float64]
    refusals: tuple[str, ...]
    refused: NDArray[np.int64]

    @property
    def pe_sram_late_cycles(self) -> Any:
        """As Prices.pe_sram_late_cycles."""
        return self.numbers[3 + 3 * len(self.rates.events)]

    @property
    def core_sram_late_cycles(self) -> Any:
        """As Prices.core_sram_late_cycles."""
        return self.numbers[4 + 3 * len(self.rates.events)]

    def energy_pj(self, counters: Counters) -> dict[str, Any]:
        """As cost.energy_pj, for counts that are numbers or arrays over the machines."""
        return energy_at(counters, self._rates(0), self.numbers[0])

    def energy_range_pj(self, counters: Counters) -> tuple[Any, Any]:
        """As cost.energy_range_pj."""
        low, high = (total_at(counters, self._rates(end)) * self.numbers[end] for end in (1, 2))
        return low, high

    def area_mm2(self, machines: Machine) -> dict[str, Any]:
        """As cost.area_mm2, of the machine_columns that the prices are of."""
        first = 5 + 3 * len(self.rates.events)
        counts = block_counts(machines, pe_sram_bytes=self.numbers[first], core_sram_bytes=self.numbers[first + 1])
        areas = self.numbers[first + 2 :]
        return {part: area * counts[block] for (block, part), area in zip(self.rates.blocks, areas, strict=True)}

    def _rates(self, end: int) -> list[Rate]:
        return [(*event, self.numbers[3 + 3 * k + end]) for k, event in enumerate(self.rates.events)]


def price_columns(pricing: Pricing, machines: Machine, length: int) -> PriceColumns:
    """Prices of machine_columns of that length; a machine without a table is told so, none is refused as a whole."""
    import numpy as np

    tables, which = _tables(pricing, machines, length)
    refusals = tuple(dict.fromkeys(table.refusal for table in tables if table.refusal))
    places = np.array([refusals.index(table.refusal) if table.refusal else -1 for table in tables])
    priced = [table for table in tables if not table.refusal] or [_Rates(numbers=(1.0,) * 7)]
    width = len(priced[0].numbers)
    numbers = np.array([table.numbers or (1.0,) * width for table in tables])
    return PriceColumns(
        name=pricing.name,
        rates=priced[0],
        numbers=np.ascontiguousarray(numbers.T[:, which]),
        refusals=refusals,
        refused=places[which],
    )


def _tables(pricing: Pricing, machines: Machine, length: int) -> tuple[list[_Rates], NDArray[np.int64]]:
    """The distinct tables of the machines, and which one each machine has."""
    import numpy as np

    columns = {name: column for name in pricing.depends_on if isinstance(column := getattr(machines, name), np.ndarray)}
    code = np.zeros(length, np.int64)
    for column in columns.values():
        values, place = np.unique(column, return_inverse=True)
        code = np.unique(code * len(values) + place, return_inverse=True)[1]
    firsts = np.unique(code, return_index=True)[1]
    fixed = {name: getattr(machines, name) for name in pricing.depends_on if name not in columns}
    of_one = Machine(name="any", cores_per_row=1, pe_rows=1, pe_cols=1, ring_words_per_cycle=1)
    representatives = (
        replace(of_one, **fixed, **{name: column[first].item() for name, column in columns.items()}) for first in firsts
    )
    return [_rates(pricing, machine) for machine in representatives], code


@lru_cache(maxsize=TABLES_KEPT)
def _rates(pricing: Pricing, machine: Machine) -> _Rates:
    """numbers: factor, and pJ of each event, as value, low, high; late cycles of both SRAMs; sizes of the priced
    memories; mm2 of each block.
    """
    try:
        table = pricing.of(machine)
    except UsageError as error:
        return _Rates(refusal=str(error))
    events, blocks = list(leaves(table)), list(block_leaves(table.areas))
    ends = [end for price in (table.factor, *(p for _, _, p in events)) for end in (price.value, price.low, price.high)]
    late = (float(table.pe_sram_late_cycles), float(table.core_sram_late_cycles))
    sizes = (float(table.areas.pe_sram_bytes), float(table.areas.core_sram_bytes))
    return _Rates(
        events=tuple((event, component) for event, component, _ in events),
        blocks=tuple((block, component) for block, component, _ in blocks),
        numbers=(*ends, *late, *sizes, *(area.value for _, _, area in blocks)),
    )
