"""A sweep is checked before any work: every wrong word is one clear error."""

from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from caterpillar.checks import SpecError, UsageError
from caterpillar.explore import Epochs, Sweep, plan_sweep, read_sweep
from caterpillar.explore.values import values_of
from caterpillar.machine import Machine
from caterpillar.network import parse_network

MakeSweep = Callable[..., Sweep]


@pytest.mark.parametrize(
    ("words", "values"),
    [
        (4, (4,)),
        ([4, 2], (4, 2)),
        ({"from": 2, "to": 9, "step": 3}, (2, 5, 8)),
        ({"from": 2, "to": 16, "times": 2}, (2, 4, 8, 16)),
        ({"from": 0.5, "to": 0.7, "step": 0.1}, (0.5, 0.6, 0.7)),
        ({"from": 3, "to": 3, "step": 1}, (3,)),
    ],
)
def test_values(words: Any, values: tuple[Any, ...]) -> None:
    assert values_of(words, "x") == pytest.approx(values)


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ({"machine": 3}, "machine must be a table, got 3"),
        ({"constraints": 3}, "constraints must be a table, got 3"),
        ({"constraints": ["fits"]}, r"constraints must be a table, got \['fits'\]"),
        ({"search": 3}, "search must be a table, got 3"),
        ({"rule": [["sgd"]]}, r"rule must be a text, got \['sgd'\]"),
        ({"rule": {"sgd"}}, "rule must be a text, got {'sgd'}"),
        ({"mapping": [["best"]]}, r"mapping must be a text, got \['best'\]"),
        ({"numerics": [16]}, "numerics must be a text, got 16"),
        ({"prices": [["paper"]]}, r"prices must be a text, got \['paper'\]"),
        ({"machine": {"pe_row": 4}}, "machine: unknown key 'pe_row'; allowed are base, core_rows, .*pe_rows"),
        ({"machine": {"pe_rows": []}}, "machine.pe_rows has no values"),
        ({"machine": {"pe_rows": {"from": 8, "to": 4, "step": 1}}}, "the range is empty, from 8 is above to 4"),
        ({"machine": {"pe_rows": {"from": 2, "to": 4}}}, "a range has from, to, and either step or times"),
        ({"machine": {"pe_rows": {"from": 2, "to": 4, "by": 1}}}, "unknown key 'by'; allowed are from, to, step"),
        ({"machine": {"pe_rows": {"from": 2, "to": 4, "step": 0}}}, "step must be above 0"),
        ({"machine": {"pe_rows": {"from": 2, "to": 4, "times": 1}}}, "times above 1"),
        ({"machine": {"pe_rows": {"from": "2", "to": 4, "step": 1}}}, "machine.pe_rows.from must be a number, got '2'"),
        ({"machine": {"clock_hz": {"from": 1e6, "to": 1e10, "step": 1.0}}}, "more than 1,000,000 values"),
        ({"machine": {"pe_rows": [4, 65]}}, r"machine.pe_rows must be an int in \[1, 64\] PEs, got 65"),
        ({"machine": {"pe_rows": [4, 4]}}, "machine.pe_rows has 4 twice"),
        ({"machine": {"pe_rows": "rows"}}, "machine.pe_rows can follow one of core_rows, .*, got 'rows'"),
        ({"machine": {"pe_cols": "pe_sram_bytes"}}, r"machine.pe_cols must be an int in \[1, 64\] PEs, got 16384"),
        ({"machine": {"base": "paper-c"}}, "must be one of paper-a, paper-b, .*, or a .toml file, got 'paper-c'"),
        ({"network": "500-x"}, "must be layer sizes joined with dashes"),
        ({"network": 500}, "network must be a text, got 500"),
        ({"rule": ["sgd", "spd"]}, "rule must be one of sgd, mbgd, fa, dfa, cp, mbcp, got 'spd'"),
        ({"batch": [0]}, r"Rule.batch must be an int in \[1, 65536\] samples, got 0"),
        ({"prices": "gold"}, "must be one of paper, horowitz, cacti, or a .toml file, got 'gold'"),
        ({"mapping": "worst"}, "--mapping must be one of paper.*, got 'worst'"),
        ({"numerics": "fp8"}, "--numerics must be one of fp16.*, got 'fp8'"),
        ({"objectives": {}}, "objectives must be a table such as"),
        ({"objectives": {"speed": "max"}}, "objectives: unknown key 'speed'; allowed are cycles_per_sample"),
        ({"objectives": {"gflops": "more"}}, "objectives.gflops must be one of min, max, got 'more'"),
        ({"constraints": {"area": {"max": 1}}}, "constraints: unknown key 'area'; allowed are fits, cycles_per_sample"),
        ({"constraints": {"fits": 1}}, "constraints.fits must be one of true, false, got 1"),
        ({"constraints": {"area_mm2": 3}}, r"constraints.area_mm2 must be a table such as \{ max = 100 \}, got 3"),
        ({"constraints": {"area_mm2": {"most": 3}}}, "constraints.area_mm2: unknown key 'most'; allowed are min, max"),
        ({"constraints": {"area_mm2": {"max": "3"}}}, "constraints.area_mm2.max must be a number, got '3'"),
        ({"constraints": {"area_mm2": {"min": 5, "max": 3}}}, "constraints.area_mm2 cannot be met"),
        ({"constraints": {"utilization": {"min": 1.2}}}, r"constraints.utilization cannot be met: .* \[0, 1\]"),
        ({"constraints": {"power_w": {"max": -1}}}, "constraints.power_w cannot be met"),
        ({"constraints": {"area_mm2": {"max": 1}}}, "constraints.area_mm2 cannot be met: the machines of this sweep"),
        ({"constraints": {"gflops": {"min": 1e6}}}, "constraints.gflops cannot be met: .* reach 0 to 4096"),
        ({"constraints": {"utilization": {"min": 1.2}}}, r"\(useful MACs / \(PEs x cycles\)\)"),
        ({"constraints": {"cycles_per_sample": {"max": 50}}}, "cycles_per_sample cannot be met: .* reach 78.0273"),
        ({"constraints": {"seconds_per_sample": {"max": 1e-9}}}, "seconds_per_sample cannot be met: .* reach 7.8"),
        ({"constraints": {"seconds_per_tick": {"max": 1e-9}}}, "seconds_per_tick cannot be met"),
        ({"constraints": {"seconds_per_epoch": {"max": 1e-9}}}, "seconds_per_epoch cannot be met"),
        ({"constraints": {"energy_j_per_sample": {"max": 1e-9}}}, "energy_j_per_sample cannot be met"),
        ({"constraints": {"gflops_per_watt": {"min": 700}}}, "gflops_per_watt cannot be met: .* reach 0 to 686"),
        ({"constraints": {"pes": {"max": 3}}}, "constraints.pes cannot be met: .* reach 32 to 2048"),
        ({"machine": {"node_nm": 22}}, "paper is a table of 45 nm; machine paper-a has node_nm 22"),
        ({"epoch_samples": 0}, "epoch_samples must be an int in"),
        ({"seed": -1}, "seed must be an int in"),
        ({"accuracy_percent": 101}, r"accuracy_percent must be a number in \(0, 100\], got 101"),
        ({"objectives": {"energy_j_to_accuracy": "min"}}, "energy_j_to_accuracy needs accuracy_percent"),
        ({"accuracy_percent": 95}, r"needs epochs, .*: caterpillar.reproduce.study_epochs\(95\) has the"),
        ({"search": {"sampler": "luck"}}, "search.sampler must be one of nsga2, tpe, got 'luck'"),
        ({"search": {"trials": 0}}, "search.trials must be an int in"),
        ({"search": {"trials": 9}, "prices": ["paper", "cacti"]}, r"a \[search\] takes one price table, got 2"),
        ({"search": {"tries": 9}}, "search: unknown key 'tries'; allowed are sampler, trials"),
        (
            {"machine": {name: {"from": 64, "to": 1063, "step": 1} for name in ("pe_sram_bytes", "pe_mem_b_bytes")}
             | {"clock_hz": {"from": 1e9, "to": 1.1e9, "step": 1e4}}},
            "points, the most is 1,000,000,000: give it a",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused(sweep: MakeSweep, words: dict[str, Any], error: str) -> None:
    with pytest.raises(UsageError, match=error):
        plan_sweep(sweep(**words))


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ({"accuracy_percent": 90}, "the epochs given are to 95 %, accuracy_percent is 90"),
        ({}, "the epochs given are to 95 %, accuracy_percent is None"),
        ({"accuracy_percent": 95, "epoch_samples": 60000}, "epoch_samples must be 6000 with accuracy_percent, .*60000"),
        ({"accuracy_percent": 95, "network": "50-10"}, "accuracy_percent 95 is reached by no rule and network of this"),
        ({"accuracy_percent": 95, "rule": "cp"}, "accuracy_percent 95 is reached by no rule and network of this"),
    ],
)  # fmt: skip
def test_epochs_that_do_not_go_with_the_sweep_are_refused(sweep: MakeSweep, words: dict[str, Any], error: str) -> None:
    network = parse_network("100-10")
    epochs = Epochs(percent=95, samples=6000, of={("sgd", network): 2.5, ("cp", network): None})
    with pytest.raises(UsageError, match=error):
        plan_sweep(sweep(**words), epochs)


