"""Training in a given order of sums equals a plain scalar reference of that order, to the last bit."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from caterpillar.checks import SpecError
from caterpillar.network import Network
from caterpillar.numerics import GemvOrder, Order, Visits, elementwise
from caterpillar.rules import cp, dfa, mbgd, sgd
from caterpillar.train import initial_state, train
from caterpillar.train.default_order import default_order
from tests.train.helpers import (
    activation,
    backward_sums,
    batches,
    forward_sums,
    fused,
    last,
    output_error,
    problem,
    same,
    slope,
    softmax,
)
from tests.train.helpers import settings as train_settings


@st.composite
def gemv_orders(draw, inputs, outputs):
    bounds = (0, *sorted(draw(st.lists(st.integers(0, outputs), max_size=3))), outputs)
    panels = len(bounds) - 1
    blocks = draw(st.none() | st.lists(st.integers(0, inputs), max_size=4).map(sorted))
    block_lanes = draw(st.none() | st.integers(1, 4))
    first = st.none() if block_lanes else st.none() | st.tuples(*[st.integers(0, inputs - 1)] * panels)
    lanes, back_lanes = draw(st.integers(1, 6)), draw(st.integers(1, 6))
    return GemvOrder(
        bounds=bounds,
        forward_lanes=lanes,
        forward_combine=draw(st.sampled_from(["chain", "tree"])),
        forward_first=draw(first),
        input_bounds=None if blocks is None else (0, *blocks, inputs),
        block_lanes=block_lanes,
        forward_sums=draw(st.none() | st.tuples(*[st.integers(0, lanes - 1)] * inputs)),
        backward_lanes=back_lanes,
        backward_sums=draw(st.none() | st.tuples(*[st.integers(0, back_lanes - 1)] * outputs)),
        backward_combine=draw(st.sampled_from(["chain", "tree"])),
        backward_first=draw(st.none() | st.tuples(*[st.integers(0, panels - 1)] * inputs)),
    )


@st.composite
def cases(draw):
    network = Network.mlp(*draw(st.lists(st.integers(2, 9), min_size=2, max_size=4)))
    layers = tuple(draw(gemv_orders(layer.inputs, layer.outputs)) for layer in network.layers)
    return network, Order(layers=layers, feedback=(None,) * network.depth)


def sgd_reference(program, samples, how, order):
    network = program.network
    W = [w.copy() for w in initial_state(program, how).weights]
    for (number,) in batches(samples, 1, how, 1):
        h = [samples.images[number].astype(np.float64)]
        for w, gemv in zip(W, order.layers, strict=True):
            h.append(activation(network, forward_sums(h[-1], w, gemv)))
        d = output_error(softmax(forward_sums(h[-2], W[-1], order.layers[-1])), samples.labels[number])
        for layer in range(network.depth, 0, -1):
            w, x = W[layer - 1], h[layer - 1]
            back = backward_sums(d, w, order.layers[layer - 1]) * slope(network, x)
            for i in range(w.shape[0]):
                for j in range(w.shape[1]):
                    w[i, j] = fused(-(how.learning_rate * x[i]), d[j], w[i, j])
            d = back
    return W


@settings(max_examples=60)
@given(cases())
def test_sgd_in_any_order(case):
    network, order = case
    program, samples, how = sgd()(network), problem(network, 3), train_settings(epochs=1)
    assert same(last(program, samples, how, order=order).state, sgd_reference(program, samples, how, order))


def half_sums(x, M, lanes, combine):
    """x M by the words of GemvOrder with one panel, in half precision."""
    sums = []
    for column in M.T:
        partial = [np.float16(0)] * lanes
        for i, (a, b) in enumerate(zip(x, column, strict=True)):
            partial[i % lanes] = elementwise.fma(a, b, partial[i % lanes], "fp16")[()]
        while len(partial) & (len(partial) - 1) and combine == "tree":
            partial.append(np.float16(0))
        while len(partial) > 1:
            if combine == "chain":
                partial = [partial[0] + partial[1], *partial[2:]]
            else:
                half = len(partial) // 2
                partial = [partial[k] + partial[k + half] for k in range(half)]
        sums.append(partial[0])
    return np.array(sums, np.float16)


@settings(max_examples=10)
@given(lanes=st.integers(1, 5), combine=st.sampled_from(["chain", "tree"]), seed=st.integers(0, 99))
def test_half_precision_adds_in_the_order(lanes, combine, seed):
    """A network of one layer: its first update shows h W to the last bit, through the error of the output."""
    network = Network.mlp(13, 3)
    gemv = GemvOrder(bounds=(0, 3), forward_lanes=lanes, forward_combine=combine)
    program, samples = sgd()(network), problem(network, 1, seed)
    how = train_settings(epochs=1, numerics="fp16", seed=seed)
    W, x = initial_state(program, how).weights[0], samples.images[0].astype(np.float16)
    a = half_sums(x, W, lanes, combine)
    exps = elementwise.activation("exp", a - a.max(), "fp16")
    d = elementwise.divide(exps, (exps[0] + exps[1]) + exps[2], "fp16")
    d[samples.labels[0]] -= np.float16(1)
    u = np.float16(how.learning_rate) * x
    want = elementwise.fma(-u[:, None], d[None, :], W, "fp16")
    got = last(program, samples, how, order=Order(layers=(gemv,), feedback=(None,)))
    assert same(got.state, [want])


def as_chunks(gemv):
    """The default order with its panels cut once more, so that it takes the kernels for any order; other sums."""
    bounds = sorted({0, *gemv.bounds, *(edge - 1 for edge in gemv.bounds[1:] if edge > 1)})
    return GemvOrder(bounds=tuple(bounds), backward_lanes=2)


@pytest.mark.parametrize("rule", [sgd(), cp(), mbgd(4, momentum=0.9), dfa(2), cp(momentum=0.9, remedy="prediction")])
@pytest.mark.parametrize("numerics", ["fp64", "fp16", "bf16-fp32acc"])
def test_another_order_is_nearly_the_same(rule, numerics):
    network = Network.mlp(9, 20, 18, 4)
    program, samples = rule(network), problem(network, 12)
    how, own = train_settings(numerics=numerics, learning_rate=0.01), default_order(program)
    other = Order(
        layers=tuple(as_chunks(gemv) for gemv in own.layers),
        feedback=tuple(gemv and as_chunks(gemv) for gemv in own.feedback),
    )
    first, second = last(program, samples, how), last(program, samples, how, order=other)
    tolerance = 1e-10 if numerics == "fp64" else 0.02
    assert abs(first.train_loss - second.train_loss) < tolerance
    assert any(len(list(pairwise(gemv.bounds))) > 2 for gemv in other.layers)


def test_default_order_given_is_the_default_order():
    program = sgd()(Network.mlp(9, 40, 4))
    samples, how = problem(program.network, 5), train_settings()
    assert same(
        last(program, samples, how, order=default_order(program)).state, list(last(program, samples, how).state.weights)
    )


BAD = [
    ({"bounds": (0, 3)}, r"Order.layers\[0\].bounds must rise from 0 to 4, got \(0, 3\)"),
    ({"bounds": (0, 3, 2, 4)}, "bounds must rise"),
    ({"bounds": (0, 4), "forward_lanes": 0}, r"forward_lanes must be an int in \[1, 65536\], got 0"),
    ({"bounds": (0, 4), "forward_first": (9,)}, r"forward_first must be 1 ints in \[0, 8\], got \(9,\)"),
    (
        {"bounds": (0, 4), "backward_sums": (0, 0, 0, 1)},
        "backward_sums must be 4 ints in .0, 0., got .0, 0, 0, 1.",
    ),
    ({"bounds": (0, 4), "backward_first": (0,)}, r"backward_first must be 9 ints in \[0, 0\], got \(0,\)"),
]


@pytest.mark.parametrize(("fields", "message"), BAD)
def test_orders_that_do_not_fit_are_refused(fields, message):
    program = sgd()(Network.mlp(9, 4))
    order = Order(layers=(GemvOrder(**fields),), feedback=(None,))
    with pytest.raises(SpecError, match=message):
        train(program, problem(program.network, 3), train_settings(), test=problem(program.network, 3), order=order)


def chained(network, starts, batch):
    """Backward sums of a network's second layer as a chain over panels of two outputs; starts[k]: of sample k."""
    outputs, inputs = network.outputs, network.layers[1].inputs
    visits = Visits(
        row=(0,) * inputs,
        terms=(tuple(range(outputs)),),
        sums=(tuple(j // 2 for j in range(outputs)),),
        lanes=outputs // 2,
        starts=(tuple(starts[k % len(starts)] for k in range(batch)),) * inputs,
    )
    layers = (GemvOrder(bounds=(0, inputs)), GemvOrder(bounds=(0, outputs), backward=visits))
    return Order(layers=layers, feedback=(None, None))


def test_chains_that_begin_where_they_are_told_for_each_sample():
    network, how = Network.mlp(7, 9, 8), train_settings(epochs=1, numerics="fp16")
    program, samples = mbgd(4)(network), problem(network, 8)
    bounds = tuple(range(0, 9, 2))
    weights = []
    for first in range(4):
        panels = GemvOrder(bounds=bounds, backward_first=(first,) * 9)
        plain = Order(layers=(GemvOrder(bounds=(0, 9)), panels), feedback=(None, None))
        weights.append(last(program, samples, how, order=chained(network, (first,), 4)).state.weights)
        assert same(last(program, samples, how, order=plain).state, weights[-1])
    mixed = last(program, samples, how, order=chained(network, (0, 2, 1, 3), 4)).state
    assert not any(same(mixed, one) for one in weights)
