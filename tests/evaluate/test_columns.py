"""Many machines at once give what each gives by itself, to the last bit."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from caterpillar import rules
from caterpillar.checks import Infeasible, UsageError
from caterpillar.cost import CACTI, HOROWITZ, PAPER, Pricing, price_columns
from caterpillar.estimate.elementwise import ceil_log2
from caterpillar.evaluate import Evaluation, evaluate, evaluate_columns
from caterpillar.machine import PAPER_A, Machine, machine_columns
from caterpillar.network import Network
from caterpillar.rules import Rule

FIGURES = (
    "fits",
    "macs_per_sample",
    "cycles_per_sample",
    "seconds_per_sample",
    "utilization",
    "energy_pj_per_sample",
    "power_w",
    "gflops",
    "gflops_per_watt",
    "area_mm2",
    "gflops_per_mm2",
    "matrix_words",
    "activation_words",
    "off_core_words",
)

NETWORKS = st.lists(st.integers(1, 300), min_size=2, max_size=6).map(lambda sizes: Network.mlp(*sizes))
BATCHES = st.sampled_from([1, 2, 8, 9, 50])
RULES = st.one_of(
    st.builds(rules.sgd, momentum=st.sampled_from([0.0, 0.9])),
    st.just(rules.cp()),
    st.builds(rules.fa, batch=BATCHES, momentum=st.sampled_from([0.0, 0.9])),
    *(st.builds(rule, batch=BATCHES) for rule in (rules.mbgd, rules.dfa, rules.mbcp)),
)
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "core_rows": st.integers(1, 4),
    "cores_per_row": st.integers(1, 40),
    "pe_rows": st.integers(1, 20),
    "pe_cols": st.integers(1, 20),
    "fma_latency": st.sampled_from([2, 4, 8]),
    "pe_sram_bytes": st.sampled_from([64, 65, 1024, 9000, 16384, 65536]),
    "pe_sram_word_bits": st.sampled_from([16, 64]),
    "pe_mem_b_bytes": st.sampled_from([64, 512]),
    "pe_registers": st.sampled_from([4, 40]),
    "core_sram_bytes": st.sampled_from([0, 4096, 1 << 19]),
    "core_sram_words_per_cycle": st.integers(1, 5),
    "ring_words_per_cycle": st.integers(1, 20),
    "neighbour_links": st.booleans(),
    "clock_hz": st.sampled_from([1e9, 2.5e8, 5e8]),
    "node_nm": st.sampled_from([90, 45, 22]),
}


@st.composite
def columns(draw: st.DrawFn) -> dict[str, list[Any]]:
    swept = draw(st.lists(st.sampled_from(sorted(FIELDS)), min_size=1, max_size=6, unique=True))
    length = draw(st.integers(1, 6))
    return {name: draw(st.lists(FIELDS[name], min_size=length, max_size=length)) for name in swept}


def element(figure: Any, index: int) -> Any:
    return figure[index].item() if isinstance(figure, np.ndarray) else figure


@settings(max_examples=150)
@given(NETWORKS, RULES, columns(), st.sampled_from([PAPER, CACTI, HOROWITZ]))
def test_columns_are_the_scalars(network: Network, rule: Rule, swept: dict[str, list[Any]], pricing: Pricing) -> None:
    length = len(next(iter(swept.values())))
    machines = machine_columns(PAPER_A, {name: np.array(values) for name, values in swept.items()})
    prices = price_columns(pricing, machines, length)
    many, demands = evaluate_columns(network, rule, machines, prices)
    for index in range(length):
        given_fields = {name: values[index] for name, values in swept.items()}
        machine = Machine(**{**_fields(PAPER_A), **given_fields})
        place = prices.refused[index]
        if place >= 0:
            with pytest.raises(UsageError) as error:
                evaluate(network, rule, machine, prices=pricing)
            assert str(error.value).replace(PAPER_A.name, "any") == prices.refusals[place]
            continue
        one = evaluate(network, rule, machine, prices=pricing)
        short = [d for d in demands if element(d.needs_bytes, index) > element(d.has_bytes, index)]
        if isinstance(one, Infeasible):
            same = (one.needs_bytes, one.has_bytes, one.what, one.hint)
            first = short[0]
            assert (element(first.needs_bytes, index), element(first.has_bytes, index), first.what, first.hint) == same
            continue
        assert not short
        _assert_same(one, many, index)


def _assert_same(one: Evaluation, many: Evaluation, index: int) -> None:
    for name in FIGURES:
        assert element(getattr(many, name), index) == getattr(one, name), name
    for name in ("energy_pj", "area", "cycles"):
        assert {key: element(value, index) for key, value in getattr(many, name).items()} == getattr(one, name)
    assert tuple(element(end, index) for end in many.energy_range_pj) == one.energy_range_pj


def _fields(machine: Machine) -> dict[str, Any]:
    return {name: getattr(machine, name) for name in ("name", *FIELDS)}


def test_whole_logarithms_are_exact_in_arrays() -> None:
    n = np.arange(1, 1 << 12)
    assert [int(k) for k in ceil_log2(n)] == [ceil_log2(int(i)) for i in n]


def test_columns_refuse_names_as_scalars_do() -> None:
    prices = price_columns(PAPER, PAPER_A, 1)
    with pytest.raises(UsageError, match="--mapping must be one of paper"):
        evaluate_columns(Network.mlp(3, 2), rules.sgd(), PAPER_A, prices, mapping="quick")
