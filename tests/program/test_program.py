"""Programs: what they count, and the ones that cannot be run are refused."""

import pytest

from caterpillar.checks import SpecError
from caterpillar.network import Network
from caterpillar.program import Backward, DirectBackward, Forward, OutputError, Pass, Program, Tensor, Update

NET = Network.mlp(5, 4, 3)


def weight(layer: int, *ops: object) -> Pass:
    return Pass(matrix=Tensor("weight", layer), ops=ops)  # type: ignore[arg-type]


FORWARD = (weight(1, Forward(layer=1, lag=0)), weight(2, Forward(layer=2, lag=0)))
ERROR = Pass(matrix=None, ops=(OutputError(layer=2, lag=0),))
BACK = (weight(2, Backward(layer=2, lag=0), Update(layer=2, lag=0)), weight(1, Update(layer=1, lag=0)))


def program(*passes: Pass, batch: int = 1, network: Network = NET) -> Program:
    return Program(rule="test", network=network, batch=batch, passes=passes)


def test_sgd_by_hand():
    sgd = program(*FORWARD, ERROR, *BACK)
    assert len(list(sgd.ops)) == 6
    assert sgd.max_lag == 0
    assert sgd.macs_per_sample == (20 + 12) + 12 + (20 + 12)  # forward, backward of layer 2, updates
    assert sgd.ticks(7) == 7
    assert program(*FORWARD, ERROR, *BACK, batch=4).ticks(7) == 2
    assert sgd.slots(Tensor("activation", 1)) == 1
    assert sgd.slots(Tensor("feedback", 1)) == 0
    assert (sgd.staleness(1), sgd.staleness(2)) == (0, 0)


def test_macs_of_direct_feedback_are_those_of_its_own_matrix():
    direct = Pass(matrix=Tensor("feedback", 1), ops=(DirectBackward(layer=1, lag=0, output_layer=2),))
    dfa = program(*FORWARD, ERROR, weight(2, Update(layer=2, lag=0)), direct, weight(1, Update(layer=1, lag=0)))
    assert dfa.macs_per_sample == 32 + 4 * 3 + 32


@pytest.mark.parametrize(
    ("passes", "message"),
    [
        ((FORWARD[1], FORWARD[0]), "Forward.layer=2.* reads .*activation.* layer=1. before anything has written it"),
        ((*FORWARD, *BACK), "reads .*'error', layer=2. before anything has written it"),
        ((ERROR, *FORWARD), "OutputError.* reads .*'activation', layer=2. before anything has written it"),
        ((*FORWARD, ERROR, BACK[1], BACK[0]), "Update.layer=1.* reads .*'error', layer=1. before"),
        ((*FORWARD, FORWARD[1]), "'activation', layer=2. is written twice, again by Forward"),
        ((weight(1, Forward(layer=1, lag=1)), FORWARD[1]), "Forward.layer=2, lag=0.* before anything has written it"),
        ((weight(1, Forward(layer=2, lag=0)),), "Forward.* does not read the matrix of its pass, .*layer=1"),
        ((Pass(matrix=None, ops=FORWARD[0].ops),), "does not read the matrix of its pass, None"),
        ((weight(3, Forward(layer=3, lag=0)),), r"must have a layer in \[1, 2\] and a lag >= 0"),
        ((weight(0, Forward(layer=0, lag=0)),), r"must have a layer in \[1, 2\] and a lag >= 0"),
        ((weight(1, Forward(layer=1, lag=-1)),), r"must have a layer in \[1, 2\] and a lag >= 0"),
        (
            (*FORWARD, ERROR, weight(2, Backward(layer=2, lag=0, through="feedback"))),
            "does not read the matrix of its pass",
        ),
    ],
)
def test_programs_that_cannot_be_run(passes: tuple[Pass, ...], message: str):
    with pytest.raises(SpecError, match=f"^Program.passes: .*{message}"):
        program(*passes)


@pytest.mark.parametrize("batch", [0, -1, 65537, 1.5])
def test_batch_out_of_limits(batch: int):
    with pytest.raises(SpecError, match=r"^Program.batch must be an int in \[1, 65536\] samples, got "):
        program(*FORWARD, ERROR, *BACK, batch=batch)


def test_momentum_reads_and_writes_the_velocity():
    velocity = Tensor("velocity", 1)
    plain, heavy = Update(layer=1, lag=0), Update(layer=1, lag=0, momentum=0.5)
    assert velocity not in plain.reads + plain.writes
    assert velocity in heavy.reads
    assert velocity in heavy.writes
    assert velocity in Forward(layer=1, lag=0, lookahead=2).reads


def test_a_rule_with_its_batch_in_words():
    assert program(*FORWARD, ERROR, *BACK).rule_and_batch == "test"
    eight = Program(rule="test8", network=NET, batch=8, passes=(*FORWARD, ERROR, *BACK))
    assert eight.rule_and_batch == "test with batch 8"