def test_less_power_than_leaks_is_refused(sweep: MakeSweep, tmp_path: Path) -> None:
    table = files("caterpillar.cost").joinpath("tables", "paper.toml").read_text().replace('"paper"', '"mine"', 1)
    path = tmp_path / "mine.toml"
    path.write_text(table.replace("pe_cycles = { value = 0.0", "pe_cycles = { value = 1.0"))
    error = r"power_w cannot be met: .* reach 0.03544 to inf, \[0, 0.03\] is asked for \(energy over time\)"
    with pytest.raises(SpecError, match=error):  # 32 PEs, 1.1075 pJ a cycle, 1 GHz
        plan_sweep(sweep(prices=str(path), constraints={"power_w": {"max": 0.03}}))


def test_columns_are_the_machines_one_by_one(sweep: MakeSweep) -> None:
    plan = plan_sweep(sweep())
    assert (plan.machines, len(plan.works), plan.points) == (48, 8, 384)
    columns = plan.machine_columns(np.arange(plan.machines))
    seen: set[Machine] = set()
    for number in range(plan.machines):
        places, rest = {}, number
        for name, values in reversed(plan.axes.items()):
            rest, places[name] = divmod(rest, len(values))
        machine = plan.machine(places)
        seen.add(machine)
        for name in (*plan.axes, "ring_words_per_cycle", "pe_cols"):
            column = getattr(columns, name)
            assert (column[number] if isinstance(column, np.ndarray) else column) == getattr(machine, name)
        assert machine.ring_words_per_cycle == machine.pe_rows
    assert len(seen) == plan.machines


