"""Points as rows: a chunk of the grid evaluated into a table, infeasible points kept with their reason."""

from __future__ import annotations

import io
from dataclasses import fields
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from caterpillar.checks import Infeasible, UsageError
from caterpillar.cost import PriceColumns, price_columns
from caterpillar.evaluate import Evaluation, evaluate, evaluate_columns
from caterpillar.explore.plan import Plan
from caterpillar.explore.quantities import QUANTITIES
from caterpillar.explore.work import Work
from caterpillar.machine import PAPER_A, PAPER_B, Machine, machine_columns

Table = Any  # pyarrow's, which has no types
Array = NDArray[Any]
Chunk = tuple[range, range]  # machines, works
J_PER_PJ = 1e-12
NAMES = ("network", "rule", "prices", "mapping", "numerics")
MACHINE_FIELDS = tuple(field.name for field in fields(Machine) if field.name != "name")

BLOCK_MACHINES = 16_384  # long enough for NumPy, and its arrays still fit a processor's cache


def chunks(plan: Plan) -> list[Chunk]:
    """The grid in chunks, in their order.

    Where machines are placed, one by one: the price tables, which stand together, then price one schedule.
    """
    length = 1 if plan.places else min(BLOCK_MACHINES, plan.chunk_points)
    found: list[Chunk] = []
    for first in range(0, plan.machines, length):
        block = range(first, min(first + length, plan.machines))
        works = max(1, plan.chunk_points // len(block))
        found += [(block, range(w, min(w + works, len(plan.works)))) for w in range(0, len(plan.works), works)]
    return found


def chunk_bytes(plan: Plan, chunk: Chunk) -> bytes:
    """A chunk's table as a parquet file."""
    from pyarrow import parquet

    block, works = chunk
    numbers = np.arange(block.start, block.stop)
    points = [numbers + work * plan.machines for work in works]
    table = evaluate_points(plan, [plan.works[work] for work in works], plan.machine_columns(numbers), points)
    buffer = io.BytesIO()
    parquet.write_table(table, buffer, compression="zstd")
    return buffer.getvalue()


def evaluate_points(plan: Plan, works: list[Work], machines: Machine, points: list[Array]) -> Table:
    """The works on machine_columns, a row each; points[w] numbers those of works[w]."""
    import pyarrow as pa

    length = len(points[0])
    prices = {id(work.prices): work.prices for work in works}
    priced = {key: price_columns(pricing, machines, length) for key, pricing in prices.items()}
    parts: list[dict[str, Array]] = []
    reasons: list[list[str]] = []
    for work in works:
        columns, texts = _one_work(plan, work, machines, priced[id(work.prices)], length)
        parts.append(columns)
        reasons.append(texts)
    table: dict[str, Any] = {"point": np.concatenate(points)}
    for name in NAMES:
        table[name] = _texts([work.label(name) for work in works], np.repeat(np.arange(len(works)), length))
    table["batch"] = np.repeat([work.rule.batch for work in works], length)
    for name in MACHINE_FIELDS:
        table[name] = np.tile(_whole(getattr(machines, name), length), len(works))
    table["feasible"] = np.concatenate([part["reason"] < 0 for part in parts])
    offsets = np.cumsum([0, *(len(texts) for texts in reasons)])
    codes = [np.where(p["reason"] < 0, -1, p["reason"] + start) for p, start in zip(parts, offsets, strict=False)]
    table["reason"] = _texts(list(chain.from_iterable(reasons)), np.concatenate(codes))
    for name in ("needs_bytes", "has_bytes"):
        column = np.concatenate([part[name] for part in parts])
        table[name] = pa.array(column, mask=column < 0)
    for name in QUANTITIES:
        column = np.concatenate([part[name] for part in parts])
        table[name] = pa.array(column, mask=np.isnan(column))
    return pa.table(table)


def paper_points(plan: Plan) -> Table:
    """The paper's two machines under the sweep's work, a row each; point is 0 for paper-a and 1 for paper-b."""
    machines = machine_columns(
        PAPER_A, {name: np.array([getattr(PAPER_A, name), getattr(PAPER_B, name)]) for name in MACHINE_FIELDS}
    )
    return evaluate_points(plan, list(plan.works), machines, [np.arange(2)] * len(plan.works))


def _one_work(
    plan: Plan, work: Work, machines: Machine, prices: PriceColumns, length: int
) -> tuple[dict[str, Array], list[str]]:
    """Quantities, NaN where there are none, and the reason's place in the texts, -1 for a feasible point."""
    columns, texts = (_one_by_one if work.places else _at_once)(plan, work, machines, prices, length)
    columns["pes"] = _whole(machines.pes, length)
    reason = columns["reason"]
    for text, unmet in _unmet(plan, work, columns):
        reason[(reason < 0) & unmet] = len(texts)
        texts.append(text)
    return columns, texts


def _at_once(
    plan: Plan, work: Work, machines: Machine, prices: PriceColumns, length: int
) -> tuple[dict[str, Array], list[str]]:
    """As _one_work, before constraints: formulas on arrays."""
    texts = list(prices.refusals)
    reason = prices.refused.copy()
    needs, has = np.full(length, -1), np.full(length, -1)
    columns = {name: np.full(length, np.nan) for name in QUANTITIES}
    if (reason < 0).any():
        evaluation, demands = evaluate_columns(
            work.network, work.rule, machines, prices, mapping=work.mapping, numerics=work.numerics
        )
        for demand in demands:
            short = _short(demand, reason)
            needs, has = np.where(short, demand.needs_bytes, needs), np.where(short, demand.has_bytes, has)
            reason[short] = len(texts)
            texts.append(f"{demand.what} is too small: {demand.hint}")
        columns = {
            name: np.where(reason < 0, value, np.nan) for name, value in _quantities(plan, work, evaluation).items()
        }
    return columns | {"reason": reason, "needs_bytes": needs, "has_bytes": has}, texts


def _one_by_one(
    plan: Plan, work: Work, machines: Machine, _prices: PriceColumns, length: int
) -> tuple[dict[str, Array], list[str]]:
    """As _at_once, for a mapping that takes one machine at a time; what it cannot place is a reason too."""
    columns = {name: np.full(length, np.nan) for name in QUANTITIES}
    reason, needs, has = (np.full(length, -1) for _ in range(3))
    texts: dict[str, int] = {}
    for place in range(length):
        fields = {name: _whole(getattr(machines, name), length)[place].item() for name in MACHINE_FIELDS}
        try:
            answer = evaluate(
                work.network,
                work.rule,
                Machine(name="any", **fields),
                mapping=work.mapping,
                prices=work.prices,
                numerics=work.numerics,
            )
        except UsageError as error:
            reason[place] = texts.setdefault(str(error), len(texts))
            continue
        if isinstance(answer, Infeasible):
            reason[place] = texts.setdefault(f"{answer.what} is too small: {answer.hint}", len(texts))
            needs[place], has[place] = answer.needs_bytes, answer.has_bytes
            continue
        for name, value in _quantities(plan, work, answer).items():
            columns[name][place] = value
    return columns | {"reason": reason, "needs_bytes": needs, "has_bytes": has}, list(texts)


def _short(demand: Infeasible, reason: Array) -> Array:
    return (reason < 0) & (np.asarray(demand.needs_bytes) > np.asarray(demand.has_bytes))


def _unmet(plan: Plan, work: Work, columns: dict[str, Array]) -> list[tuple[str, Array]]:
    """Texts of what is asked for and where it is not met."""
    unmet: list[tuple[str, Array]] = []
    if plan.must_fit:
        unmet.append(("constraint fits: words lie off-core", columns["off_core_words"] > 0))
    if plan.accuracy_percent is not None and work.epochs is None:
        text = f"the convergence study has no run of {work.rule.label} on it that reaches {plan.accuracy_percent:g} %"
        unmet.append((text, np.ones(len(columns["pes"]), bool)))
    for bounds in plan.constraints:
        column = columns[bounds.quantity]
        unmet.append((f"constraint {bounds.quantity}: below {bounds.least:g}", column < bounds.least))
        unmet.append((f"constraint {bounds.quantity}: above {bounds.most:g}", column > bounds.most))
    return unmet


def _quantities(plan: Plan, work: Work, evaluation: Evaluation) -> dict[str, Any]:
    """Quantity -> number or array over the machines."""
    seconds, joules = evaluation.seconds_per_sample, evaluation.energy_pj_per_sample * J_PER_PJ
    low, high = evaluation.energy_range_pj
    epochs = np.nan if work.epochs is None else work.epochs
    samples = plan.epoch_samples
    return {
        "cycles_per_sample": evaluation.cycles_per_sample,
        "utilization": evaluation.utilization,
        "seconds_per_sample": seconds,
        "seconds_per_tick": seconds * work.rule.batch,
        "seconds_per_epoch": seconds * samples,
        "seconds_to_accuracy": seconds * samples * epochs,
        "energy_j_per_sample": joules,
        "energy_low_j_per_sample": low * J_PER_PJ,
        "energy_high_j_per_sample": high * J_PER_PJ,
        "energy_j_per_tick": joules * work.rule.batch,
        "energy_j_per_epoch": joules * samples,
        "energy_j_to_accuracy": joules * samples * epochs,
        "epochs_to_accuracy": epochs,
        "power_w": evaluation.power_w,
        "area_mm2": evaluation.area_mm2,
        "gflops": evaluation.gflops,
        "gflops_per_watt": evaluation.gflops_per_watt,
        "gflops_per_mm2": evaluation.gflops_per_mm2,
        "off_core_words": evaluation.off_core_words,
    }


def _whole(value: Any, length: int) -> Array:
    return np.broadcast_to(np.asarray(value), (length,))


def _texts(texts: list[str], codes: Array) -> Any:
    """A column of texts[code], null where the code is below 0."""
    import pyarrow as pa

    return pa.DictionaryArray.from_arrays(
        pa.array(codes.astype(np.int32), mask=codes < 0), pa.array(texts, pa.string())
    )
