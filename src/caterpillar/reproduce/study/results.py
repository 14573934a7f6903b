"""The study's records as stored, and what they say: epochs to accuracy, medians and spreads over the seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, median
from typing import TYPE_CHECKING, Any

from caterpillar.checks import OutputError, UsageError

if TYPE_CHECKING:
    from caterpillar.explore import Epochs

Record = dict[str, Any]

SETTLED_EPOCHS = 3
STORED = Path(__file__).with_name("results.parquet")


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """One method's final runs on one network.

    epochs: as planned. accuracies[s][e]: the fraction of the test images that seed s has right after epoch e + 1; a
    run that diverged is shorter and ends with 0.
    """

    network: str
    method: str
    arithmetic: str
    learning_rate: float
    epochs: int
    accuracies: tuple[tuple[float, ...], ...]

    @property
    def seeds(self) -> int:
        """Runs that differ in their seed only."""
        return len(self.accuracies)

    def best(self) -> tuple[float, float, float]:
        """The best accuracy of a run: median, lowest and highest over the seeds."""
        best = [max(run) for run in self.accuracies]
        return median(best), min(best), max(best)

    def settled(self) -> tuple[float, ...]:
        """Per seed, the mean accuracy of the last epochs (a single one's swings by a point); 0 where it diverged."""
        return tuple(mean(run[-SETTLED_EPOCHS:]) if run[-1] else 0.0 for run in self.accuracies)

    def epochs_to(self, accuracy: float) -> float | None:
        """Median over the seeds of the first epoch that reaches the accuracy; None where half the seeds do not."""
        spread = self.epochs_to_spread(accuracy)
        reached = [epoch for epoch in spread if epoch is not None]
        if 2 * len(reached) <= len(spread):
            return None
        return median(sorted(reached) + [float("inf")] * (len(spread) - len(reached)))

    def epochs_to_spread(self, accuracy: float) -> list[int | None]:
        """Per seed, the first epoch that reaches the accuracy."""
        return [
            next((epoch for epoch, value in enumerate(run, start=1) if value >= accuracy), None)
            for run in self.accuracies
        ]


def study_epochs(percent: float) -> Epochs:
    """Epochs to an accuracy in percent by the stored fp32 runs, the median over the seeds: for a sweep's accuracy.

    They are of the networks that the study trained, 784 inputs and ReLU, on MNIST. Raises UsageError, OutputError.
    """
    from caterpillar.explore import Epochs  # takes numba in
    from caterpillar.network import parse_network
    from caterpillar.reproduce.study.plan import STUDY

    if not STORED.exists():
        raise UsageError(f"accuracy_percent {percent:g} needs the convergence study's results, and there are none")
    runs = curves(read_records(STORED))
    return Epochs(
        percent=percent,
        samples=STUDY.samples,
        of={
            (method, parse_network(network)): curve.epochs_to(percent / 100)
            for (network, method), curve in runs.items()
        },
    )


def write_records(records: Sequence[Record], path: Path) -> None:
    """Store the records, sorted, as parquet. Raises OutputError."""
    import pyarrow as pa
    from pyarrow import parquet

    keys = ("purpose", "arithmetic", "network", "method", "learning_rate", "seed", "epoch")
    ordered = sorted(records, key=lambda record: tuple(record[key] for key in keys))
    try:
        parquet.write_table(pa.Table.from_pylist(ordered), path, compression="zstd")
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror or error}") from None


def known_records() -> list[Record]:
    """The records stored in the package."""
    return read_records(STORED)


def read_records(path: Path) -> list[Record]:
    """Records from a parquet file, one per trial and epoch. Raises OutputError."""
    import pyarrow as pa
    from pyarrow import parquet

    try:
        return parquet.read_table(path).to_pylist()
    except (OSError, pa.ArrowInvalid) as error:
        raise OutputError(f"{path} cannot be read as parquet: {error}") from None


def curves(records: Sequence[Record], *, arithmetic: str = "fp32") -> dict[tuple[str, str], Curve]:
    """(network, method label) -> its final runs."""
    runs: dict[tuple[str, str], dict[int, list[tuple[int, float]]]] = {}
    plans: dict[tuple[str, str], tuple[float, int]] = {}
    for record in records:
        if record["purpose"] == "final" and record["arithmetic"] == arithmetic:
            key = (record["network"], record["method"])
            plans[key] = (record["learning_rate"], record["epochs"])
            runs.setdefault(key, {}).setdefault(record["seed"], []).append((record["epoch"], record["accuracy"]))
    return {
        key: Curve(
            network=key[0],
            method=key[1],
            arithmetic=arithmetic,
            learning_rate=plans[key][0],
            epochs=plans[key][1],
            accuracies=tuple(tuple(acc for _, acc in sorted(run)) for _, run in sorted(by_seed.items())),
        )
        for key, by_seed in runs.items()
    }
