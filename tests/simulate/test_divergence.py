"""A run whose values are no numbers any more stops where the trainer does."""

from __future__ import annotations

import numpy as np
import pytest

from caterpillar.checks import Diverged
from caterpillar.datasets import Samples
from caterpillar.machine import Machine
from caterpillar.mapping import Schedule, place
from caterpillar.network import Network
from caterpillar.rules import Rule, cp, dfa, fa, mbcp, mbgd, sgd
from caterpillar.simulate import simulate
from caterpillar.train import Settings, initial_state, train
from caterpillar.train.random import shuffled

MACHINE = Machine(
    name="tiny",
    cores_per_row=2,
    pe_rows=2,
    pe_cols=2,
    pe_registers=32,
    pe_mem_b_bytes=4096,
    ring_words_per_cycle=2,
    core_sram_words_per_cycle=2,
)
NETWORK = Network.mlp(9, 8, 7, 4)
PAPERS = (sgd(), cp(), mbgd(4), fa(4), dfa(4), mbcp(4))
CASES = [*((rule, "best") for rule in (*PAPERS, fa(), dfa())), *((rule, "paper") for rule in PAPERS)]


def both(rule: Rule, mapping: str, rate: float, change: float | None = None) -> tuple[Diverged | None, Diverged | None]:
    """What trainer and simulator raise. change: a value for an input of sample 5, in the trainer's order."""
    program, random = rule(NETWORK), np.random.default_rng(4)
    schedule = place(program, MACHINE, mapping=mapping)
    assert isinstance(schedule, Schedule)
    images, labels = random.random((16, 9)).astype(np.float16), random.integers(0, 4, 16)
    how = Settings(learning_rate=rate, epochs=1, seed=2, numerics="fp16")
    visits = shuffled(2, 1, 16)
    if change is not None:
        images[visits[5], 3] = change
    samples = Samples(images=images.astype(np.float32), labels=labels)
    start = initial_state(program, how)
    fixed = tuple(b if b.size else None for b in start.feedback) if rule.name in ("fa", "dfa") else ()
    found: list[Diverged | None] = [None, None]
    try:
        list(train(program, samples, how, test=samples, order=schedule.order))
    except Diverged as error:
        found[0] = error
    try:
        simulate(schedule, start.weights, images[visits], labels[visits], rate, feedback=fixed)
    except Diverged as error:
        found[1] = error
    return found[0], found[1]


@pytest.mark.parametrize(("rule", "mapping"), CASES)
@pytest.mark.parametrize("change", [np.inf, np.nan])
def test_an_input_that_is_no_number(rule: Rule, mapping: str, change: float) -> None:
    trained, simulated = both(rule, mapping, 0.05, change)
    assert trained is not None
    assert simulated is not None
    assert (simulated.epoch, simulated.what) == (trained.epoch, trained.what)
    assert 0 <= simulated.tick - trained.tick <= (rule.name == "cp")  # what finds no room in a tick goes on in the next
    assert str(simulated).startswith("training diverged: NaN or infinity among the activations, epoch 1, tick ")


@pytest.mark.parametrize(("rule", "mapping"), CASES)
@pytest.mark.parametrize("rate", [0.05, 60.0, 1000.0])
def test_a_learning_rate_that_is_too_high(rule: Rule, mapping: str, rate: float) -> None:
    trained, simulated = both(rule, mapping, rate)
    assert (trained is None) == (simulated is None)
    if rate == 0.05:
        assert trained is None
    if trained and simulated:
        apart = {"cp": 1, "mbcp": 2 * len(NETWORK.layers)}  # mbcp's ticks take a batch through all layers at once
        assert abs(simulated.tick - trained.tick) <= apart.get(rule.name, 0)


def test_weights_that_overflow_at_the_last_sample() -> None:
    """They meet no other sample, so they are seen at the end alone."""
    program = sgd()(NETWORK)
    schedule = place(program, MACHINE)
    assert isinstance(schedule, Schedule)
    weights = tuple(np.full((layer.inputs, layer.outputs), 0.1, np.float16) for layer in NETWORK.layers)
    inputs, labels = np.full((1, 9), 100, np.float16), np.zeros(1, np.int64)
    with pytest.raises(Diverged, match="NaN or infinity among the weights in layer 1, epoch 1, tick 1") as caught:
        simulate(schedule, weights, inputs, labels, 6e4)
    assert caught.value.exit_status == 1
