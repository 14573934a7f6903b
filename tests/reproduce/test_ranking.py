"""The order of the methods: places, Kendall's tau-b on cases small enough to count by hand."""

from math import sqrt

import pytest

from caterpillar.reproduce.ranking import kendall_tau_b, place, ranking_rows, significant_tau
from caterpillar.reproduce.study.results import Curve


def test_a_higher_accuracy_comes_first_then_fewer_epochs():
    reached_93 = place([(90, 4), (93, 29), (94, None)])
    assert reached_93 == (93, -29)
    assert reached_93 > place([(90, 1), (93, None)])
    assert reached_93 < place([(93, 28)])
    assert place([(80, None)]) == (0, 0.0)


def test_tau_by_hand():
    a, b, c, d = (place([(percent, 1)]) for percent in (95, 94, 93, 92))
    order = [a, b, c, d]
    assert kendall_tau_b(order, order) == 1
    assert kendall_tau_b(order, order[::-1]) == -1
    assert kendall_tau_b(order, [b, a, c, d]) == pytest.approx(4 / 6)  # one pair of six the other way
    assert kendall_tau_b(order, [a, a, c, d]) == pytest.approx(5 / sqrt(6 * 5))  # a tie leaves five pairs on that side
    assert kendall_tau_b(order, [a, a, a, a]) is None


def test_the_level_that_chance_exceeds_falls_with_the_number_of_methods():
    assert significant_tau(15) == pytest.approx(1.645 * sqrt(70 / 1890))
    assert significant_tau(3) > 1 > significant_tau(15)


def test_rows_compare_what_both_have():
    def curve(method: str, best: float) -> Curve:
        return Curve(
            network="500-500-500-10",
            method=method,
            arithmetic="fp32",
            learning_rate=0.1,
            epochs=2,
            accuracies=((0.7, best),),
        )

    rows = ranking_rows([curve("cp", 0.95), curve("sgd", 0.94), curve("mbgd8", 0.92), curve("unknown", 0.99)])
    assert [(row.case, row.ours) for row in rows] == [("500-500-500-10", 1.0)]  # the paper: 93, 92 and 91 %
    assert (rows[0].verdict, rows[0].note) == ("reproduced", "3 methods; too few to tell any order from chance")
    assert ranking_rows([curve("cp", 0.95), curve("sgd", 0.94)]) == []
