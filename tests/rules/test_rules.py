"""Learning rules as Programs: lags, staleness, reads of the weights, and MACs, on any network."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caterpillar.checks import SpecError, UsageError
from caterpillar.network import Network
from caterpillar.program import Backward, DirectBackward, Forward, OutputError, Program, Tensor, Update
from caterpillar.rules import RULES, Rule, cp, dfa, fa, mbcp, mbgd, parse_rule, sgd

NETWORKS = st.lists(st.integers(1, 50), min_size=2, max_size=8).map(lambda sizes: Network.mlp(*sizes))
PIPELINED = (cp(), mbcp(4))
ONE_TICK = (sgd(), mbgd(8), fa(), fa(4), dfa(), dfa(8))


def lag_of(program: Program, kind: type, layer: int) -> int:
    (lag,) = (op.lag for op in program.ops if isinstance(op, kind) and op.layer == layer)
    return lag


def weight_reads(program: Program) -> list[int]:
    """How many passes of a tick read W_1, W_2, ..."""
    matrices = [one.matrix for one in program.passes]
    return [matrices.count(Tensor("weight", layer.index)) for layer in program.network.layers]


@given(network=NETWORKS, rule=st.sampled_from(PIPELINED))
def test_cp_lags_and_staleness(network: Network, rule: Rule):
    program, depth = rule(network), network.depth
    for layer in range(1, depth + 1):
        assert lag_of(program, Forward, layer) == layer - 1
        assert lag_of(program, Update, layer) == 2 * depth - layer
        assert program.staleness(layer) == 2 * (depth - layer)
    for layer in range(2, depth + 1):
        assert lag_of(program, Backward, layer) == 2 * depth - layer
    assert lag_of(program, OutputError, depth) == depth - 1
    assert program.max_lag == 2 * depth - 1
    assert program.ticks(10 * rule.batch) == 10 + 2 * depth - 1


@given(network=NETWORKS, rule=st.sampled_from(PIPELINED))
def test_cp_reads_weights_once_a_tick_backward_then_update_then_forward(network: Network, rule: Rule):
    program = rule(network)
    assert weight_reads(program) == [1] * network.depth
    for one in program.passes:
        if one.matrix is not None:
            kinds = [type(op) for op in one.ops]
            assert kinds == ([Update, Forward] if one.matrix.layer == 1 else [Backward, Update, Forward])


@given(network=NETWORKS, rule=st.sampled_from(PIPELINED))
def test_cp_keeps_each_activation_until_its_update(network: Network, rule: Rule):
    """h_l is written at lag l - 1 and last read by layer l + 1's update at lag 2L - l - 1; the input from lag 0."""
    program, depth = rule(network), network.depth
    assert program.slots(Tensor("activation", 0)) == 2 * depth
    for layer in range(1, depth):
        assert program.slots(Tensor("activation", layer)) == 2 * (depth - layer) + 1
    for layer in range(1, depth):
        assert program.slots(Tensor("error", layer)) == 2  # written by layer l + 1, read a tick later


@given(network=NETWORKS, rule=st.sampled_from(ONE_TICK))
def test_the_other_rules_finish_a_batch_in_its_tick(network: Network, rule: Rule):
    program = rule(network)
    assert program.max_lag == 0
    assert [program.staleness(layer.index) for layer in network.layers] == [0] * network.depth
    assert all(program.slots(Tensor("activation", layer)) == 1 for layer in range(network.depth + 1))
    assert weight_reads(program) == [2] * network.depth  # once forward, once for backward and update


@given(network=NETWORKS)
def test_macs_a_sample(network: Network):
    weights, first = network.weights, network.layers[0].weights
    for rule in (sgd(), mbgd(8), cp(), mbcp(4), fa(2)):
        assert rule(network).macs_per_sample == 3 * weights - first
    direct = sum(size * network.outputs for size in network.sizes[1:-1])
    assert dfa(8)(network).macs_per_sample == 2 * weights + direct


