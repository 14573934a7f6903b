"""Speed of training, as ratios within one run: ours against PyTorch, against the roofline, against ourselves.

    python -m benchmarks.train [--network 500-500-500-10] [--rounds 30] [--processor-time]

Weights come from one epoch of SGD on 6,000 MNIST samples, so that as many activations are zero as in real training.
Every case is timed once a round, so that all meet the same disturbances; its fastest round counts. PyTorch is an extra
(pip install 'caterpillar-cgra[torch]'); without it, its ratios are left out. Where other work shares the processors,
--processor-time counts only the time that a thread ran; two threads then have no meaning and are left out.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import platform
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

from benchmarks.pytorch import PyTorch
from benchmarks.roofline import Roofline
from caterpillar.datasets import Samples, load_dataset
from caterpillar.network import Network, parse_network
from caterpillar.numerics import to_storage
from caterpillar.program import Program
from caterpillar.rules import cp, mbgd, sgd
from caterpillar.train import Epoch, Settings, State, initial_state, train

RATE, WARM_UP_RATE = 0.001, 0.005
Timer = Callable[[], float]

# our cases: name, rule, numerics, threads, whether zeros are skipped
CASES = (
    ("sgd fp32, every MAC", sgd(), "fp32", 1, False),
    ("sgd fp32, zeros skipped", sgd(), "fp32", 1, True),
    ("cp fp32, every MAC", cp(), "fp32", 1, False),
    ("cp fp32, zeros skipped", cp(), "fp32", 1, True),
    ("sgd fp16, every MAC", sgd(), "fp16", 1, False),
    ("sgd fp16, zeros skipped", sgd(), "fp16", 1, True),
    ("sgd fp16-fp32acc, every MAC", sgd(), "fp16-fp32acc", 1, False),
    ("sgd fp32, every MAC, 2 threads", sgd(), "fp32", 2, False),
    ("cp fp32, every MAC, 2 threads", cp(), "fp32", 2, False),
    ("mbgd50 fp32", mbgd(50), "fp32", 1, False),
)

# what is to be shown: words, numerator, denominator, bound; "at least" or "at most"
RATIOS = (
    (
        "sgd fp32, every MAC: times PyTorch's best",
        "PyTorch",
        "sgd fp32, every MAC",
        "at least 1.9 (small), 1.6 (large)",
    ),
    ("sgd fp32, zeros skipped: times PyTorch's best", "PyTorch", "sgd fp32, zeros skipped", "at least 5"),
    ("sgd fp16, every MAC: times PyTorch's best fp32", "PyTorch", "sgd fp16, every MAC", "at least 1"),
    ("sgd fp16, zeros skipped: times PyTorch's best fp32", "PyTorch", "sgd fp16, zeros skipped", "at least 2"),
    ("mbgd50 fp32: times PyTorch's best", "PyTorch batch 50", "mbgd50 fp32", "at least 1"),
    ("cp's time of sgd's, every MAC", "cp fp32, every MAC", "sgd fp32, every MAC", "at most 0.7"),
    ("fp16-fp32acc's time of fp32's", "sgd fp16-fp32acc, every MAC", "sgd fp32, every MAC", "at most 1"),
    ("sgd: two threads times one", "sgd fp32, every MAC", "sgd fp32, every MAC, 2 threads", "at least 1.7"),
    ("cp: two threads times one", "cp fp32, every MAC", "cp fp32, every MAC, 2 threads", "at least 1.7"),
    ("sgd's time of its memory traffic's", "sgd fp32, every MAC", "roofline of sgd", "at most 1.4"),
    ("cp's time of its memory traffic's", "cp fp32, every MAC", "roofline of cp", ""),
    ("mbgd50's time of its MACs'", "mbgd50 fp32", "roofline of MACs", ""),
)


def trained(network: Network, samples: Samples) -> State:
    """The state after one epoch of SGD, as if nothing had been trained yet."""
    settings = Settings(learning_rate=WARM_UP_RATE, epochs=1)
    return replace(next(train(sgd()(network), samples, settings, test=samples)).state, epoch=0)


def stored_as(state: State, program: Program, settings: Settings) -> State:
    """A float32 state in the storage format of the settings, with zero velocity and the program's feedback."""
    weights = tuple(to_storage(W, settings.numerics) for W in state.weights)
    return replace(initial_state(program, settings), weights=weights)


