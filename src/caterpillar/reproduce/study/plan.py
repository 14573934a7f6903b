"""What the convergence study trains: every method on every network, after a search for its learning rate.

The search has the same budget for every method: the same number of learning rates, on the same grid around a base
that grows with the batch, for the same epochs, judged on training images held back. The test images are seen only by
the final runs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from caterpillar.network import PAPER_NETWORKS
from caterpillar.numerics import Numerics
from caterpillar.rules import Remedy

Purpose = Literal["search", "final"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """A learning rule with its batch, as the paper's legends name them, and what we add to it."""

    rule: str
    batch: int = 1
    momentum: float = 0.0
    remedy: Remedy = "none"

    @property
    def label(self) -> str:
        """sgd, cp, mbgd50, dfa8, ...; with momentum sgd-m0.9, with a staleness remedy cp-m0.9-spike."""
        batch = "" if self.batch == 1 else str(self.batch)
        momentum = f"-m{self.momentum:g}" if self.momentum else ""
        remedy = "" if self.remedy == "none" else f"-{self.remedy}"
        return f"{self.rule}{batch}{momentum}{remedy}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Arithmetic:
    """The number format of a run, and how the weight update rounds."""

    numerics: Numerics = "fp32"
    stochastic_rounding: bool = False

    @property
    def label(self) -> str:
        """fp32, fp16, fp16-stochastic."""
        return f"{self.numerics}-stochastic" if self.stochastic_rounding else self.numerics


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One training run. Search runs report the accuracy on held-back images, final runs on the test images."""

    purpose: Purpose
    network: str
    method: Method
    arithmetic: Arithmetic
    learning_rate: float
    seed: int
    epochs: int

    @property
    def key(self) -> str:
        """The trial's own folder name."""
        rate = f"{self.learning_rate:g}"
        return f"{self.purpose}_{self.network}_{self.method.label}_{self.arithmetic.label}_{rate}_{self.seed}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeat:
    """Final runs done once more, first seed only, in another arithmetic with the same learning rates."""

    arithmetic: Arithmetic
    methods: tuple[Method, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """One network's share of the study. extra: methods that are not in the paper's figure."""

    network: str
    methods: tuple[Method, ...]
    extra: tuple[Method, ...] = ()
    search_epochs: int
    final_epochs: int
    seeds: int
    repeats: tuple[Repeat, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """The whole plan.

    Learning rates tried: base_rate b^rate_exponent (1 - m) times each of rate_factors, with b the batch and m the
    momentum (whose velocity is 1 / (1 - m) gradients long).
    """

    samples: int = 6000
    workloads: tuple[Workload, ...]
    base_rate: float = 0.005
    rate_exponent: float = 0.75
    rate_factors: tuple[float, ...] = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0)

    def rates(self, method: Method) -> tuple[float, ...]:
        """The learning rates tried for a method, rounded to two digits so that they can be written down."""
        base = self.base_rate * method.batch**self.rate_exponent * (1.0 - method.momentum)
        return tuple(float(f"{base * factor:.2g}") for factor in self.rate_factors)

    def search_trials(self) -> list[Trial]:
        """Every learning rate of every method on every network: one seed, fp32."""
        return [
            Trial(
                purpose="search",
                network=load.network,
                method=method,
                arithmetic=Arithmetic(),
                learning_rate=rate,
                seed=0,
                epochs=load.search_epochs,
            )
            for load in self.workloads
            for method in (*load.methods, *load.extra)
            for rate in self.rates(method)
        ]

    def final_trials(self, chosen: dict[tuple[str, str], float]) -> list[Trial]:
        """Final runs with the learning rates chosen, (network, method label) -> rate."""

        def trial(load: Workload, method: Method, arithmetic: Arithmetic, seed: int) -> Trial:
            return Trial(
                purpose="final",
                network=load.network,
                method=method,
                arithmetic=arithmetic,
                learning_rate=chosen[load.network, method.label],
                seed=seed,
                epochs=load.final_epochs,
            )

        finals: list[Trial] = []
        for load in self.workloads:
            methods = (*load.methods, *load.extra)
            finals += [trial(load, method, Arithmetic(), seed) for seed in range(load.seeds) for method in methods]
            finals += [
                trial(load, method, repeat.arithmetic, 0) for repeat in load.repeats for method in repeat.methods
            ]
        return finals


SGD, CP = Method(rule="sgd"), Method(rule="cp")

# The fifteen methods of Li and Pedram 2017, Fig. 5.
METHODS: tuple[Method, ...] = (
    SGD,
    *(Method(rule="mbgd", batch=b) for b in (2, 4, 8, 50, 100)),
    CP,
    *(Method(rule="mbcp", batch=b) for b in (2, 4, 8)),
    *(Method(rule="dfa", batch=b) for b in (2, 4, 8, 50, 100)),
)

# Momentum, and the remedies for CP's staleness that work on its velocity (Kosson et al. 2020).
REMEDIES: tuple[Method, ...] = (
    Method(rule="sgd", momentum=0.9),
    Method(rule="cp", momentum=0.9),
    Method(rule="cp", momentum=0.9, remedy="spike"),
    Method(rule="cp", momentum=0.9, remedy="prediction"),
)

ONE_OF_A_KIND = (SGD, Method(rule="mbgd", batch=2), Method(rule="mbgd", batch=50), CP, Method(rule="dfa", batch=8))

HALF = Arithmetic(numerics="fp16")
STOCHASTIC = Arithmetic(numerics="fp16", stochastic_rounding=True)

_N3, _N4, _N5, _LARGE = PAPER_NETWORKS

# The network whose epochs the paper prints for every method has the paper's 50, the others fewer, to fit a day on two
# processors (the paper: 50, and 30 on the large network). With searched rates all rules but dfa pass 95 % on the small
# networks well before the end, on the large one most do. A run can be prolonged. The large network, 13 times the
# work, has one seed and a shorter search.
FIRST_EPOCHS, SMALL_EPOCHS, LARGE_EPOCHS = 50, 20, 8
STUDY = Study(
    workloads=(
        Workload(
            network=_N3,
            methods=METHODS,
            extra=REMEDIES,
            search_epochs=10,
            final_epochs=FIRST_EPOCHS,
            seeds=3,
            repeats=(
                Repeat(arithmetic=HALF, methods=ONE_OF_A_KIND),
                Repeat(arithmetic=STOCHASTIC, methods=(SGD, CP)),
            ),
        ),
        Workload(network=_N4, methods=METHODS, search_epochs=10, final_epochs=SMALL_EPOCHS, seeds=3),
        Workload(
            network=_N5,
            methods=METHODS,
            search_epochs=10,
            final_epochs=SMALL_EPOCHS,
            seeds=3,
            repeats=(
                Repeat(arithmetic=HALF, methods=(SGD, CP)),
                Repeat(arithmetic=STOCHASTIC, methods=(SGD, CP)),
            ),
        ),
        Workload(network=_LARGE, methods=METHODS, search_epochs=2, final_epochs=LARGE_EPOCHS, seeds=1),
    ),
)
