"""How fast the simulator is: machine cycles a second with exact half-precision values, on one thread.

    python benchmarks/simulate.py

Prints the best and the median of several runs, start-up and checks included, an epoch's exact count, and how long one
steady tick of the large network takes.
"""

from __future__ import annotations

import resource
import statistics
import time

import numpy as np

from caterpillar.machine import PAPER_A, PAPER_B, Machine
from caterpillar.mapping import Schedule, place
from caterpillar.network import Network
from caterpillar.rules import sgd
from caterpillar.simulate import count, simulate

SAMPLES, RUNS, EPOCH = 100, 7, 60_000
SMALL, LARGE = Network.mlp(784, 500, 500, 500, 10), Network.mlp(784, 2500, 2000, 1500, 1000, 500, 10)


def main() -> None:
    schedule = _placed(SMALL, PAPER_A)
    print(f"utilization {schedule.utilization:.4f}")
    _seconds(schedule, 1)  # compiles
    cycles = schedule.cycles(SAMPLES)
    speeds = [cycles / _seconds(schedule, SAMPLES) for _ in range(RUNS)]
    print(f"simulate, {SAMPLES} samples, 512 PEs, one thread, a second of processor time:")
    print(f"  best {max(speeds) / 1e6:.2f} M machine cycles,")
    print(
        f"  median {statistics.median(speeds) / 1e6:.2f} M; {max(speeds) * PAPER_A.pes / 1e9:.2f} G PE-cycles a second"
    )
    started = time.perf_counter()
    cycles, counters = count(schedule, EPOCH)
    print(
        f"an epoch of {EPOCH} samples: {cycles} cycles, {counters.fma} FMAs, in {time.perf_counter() - started:.2f} s"
    )
    large = _placed(LARGE, PAPER_B)
    short, long = (min(_seconds(large, samples) for _ in range(3)) for samples in (1, 3))
    print(f"the large network, {PAPER_B.pes} PEs: a steady tick in {(long - short) / 2:.2f} s of processor time;")
    print(f"  3 samples, start-up and checks included, in {long:.2f} s")
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GB")


def _placed(network: Network, machine: Machine) -> Schedule:
    started = time.perf_counter()
    schedule = place(sgd()(network), machine)
    assert isinstance(schedule, Schedule)
    print(f"place: {time.perf_counter() - started:.2f} s; steady tick {schedule.steady.cycles} cycles")
    return schedule


def _seconds(schedule: Schedule, samples: int) -> float:
    """Processor time of a run on random values."""
    random = np.random.default_rng(1)
    weights = tuple(
        (random.standard_normal((layer.inputs, layer.outputs)) / np.sqrt(layer.inputs)).astype(np.float16)
        for layer in schedule.network.layers
    )
    inputs, labels = random.random((samples, 784)).astype(np.float16), random.integers(0, 10, samples)
    started = time.process_time()
    simulate(schedule, weights, inputs, labels, 0.01)
    return time.process_time() - started


if __name__ == "__main__":
    main()
