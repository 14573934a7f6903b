"""The paper's questions, on made-up records whose answers are known."""

import pytest

from caterpillar.reproduce.questions import answers, seed_noise
from caterpillar.reproduce.study.results import Curve
from tests.reproduce.records import made_up, rising


def found(accuracy):
    return {answer.key: answer for answer in answers(made_up(accuracy))}


def flat(value):
    """Nothing but seeds and what value adds: a point between two seeds."""
    return lambda trial, _epoch: 0.9 + 0.01 * trial.seed + value(trial)


def test_noise_is_what_another_seed_changes():
    curve = Curve(
        network="n",
        method="sgd",
        arithmetic="fp32",
        learning_rate=0.1,
        epochs=1,
        accuracies=((0.90,), (0.93,), (0.90,)),
    )
    assert seed_noise([curve]) == pytest.approx((2 * 3**2 / 3) ** 0.5)


def test_formats_that_differ_less_than_seeds_agree():
    close, far = (found(flat(lambda t, by=by: -by * (t.arithmetic.numerics == "fp16"))) for by in (0.005, 0.05))
    assert close["half"].agrees is True
    assert far["half"].agrees is False
    assert "-5.00 points in the mean of" in far["half"].finding


def test_stochastic_rounding_hurts_where_it_lowers_the_deep_network():
    harmless = found(flat(lambda _: 0.0))["stochastic"]
    harmful = found(flat(lambda t: -0.05 * (t.arithmetic.stochastic_rounding and t.network.count("-") == 5)))
    assert harmless.finding.endswith("it does not hurt.")
    assert harmful["stochastic"].finding.endswith("it hurts.")
    assert "-5.00 on the deep" in harmful["stochastic"].finding


def test_batches_that_fall_behind_on_the_small_network_only():
    def behind(trial):
        return -0.04 * (trial.network == "500-500-500-10" and trial.method.batch >= 50)

    assert found(flat(behind))["batches"].agrees is True
    assert found(flat(lambda _: 0.0))["batches"].agrees is False


def test_cp_at_least_as_good_within_the_noise():
    assert found(flat(lambda t: -0.005 * (t.method.rule == "cp")))["pipelining"].agrees is True
    assert found(flat(lambda t: -0.05 * (t.method.rule == "cp")))["pipelining"].agrees is False


def test_costs_to_the_target_follow_the_epochs():
    text = found(lambda t, epoch: 0.96 if epoch >= (4 if t.method.label == "mbgd50" else 2) else 0.5)["batches"].finding
    # twice SGD's epochs, at the ratio of their speeds (Fig. 10: 73.5 and 85.1 % of peak) and of their efficiencies
    assert "mbgd50 on N1 1.73 of the time and 1.21 of the energy" in text


def test_remedies_are_compared_in_the_middle_of_the_seeds():
    answer = found(flat(lambda t: {"spike": 0.01, "prediction": 0.02}.get(t.method.remedy, 0.0)))["remedies"]
    assert (
        "on 500-500-500-10 CP with momentum 0.9 settles at 91.00 %, with spike compensation at 92.00, with weight "
        "prediction at 93.00; without momentum at 91.00" in answer.finding
    )
    assert [line[1] for line in answer.lines] == [
        "sgd",
        "cp",
        "sgd-m0.9",
        "cp-m0.9",
        "cp-m0.9-spike",
        "cp-m0.9-prediction",
    ]
    assert answer.lines[-1][3:6] == ("93.00", "92.00", "94.00")


def test_every_answer_has_a_line_for_what_it_compares():
    counts = {answer.key: len(answer.lines) for answer in found(rising).values()}
    assert counts == {"half": 7, "stochastic": 4, "batches": 4, "pipelining": 4, "remedies": 6}
