"""Wires: CACTI's capacitance by hand at one node, and energy that grows with length, bits and voltage squared."""

import pytest

from caterpillar.cost.technology.wires import farad_per_um, rise_pj, wire_pj


def test_capacitance_at_45_nm_by_hand():
    # width = spacing = 90 nm, thickness 180 nm, 315 nm of dielectric above and below
    plates = 2 * 8.854e-18 * 3.9 * 0.09 / 0.315
    sides = 2 * 8.854e-18 * 1.5 * 2.46 * 0.18 / 0.09
    assert farad_per_um(45) == pytest.approx(plates + sides + 1.15e-16)
    assert 0.2e-15 < farad_per_um(45) < 0.3e-15


def test_energy_is_c_v_squared_for_each_bit_that_rises():
    rise = farad_per_um(45) * 1000 * 0.9**2 * 1e12
    assert rise_pj(length_mm=1, node_nm=45) == pytest.approx(rise)
    word = wire_pj(length_mm=2, bits=16, node_nm=45)
    assert word.value == pytest.approx(2 * 16 / 4 * rise * 1.3)
    assert word.low < word.value < word.high
    assert rise_pj(length_mm=1, node_nm=45, volts=0.45) == pytest.approx(rise / 4)
