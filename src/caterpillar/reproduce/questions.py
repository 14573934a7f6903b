"""The paper's questions, answered from the study's records. Accuracies are settled ones, in percent (Curve.settled)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from math import sqrt
from statistics import mean, median

from caterpillar.network import PAPER_NETWORKS
from caterpillar.reproduce.study.plan import CP, REMEDIES, SGD
from caterpillar.reproduce.study.results import Curve, Record, curves
from caterpillar.reproduce.to_accuracy import cost_of_epoch

Curves = dict[tuple[str, str], Curve]
Line = tuple[str, ...]

SMALL, DEEP, LARGE = (list(PAPER_NETWORKS)[index] for index in (0, 2, 3))
TARGET = 95  # percent: the highest of Fig. 5's columns
LARGE_BATCHES = ("mbgd50", "mbgd100")
NEVER = "–"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A question, what the paper says, what our records say, and whether they agree (None: it gives no answer)."""

    key: str
    question: str
    paper: str
    finding: str
    agrees: bool | None
    columns: Line
    lines: tuple[Line, ...]


def answers(records: Sequence[Record]) -> list[Answer]:
    """All of them, with the staleness remedies last."""
    single, half = curves(records), curves(records, arithmetic="fp16")
    stochastic = curves(records, arithmetic="fp16-stochastic")
    return [
        half_precision(single, half),
        stochastic_rounding(single, half, stochastic),
        batches(single),
        pipelining(single),
        remedies(single),
    ]


def half_precision(single: Curves, half: Curves) -> Answer:
    """fp16 against fp32, seed by seed."""
    keys = [key for key in single if key in half]
    changes = [_points(half[key].settled()[0] - single[key].settled()[0]) for key in keys]
    noise, worst = seed_noise([single[key] for key in keys]), max(range(len(keys)), key=lambda i: abs(changes[i]))
    lines = [
        (network, method, *_range(single[network, method]), _percent(half[network, method].settled()[0]), f"{c:+.2f}")
        for (network, method), c in zip(keys, changes, strict=True)
    ]
    return Answer(
        key="half",
        question="Does half precision converge like single?",
        paper="No discernible difference between fp16 and fp32.",
        finding=f"fp16 less fp32 with the same seed: {mean(changes):+.2f} points in the mean of {len(keys)} pairs, "
        f"{_rms(changes):.2f} in the root mean square, {changes[worst]:+.2f} at most ({keys[worst][1]}). Two seeds in "
        f"fp32 differ by {noise:.2f}; {sum(abs(c) <= noise for c in changes)} of the pairs by no more than that.",
        agrees=_rms(changes) <= noise,
        columns=("network", "method", "fp32, lowest", "fp32, highest", "fp16", "fp16 - fp32, seed 0"),
        lines=tuple(lines),
    )


def stochastic_rounding(single: Curves, half: Curves, stochastic: Curves) -> Answer:
    """fp16 with the update rounded at random against rounded to nearest."""
    keys = [key for key in stochastic if key in half]
    changes = [_points(stochastic[key].settled()[0] - half[key].settled()[0]) for key in keys]
    noise = seed_noise([single[key] for key in keys])
    lines = [
        (*key, *(_percent(source[key].settled()[0]) for source in (single, half, stochastic)), f"{change:+.2f}")
        for key, change in zip(keys, changes, strict=True)
    ]
    deep = [change for key, change in zip(keys, changes, strict=True) if key[0] == DEEP]
    return Answer(
        key="stochastic",
        question="Does stochastic rounding hurt deep MLPs?",
        paper="Trained without it; gives no numbers.",
        finding=f"Rounding the update at random in place of to nearest changes fp16 by {mean(changes):+.2f} points in "
        f"the mean, {mean(deep):+.2f} on the deep {DEEP}. Two seeds in fp32 differ by {noise:.2f}: "
        f"{'it hurts' if mean(deep) < -noise else 'it does not hurt'}.",
        agrees=None,
        columns=("network", "method", "fp32", "fp16", "fp16, stochastic", "change"),
        lines=tuple(lines),
    )


def batches(single: Curves) -> Answer:
    """SGD against large batches, network by network."""
    lines: list[Line] = []
    gaps: list[float] = []
    for network in PAPER_NETWORKS:
        sgd, best = single[network, "sgd"], max((single[network, m] for m in LARGE_BATCHES), key=_settled)
        gaps.append(_points(_settled(sgd) - _settled(best)))
        both = [single[network, method] for method in ("sgd", *LARGE_BATCHES)]
        lines.append((network, *(_percent(_settled(c)) for c in both), f"{gaps[-1]:+.2f}", *(_to(c) for c in both)))
    noise = seed_noise([single[n, m] for n in PAPER_NETWORKS for m in ("sgd", *LARGE_BATCHES)])
    favours, closes = gaps[0] > noise, abs(gaps[-1]) < abs(gaps[0])
    return Answer(
        key="batches",
        question="Do small networks favour non-batched rules, and does the gap close with size?",
        paper="Small networks favour non-batched training; batched training catches up as networks grow.",
        finding=f"SGD less the better large batch: {gaps[0]:+.2f} points on {SMALL}, {gaps[-1]:+.2f} on {LARGE}; two "
        f"seeds differ by {noise:.2f}. {_costs(single)}",
        agrees=favours and closes,
        columns=(
            "network",
            *("sgd", *LARGE_BATCHES),
            "sgd - better batch",
            *(f"{m}, epochs to {TARGET} %" for m in ("sgd", *LARGE_BATCHES)),
        ),
        lines=tuple(lines),
    )


