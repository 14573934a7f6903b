"""What events cost and what blocks occupy: tables with sources, energy and area by component."""

from caterpillar.cost.area import area_mm2
from caterpillar.cost.energy import COMPONENTS, energy_pj
from caterpillar.cost.parse import PAPER, SHIPPED, parse_prices
from caterpillar.cost.prices import Areas, Price, Prices

__all__ = ["COMPONENTS", "PAPER", "SHIPPED", "Areas", "Price", "Prices", "area_mm2", "energy_pj", "parse_prices"]
