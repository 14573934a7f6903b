"""Where everything lies: which weights, activations and errors each PE holds, and at which address.

Placement of `best` for gradient descent of one sample. On C cores, core k owns the outputs k q .. k q + q - 1 of every
layer but the last, q = ceil(n / C): its panel, split between the lanes as split.py says. Inputs come in positions, one
word a lane of a group: for the first layer in order; for the others core k starts with those of its own panel and goes
on to those of cores k + 1, k + 2, ..., wrapping round. The last layer is cut along its inputs: a core works with the
activations that it made itself, each in the lanes that keep it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from caterpillar.checks import CaterpillarError
from caterpillar.mapping.schedule import Places
from caterpillar.mapping.split import Matrix, permuted

Source = tuple[int, int]  # of a beat: the word of MEM B, and the column that drives


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerLayout:
    """One layer's share of a core.

    panel: outputs a core owns (for the last layer: all of them). lanes, groups, padded: as in split.py; the last layer
    has one group. owners: lanes of a group that keep different outputs; the others keep copies. own: words a lane
    keeps. order: bits of the lane, as its sums are added. beats: of the panel's outputs. chunk: positions of one core's
    inputs. positions: of all inputs.
    """

    inputs: int
    outputs: int
    panel: int
    lanes: int
    groups: int
    padded: int
    owners: int
    own: int
    order: tuple[int, ...]
    beats: int
    chunk: int
    positions: int
    weights: Matrix

    def sum_of(self, lane: int) -> int:
        """The number of a lane's partial sum, of 2 ** len(order)."""
        return permuted(lane, self.order)

    def panel_output(self, lane: np.ndarray, word: np.ndarray) -> np.ndarray:
        """Which of the panel's outputs a lane keeps in a word; -1: none."""
        within = word * self.owners + lane % self.lanes % self.owners
        output = lane // self.lanes * self.padded + within
        return np.where((within < self.padded) & (output < self.panel), output, -1)

    def source(self, beat: int, rows: int) -> Source | None:
        """Where a beat of the panel's outputs comes from, as the reduction leaves them; None: padding."""
        if beat >= self.beats:
            return None
        group, within = divmod(beat * rows, self.padded)
        word, lane = divmod(within, self.owners)
        return word, (group * self.lanes + lane) // rows

    def input_source(self, beat: int, rows: int) -> Source:
        """Where a beat of the layer's inputs from one core lies, by positions."""
        return divmod(beat, self.lanes // rows)


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """The layers, and MEM B's regions by first word.

    new_input, old_input: the sample that goes forward, and the one before, scaled by the learning rate.
    gathered[l]: inputs of layer l = 2..L-1 (later scaled in place). own[l]: the core's outputs of layer l.
    gates[l]: the same as the inputs of layer l + 1 lie, unscaled. scaled_own: own[L-1] scaled. own_error: errors of the
    core's own outputs. sums[l]: partial sums. first_error: errors of layer 1's panel. scratch: shared by what lives
    shortly: gathered partial logits; errors of the other layers. feedback[l]: B_l, laid out as W_l (fa), or
    a row of B_l for each own output (dfa). direct_error: dfa's errors of a hidden layer's panel, in every lane.
    """

    cores: int
    layers: tuple[LayerLayout, ...]
    new_input: int
    old_input: int
    gathered: tuple[int, ...]
    own: tuple[int, ...]
    gates: tuple[int, ...]
    scaled_own: int
    own_error: int
    sums: tuple[int, ...]
    first_error: int
    scratch: int
    feedback: tuple[Matrix | None, ...]
    direct_error: int
    direct: bool
    mem_a_words: int
    mem_b_words: int

    @property
    def lanes(self) -> int:
        """PEs of a core."""
        return self.layers[0].lanes * self.layers[0].groups

    def weight_places(self, index: int) -> Places:
        """MEM A's words of W_index, (inputs, outputs); the last layer's lie in all lanes that keep the same inputs."""
        return self._places(index, self.layers[index - 1].weights)

    def feedback_places(self, index: int) -> Places:
        """MEM A's words of B_index: for fa shaped like W_index, for dfa (outputs, outputs of the network)."""
        matrix = self.fixed(index)
        return self._direct_places(index, matrix) if self.direct else self._places(index, matrix)

    def fixed(self, index: int) -> Matrix:
        """B_index. Raises CaterpillarError for a rule that has none: a defect, never of the user's input."""
        matrix = self.feedback[index]
        if matrix is None:
            raise CaterpillarError(f"this rule has no fixed matrix of layer {index}")
        return matrix

    def _places(self, index: int, matrix: Matrix) -> Places:
        """Arrays that broadcast to (cores, positions, panel, lanes)."""
        layer = self.layers[index - 1]
        core = np.arange(self.cores)[:, None, None, None]
        position, lane = np.arange(layer.positions)[:, None, None], np.arange(self.lanes)
        within = np.arange(layer.padded)[:, None]
        inputs = self.inputs_at(index, core, position, lane)
        if index == len(self.layers):
            outputs = np.where(within < layer.panel, within, -1)
        else:
            mine = lane // layer.lanes * layer.padded + within
            outputs = np.where(mine < layer.panel, core * layer.panel + mine, -1)
        return Places(
            core=core,
            lane=lane,
            word=matrix.at(position, within),
            row=np.where(inputs < layer.inputs, inputs, -1),
            column=np.where(outputs < layer.outputs, outputs, -1),
        )

    def inputs_at(self, index: int, core: np.ndarray, position: np.ndarray, lane: np.ndarray) -> np.ndarray:
        """Which input of layer index a lane works with; the number of inputs or more: none."""
        layer = self.layers[index - 1]
        if index == 1:
            return position * layer.lanes + lane % layer.lanes
        before = self.layers[index - 2]
        if index == len(self.layers):
            chunk, within = core, before.panel_output(lane, position)
        else:
            chunk = (core + position // layer.chunk) % self.cores
            within = position % layer.chunk * layer.lanes + lane % layer.lanes
        return np.where((within >= 0) & (within < before.panel), chunk * before.panel + within, layer.inputs)

    def _direct_places(self, index: int, matrix: Matrix) -> Places:
        """A row for each own output: (cores, own words, outputs, lanes)."""
        layer, outputs = self.layers[index - 1], self.layers[-1].outputs
        core = np.arange(self.cores)[:, None, None, None]
        word, column, lane = np.arange(layer.own)[:, None, None], np.arange(outputs)[:, None], np.arange(self.lanes)
        within = layer.panel_output(lane, word)
        rows = np.where(within >= 0, core * layer.panel + within, -1)
        rows = np.where(rows < layer.outputs, rows, -1)
        return Places(core=core, lane=lane, word=matrix.at(word, column), row=rows, column=column)
