"""Where everything lies: which weights, activations and errors each PE holds, and at which address.

Placement of `best` for gradient descent. On C cores of P PEs, core k owns the outputs k q .. k q + q - 1 of every
layer but the last, q = ceil(n / C): its panel. Inside the core, lane p owns the inputs that are p modulo P, for all the
panel's outputs. Inputs come in blocks of P, one word a lane, at a position each: for the first layer in order; for the
others core k starts with the blocks of its own panel and goes on to those of cores k + 1, k + 2, ..., wrapping round.
The last layer is cut along its inputs: a core works with the activations that it made itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from caterpillar.machine import Machine
from caterpillar.mapping.isa import accumulators, power_of_two_at_least
from caterpillar.mapping.schedule import Places
from caterpillar.network import Network


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerLayout:
    """One layer's share of a core.

    panel: outputs a core owns (for the last layer: all of them); padded: the same, rounded up to what loops need.
    blocks: words a lane owns of the panel's outputs. positions: input blocks, one word a lane each. address: first
    word in MEM A; the weight of position s and output j is at address + s padded + j.
    """

    inputs: int
    outputs: int
    panel: int
    padded: int
    blocks: int
    positions: int
    address: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """The layers, and MEM B's regions by first word.

    new_input, old_input: the sample that goes forward, and the one before, scaled by the learning rate.
    gathered[l]: inputs of layer l = 2..L-1 (later scaled in place). own[l]: the core's outputs of layer l, a word a
    block. scaled_own: own[L-1] scaled. first_error: errors of layer 1's panel. own_error: this lane's errors.
    feedback[l]: first word in MEM A of B_l, laid out as W_l (fa), or a row of B_l for each own output (dfa).
    direct_error: dfa's errors of a hidden layer's panel, in every lane.
    scratch: shared by what lives shortly: partial sums; gathered partial logits; errors being spread.
    """

    cores: int
    lanes: int
    layers: tuple[LayerLayout, ...]
    new_input: int
    old_input: int
    gathered: tuple[int, ...]
    own: tuple[int, ...]
    scaled_own: int
    first_error: int
    own_error: int
    scratch: int
    feedback: tuple[int, ...]
    direct_error: int
    direct: bool
    mem_a_words: int
    mem_b_words: int

    def weight_places(self, index: int) -> Places:
        """MEM A's words of W_index, (inputs, outputs)."""
        return self._places(index, self.layers[index - 1].address)

    def feedback_places(self, index: int) -> Places:
        """MEM A's words of B_index: for fa shaped like W_index, for dfa (outputs, outputs of the network)."""
        return self._direct_places(index) if self.direct else self._places(index, self.feedback[index])

    def _places(self, index: int, address: int) -> Places:
        """Arrays that broadcast to (cores, positions, panel, lanes)."""
        layer, last = self.layers[index - 1], index == len(self.layers)
        core = np.arange(self.cores)[:, None, None, None]
        position, lane = np.arange(layer.positions)[:, None, None], np.arange(self.lanes)
        if index == 1:
            inputs = position * self.lanes + lane
        else:
            before = self.layers[index - 2]
            chunk = core if last else (core + position // before.blocks) % self.cores
            within = position % before.blocks * self.lanes + lane
            inputs = np.where(within < before.panel, chunk * before.panel + within, layer.inputs)
        output = np.arange(layer.panel)[:, None]
        outputs = output + core * (0 if last else layer.panel)
        return Places(
            core=core,
            lane=lane,
            word=address + position * layer.padded + output,
            row=np.where(inputs < layer.inputs, inputs, -1),
            column=np.where(outputs < layer.outputs, outputs, -1),
        )

    def _direct_places(self, index: int) -> Places:
        """A row for each own output: (cores, blocks, outputs, lanes)."""
        layer, outputs = self.layers[index - 1], self.layers[-1].outputs
        core = np.arange(self.cores)[:, None, None, None]
        block, column, lane = np.arange(layer.blocks)[:, None, None], np.arange(outputs)[:, None], np.arange(self.lanes)
        within = block * self.lanes + lane
        rows = core * layer.panel + within
        rows = np.where((within < layer.panel) & (rows < layer.outputs), rows, -1)
        word = self.feedback[index] + block * outputs + column
        return Places(core=core, lane=lane, word=word, row=rows, column=column)


def loop_unit(machine: Machine) -> int:
    """Panels are padded to multiples of this: the accumulators that loops interleave."""
    return max(2, accumulators(machine))


def back_unit(machine: Machine) -> int:
    """Sums interleaved where a weight takes two cycles."""
    return power_of_two_at_least(-(-machine.fma_latency // 2))


def _up(n: int, unit: int) -> int:
    return -(-n // unit) * unit


def make_layout(network: Network, machine: Machine, rule: str = "sgd") -> Layout:
    """The placement of a network of at least two layers for sgd, fa or dfa; it may exceed the memories."""
    cores, lanes, depth = machine.cores, machine.pes_per_core, network.depth
    layers: list[LayerLayout] = []
    address, blocks_before = 0, 0
    for layer in network.layers:
        last = layer.index == depth
        panel = layer.outputs if last else -(-layer.outputs // cores)
        padded = _up(panel, loop_unit(machine))
        blocks = -(-padded // lanes)
        positions = -(-layer.inputs // lanes) if layer.index == 1 else blocks_before * (1 if last else cores)
        layers.append(
            LayerLayout(
                inputs=layer.inputs,
                outputs=layer.outputs,
                panel=panel,
                padded=padded,
                blocks=blocks,
                positions=positions,
                address=address,
            )
        )
        address += matrix_words(layers[-1], back_unit(machine), last=last)
        blocks_before = blocks
    feedback: list[int] = [0]
    for layer in layers:
        feedback.append(address)
        last = layer is layers[-1]
        if rule == "fa" and layer is not layers[0]:
            address += matrix_words(layer, accumulators(machine), last=last)
        if rule == "dfa" and not last:
            address += layer.blocks * network.outputs
    return _with_mem_b(tuple(layers), machine, address, tuple(feedback), direct=rule == "dfa")


def matrix_words(layer: LayerLayout, group: int, *, last: bool) -> int:
    """Words of MEM A that a matrix shaped like W_l takes, worked off in groups of positions."""
    return (layer.positions if last else _up(layer.positions, group)) * layer.padded


def _with_mem_b(
    layers: tuple[LayerLayout, ...], machine: Machine, mem_a_words: int, feedback: tuple[int, ...], *, direct: bool
) -> Layout:
    word = 0

    def take(words: int) -> int:
        nonlocal word
        word += words
        return word - words

    cores, lanes = machine.cores, machine.pes_per_core
    old_input, new_input = take(layers[0].positions), take(layers[0].positions)
    gathered = (0, 0, *(take(_up(layer.positions, back_unit(machine))) for layer in layers[1:-1]))
    own = (0, *(take(layer.blocks) for layer in layers[:-1]))
    scaled_own = take(layers[-2].blocks)
    first_error = take(layers[0].blocks * lanes)
    own_error = take(max(layer.blocks for layer in layers))
    errors = max(layer.blocks * lanes for layer in layers)
    logits = layers[-1].blocks * (cores + 1)
    scratch = take(max(errors, logits))
    direct_error = take(errors if direct else 0)
    return Layout(
        cores=cores,
        lanes=lanes,
        layers=layers,
        new_input=new_input,
        old_input=old_input,
        gathered=gathered,
        own=own,
        scaled_own=scaled_own,
        first_error=first_error,
        own_error=own_error,
        scratch=scratch,
        feedback=feedback,
        direct_error=direct_error,
        direct=direct,
        mem_a_words=mem_a_words,
        mem_b_words=word,
    )
