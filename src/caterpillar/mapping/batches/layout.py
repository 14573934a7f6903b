"""Where everything lies for a mini-batch: which weights, activations and errors each PE holds, and at which address.

On C cores of R x Q PEs, core k owns the outputs k q .. k q + q - 1 of every hidden layer, q = ceil(n / C): its panel. R
of them, one a row, are a **beat**; the panel has B beats. A lane keeps all the panel's outputs for its share of the
inputs: input beats come in the order of the ring, the core's own first, then those of cores k + 1, k + 2, ..., and beat
number n belongs to the PEs of column n mod Q, at **position** n div Q. So no position is padded but the last. Layer 1's
inputs come in beats too, in order. The last layer is cut along its inputs: a core works with those it made.

Samples are worked off in pairs: a weight is read once for two.

A tick is a batch: all layers forward, then backward and updated. In continuous propagation layer l goes backward with
the batch of delay[l] = 2 (L - l) ticks before: so far apart are a batch's forward and update of a layer in the rule,
whatever the tick in which each is done. What a batch leaves behind waits in stretches of memory that address registers
step through.

Fixed matrices lie behind the weights: fa's like W_l; dfa's as the last layer's weights do, B_l in place of W_L: a lane
has the rows of the own outputs of layer l that it keeps.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from caterpillar.machine import Machine
from caterpillar.mapping.isa import Queue, accumulators
from caterpillar.mapping.schedule import Places
from caterpillar.network import Network

Held = Literal["activations", "errors", "inputs"]

PAIR = 2  # samples for which a weight is read once, forward and backward


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerLayout:
    """One layer's share of a core.

    panel: outputs a core owns (of the last layer: all of them); padded: the same in whole beats and blocks; beats: of
    the panel. own: positions that a core's own outputs fill, one word a lane each. positions: of the inputs, one word a
    lane each; rooms: the same, rounded up to what loops touch. address: first word in MEM A; the weight of position s
    and output j is at address + s padded + j.
    """

    inputs: int
    outputs: int
    panel: int
    padded: int
    beats: int
    own: int
    positions: int
    rooms: int
    address: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """The layers, and regions of MEM A by first word.

    activations[l], errors[l]: own words of hidden layer l, position by position, a word a sample; inputs[l]: gathered
    inputs of layer l < L, alike: two layers' at most are alive, so layers take turns with two rooms. If two do not fit
    (shared), a layer's inputs come when the layer after it has been updated, and take the place of all that is not
    wanted any more. gradient: of the last layer. fixed[l]: B_l, None where the rule has none. direct: whether B_l takes
    the output errors to layer l (dfa). delay[l]: ticks from layer l's forward to its update. registers: of activations,
    errors and inputs of layer l, the address register if they wait; activations of layer 0 lie in core SRAM. queues:
    the address registers. kept: where the output errors are left, each in one lane, a word a sample; None: nowhere.
    """

    machine: Machine
    batch: int
    layers: tuple[LayerLayout, ...]
    activations: tuple[int, ...]
    errors: tuple[int, ...]
    inputs: tuple[int, ...]
    gradient: int
    fixed: tuple[int | None, ...]
    direct: bool
    delay: tuple[int, ...]
    registers: dict[tuple[Held, int], int]
    queues: tuple[Queue, ...]
    shared: bool
    mem_a_words: int
    mem_b_words: int
    kept: int | None = None

    @property
    def width(self) -> int:
        """Sums interleaved: the accumulators."""
        return accumulators(self.machine)

    @property
    def outputs_a_block(self) -> int:
        """Outputs (backward: positions) of a block of sums: each for a pair of samples."""
        return self.width // PAIR

    @property
    def unit(self) -> int:
        """Outputs worked off at a time: whole beats and whole blocks."""
        return max(self.machine.pe_rows, self.outputs_a_block)

    @property
    def update_outputs(self) -> int:
        """Outputs of a block of the update, whose errors of a whole batch lie in MEM B."""
        room = self.machine.pe_mem_b_bytes // 2 // (self.batch + 1)
        found = min(self.width, self.machine.pe_rows)
        while found > 1 and found > room:
            found //= 2
        return found

    def past(self, what: Held, index: int, ticks: int) -> dict[str, int]:
        """How a memory's address is moved to what the batch of some ticks ago left of layer `index`."""
        register = self.registers.get((what, index), 0)
        return {"queue": register, "lag": -ticks % self.queues[register - 1].slots} if register else {}

    @property
    def erring(self) -> list[tuple[int, int]]:
        """(hidden layer, position) of the own outputs that get their errors straight from the output errors."""
        depth = len(self.layers)
        hidden = range(depth - 1, 0, -1) if self.direct else (depth - 1,)
        return [(index, position) for index in hidden for position in range(self.layers[index - 1].own)]

    def through(self, index: int) -> int:
        """The matrix that errors of layer `index` go back through."""
        fixed = self.fixed[index]
        return self.layers[index - 1].address if fixed is None else fixed

    def weight_places(self, index: int) -> Places:
        """MEM A's words of W_index: (cores, lanes, positions, outputs)."""
        layer, m = self.layers[index - 1], self.machine
        core = np.arange(m.cores).reshape(-1, 1, 1, 1)
        lane = np.arange(m.pes_per_core).reshape(-1, 1, 1)
        position, j = np.arange(layer.positions).reshape(-1, 1), np.arange(layer.panel)
        last = index == len(self.layers)
        beat = position * m.pe_cols + lane // m.pe_rows
        if index == 1:
            within, owner, size = beat * m.pe_rows + lane % m.pe_rows, 0 * core, layer.inputs
        else:
            before = self.layers[index - 2]
            distance, beat = (0 * beat, beat) if last else np.divmod(beat, before.beats)
            owner = (core + distance) % m.cores
            owner = np.where((distance < m.cores) & (beat < before.beats), owner, m.cores)
            within, size = beat * m.pe_rows + lane % m.pe_rows, before.panel
        row = owner * size + within
        row = np.where((within < size) & (row < layer.inputs), row, -1)
        column = j + core * (0 if last else layer.panel)
        column = np.where(column < layer.outputs, column, -1)
        return Places(core, lane, layer.address + position * layer.padded + j, row, column)

    def feedback_places(self, index: int) -> Places:
        """MEM A's words of B_index: fa's as W_index; dfa's, (cores, lanes, own positions, outputs of the network)."""
        layer, m = self.layers[index - 1], self.machine
        if not self.direct:
            like = self.weight_places(index)
            return replace(like, word=like.word - layer.address + self.through(index))
        core, lane = np.arange(m.cores).reshape(-1, 1, 1, 1), np.arange(m.pes_per_core).reshape(-1, 1, 1)
        position, j = np.arange(layer.own).reshape(-1, 1), np.arange(self.layers[-1].outputs)
        within = (position * m.pe_cols + lane // m.pe_rows) * m.pe_rows + lane % m.pe_rows
        row = core * layer.panel + within
        row = np.where((within < layer.panel) & (row < layer.outputs), row, -1)
        return Places(core, lane, self.through(index) + position * self.layers[-1].padded + j, row, j)


def up(n: int, unit: int) -> int:
    """n rounded up to a multiple of unit."""
    return -(-n // unit) * unit


def make_layout(network: Network, machine: Machine, batch: int, rule: str) -> Layout:
    """The placement of a network of at least two layers; it may exceed MEM A. MEM B's use is left at 0 words."""
    draft = Layout(
        machine=machine,
        batch=batch,
        layers=(),
        activations=(),
        errors=(),
        inputs=(),
        gradient=0,
        fixed=(),
        direct=rule == "dfa",
        delay=(),
        registers={},
        queues=(),
        shared=False,
        mem_a_words=0,
        mem_b_words=0,
    )
    layers = _layers(network, draft)
    depth, a = len(layers), Regions(layers[-1].address + layers[-1].positions * layers[-1].padded)
    fixed = tuple(a.take(words) if words else None for words in _fixed_words(layers, rule))
    delay = (0, *(2 * (depth - index) if rule == "mbcp" else 0 for index in range(1, depth + 1)))
    if delay[1]:
        a.wait("activations", 0, batch * layers[0].positions * machine.pe_cols, delay[1] + 2)  # one arrives meanwhile
    own = [0, *(layer.own * batch for layer in layers[:-1])]
    activations, errors, wanted = [0], [0], [0]
    for index in range(1, depth):
        errors.append(a.hold("errors", index, own[index], delay[index] - delay[index + 1]))
        wanted.append(a.end)
        activations.append(a.hold("activations", index, own[index], delay[index + 1]))
    rest = layers[-1].positions * layers[-1].padded
    inputs, shared = _inputs(a, layers, batch, delay, wanted, machine.pe_sram_words - rest)
    return replace(
        draft,
        layers=layers,
        activations=tuple(activations),
        errors=tuple(errors),
        inputs=(0, *inputs),
        gradient=a.take(rest),
        fixed=fixed,
        delay=delay,
        registers=a.registers,
        queues=tuple(a.queues),
        shared=shared,
        mem_a_words=a.end,
    )


class Regions:
    """Hands out MEM A's words, and address registers for what waits in several stretches."""

    def __init__(self, end: int) -> None:
        self.end = end
        self.registers: dict[tuple[Held, int], int] = {}
        self.queues: list[Queue] = []

    def take(self, words: int) -> int:
        """The first of so many words."""
        self.end += words
        return self.end - words

    def hold(self, what: Held, index: int, words: int, ticks: int) -> int:
        """The same for words that wait for some ticks."""
        return self.take(self.wait(what, index, words, ticks + 1) if ticks else words)

    def wait(self, what: Held, index: int, words: int, slots: int) -> int:
        """The words of so many stretches, which an address register steps through; equal ones have the same."""
        queue = Queue(words=words, slots=slots)
        if queue not in self.queues:
            self.queues.append(queue)
        self.registers[what, index] = self.queues.index(queue) + 1
        return words * slots


def _inputs(
    a: Regions, layers: tuple[LayerLayout, ...], batch: int, delay: tuple[int, ...], wanted: list[int], end: int
) -> tuple[list[int], bool]:
    """Where the gathered inputs of layers 1 .. L - 1 lie, in MEM A's words before `end`; whether they share one room.

    Those of layer L - 1 wait for its update, if it is in a later tick: they have a room of their own. wanted[l]: the
    end of what is wanted yet when the layers after l have been updated, if nothing waits for a later tick.
    """
    rooms, alive = [layer.rooms * batch for layer in layers[:-1]], len(layers) - 1
    waiting = [a.hold("inputs", alive, rooms.pop(), delay[alive])] if delay[alive] else []
    sides = [max(rooms[::-2], default=0), max(rooms[-2::-2], default=0)]  # layers take turns
    if a.end + sum(sides) > end:
        first = [a.end if delay[1] else word for word in wanted[1:alive]] + [a.end] * (not waiting)
        a.end = max(word + words for word, words in zip(first, rooms, strict=True)) if rooms else a.end
        return [*first, *waiting], True
    first, second = a.take(max(sides)), a.take(min(sides))
    if sides[1] > sides[0]:
        first, second = second, first
    return [*((first, second) * alive)[: len(rooms)][::-1], *waiting], False


def _fixed_words(layers: tuple[LayerLayout, ...], rule: str) -> list[int]:
    """Of B_l, from 0 on."""
    if rule == "fa":
        return [0, 0, *(layer.rooms * layer.padded for layer in layers[1:])]
    if rule == "dfa":
        return [0, *(layer.own * layers[-1].padded for layer in layers[:-1]), 0]
    return [0] * (len(layers) + 1)


def _layers(network: Network, draft: Layout) -> tuple[LayerLayout, ...]:
    m = draft.machine
    layers: list[LayerLayout] = []
    address = 0
    for layer in network.layers:
        last = layer.index == network.depth
        panel = layer.outputs if last else -(-layer.outputs // m.cores)
        padded = up(panel, draft.unit)
        beats = padded // m.pe_rows
        if layer.index == 1:
            positions = -(-layer.inputs // m.pes_per_core)
        elif last:
            positions = layers[-1].own
        else:
            positions = -(-m.cores * layers[-1].beats // m.pe_cols)
        rooms = positions if last else up(positions, max(draft.outputs_a_block, draft.width // draft.update_outputs))
        layers.append(
            LayerLayout(
                inputs=layer.inputs,
                outputs=layer.outputs,
                panel=panel,
                padded=padded,
                beats=beats,
                own=-(-beats // m.pe_cols),
                positions=positions,
                rooms=rooms,
                address=address,
            )
        )
        address += rooms * padded
    return tuple(layers)
