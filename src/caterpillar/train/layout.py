"""Where everything lies: the flat buffers of a run, and the tables of numbers that the driver reads.

Matrices are stored panel by panel; a panel's rows are padded to whole vectors with zeros. Activations, errors and parts
hold one value for each batch that is under way, in a ring.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from caterpillar.datasets import Samples
from caterpillar.network import Network
from caterpillar.numerics import Array, Numerics, from_storage, storage_dtype, sum_dtype, to_storage, wide_dtype
from caterpillar.program import Program, Update
from caterpillar.train import columns as c
from caterpillar.train.default_order import padded
from caterpillar.train.lowering import Step, slots


class Tables(NamedTuple):
    """Read-only numbers for the driver."""

    steps: Array
    rates: Array
    layers: Array
    run: Array


class Memory(NamedTuple):
    """The buffers of a run."""

    images: Array
    labels: Array
    order: Array
    activations: Array
    errors: Array
    parts: Array
    weights: Array
    velocity: Array
    feedback: Array
    ahead: Array
    rows: Array
    scratch: Array
    totals: Array
    status: Array
    sync: Array


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """Where one matrix of shape (rows, columns) lies in its flat buffer."""

    shape: tuple[int, int]
    bounds: tuple[int, ...]
    bases: tuple[int, ...]

    @property
    def panels(self) -> tuple[tuple[int, int, int, int], ...]:
        """For each panel: first column, last column, row stride, base."""
        edges = zip(self.bounds[:-1], self.bounds[1:], self.bases, strict=True)
        return tuple((first, last, padded(last - first), base) for first, last, base in edges)

    def write(self, buffer: Array, matrix: Array) -> None:
        """Copy a row-major matrix into its place."""
        for first, last, stride, base in self.panels:
            panel = buffer[base : base + self.shape[0] * stride].reshape(self.shape[0], stride)
            panel[:, : last - first] = matrix[:, first:last]

    def read(self, buffer: Array) -> Array:
        """A row-major copy."""
        matrix = np.empty(self.shape, buffer.dtype)
        for first, last, stride, base in self.panels:
            panel = buffer[base : base + self.shape[0] * stride].reshape(self.shape[0], stride)
            matrix[:, first:last] = panel[:, : last - first]
        return matrix


def place(shapes: Sequence[tuple[int, int]], bounds: Sequence[tuple[int, ...]]) -> tuple[tuple[Stored, ...], int]:
    """Matrices one after the other in a flat buffer, and the words it needs; an empty shape takes none."""
    placed: list[Stored] = []
    size = 0
    for shape, edges in zip(shapes, bounds, strict=True):
        bases: list[int] = []
        for first, last in pairwise(edges):
            bases.append(size)
            size += shape[0] * padded(last - first)
        placed.append(Stored(shape=shape, bounds=edges, bases=tuple(bases)))
    return tuple(placed), size


def aligned(count: int, dtype: np.dtype[np.generic] | type) -> Array:
    """Zeros that start at a cache line."""
    kind = np.dtype(dtype)
    raw = np.zeros(max(count, 1) * kind.itemsize + 64, np.uint8)
    offset = -raw.ctypes.data % 64
    return raw[offset : offset + max(count, 1) * kind.itemsize].view(kind)


def kernel_view(stored: Array) -> Array:
    """Numba's view of a storage buffer: halves as their bits."""
    return stored.view(np.uint16) if stored.dtype == np.float16 else stored


def layer_table(
    network: Network, steps: Sequence[Step], batch: int, weights: Sequence[Stored], feedback: Sequence[Stored]
) -> tuple[Array, tuple[int, int, int]]:
    """Tables.layers, and the words of activations, errors and parts."""
    table = np.zeros((network.depth + 1, c.LAYER_COLUMNS), np.int64)
    sizes = [0, 0, 0]
    for layer, size in enumerate(network.sizes):
        row = table[layer]
        row[c.SIZE], row[c.PAD] = size, padded(size)
        parts_size = c.PANELS * padded(network.sizes[layer - 1]) if layer else 0
        columns = (
            (c.ACTIVATION, "activation", padded(size)),
            (c.ERROR, "error", padded(size)),
            (c.PARTS, "parts", parts_size),
        )
        for number, (column, buffer, words) in enumerate(columns):
            if buffer == "activation" and layer == 0:
                continue  # read from the images
            count = slots(steps, (buffer, layer))  # pyright: ignore[reportArgumentType]
            row[column], row[column + 1] = sizes[number], max(count, 1)
            sizes[number] += count * batch * words
        if layer:
            _panel_columns(row, weights[layer - 1], feedback[layer - 1])
    return table, (sizes[0], sizes[1], sizes[2])


