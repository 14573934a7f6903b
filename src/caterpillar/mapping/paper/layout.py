"""Where the paper's mapping puts things: weights, activations and errors of each PE, and their addresses.

On C square cores of N x N PEs. Core k owns the outputs k p .. k p + p - 1 of every layer, its panel; p is a multiple
of N. Inside a core both directions are dealt out: PE (r, c) holds the weights from inputs that are r modulo N to the
panel's outputs that are c modulo N. A *position* is a beat of inputs, one for each row. Positions of the first layer
are in order; those of the others come in chunks, one a core: core k begins with the outputs that it made itself and
goes on to those of cores k + 1, k + 2, ..., wrapping round, as they come over the ring. A beat is kept by one column,
position o of a chunk by column o mod N, and broadcast on the row buses when it is used.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from caterpillar.machine import Machine
from caterpillar.mapping.isa import accumulators, power_of_two_at_least
from caterpillar.mapping.schedule import Places
from caterpillar.network import Network


@dataclass(frozen=True, slots=True, kw_only=True)
class PaperLayer:
    """One layer's share of a core.

    panel: outputs a core owns. sums: those of a PE. ways: partial sums that a PE keeps of each, to issue every cycle
    where it has fewer outputs than the FMA has stages. beats: positions of a chunk that hold inputs; chunk: the same,
    padded to what loops need. address: first word in MEM A; the weight of position s and own output o is at
    address + s sums + o.
    """

    inputs: int
    outputs: int
    panel: int
    sums: int
    ways: int
    chunks: int
    beats: int
    chunk: int
    address: int

    @property
    def positions(self) -> int:
        """Positions that a PE works off."""
        return self.chunks * self.chunk


@dataclass(frozen=True, slots=True, kw_only=True)
class PaperLayout:
    """The layers, and MEM B's regions by first word.

    gathered[l - 1]: inputs of layer l = 2..L: a word for each N positions of a chunk; scaled in place later.
    own[l - 1]: the core's own of them, unscaled. errors: errors of the panel's outputs, in every PE of their column.
    sums: partial sums of outputs, later logits, output errors, or partial sums of errors. reduced: words of finished
    sums, for two steps of the ring.

    sram_beats: beats of core SRAM in use; of a single sample, those of its inputs.
    """

    cores: int
    rows: int
    layers: tuple[PaperLayer, ...]
    gathered: tuple[int, ...]
    own: tuple[int, ...]
    errors: int
    sums: int
    reduced: int
    sram_beats: int
    mem_a_words: int
    mem_b_words: int

    def words(self, beats: int) -> int:
        """Words of MEM B that hold beats, one a column."""
        return -(-beats // self.rows)

    def weight_places(self, index: int) -> Places:
        """MEM A's words of W_index: arrays that broadcast to (cores, positions, sums, rows, columns)."""
        return places_of(self.layers[index - 1], self.cores, self.rows)

    def feedback_places(self, index: int) -> Places:
        """No rule of this mapping has fixed matrices."""
        raise NotImplementedError(index)


def places_of(layer: PaperLayer, cores: int, rows: int) -> Places:
    """MEM A's words of a layer's matrix: arrays that broadcast to (cores, positions, sums, rows, columns)."""
    core = np.arange(cores)[:, None, None, None, None]
    position, own = np.arange(layer.positions)[:, None, None, None], np.arange(layer.sums)[:, None, None]
    row, column = np.arange(rows)[:, None], np.arange(rows)
    chunk, within = (core + position // layer.chunk) % layer.chunks, position % layer.chunk
    inputs = np.where(within < layer.beats, (chunk * layer.beats + within) * rows + row, layer.inputs)
    outputs = np.where(own * rows + column < layer.panel, core * layer.panel + own * rows + column, layer.outputs)
    return Places(
        core=core,
        lane=column * rows + row,
        word=layer.address + position * layer.sums + own,
        row=np.where(inputs < layer.inputs, inputs, -1),
        column=np.where(outputs < layer.outputs, outputs, -1),
    )


def up(n: int, unit: int) -> int:
    """n, rounded up to a multiple of unit."""
    return -(-n // unit) * unit


def make_layout(network: Network, machine: Machine, width: int) -> PaperLayout:
    """The placement of a network of at least two layers; it may exceed the memories.

    width: positions that a backward pass interleaves.
    """
    rows, cores = machine.pe_rows, machine.cores
    layers: list[PaperLayer] = []
    address = 0
    for layer in network.layers:
        panel = up(-(-layer.outputs // cores), rows)
        sums = panel // rows
        ways = power_of_two_at_least(-(-machine.fma_latency // sums))
        beats, unit = -(-layer.inputs // rows), ways
        if layers:
            beats, unit = layers[-1].sums, max(ways, width)
        layers.append(
            PaperLayer(
                inputs=layer.inputs,
                outputs=layer.outputs,
                panel=panel,
                sums=sums,
                ways=ways,
                chunks=cores if layers else 1,
                beats=beats,
                chunk=up(beats, unit),
                address=address,
            )
        )
        address += layers[-1].positions * sums
    return _with_memories(tuple(layers), machine, address)


def _with_memories(layers: tuple[PaperLayer, ...], machine: Machine, mem_a_words: int) -> PaperLayout:
    word, rows, cores = 0, machine.pe_rows, machine.cores

    def take(words: int) -> int:
        nonlocal word
        word += words
        return word - words

    def groups(beats: int) -> int:
        return -(-beats // rows)

    gathered = (0, *(take(cores * groups(layer.chunk)) for layer in layers[1:]))
    own = (0, *(take(groups(layer.chunk)) for layer in layers[1:]))
    last = layers[-1]
    errors = take(max(layer.sums for layer in layers))
    partial = max(up(layer.sums, rows) for layer in layers)
    logits = cores * groups(last.sums) + cores * last.sums
    back = max(layer.positions + max(0, up(layer.beats, rows) - layer.chunk) for layer in layers[1:])
    sums = take(max(partial, logits, back))
    reduced = take(2 * max(groups(layer.sums) for layer in layers))
    return PaperLayout(
        cores=cores,
        rows=rows,
        layers=layers,
        gathered=gathered,
        own=own,
        errors=errors,
        sums=sums,
        reduced=reduced,
        mem_a_words=mem_a_words,
        mem_b_words=word,
        sram_beats=layers[0].positions,
    )


def output_blocks(layer: PaperLayer, machine: Machine) -> list[tuple[int, int]]:
    """(first, count) of the outputs whose sums a PE interleaves at a time: at least as many as the FMA has stages."""
    number = max(1, layer.sums // machine.fma_latency)
    bounds = [layer.sums * i // number for i in range(number + 1)]
    return [(low, high - low) for low, high in pairwise(bounds)]


def sum_registers(layers: tuple[PaperLayer, ...], machine: Machine) -> int:
    """Registers that hold sums which find no accumulator."""
    most = max(count * layer.ways for layer in layers for _, count in output_blocks(layer, machine))
    return max(0, most - accumulators(machine))
