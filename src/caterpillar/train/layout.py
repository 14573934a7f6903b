"""Where everything lies: three flat buffers that the kernels work on.

W  matrices in the storage format: weights, velocity, feedback, room for weights looked ahead. Panel by panel; a panel's
   rows are padded to whole vectors with zeros.
F  floats: images, then activations, errors and parts of error sums, each with a place for every batch that is under
   way; constants; scratch.
T  integers: the run's numbers, a row for each layer and each step (columns.py names the entries), the order of the
   samples, labels, lists of rows.
"""

from __future__ import annotations

import mmap
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from caterpillar.datasets import Samples
from caterpillar.numerics import (
    Array,
    GemvOrder,
    Numerics,
    Order,
    Visits,
    from_storage,
    storage_dtype,
    sum_dtype,
    to_storage,
    wide_dtype,
)
from caterpillar.program import Program, Update
from caterpillar.train import columns as c
from caterpillar.train.default_order import LANES, padded
from caterpillar.train.lowering import Buffer, Step, slots
from caterpillar.train.settings import Settings

CACHE_LINE, HUGE_PAGE = 64, 2 << 20  # bytes
COMBINES = ("chain", "tree", "pairs")  # by the number that ordered.py knows them by


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """Where one matrix of shape (rows, columns) lies in W; bases: of its panels."""

    shape: tuple[int, int]
    bounds: tuple[int, ...]
    strides: tuple[int, ...]
    bases: tuple[int, ...]

    @property
    def panels(self) -> tuple[tuple[int, int, int, int], ...]:
        """For each panel: first column, last column, row stride, base."""
        return tuple(zip(self.bounds[:-1], self.bounds[1:], self.strides, self.bases, strict=True))

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


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Matrices:
    """W, and where a program's matrices lie in it; velocity and feedback have empty shapes where there are none."""

    buffer: Array
    weights: tuple[Stored, ...]
    velocity: tuple[Stored, ...]
    feedback: tuple[Stored, ...]
    ahead: int
    ahead_words: int


def new_matrices(
    shapes: dict[str, tuple[tuple[int, int], ...]],
    bounds: dict[str, list[tuple[int, ...]]],
    numerics: Numerics,
    threads: int,
    *,
    ahead_whole: bool,
) -> Matrices:
    """Zeros, with a place for every matrix; shapes and bounds are those of weights, velocity and feedback.

    ahead_whole: room for a whole matrix looked ahead, not for a block of rows.
    """
    size = 0
    placed: dict[str, list[Stored]] = {}
    for name, matrices in shapes.items():
        placed[name] = []
        for shape, edges in zip(matrices, bounds[name], strict=True):
            bases: list[int] = []
            strides = [spread(last - first) for first, last in pairwise(edges)]
            for stride in strides:
                bases.append(size)
                size += shape[0] * stride
            placed[name].append(Stored(shape=shape, bounds=edges, strides=tuple(strides), bases=tuple(bases)))
    ahead_words = max(c.BLOCK_WORDS, max((m if ahead_whole else 4) * spread(n) for m, n in shapes["weights"]))
    return Matrices(
        buffer=aligned(size + threads * ahead_words, storage_dtype(numerics)),
        weights=tuple(placed["weights"]),
        velocity=tuple(placed["velocity"]),
        feedback=tuple(placed["feedback"]),
        ahead=size,
        ahead_words=ahead_words,
    )