def _costs(single: Curves) -> str:
    """Time and energy to the target, mbgd50 over sgd and cp over sgd, on the three cases."""
    parts: list[str] = []
    for case, network in (("N1", SMALL), ("N2", LARGE), ("N3", LARGE)):
        base = _cost(case, single[network, "sgd"])
        for method in ("mbgd50", "cp"):
            other = _cost(case, single[network, method])
            if base and other:
                time, energy = other[0] / base[0], other[1] / base[1]
                parts.append(f"{method} on {case} {time:.2f} of the time and {energy:.2f} of the energy")
    return f"To {TARGET} %, against SGD: {'; '.join(parts)}." if parts else ""


def _cost(case: str, curve: Curve) -> tuple[float, float] | None:
    """Milliseconds and millijoules to the target."""
    epochs, cost = curve.epochs_to(TARGET / 100), cost_of_epoch(case, curve.method)
    if epochs is None or cost is None:
        return None
    return epochs * cost.milliseconds, epochs * sum(cost.millijoules.values())


def pipelining(single: Curves) -> Answer:
    """CP against SGD, network by network."""
    gaps = [_points(_settled(single[n, "cp"]) - _settled(single[n, "sgd"])) for n in PAPER_NETWORKS]
    noise = seed_noise([single[n, m] for n in PAPER_NETWORKS for m in ("sgd", "cp")])
    lines = [
        (n, *(_percent(_settled(c)) for c in pair), f"{gap:+.2f}", *(_to(c) for c in pair))
        for n, gap in zip(PAPER_NETWORKS, gaps, strict=True)
        for pair in [[single[n, "sgd"], single[n, "cp"]]]
    ]
    return Answer(
        key="pipelining",
        question="Is CP at least as good as SGD?",
        paper="CP reaches SGD's accuracy or a higher one in no more epochs.",
        finding=f"CP less SGD: {', '.join(f'{gap:+.2f}' for gap in gaps)} points on the four networks; two seeds "
        f"differ by {noise:.2f}.",
        agrees=min(gaps) >= -noise,
        columns=("network", "sgd", "cp", "cp - sgd", f"sgd, epochs to {TARGET} %", f"cp, epochs to {TARGET} %"),
        lines=tuple(lines),
    )


def remedies(single: Curves) -> Answer:
    """Momentum, and what is done against the staleness it makes worse, network by network."""
    labels = [method.label for method in (SGD, CP, *REMEDIES)]
    networks = [network for network in PAPER_NETWORKS if (network, REMEDIES[0].label) in single]
    noise = seed_noise([single[n, label] for n in networks for label in labels])
    findings: list[str] = []
    for network in networks:
        none, plain, spike, prediction = (
            f"{_points(_settled(single[network, m.label])):.2f}" for m in (CP, *REMEDIES[1:])
        )
        findings.append(
            f"on {network} CP with momentum 0.9 settles at {plain} %, with spike compensation at {spike}, with weight "
            f"prediction at {prediction}; without momentum at {none}"
        )
    lines = [
        (n, m, f"{curve.learning_rate:g}", *(_percent(v) for v in (_settled(curve), *_ends(curve))), *_to_both(curve))
        for n in networks
        for m in labels
        for curve in [single[n, m]]
    ]
    seeds = min(single[n, m].seeds for n in networks for m in labels)
    return Answer(
        key="remedies",
        question="What do remedies against CP's staleness change?",
        paper="Not in it; spike compensation and weight prediction are Kosson and others' (2020).",
        finding=f"Medians of {seeds} seeds: {'; '.join(findings)}. Two seeds differ by {noise:.2f}.",
        agrees=None,
        columns=("network", "method", "rate", "accuracy", "lowest", "highest", "epochs to 93 %", f"to {TARGET} %"),
        lines=tuple(lines),
    )


def _ends(curve: Curve) -> tuple[float, float]:
    return min(curve.settled()), max(curve.settled())


def _to_both(curve: Curve) -> tuple[str, str]:
    return _to(curve, 93), _to(curve)


def seed_noise(some: Sequence[Curve]) -> float:
    """Root mean square of the differences between two seeds' settled accuracies, in points."""
    return _rms([_points(a - b) for curve in some for a, b in combinations(curve.settled(), 2)])


def _settled(curve: Curve) -> float:
    return median(curve.settled())


def _points(fraction: float) -> float:
    return 100 * fraction


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.2f}"


def _range(curve: Curve) -> tuple[str, str]:
    low, high = _ends(curve)
    return _percent(low), _percent(high)


def _to(curve: Curve, percent: int = TARGET) -> str:
    epochs = curve.epochs_to(percent / 100)
    return NEVER if epochs is None else f"{epochs:g}"


def _rms(values: Sequence[float]) -> float:
    return sqrt(mean(value**2 for value in values)) if values else 0.0
