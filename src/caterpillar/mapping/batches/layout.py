"""Where everything lies for a mini-batch: which weights, activations and errors each PE holds, and at which address.

On C cores of R x Q PEs, core k owns the outputs k q .. k q + q - 1 of every hidden layer, q = ceil(n / C): its panel. R
of them, one a row, are a **beat**; the panel has B beats. A lane keeps all the panel's outputs for its share of the
inputs: input beats come in the order of the ring, the core's own first, then those of cores k + 1, k + 2, ..., and beat
number n belongs to the PEs of column n mod Q, at **position** n div Q. So no position is padded but the last. Layer 1's
inputs come in beats too, in order. The last layer is cut along its inputs: a core works with those it made.

Samples are worked off in pairs: a weight is read once for two.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from caterpillar.machine import Machine
from caterpillar.mapping.isa import accumulators
from caterpillar.mapping.schedule import Places
from caterpillar.network import Network

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
    inputs of layer l < L, alike: two layers' at most are alive, so layers take turns with two rooms, or with one if
    two do not fit (shared): then a layer's inputs come when the layer after it has been updated. gradient: of the last
    layer.
    """

    machine: Machine
    batch: int
    layers: tuple[LayerLayout, ...]
    activations: tuple[int, ...]
    errors: tuple[int, ...]
    inputs: tuple[int, ...]
    gradient: int
    shared: bool
    mem_a_words: int
    mem_b_words: int

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
        """No rule placed here has feedback."""
        raise NotImplementedError


def up(n: int, unit: int) -> int:
    """n rounded up to a multiple of unit."""
    return -(-n // unit) * unit


def make_layout(network: Network, machine: Machine, batch: int) -> Layout:
    """The placement of a network of at least two layers; it may exceed MEM A. MEM B's use is left at 0 words."""
    draft = Layout(
        machine=machine,
        batch=batch,
        layers=(),
        activations=(),
        errors=(),
        inputs=(),
        gradient=0,
        shared=False,
        mem_a_words=0,
        mem_b_words=0,
    )
    layers = _layers(network, draft)
    depth, address = len(layers), layers[-1].address + layers[-1].positions * layers[-1].padded

    def take(words: int) -> int:
        nonlocal address
        address += words
        return address - words

    activations = (0, *(take(layer.own * batch) for layer in layers[:-1]))
    errors = (0, *(take(layer.own * batch) for layer in layers[:-1]))
    rooms = [0, 0]
    for index in range(depth - 1, 0, -1):
        side = (depth - 1 - index) % 2
        rooms[side] = max(rooms[side], layers[index - 1].rooms * batch)
    rest = layers[-1].positions * layers[-1].padded
    shared = address + sum(rooms) + rest > machine.pe_sram_words
    if shared:
        rooms = [max(rooms), 0]
    sides = [take(words) for words in rooms]
    if shared:
        sides[1] = sides[0]
    inputs = (0, *(sides[(depth - 1 - index) % 2] for index in range(1, depth)))
    gradient = take(rest)
    return Layout(
        machine=machine,
        batch=batch,
        layers=layers,
        activations=activations,
        errors=errors,
        inputs=inputs,
        gradient=gradient,
        shared=shared,
        mem_a_words=address,
        mem_b_words=0,
    )


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
