"""The sum of the components is the total, for every run, mapping and price table, by phase too."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from caterpillar import rules
from caterpillar.checks import Infeasible, UsageError
from caterpillar.cost import CACTI, HOROWITZ, PAPER, Price, Prices, Pricing, sensitivity
from caterpillar.evaluate import MAPPINGS, Evaluation, evaluate
from caterpillar.machine import Machine
from caterpillar.network import Network
from caterpillar.rules import Rule

BATCHES = st.sampled_from([1, 2, 8, 9, 50])
RULES = st.one_of(
    st.builds(rules.sgd, momentum=st.sampled_from([0.0, 0.9])),
    st.just(rules.cp()),
    *(st.builds(rule, batch=BATCHES) for rule in (rules.mbgd, rules.fa, rules.dfa, rules.mbcp)),
)
NETWORKS = st.lists(st.integers(1, 40), min_size=2, max_size=5).map(lambda sizes: Network.mlp(*sizes))
MACHINES = st.builds(
    Machine,
    name=st.just("any"),
    core_rows=st.sampled_from([1, 2]),
    cores_per_row=st.integers(1, 3),
    pe_rows=st.sampled_from([1, 2, 4]),
    pe_cols=st.sampled_from([1, 2, 4]),
    pe_sram_bytes=st.sampled_from([64, 8192, 16384]),
    pe_sram_word_bits=st.sampled_from([16, 64]),
    core_sram_bytes=st.sampled_from([0, 1 << 13, 1 << 19]),
    ring_words_per_cycle=st.sampled_from([1, 4]),
    neighbour_links=st.booleans(),
    clock_hz=st.sampled_from([5e8, 1e9]),
)
PJ = st.floats(1e-3, 1e3)


@st.composite
def users_tables(draw: st.DrawFn) -> Prices:
    """Any prices, some of them of several components."""
    prices = {event: Price(value=draw(PJ), source="drawn") for event in Prices.names()}
    parts = ("leakage", "clock", "control")
    prices["pe_cycles"] = Price.sum(tuple((part, Price(value=draw(PJ), source="drawn")) for part in parts))
    late = {name: draw(st.integers(0, 3)) for name in ("pe_sram_late_cycles", "core_sram_late_cycles")}
    return replace(PAPER, name="drawn", factor=Price(value=draw(st.floats(0.5, 2.0)), source="drawn"), **prices, **late)


TABLES = st.one_of(st.sampled_from([PAPER, CACTI, HOROWITZ]), users_tables())


def run_of(network: Network, rule: Rule, machine: Machine, mapping: str, pricing: Pricing) -> Evaluation:
    """The run, if the mapping and the prices know it and it fits."""
    try:
        answer = evaluate(network, rule, machine, mapping=mapping, prices=pricing)
    except UsageError:
        answer = None
    assume(answer is not None and not isinstance(answer, Infeasible))
    assert isinstance(answer, Evaluation)
    return answer


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
@given(NETWORKS, RULES, MACHINES, st.sampled_from(MAPPINGS), TABLES)
def test_components_and_phases_sum_to_the_total(
    network: Network, rule: Rule, machine: Machine, mapping: str, pricing: Pricing
) -> None:
    run = run_of(network, rule, machine, mapping, pricing)
    table = pricing.of(machine)
    total = run.energy_pj_per_sample
    assert total == pytest.approx(math.fsum(n * table.pj(event) for event, n in run.counts.as_dict().items()))
    assert sum(run.energy_pj.values()) == pytest.approx(total)
    assert sum(run.phase_pj.values()) == pytest.approx(total)
    for component, pj in run.energy_pj.items():
        assert sum(parts[component] for parts in run.energy_by_phase.values()) == pytest.approx(pj)
    swings, (low, high) = sensitivity(run.counts, table), run.energy_range_pj
    if table.factor.low == table.factor.high:
        assert total - sum(total - swing.low_pj for swing in swings) == pytest.approx(low)
        assert total + sum(swing.high_pj - total for swing in swings) == pytest.approx(high)
    assert run.counts.pe_cycles == pytest.approx(machine.pes * run.cycles_per_sample)
    assert sum(run.area.values()) == pytest.approx(run.area_mm2)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
@given(NETWORKS, RULES, MACHINES, st.sampled_from(MAPPINGS), users_tables(), st.sampled_from(Prices.names()))
def test_every_event_is_priced_once_and_every_price_is_of_one_event(
    network: Network, rule: Rule, machine: Machine, mapping: str, table: Prices, event: str
) -> None:
    """A pJ more on an event adds what it was counted, and nothing else; in all phases together, too."""
    table = replace(table, pe_sram_word_bits=machine.pe_sram_word_bits)
    cheap = run_of(network, rule, machine, mapping, table)
    old: Price = getattr(table, event)
    more = Price.sum((*(old.parts or (("fpu", old),)), ("ring", Price(value=1.0, source="more"))))
    dear = run_of(network, rule, machine, mapping, replace(table, **{event: more}))
    counted = getattr(cheap.counts, event) * table.factor.value
    scale = 1e-9 * dear.energy_pj_per_sample
    assert dear.counts == cheap.counts
    assert dear.energy_pj_per_sample - cheap.energy_pj_per_sample == pytest.approx(counted, rel=1e-6, abs=scale)
    by_phase = sum(dear.phase_pj.values()) - sum(cheap.phase_pj.values())
    assert by_phase == pytest.approx(counted, rel=1e-6, abs=scale)
