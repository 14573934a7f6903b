"""Scaling of logic between nodes and supply voltages.

Stillmaker and Baas, "Scaling equations for the accurate prediction of CMOS device performance from 180 nm to 7 nm",
Integration 58 (2017) 74-81: ratios of area, and per node a polynomial in the supply voltage for the delay (third
degree) and one for the energy of an operation (second degree), fitted there to circuit simulations of predictive
models. From 45 nm down these are its low-power devices, the only ones whose polynomials are smooth over the voltages
used here; 90 and 65 nm have one kind of device. 22 nm lies between its 32 and 20 nm: interpolated along a straight
line in the logarithms of node and quantity (our rule).

Memories do not follow these laws: CACTI has entries of its own for every node (sram).
"""

from __future__ import annotations

import math

from caterpillar.checks import UsageError

SOURCE = "Stillmaker and Baas 2017"

_AREA = {90: 2.8, 65: 1.5, 45: 1.0, 32: 0.46, 20: 0.21}  # relative to 45 nm
_DELAY = {  # V^3, V^2, V, 1
    90: (-60.34, 262.5, -384.2, 210.9),
    65: (-53.3, 230.4, -333.9, 178.6),
    45: (-285.7, 1239.0, -1795.0, 898.8),
    32: (-325.9, 1374.0, -1922.0, 913.2),
    20: (-160.5, 514.1, -558.6, 217.5),
}
_ENERGY = {  # V^2, V, 1
    90: (4.762, -4.781, 2.092),
    65: (3.755, -4.398, 1.975),
    45: (1.103, -0.362, 0.2767),
    32: (0.9559, -0.7823, 0.471),
    20: (0.2632, -0.14, 0.06841),
}

# Supply of CACTI's high-performance devices (its tech_params, from the ITRS). Our 45 nm prices are at 0.9 V, nine
# tenths of it; logic at another node runs at nine tenths of that node's.
CACTI_SUPPLY_V = {90: 1.2, 65: 1.1, 45: 1.0, 32: 0.9, 22: 0.8}
LOGIC_V = {node_nm: round(0.9 * volts, 3) for node_nm, volts in CACTI_SUPPLY_V.items()}
LOWEST_V, HIGHEST_V = 0.7, 1.1  # where all of the polynomials above rise (energy) and fall (delay) with the voltage


def area_factor(node_nm: int) -> float:
    """Area of logic relative to 45 nm."""
    return _at(node_nm, _AREA)


def energy_factor(node_nm: int, volts: float | None = None) -> float:
    """Energy of a logic operation relative to 45 nm at 0.9 V; volts defaults to the node's supply (LOGIC_V)."""
    return _energy(node_nm, LOGIC_V[node_nm] if volts is None else volts) / _energy(45, LOGIC_V[45])


def delay_factor(node_nm: int, volts: float) -> float:
    """Delay of logic at a voltage relative to the same node at its supply (LOGIC_V).

    Between nodes no delay is offered: the polynomials of 65 and 45 nm are of different kinds of devices.
    """
    _check(volts)
    return _polynomial(node_nm, _DELAY, volts) / _polynomial(node_nm, _DELAY, LOGIC_V[node_nm])


def _energy(node_nm: int, volts: float) -> float:
    _check(volts)
    return _polynomial(node_nm, _ENERGY, volts)


def _check(volts: float) -> None:
    if not LOWEST_V <= volts <= HIGHEST_V:
        raise UsageError(f"volts must be in [{LOWEST_V}, {HIGHEST_V}], where the scaling laws hold, got {volts!r}")


def _polynomial(node_nm: int, table: dict[int, tuple[float, ...]], volts: float) -> float:
    values = {
        node: sum(c * volts ** (len(coefficients) - 1 - i) for i, c in enumerate(coefficients))
        for node, coefficients in table.items()
    }
    return _at(node_nm, values)


def _at(node_nm: int, values: dict[int, float]) -> float:
    if node_nm in values:
        return values[node_nm]
    if node_nm != 22:
        raise UsageError(f"node_nm must be one of 90, 65, 45, 32, 22 for the scaling laws, got {node_nm!r}")
    along = math.log(22 / 32) / math.log(20 / 32)
    return values[32] * (values[20] / values[32]) ** along