def ours(network: Network, samples: Samples, state: State, most_threads: int) -> dict[str, Timer]:
    """Seconds a sample of an epoch, for each of our cases that needs no more threads."""
    timers: dict[str, Timer] = {}
    one = Samples(images=samples.images[:1], labels=samples.labels[:1])
    for name, rule, numerics, threads, skip in [case for case in CASES if case[3] <= most_threads]:
        settings = Settings(
            learning_rate=RATE,
            epochs=1000,
            numerics=numerics,
            threads=threads,
            skip_zeros=skip,  # type: ignore[arg-type]
        )
        program = rule(network)
        start = stored_as(state, program, settings)
        epochs = train(program, samples, settings, test=one, state=start)
        next(epochs)
        timers[name] = _timer(epochs, len(samples))
    return timers


def _timer(epochs: Iterator[Epoch], count: int) -> Timer:
    return lambda: next(epochs).train_seconds / count


def pytorch(network: Network, samples: Samples) -> dict[str, Timer]:
    """Seconds a sample for each way of PyTorch; none if it is not there."""
    if importlib.util.find_spec("torch") is None:
        print("  PyTorch is not installed: its ratios are left out")
        return {}
    timers: dict[str, Timer] = {}
    for batch, label in ((1, "PyTorch"), (50, "PyTorch batch 50")):
        given = PyTorch(network.sizes, samples.images, samples.labels, batch, RATE)
        steps = max(2, min(given.count, len(samples) // (3 * batch)))
        for name, step in given.variants().items():
            timers[f"{label}, {name}"] = lambda given=given, step=step, steps=steps: given.seconds(step, steps)
    return timers


def rooflines(network: Network) -> dict[str, Timer]:
    """Seconds a sample: SGD reads the weights, and reads and writes them; CP reads and writes them once."""
    roofline = Roofline(network.weights)
    macs = sgd()(network).macs_per_sample
    return {
        "roofline of sgd": lambda: roofline.read() + roofline.read_and_write(),
        "roofline of cp": roofline.read_and_write,
        "roofline of MACs": lambda: roofline.multiply_add() * macs,
    }


def main() -> None:
    """Time everything and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", default="500-500-500-10")
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--processor-time", action="store_true")
    given = parser.parse_args()
    if given.processor_time:
        time.perf_counter = time.thread_time  # everything timed here runs in one thread
    network = parse_network(given.network)
    every = load_dataset(samples=6000, seed=0).train
    count = max(50, min(300, 300_000_000 // network.weights // 50 * 50))  # short rounds: some meet no disturbance
    samples = Samples(images=every.images[:count], labels=every.labels[:count])
    print(f"{given.network}, {count} samples a round, {given.rounds} rounds, {_machine()}")
    threads = 1 if given.processor_time else 2
    timers = ours(network, samples, trained(network, every), threads)
    timers |= pytorch(network, samples) | rooflines(network)
    best = {name: min(column) for name, column in _rounds(timers, given.rounds).items()}
    for label in ("PyTorch", "PyTorch batch 50"):
        variants = [seconds for name, seconds in best.items() if name.startswith(f"{label}, ")]
        if variants:
            best[label] = min(variants)
    print_times(best)
    print_ratios(best)


def _rounds(timers: dict[str, Timer], rounds: int) -> dict[str, list[float]]:
    columns: dict[str, list[float]] = {name: [] for name in timers}
    for _ in range(rounds):
        for name, timer in timers.items():
            columns[name].append(timer())
    return columns


def _machine() -> str:
    load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    return f"{platform.machine()}, {os.cpu_count()} processors{load}"


def print_times(best: dict[str, float]) -> None:
    """Microseconds a sample."""
    print("\nmicroseconds a sample, fastest round")
    for name, seconds in best.items():
        print(f"  {name:<40} {seconds * 1e6:9.1f}")


def print_ratios(best: dict[str, float]) -> None:
    """What is to be shown, with its bound."""
    print("\nratio")
    for words, above, below, bound in RATIOS:
        if above in best and below in best:
            print(f"  {words:<52} {best[above] / best[below]:6.2f}   {bound}")


if __name__ == "__main__":
    main()
