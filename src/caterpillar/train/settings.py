"""How to train: everything that, with a Program and samples, determines every bit of the result but threads."""

from __future__ import annotations

from dataclasses import dataclass

from caterpillar.checks import Choice, Limit, SpecError, check
from caterpillar.numerics import NUMERICS, Numerics

LIMITS = (
    Limit("learning_rate", float, 1e-9, 1e3),
    Limit("seed", int, 0, 2**63 - 1),
    Limit("epochs", int, 0, 1_000_000, "epochs"),
    Choice("numerics", NUMERICS),
    Limit("threads", int, 1, 2, "threads"),
    Choice("skip_zeros", (True, False)),
    Choice("stochastic_rounding", (True, False)),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """learning_rate, and how many epochs; the rest has defaults.

    threads: same bits for any. skip_zeros: leave out multiplications by zero activations, which change no value.
    stochastic_rounding: of the weight update, in 16-bit storage only.
    """

    learning_rate: float
    epochs: int
    seed: int = 0
    numerics: Numerics = "fp32"
    threads: int = 1
    skip_zeros: bool = True
    stochastic_rounding: bool = False

    def __post_init__(self) -> None:
        check(self, LIMITS)
        if self.stochastic_rounding and self.numerics in ("fp32", "fp64"):
            raise SpecError(
                f"Settings.stochastic_rounding must be False for {self.numerics} (it needs 16-bit numerics), got True"
            )