@given(network=NETWORKS)
def test_feedback_alignment_never_sends_errors_through_the_weights(network: Network):
    for rule in (fa(), dfa()):
        for op in rule(network).ops:
            assert not (isinstance(op, Backward) and op.through == "weight")
    direct = [op for op in dfa()(network).ops if isinstance(op, DirectBackward)]
    assert sorted(op.layer for op in direct) == list(range(1, network.depth))


@given(
    network=NETWORKS,
    name=st.sampled_from(sorted(RULES)),
    batch=st.integers(1, 64),
    momentum=st.floats(0, 0.99),
)
def test_every_rule_updates_every_layer_once(network: Network, name: str, batch: int, momentum: float):
    rule = parse_rule(name, batch=1 if name in ("sgd", "cp") else batch, momentum=momentum)
    updates = [op for op in rule(network).ops if isinstance(op, Update)]
    assert sorted(op.layer for op in updates) == [layer.index for layer in network.layers]
    assert {op.momentum for op in updates} == {momentum}


def test_spike_compensation_by_hand():
    """Two layers: layer 1 has delay 2, so a = m^2 and b = (1 - m^2) / (1 - m); layer 2 has none."""
    program = cp(momentum=0.5, remedy="spike")(Network.mlp(3, 3, 3))
    scales = {op.layer: (op.velocity_scale, op.gradient_scale) for op in program.ops if isinstance(op, Update)}
    assert scales == {1: (0.25, 1.5), 2: (1.0, 0.0)}


def test_prediction_looks_as_far_ahead_as_the_weights_are_stale():
    program = mbcp(4, momentum=0.5, remedy="prediction")(Network.mlp(3, 3, 3, 3))
    assert {op.layer: op.lookahead for op in program.ops if isinstance(op, Forward)} == {1: 4, 2: 2, 3: 0}


def test_labels_are_the_papers():
    assert [rule.label for rule in (sgd(), cp(), mbgd(50), dfa(8), mbcp(2))] == ["sgd", "cp", "mbgd50", "dfa8", "mbcp2"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "adam"}, r"^--rule must be one of sgd, mbgd, fa, dfa, cp, mbcp, got 'adam'$"),
        ({"name": "sgd", "batch": 8}, r"^--batch must be 1 for sgd \(the batched rule is mbgd\), got 8$"),
        ({"name": "cp", "batch": 2}, r"^--batch must be 1 for cp \(the batched rule is mbcp\), got 2$"),
        ({"name": "mbgd", "batch": 0}, r"^Rule.batch must be an int in \[1, 65536\] samples, got 0$"),
        ({"name": "dfa", "batch": -8}, r"^Rule.batch must be an int in \[1, 65536\] samples, got -8$"),
        ({"name": "sgd", "momentum": 1.0}, r"^Rule.momentum must be a number in \[0, 0.9999\], got 1.0$"),
        ({"name": "sgd", "momentum": float("nan")}, r"^Rule.momentum must be a number in \[0, 0.9999\], got nan$"),
        ({"name": "cp", "remedy": "hope"}, r"^--remedy must be one of none, spike, prediction, got 'hope'$"),
        ({"name": "cp", "remedy": "spike"}, r"^--remedy spike needs --rule cp or mbcp, and --momentum above 0"),
        ({"name": "sgd", "remedy": "spike", "momentum": 0.9}, r"^--remedy spike needs --rule cp or mbcp"),
    ],
)
def test_bad_requests(options: dict, message: str):
    with pytest.raises(UsageError, match=message):
        parse_rule(**options)


def test_a_rule_of_the_users_own_is_an_object():
    mine = Rule(name="mine", passes=sgd().passes)
    assert mine(Network.mlp(2, 2)).rule == "mine"
    with pytest.raises(SpecError, match=r"^Rule.batch must be"):
        Rule(name="mine", batch=0, passes=sgd().passes)
