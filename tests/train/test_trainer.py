"""The trainer: same bits however it is run, resumed or threaded; divergence is located; settings are checked."""

import hashlib

import numpy as np
import pytest

from caterpillar.checks import Diverged, SpecError
from caterpillar.datasets import Samples
from caterpillar.network import Network
from caterpillar.numerics import NUMERICS, storage_dtype
from caterpillar.rules import cp, dfa, fa, mbcp, mbgd, sgd
from caterpillar.train import Settings, State, columns, initial_state, train
from caterpillar.train.random import shuffled
from tests.train.helpers import last, problem, settings

NET = Network.mlp(20, 40, 33, 18, 5)
RULES = [
    sgd(),
    sgd(momentum=0.9),
    mbgd(8),
    mbgd(8, momentum=0.9),
    fa(3),
    dfa(),
    dfa(4),
    cp(),
    mbcp(4),
    cp(momentum=0.5, remedy="spike"),
    mbcp(2, momentum=0.5, remedy="prediction"),
]


def name(rule):
    return f"{rule.label}-{rule.momentum:g}"


@pytest.mark.parametrize("numerics", NUMERICS)
@pytest.mark.parametrize("rule", RULES, ids=name)
def test_one_thread_two_threads_and_no_skipping_give_the_same_bits(rule, numerics):
    program, samples = rule(NET), problem(NET, 41)
    shas = {
        last(
            program, samples, settings(numerics=numerics, threads=threads, skip_zeros=skip, learning_rate=0.01)
        ).state.weights_sha256
        for threads in (1, 2)
        for skip in (True, False)
    }
    assert len(shas) == 1


@pytest.mark.parametrize("numerics", ["fp32", "fp16"])
@pytest.mark.parametrize("rule", [sgd(), cp(), dfa()], ids=name)
def test_wide_layers_far_from_the_processor_give_the_same_bits(rule, numerics, monkeypatch):
    """Rows fetched early, and sums in narrower tiles, as for matrices that exceed the cache."""
    network = Network.mlp(40, 600, 300, 10)
    samples = problem(network, 5)
    how = settings(numerics=numerics, epochs=1)
    near = last(rule(network), samples, how).state.weights_sha256
    monkeypatch.setattr(columns, "FAR_BYTES", 0)
    assert last(rule(network), samples, how).state.weights_sha256 == near


@pytest.mark.parametrize("rule", RULES, ids=name)
def test_resuming_gives_the_same_bits(rule):
    program, samples, how = rule(NET), problem(NET, 41), settings(epochs=4, numerics="fp32")
    whole = [(e.epoch, e.train_loss, e.accuracy, e.state.weights_sha256) for e in run(program, samples, how)]
    first, second = next(run(program, samples, how)), whole[1]
    rest = [
        (e.epoch, e.train_loss, e.accuracy, e.state.weights_sha256)
        for e in run(program, samples, how, state=next(run(program, samples, how, state=first.state)).state)
    ]
    assert rest == whole[2:]
    assert second[0] == 2


def run(program, samples, how, **options):
    return train(program, samples, how, test=samples, **options)


def test_it_learns():
    rng = np.random.default_rng(5)
    images = rng.random((300, 20)).astype(np.float32)
    labels = images[:, :5].argmax(axis=1).astype(np.int64)
    epochs = list(run(sgd()(NET), Samples(images=images, labels=labels), settings(epochs=30, numerics="fp32")))
    assert [e.epoch for e in epochs] == list(range(1, 31))
    assert epochs[-1].train_loss < epochs[0].train_loss / 3
    assert epochs[-1].accuracy > 0.85
    assert all(e.train_seconds > 0 for e in epochs)


def test_accuracy_and_loss_are_those_of_the_weights():
    program, samples, how = sgd()(NET), problem(NET, 50), settings(epochs=1, learning_rate=1e-9)
    epoch = last(program, samples, how)
    h = samples.images.astype(np.float64)
    for W in epoch.state.weights[:-1]:
        h = np.maximum(h @ W, 0)
    a = h @ epoch.state.weights[-1]
    assert epoch.accuracy == np.mean(a.argmax(axis=1) == samples.labels)
    losses = np.log(np.exp(a).sum(axis=1)) - a[np.arange(50), samples.labels]
    assert epoch.train_loss == pytest.approx(losses.mean(), rel=1e-6)


