"""Time and energy to an accuracy: epochs x samples x what the estimate says of a sample."""

import pytest

from caterpillar.evaluate import evaluate
from caterpillar.machine.presets import PAPER_A
from caterpillar.network import parse_network
from caterpillar.reproduce.study.results import Curve
from caterpillar.reproduce.to_accuracy import cost_of_epoch, to_accuracy_rows
from caterpillar.rules import cp

SMALL, LARGE = "500-500-500-10", "2500-2000-1500-1000-500-10"


def curve(network: str, method: str, *accuracies: float) -> Curve:
    return Curve(
        network=network, method=method, arithmetic="fp32", learning_rate=0.1, epochs=20, accuracies=(accuracies,)
    )


def test_an_epoch_costs_its_samples():
    cost, one = cost_of_epoch("N1", "cp"), evaluate(parse_network(SMALL), cp(), PAPER_A)
    assert sum(cost.millijoules.values()) == pytest.approx(6000 * one.energy_pj_per_sample * 1e-9)
    assert set(cost.millijoules) == {"fpu", "pe_memory", "core_memory"} - ({"core_memory"} if one.fits else set())
    assert cost.milliseconds == pytest.approx(6000 * 3 * 897000 / 512 / 1e9 * 1e3)  # every MAC timed, all PEs busy


def test_rows_are_epochs_times_the_cost():
    rows = {(row.case, row.quantity): row for row in to_accuracy_rows([curve(SMALL, "sgd", 0.8, 0.91, 0.94)])}
    cost = cost_of_epoch("N1", "sgd")
    assert {case for case, _ in rows} == {"N1"}
    assert rows["N1", "time_to_90"].ours == pytest.approx(2 * cost.milliseconds)
    assert rows["N1", "time_to_90"].paper == pytest.approx(5 * cost.milliseconds)  # Fig. 5: 5 epochs
    assert rows["N1", "energy_to_93"].ours == pytest.approx(3 * sum(cost.millijoules.values()))
    assert rows["N1", "energy_to_93"].paper is None
    assert rows["N1", "energy_to_95"].ours is None
    assert rows["N1", "energy_to_95"].note == "epochs: not reached in Fig. 5, not reached ours"


def test_a_network_that_does_not_fit_has_no_cost():
    assert cost_of_epoch("N2", "mbgd100") is None
    rows = [row for row in to_accuracy_rows([curve(LARGE, "mbgd100", 0.96)]) if row.case == "N2"]
    assert {row.ours for row in rows} == {None}
    assert all(row.note.endswith("does not fit the machine") for row in rows)