def test_single_sample_rules_take_no_batch(sweep: MakeSweep) -> None:
    plan = plan_sweep(sweep(network="9-9"))
    assert [work.rule.label for work in plan.works] == ["sgd", "cp", "mbgd8", "mbgd50"]


def test_works_of_one_name_are_told_apart_or_refused(sweep: MakeSweep, tmp_path: Path) -> None:
    (tmp_path / "same.toml").write_text("sizes = [784, 9, 9]\n")
    (tmp_path / "other.toml").write_text('sizes = [16, 9, 9]\nactivation = "tanh"\n')
    same, other = str(tmp_path / "same.toml"), str(tmp_path / "other.toml")
    plan = plan_sweep(sweep(network=["9-9", other], rule="cp"))
    assert [work.label("network") for work in plan.works] == ["9-9", "9-9 (16 inputs, tanh)"]
    with pytest.raises(SpecError, match=r"network must differ in name: 9-9 and .*same.toml are both 9-9"):
        plan_sweep(sweep(network=["9-9", same]))
    table = files("caterpillar.cost").joinpath("tables", "paper.toml").read_text().replace('"paper"', '"mine"', 1)
    tables = [tmp_path / "mine.toml", tmp_path / "dearer.toml"]
    for path, fma in zip(tables, ("2.63", "5.26"), strict=True):
        path.write_text(table.replace("2.63", fma, 1))
    with pytest.raises(SpecError, match=r"prices must differ in name: .*mine.toml and .*dearer.toml are both mine"):
        plan_sweep(sweep(prices=[str(path) for path in tables]))


def test_a_file_has_the_same_words(tmp_path: Path) -> None:
    path = tmp_path / "sweep.toml"
    path.write_text('network = "9-9"\nrule = "cp"\n[machine]\npe_rows = [2, 4]\n[objectives]\ngflops = "max"\n')
    words, text = read_sweep(str(path))
    assert words == Sweep(network="9-9", rule="cp", machine={"pe_rows": [2, 4]}, objectives={"gflops": "max"})
    assert text == path.read_text()


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ('networks = "9-9"\n', r"sweep.toml: unknown key 'networks'; allowed are network, rule, objectives, batch"),
        ('network = "9-9"\n', "sweep.toml: rule is missing"),
        ("network = \n", "is not TOML"),
        ('rule = "cp"\nrule = "cp"\n', "is not TOML"),
    ],
)
def test_a_file_with_a_wrong_word_is_refused(tmp_path: Path, text: str, error: str) -> None:
    path = tmp_path / "sweep.toml"
    path.write_text(text)
    with pytest.raises(UsageError, match=error):
        read_sweep(path)
    with pytest.raises(UsageError, match="cannot be read"):
        read_sweep(tmp_path / "none.toml")
    assert issubclass(SpecError, UsageError)