@pytest.mark.parametrize("threads", [1, 2])
def test_divergence_is_located(threads):
    samples = problem(NET, 30)
    images = samples.images.copy()
    images[11, 3] = np.inf
    tick = int(np.flatnonzero(shuffled(0, 1, 30) == 11)[0])
    with pytest.raises(Diverged) as caught:
        last(sgd()(NET), Samples(images=images, labels=samples.labels), settings(threads=threads))
    assert (caught.value.epoch, caught.value.tick, caught.value.layer) == (1, tick, 1)
    assert caught.value.what == "NaN or infinity among the activations"


def test_overflow_in_half_is_divergence():
    samples = problem(NET, 30)
    with pytest.raises(Diverged) as caught:
        last(sgd()(NET), samples, settings(numerics="fp16", learning_rate=1e3, epochs=10))
    assert caught.value.epoch == 1
    assert 0 <= caught.value.tick < 30


def test_progress_is_reported():
    seen: list[int] = []
    last(mbgd(7)(NET), problem(NET, 30), settings(epochs=1), on_progress=seen.append)
    assert seen == sorted(seen)
    assert seen[-1] == 30


@pytest.mark.parametrize("numerics", NUMERICS)
def test_sha256_is_of_the_stored_bytes(numerics):
    state = initial_state(sgd()(NET), settings(numerics=numerics))
    assert state.weights[0].dtype == storage_dtype(numerics)
    assert state.weights_sha256 == hashlib.sha256(b"".join(W.tobytes() for W in state.weights)).hexdigest()


def test_sha256_counts_negative_zero_as_zero():
    for dtype, negative in ((np.float32, -0.0), (np.float16, -0.0), (np.uint16, 0x8000)):
        states = [
            State(epoch=0, weights=(np.array([[value]], dtype),), velocity=(), feedback=()) for value in (0, negative)
        ]
        assert states[0].weights_sha256 == states[1].weights_sha256


def test_random_numbers_stay_what_they_are():
    """What the seed gives must never change."""
    assert shuffled(0, 1, 8).tolist() == [5, 2, 0, 7, 4, 6, 1, 3]
    first = initial_state(sgd()(Network.mlp(3, 2)), settings()).weights[0].ravel()[:3].tolist()
    assert first == [-0.18637934896766198, 0.027577104449163076, 0.07604952057196614]


BAD = [
    ({"learning_rate": 0.0}, "Settings.learning_rate"),
    ({"learning_rate": float("nan")}, "Settings.learning_rate"),
    ({"epochs": -1}, "Settings.epochs must be an int in"),
    ({"seed": -1}, "Settings.seed"),
    ({"threads": 3}, r"Settings.threads must be an int in \[1, 2\] threads, got 3"),
    ({"numerics": "fp8"}, "Settings.numerics must be one of fp32, fp64, fp16, fp16-fp32acc, bf16-fp32acc, got 'fp8'"),
    (
        {"stochastic_rounding": True, "numerics": "fp32"},
        r"Settings.stochastic_rounding must be False for fp32 .it needs 16-bit numerics., got True",
    ),
]


@pytest.mark.parametrize(("fields", "message"), BAD)
def test_settings_out_of_limits_are_refused(fields, message):
    with pytest.raises(SpecError, match=message):
        Settings(**{"learning_rate": 0.1, "epochs": 1, **fields})


def test_samples_and_states_of_another_program_are_refused():
    program, samples = sgd()(NET), problem(NET, 10)
    with pytest.raises(SpecError, match=r"samples.images must have the shape \(at least 1, 20\), got \(10, 4\)"):
        run(program, problem(Network.mlp(4, 5), 10), settings())
    with pytest.raises(SpecError, match=r"samples.labels must be in \[0, 4\], got 0 to 9"):
        run(program, Samples(images=samples.images, labels=np.arange(10)), settings())
    other = initial_state(sgd()(Network.mlp(20, 5)), settings())
    with pytest.raises(SpecError, match=r"State.weights must have the shapes"):
        run(program, samples, settings(), state=other)
    single = initial_state(program, settings(numerics="fp32"))
    with pytest.raises(SpecError, match=r"State.weights must be stored in float64 for fp64, got float32"):
        run(program, samples, settings(), state=single)
