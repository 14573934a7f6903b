"""What events cost and what blocks occupy: prices with sources and ranges, energy and area by component.

`paper` is a table; `horowitz` and `cacti` are models, whose table depends on the machine: .of(machine) gives it.
"""

from caterpillar.cost.area import area_mm2, areas
from caterpillar.cost.columns import PriceColumns, price_columns
from caterpillar.cost.energy import COMPONENTS, Swing, energy_pj, energy_range_pj, leaves, sensitivity
from caterpillar.cost.memories import MemoryTiming, memory_timings
from caterpillar.cost.parse import PAPER, SHIPPED, parse_prices
from caterpillar.cost.peak import peak_counters, peak_power_range_w, peak_power_w
from caterpillar.cost.physical import CACTI, HOROWITZ, cacti, horowitz
from caterpillar.cost.prices import Areas, Price, PriceModel, Prices, Pricing

__all__ = [
    "CACTI",
    "COMPONENTS",
    "HOROWITZ",
    "PAPER",
    "SHIPPED",
    "Areas",
    "MemoryTiming",
    "Price",
    "PriceColumns",
    "PriceModel",
    "Prices",
    "Pricing",
    "Swing",
    "area_mm2",
    "areas",
    "cacti",
    "energy_pj",
    "energy_range_pj",
    "horowitz",
    "leaves",
    "memory_timings",
    "parse_prices",
    "peak_counters",
    "peak_power_range_w",
    "peak_power_w",
    "price_columns",
    "sensitivity",
]