def spread(words: int) -> int:
    """Words from one row to the next: an odd number of vectors.

    Rows a power of two apart would share few places of the cache, and many rows are read at once.
    """
    return (padded(words) // LANES | 1) * LANES


def aligned(count: int, dtype: np.dtype[np.generic] | type) -> Array:
    """Zeros that start at a cache line; many of them in huge pages, where the system has those."""
    kind = np.dtype(dtype)
    size = count * kind.itemsize
    huge = size >= HUGE_PAGE // 2 and hasattr(mmap, "MADV_HUGEPAGE")
    raw = _huge_pages(size) if huge else np.zeros(size + CACHE_LINE, np.uint8)
    offset = -raw.ctypes.data % (HUGE_PAGE if huge else CACHE_LINE)
    return raw[offset : offset + size].view(kind)


def _huge_pages(size: int) -> Array:
    """Zero bytes, room for size of them from a huge page's start on, and for the whole of the last page."""
    pages = mmap.mmap(-1, (-(-size // HUGE_PAGE) + 1) * HUGE_PAGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    pages.madvise(mmap.MADV_HUGEPAGE)
    return np.frombuffer(pages, np.uint8)


class Room:
    """Hands out consecutive places of a buffer, each from a cache line on."""

    def __init__(self) -> None:
        self.size = 0

    def take(self, words: int) -> int:
        """Where the next words words start."""
        start = self.size
        self.size += padded(words)
        return start


def new_tables(
    program: Program,
    steps: Sequence[Step],
    matrices: Matrices,
    samples: Samples,
    settings: Settings,
    order: Order | None,
) -> tuple[Array, Array]:
    """T and F of a run on samples; order is None for the fast kernels' own."""
    network, batch, integers, floats = program.network, program.batch, Room(), Room()
    widest = max(spread(size) for size in network.sizes)
    head = np.zeros(c.HEADER, np.int64)
    integers.take(c.HEADER)
    head[c.BATCH], head[c.SAMPLES], head[c.BATCHES] = (batch, len(samples), -(-len(samples) // batch))
    head[c.CODE], head[c.SKIP] = (c.ACTIVATION_CODES[network.activation], settings.skip_zeros)
    head[c.THREADS], head[c.ORDERED] = settings.threads, order is not None
    head[c.DEPTH], head[c.STEPS], head[c.SEED] = (network.depth, len(steps), settings.seed)
    head[c.FAR] = matrices.buffer.nbytes > c.FAR_BYTES
    head[c.LAYER_ROWS] = integers.take((network.depth + 1) * c.LAYER_COLUMNS)
    head[c.STEP_ROWS] = integers.take(len(steps) * c.STEP_COLUMNS)
    head[c.ORDER], head[c.LABELS] = (integers.take(len(samples)), integers.take(len(samples)))
    head[c.LIST_WORDS] = 2 * padded(max(widest, batch))  # two lists
    head[c.LISTS] = integers.take(settings.threads * int(head[c.LIST_WORDS]))
    head[c.STATUS] = integers.take(settings.threads * c.STATUS_WORDS)
    layers = _layer_rows(program, steps, matrices, floats, len(samples))
    step_rows = _step_rows(steps, floats)
    order_words = _place_orders(layers, order, integers)
    head[c.SCRATCH_WORDS] = widest + _most_sums(order)
    head[c.SCRATCH] = floats.take(settings.threads * int(head[c.SCRATCH_WORDS]))
    head[c.AHEAD], head[c.AHEAD_WORDS] = matrices.ahead, matrices.ahead_words
    T, F = (aligned(integers.size, np.int64), aligned(floats.size, wide_dtype(settings.numerics)))
    T[: c.HEADER] = head
    for start, values in ((c.LAYER_ROWS, layers), (c.STEP_ROWS, step_rows), (c.LABELS, samples.labels)):
        T[head[start] : head[start] + values.size] = values.ravel()
    for start, words in order_words:
        T[start : start + len(words)] = words
    pixels = int(layers[0, c.PAD])
    images = F[: len(samples) * pixels].reshape(len(samples), pixels)
    images[:, : network.inputs] = from_storage(to_storage(samples.images, settings.numerics), settings.numerics)
    for row, step in zip(step_rows, steps, strict=True):
        constants = _constants(step, batch, len(samples), settings)
        F[row[c.CONSTANTS] : row[c.CONSTANTS] + constants.size] = constants
    return T, F


def _layer_rows(program: Program, steps: Sequence[Step], matrices: Matrices, floats: Room, samples: int) -> Array:
    sizes, batch = program.network.sizes, program.batch
    rows = np.zeros((len(sizes), c.LAYER_COLUMNS), np.int64)
    for layer, size in enumerate(sizes):
        row, words, before = (rows[layer], spread(size), spread(sizes[layer - 1]))
        row[c.SIZE], row[c.PAD] = size, words
        if layer == 0:
            row[c.ACTIVATION] = floats.take(samples * words)
            continue
        buffers: tuple[tuple[int, Buffer, int], ...] = (
            (c.ACTIVATION, ("activation", layer), words),
            (c.ERROR, ("error", layer), words),
            (c.PARTS, ("parts", layer), c.PANELS * before),
        )
        for column, buffer, each in buffers:
            count = slots(steps, buffer)
            row[column], row[column + 1] = (floats.take(count * batch * each), max(count, 1))
        _panels(row, matrices, layer - 1)
    return rows


def _panels(row: Array, matrices: Matrices, index: int) -> None:
    row[c.PANEL_COUNT] = len(matrices.weights[index].panels)
    for panel, (first, last, stride, base) in enumerate(matrices.weights[index].panels):
        row[c.FIRST + panel], row[c.LAST + panel], row[c.WIDTH + panel] = (first, last, padded(last - first))
        row[c.STRIDE + panel], row[c.WEIGHT + panel] = stride, base
    for column, stored in ((c.VELOCITY, matrices.velocity[index]), (c.FEEDBACK, matrices.feedback[index])):
        row[column : column + len(stored.bases)] = stored.bases
    if matrices.feedback[index].strides:
        row[c.FEEDBACK_WIDTH] = padded(matrices.feedback[index].bounds[1])
        row[c.FEEDBACK_STRIDE] = matrices.feedback[index].strides[0]


def _step_rows(steps: Sequence[Step], floats: Room) -> Array:
    rows = np.zeros((len(steps), c.STEP_COLUMNS), np.int64)
    for row, step in zip(rows, steps, strict=True):
        row[c.KIND], row[c.LAYER], row[c.LAG] = c.KINDS[step.kind], step.layer, step.lag
        row[c.OUTPUT_LAYER], row[c.BARRIER] = step.output_layer, step.barrier
        lags = ((c.BACKWARD_LAG, step.backward), (c.UPDATE_LAG, step.update), (c.FORWARD_LAG, step.forward))
        for column, op in lags:
            row[column] = op.lag if op else -1
        row[c.THROUGH_FEEDBACK] = step.backward is not None and step.backward.through == "feedback"
        row[c.HAS_VELOCITY] = step.update is not None and step.update.momentum != 0
        row[c.LOOKS_AHEAD] = step.forward is not None and step.forward.lookahead != 0
        row[c.CONSTANTS] = floats.take(2 * c.RATE_COLUMNS)
    return rows


def _constants(step: Step, batch: int, samples: int, settings: Settings) -> Array:
    """A step's constants, rounded once to the format that products are added in.

    Without momentum a last, smaller batch of size b has its own rate, lr / b. With momentum the rate stays that of a
    full batch, since the velocity holds sums over full batches; the small batch's gradient is scaled up (BOOST).
    """
    table = np.zeros((2, c.RATE_COLUMNS), np.float64)
    for row, size in zip(table, (batch, samples % batch or batch), strict=True):
        if step.update:
            _update_constants(row, step.update, batch, size, settings.learning_rate)
        if step.forward and step.forward.lookahead:
            row[c.AHEAD_RATE] = settings.learning_rate / batch * step.forward.lookahead
    return table.astype(sum_dtype(settings.numerics)).astype(wide_dtype(settings.numerics)).ravel()


def _update_constants(row: Array, update: Update, batch: int, size: int, learning_rate: float) -> None:
    row[c.RATE] = learning_rate / (batch if update.momentum else size)
    row[c.BOOST] = batch / size
    row[c.MOMENTUM] = update.momentum
    row[c.VELOCITY_SCALE], row[c.GRADIENT_SCALE] = (update.velocity_scale, update.gradient_scale)


def _place_orders(layers: Array, order: Order | None, integers: Room) -> list[tuple[int, list[int]]]:
    """Give every order a place in T and note it in its layer's row; the places and what to write there."""
    placed: list[tuple[int, list[int]]] = []
    pairs = zip(order.layers, order.feedback, strict=True) if order else ()
    for layer, (weights, feedback) in enumerate(pairs, start=1):
        for column, gemv in ((c.WEIGHT_ORDER, weights), (c.FEEDBACK_ORDER, feedback)):
            if gemv:
                words = _order_words(gemv, int(layers[layer - 1 : layer + 1, c.SIZE].max()))
                layers[layer, column] = integers.take(len(words))
                placed.append((int(layers[layer, column]), words))
    return placed


def _order_words(gemv: GemvOrder, inputs: int) -> list[int]:
    """An order as ordered.py reads it; inputs: at least as many as the matrix has."""
    panels = len(gemv.bounds) - 1
    forward = (gemv.forward_lanes, COMBINES.index(gemv.forward_combine))
    backward = (gemv.backward_lanes, COMBINES.index(gemv.backward_combine))
    first = ((gemv.forward_first or (0,) * panels), (gemv.backward_first or (0,) * inputs))
    panel_words = [*gemv.bounds, *first[0], *first[1]]
    blocks = gemv.input_bounds or (0, inputs)
    block_words = [gemv.block_lanes or 0, len(blocks) - 1, *blocks]
    sums = [inputs, *_sums(gemv.forward_sums, blocks, gemv.forward_lanes, inputs)]
    sums += _sums(gemv.backward_sums, gemv.bounds, gemv.backward_lanes, gemv.bounds[-1])
    rest = [*panel_words, *block_words, *sums]
    visits = [_visit_words(gemv.forward), _visit_words(gemv.backward)]
    at = c.BOUNDS + len(rest)
    places = [at if visits[0] else 0, at + len(visits[0]) if visits[1] else 0]
    header = [*forward, *backward, panels, c.BOUNDS + len(panel_words), gemv.block_spacing or 0, *places]
    return [*header, *rest, *visits[0], *visits[1]]


def _visit_words(visits: Visits | None) -> list[int]:
    """Partial sums of a block, blocks, how they are combined, sums; where chains' starts are (0: none), and of how many
    samples; then where each sum's terms are and how many.

    A term is two words: what it is, and its partial sum. Places count from the first of these words.
    """
    if visits is None:
        return []
    head = [visits.lanes, visits.blocks, COMBINES.index(visits.combine), len(visits.row)]
    first = [lane for samples in visits.starts for lane in samples]
    head += [len(head) + 2 + 2 * len(visits.row), len(visits.starts[0])] if first else [0, 0]
    starts: list[int] = []
    body = first
    for terms, sums in zip(visits.terms, visits.sums, strict=True):
        starts.append(len(head) + 2 * len(visits.row) + len(body))
        body += [word for pair in zip(terms, sums, strict=True) for word in pair]
    each = [word for row in visits.row for word in (starts[row], len(visits.terms[row]))]
    return [*head, *each, *body]


def _sums(given: tuple[int, ...] | None, edges: tuple[int, ...], lanes: int, count: int) -> list[int]:
    """The partial sum of each input or output; past the last, where there is none, 0."""
    found = list(given) if given else [(i - low) % lanes for low, high in pairwise(edges) for i in range(low, high)]
    return [*found, *[0] * (count - len(found))]


def _most_sums(order: Order | None) -> int:
    """Words for the partial sums of sixteen outputs."""
    gemvs = [gemv for gemv in (*order.layers, *order.feedback) if gemv] if order else []
    most = [max(gemv.forward_lanes + (gemv.block_lanes or 0), gemv.backward_lanes) for gemv in gemvs]
    most += [visits.lanes * visits.blocks for gemv in gemvs for visits in (gemv.forward, gemv.backward) if visits]
    return 16 * max(most, default=0)