def _panel_columns(row: Array, weights: Stored, feedback: Stored) -> None:
    row[c.PANEL_COUNT] = len(weights.panels)
    for panel, (first, last, stride, base) in enumerate(weights.panels):
        row[c.PANEL_FIRST + panel], row[c.PANEL_LAST + panel] = first, last
        row[c.STRIDE + panel], row[c.WEIGHT + panel] = stride, base
    for panel, (_, _, stride, base) in enumerate(feedback.panels):
        row[c.FEEDBACK + panel], row[c.FEEDBACK_STRIDE] = base, stride


def step_table(steps: Sequence[Step]) -> Array:
    """Tables.steps."""
    table = np.zeros((len(steps), c.STEP_COLUMNS), np.int64)
    for row, step in zip(table, steps, strict=True):
        row[c.KIND], row[c.LAYER], row[c.LAG] = c.KINDS[step.kind], step.layer, step.lag
        row[c.OUTPUT_LAYER], row[c.BARRIER] = step.output_layer, step.barrier
        for column, op in ((c.BACKWARD_LAG, step.backward), (c.UPDATE_LAG, step.update), (c.FORWARD_LAG, step.forward)):
            row[column] = op.lag if op else -1
        row[c.THROUGH_FEEDBACK] = step.backward is not None and step.backward.through == "feedback"
        row[c.HAS_VELOCITY] = step.update is not None and step.update.momentum != 0
        row[c.LOOKS_AHEAD] = step.forward is not None and step.forward.lookahead != 0
    return table


def rate_table(steps: Sequence[Step], batch: int, samples: int, learning_rate: float, numerics: Numerics) -> Array:
    """Tables.rates: constants, rounded once to the format that products are added in.

    Without momentum a last, smaller batch of size b has its own rate, lr / b. With momentum the rate stays that of a
    full batch, since the velocity holds sums over full batches; the small batch's gradient is scaled up (BOOST).
    """
    table = np.zeros((len(steps), 2, c.RATE_COLUMNS), np.float64)
    for number, step in enumerate(steps):
        for last, size in enumerate((batch, samples % batch or batch)):
            row = table[number, last]
            if step.update:
                _update_rates(row, step.update, batch, size, learning_rate)
            if step.forward and step.forward.lookahead:
                row[c.AHEAD_RATE] = learning_rate / batch * step.forward.lookahead
    return table.astype(sum_dtype(numerics)).astype(wide_dtype(numerics))


def _update_rates(row: Array, update: Update, batch: int, size: int, learning_rate: float) -> None:
    row[c.RATE] = learning_rate / (batch if update.momentum else size)
    row[c.BOOST] = batch / size
    row[c.MOMENTUM] = update.momentum
    row[c.VELOCITY_SCALE], row[c.GRADIENT_SCALE] = update.velocity_scale, update.gradient_scale


def padded_images(samples: Samples, inputs: int, numerics: Numerics) -> Array:
    """Images rounded to the storage format, a row each, padded to whole vectors."""
    images = aligned(len(samples) * padded(inputs), wide_dtype(numerics))
    values = from_storage(to_storage(samples.images, numerics), numerics)
    images.reshape(len(samples), padded(inputs))[:, :inputs] = values
    return images


def new_memory(
    program: Program, numerics: Numerics, sizes: tuple[int, int, int], samples: Samples, threads: int
) -> dict[str, Array]:
    """Buffers other than weights, velocity and feedback, by their names in Memory."""
    wide, network = wide_dtype(numerics), program.network
    widest = max(padded(size) for size in network.sizes)
    return {
        "images": padded_images(samples, network.inputs, numerics),
        "labels": np.ascontiguousarray(samples.labels, np.int64),
        "order": np.arange(len(samples), dtype=np.int64),
        "activations": aligned(sizes[0], wide),
        "errors": aligned(sizes[1], wide),
        "parts": aligned(sizes[2], wide),
        "ahead": kernel_view(aligned(threads * max(c.BLOCK_WORDS, 4 * widest), storage_dtype(numerics))),
        "rows": aligned(threads * max(widest, program.batch), np.int64),
        "scratch": aligned(threads * widest, wide),
        "totals": np.zeros(2, np.float64),
        "status": aligned(threads * c.STATUS_WORDS, np.int64),
        "sync": aligned(8, np.int64),
    }


def matrix_buffer(size: int, numerics: Numerics) -> Array:
    """Zeros in the storage format."""
    return aligned(size, storage_dtype(numerics))
