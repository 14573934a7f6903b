"""Energy of words on wires, from the wire's geometry at a node.

Capacitance by CACTI 7's formula with its parameters of semi-global wires, conservative projection (tech_params at the
commit that sram.csv names): parallel plates above and below, neighbours on both sides with a Miller factor, a fringe.
Repeaters for least energy x delay add 30 % to a bare wire's energy, repeaters for speed 87 % (Weste and Harris, CMOS
VLSI Design, 4th edition, chapter 6).
"""

from __future__ import annotations

from caterpillar.cost.prices import Price
from caterpillar.cost.technology.scaling import LOGIC_V

_VACUUM_F_PER_UM = 8.854e-18
_MILLER = 1.5
_FRINGE_F_PER_UM = 1.15e-16
_PITCH_FEATURES = 4.0
_ASPECT = 2.0
_OXIDE = 3.9  # relative permittivity above and below
_LOW_K = {90: 3.038, 65: 2.734, 45: 2.46, 32: 2.214, 22: 2.104}  # between neighbours
_LAYER_UM = {90: 0.48, 65: 0.405, 45: 0.315, 32: 0.21, 22: 0.15}  # thickness of the dielectric
_REPEATERS, _FAST_REPEATERS = 1.30, 1.87
# A wire takes C V^2 from the supply when it rises. A random bit rises in a quarter of the words.
_RISES = 0.25


def farad_per_um(node_nm: int) -> float:
    """Capacitance of a semi-global wire; 0.27 fF/um at 45 nm (0.2 is the usual rule of thumb)."""
    width = spacing = _PITCH_FEATURES * node_nm * 1e-3 / 2
    plates = 2 * _VACUUM_F_PER_UM * _OXIDE * width / _LAYER_UM[node_nm]
    sides = 2 * _VACUUM_F_PER_UM * _MILLER * _LOW_K[node_nm] * _ASPECT * width / spacing
    return plates + sides + _FRINGE_F_PER_UM


def wire_pj(*, length_mm: float, bits: int, node_nm: int, volts: float | None = None) -> Price:
    """Random bits sent once over a length. Low: bare wires, half the changes. High: repeaters sized for speed."""
    bare = bits * _RISES * rise_pj(length_mm=length_mm, node_nm=node_nm, volts=volts)
    return Price(
        value=bare * _REPEATERS,
        range=(bare / 2, bare * _FAST_REPEATERS),
        source=f"{bits} bits over {length_mm:.2f} mm, CACTI 7 semi-global wires; a quarter of the bits rise; repeaters "
        "add 30 % (low: none, half the changes; high: 87 %; Weste and Harris)",
    )


def rise_pj(*, length_mm: float, node_nm: int, volts: float | None = None) -> float:
    """What one bare wire takes from the supply to rise once, C V^2."""
    supply = LOGIC_V[node_nm] if volts is None else volts
    return farad_per_um(node_nm) * length_mm * 1e3 * supply**2 * 1e12
