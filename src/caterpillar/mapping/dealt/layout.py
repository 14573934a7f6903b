"""Where everything lies when layers are cut over the cores by outputs and by inputs in turn.

On C cores of R x Q PEs, N = R Q lanes, the values of every second layer are **owned**: core k has those numbered
k q .. k q + q - 1, q = ceil(n / C), number k q + j in lane j mod N. Odd layers of weights are cut by their outputs,
even ones by their inputs, so an owner's weights are those of what it owns. The values on the other side (the network's
inputs, the activations of even layers, and their errors) are **dealt**: number i is in lane i mod N at position
i div N, and positions are not rounded up to cores.

Some positions (a tile) of a sub-batch are a **hand** of so many units a core: unit k samples + s is that of position k
and sample s of the tile, in core unit mod C. All cores get the units of a hand round the ring, or their sums over the
cores. A core's weights lie in **blocks**: some of its own outputs (inputs), of N that have a word each, in MEM A or the
core SRAM.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from caterpillar.machine import WORD_BYTES, Machine
from caterpillar.mapping.batches.layout import Layout as LastLayout
from caterpillar.mapping.schedule import Places
from caterpillar.mapping.tiled.layout import WINDOW, Block, last_layout, last_padded
from caterpillar.network import Network

MOST_POSITIONS = 4  # of a tile


@dataclass(frozen=True, slots=True, kw_only=True)
class DealtLayer:
    """A hidden layer's share of a core: `own` outputs (by_outputs) or inputs; positions: of what is dealt.

    places: words a lane of the own outputs or inputs of one sample. at_once: positions of a tile.
    """

    inputs: int
    outputs: int
    by_outputs: bool
    own: int
    places: int
    positions: int
    at_once: int
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Hidden layers; the last one as `batches` has it; first words of regions of MEM A.

    samples: of a sub-batch. units: of a hand in a core. values[l]: activations of hidden layer l, then its errors;
    owned: a word for each place and sample; dealt: tile after tile, sub-batch after sub-batch. The network's inputs are
    dealt to the core SRAMs, from beat 0 on. scratch: where errors may wait. window: where weights from the core SRAM
    are used.
    """

    machine: Machine
    batch: int
    samples: int
    units: int
    layers: tuple[DealtLayer, ...]
    last: LastLayout
    values: tuple[int, ...]
    scratch: int
    scratch_words: int
    window: int
    window_words: int
    mem_a_words: int
    mem_b_words: int
    sram_words: int

    @property
    def lanes(self) -> int:
        """PEs of a core."""
        return self.machine.pes_per_core

    def past(self, index: int, ticks: int) -> dict[str, int]:  # noqa: ARG002
        """Nothing here waits for ticks."""
        return {}

    @property
    def parts(self) -> int:
        """Sub-batches."""
        return self.batch // self.samples

    @property
    def hand(self) -> int:
        """Units of a hand, those that are padding included."""
        return self.units * self.machine.cores

    @property
    def streamed_weights(self) -> int:
        """Weights of the network that lie in core SRAM."""
        total, core = 0, np.arange(self.machine.cores).reshape(-1, 1)
        for layer in self.layers:
            mine = [j for one in layer.blocks if one.streamed for j in range(one.first, one.first + one.count)]
            owned, other = (layer.outputs, layer.inputs) if layer.by_outputs else (layer.inputs, layer.outputs)
            total += other * int((core * layer.own + np.array(mine, np.int64) < owned).sum())
        return total

    def weight_places(self, index: int) -> Places:
        """The words of W_index: (cores, lanes, positions, own)."""
        m = self.machine
        core = np.arange(m.cores).reshape(-1, 1, 1, 1)
        lane = np.arange(self.lanes).reshape(-1, 1, 1)
        if index > len(self.layers):
            return self._last_places(core, lane)
        layer = self.layers[index - 1]
        n, j = np.arange(layer.positions).reshape(-1, 1), np.arange(layer.own)
        dealt, owned = n * self.lanes + lane + 0 * core, j + core * layer.own
        row, column = (dealt, owned) if layer.by_outputs else (owned, dealt)
        row, column = np.where(row < layer.inputs, row, -1), np.where(column < layer.outputs, column, -1)
        word, streamed = np.zeros((layer.positions, layer.own), np.int64), np.zeros(layer.own, np.bool_)
        for block in layer.blocks:
            mine = slice(block.first, block.first + block.count)
            word[:, mine] = block.address + n * block.count + np.arange(block.count)
            streamed[mine] = block.streamed
        at = np.where(streamed, word * m.pe_cols + lane // m.pe_rows, word)
        return Places(core, lane, at, row, column, np.broadcast_to(streamed, at.shape))

    def _last_places(self, core: np.ndarray, lane: np.ndarray) -> Places:
        layer, own = self.last.layers[-1], self.layers[-1].own
        i, j = np.arange(layer.positions).reshape(-1, 1), np.arange(layer.panel)
        within = i * self.lanes + lane
        row = np.where((within < own) & (core * own + within < layer.inputs), core * own + within, -1)
        return Places(core, lane, layer.address + i * layer.padded + j, row, j + 0 * core)

    def feedback_places(self, index: int) -> Places:
        """No rule placed here has feedback."""
        raise NotImplementedError

    def input_beats(self, sample: int) -> tuple[np.ndarray, np.ndarray]:
        """The core, and the beat of its SRAM, of each beat of a sample's inputs."""
        m, layer = self.machine, self.layers[0]
        part, within = divmod(sample, self.samples)
        position, column = np.divmod(np.arange(layer.positions * m.pe_cols), m.pe_cols)
        tile, k = np.divmod(position, layer.at_once)
        number, core = np.divmod(k * self.samples + within, m.cores)
        return core, ((tile * self.parts + part) * self.units + number) * m.pe_cols + column


def hands(machine: Machine, batch: int) -> Iterator[tuple[int, int]]:
    """(samples of a sub-batch, positions of a tile), those first whose units fill the cores best."""
    found = [(s, p) for s in range(1, batch + 1) if batch % s == 0 for p in range(1, MOST_POSITIONS + 1)]
    padding = {one: -(-one[0] * one[1] // machine.cores) * machine.cores / (one[0] * one[1]) for one in found}
    return iter(sorted(found, key=lambda one: (padding[one], -one[0] * one[1])))


def make_layout(network: Network, machine: Machine, batch: int, samples: int, at_once: int, waiting: int) -> Layout:
    """The placement of a network with an odd number of hidden layers; it may exceed the memories.

    waiting: tiles whose errors wait in the scratch. MEM B's use is left at 0 words.
    """
    lanes, cores, hidden = machine.pes_per_core, machine.cores, network.layers[:-1]
    units, parts = -(-samples * at_once // cores), batch // samples
    address = 0

    def take(words: int) -> int:
        nonlocal address
        address += words
        return address - words

    sizes, layers = [0], list[DealtLayer]()
    for number, layer in enumerate(hidden):
        by_outputs = number % 2 == 0
        owned, dealt = (layer.outputs, layer.inputs) if by_outputs else (layer.inputs, layer.outputs)
        own, positions = -(-owned // cores), -(-dealt // lanes)
        places, hand = -(-own // lanes), -(-positions // at_once) * parts * units
        sizes.append(places * batch if by_outputs else hand)
        inputs, outputs = layer.inputs, layer.outputs
        one = DealtLayer(
            inputs=inputs,
            outputs=outputs,
            by_outputs=by_outputs,
            own=own,
            places=places,
            positions=positions,
            at_once=at_once,
            blocks=(),
        )
        layers.append(one)
    words = layers[-1].places * last_padded(network, machine)
    weights, values, scratch = take(words), tuple(take(words) for words in sizes), take(words)
    # the last layer's gradient is in the scratch: its use is over when errors wait
    spots = iter((weights, scratch))
    last = last_layout(network, machine, batch, layers[-1].places, lambda _: next(spots), values[-1])
    scratch_words = parts * units * waiting if len(hidden) > 1 else 0
    take(max(0, scratch_words - (address - scratch)))
    window_words = 0
    if address + sum(layer.own * layer.positions for layer in layers) > machine.pe_sram_words:
        most = max(layer.own for layer in layers)
        window_words = max(2 * at_once * min(lanes, most), WINDOW * machine.pe_registers)
    window = take(window_words)
    beyond = -(-layers[0].positions // at_once) * parts * units
    outside = machine.core_sram_bytes // WORD_BYTES // lanes - beyond
    resident = _resident(machine, layers, max(0, machine.pe_sram_words - address), outside)
    placed = list[DealtLayer]()
    for layer, some in zip(layers, resident, strict=True):
        blocks = list[Block]()
        for first, count, streamed in _blocks(layer.own, lanes, some):
            words = layer.positions * count
            blocks.append(
                Block(first=first, count=count, streamed=streamed, address=beyond if streamed else take(words))
            )
            beyond += words * streamed
        placed.append(replace(layer, blocks=tuple(blocks)))
    return Layout(
        machine=machine,
        batch=batch,
        samples=samples,
        units=units,
        layers=tuple(placed),
        last=last,
        values=values,
        scratch=scratch,
        scratch_words=max(scratch_words, window - scratch),
        window=window,
        window_words=window_words,
        mem_a_words=address,
        mem_b_words=0,
        sram_words=beyond,
    )


def _resident(machine: Machine, layers: list[DealtLayer], room: int, outside: int) -> list[int]:
    """Of how many own outputs (inputs) of each layer the weights lie in MEM A: whole beats, as many as fit, or nearly.

    Of choices that fill it about equally, the one that leaves the row buses free where they are wanted most: sums go
    round the ring once a round, however short it is, so the fewer own values, the more they have beside them.
    outside: words a lane that the core SRAMs have for the others.
    """
    reached: dict[int, tuple[float, tuple[int, ...]]] = {0: (0, ())}
    for number, layer in enumerate(layers):
        further: dict[int, tuple[float, tuple[int, ...]]] = {}
        for filled, (busy, chosen) in reached.items():
            for some in (*range(0, layer.own, machine.pe_rows), layer.own):
                words = some * layer.positions
                if filled + words > room:
                    continue
                # layer 1's errors are not wanted: no sums of it go round
                more = busy + (layer.own * layer.positions - words) / layer.own if number else busy
                if filled + words not in further or more < further[filled + words][0]:
                    further[filled + words] = more, (*chosen, some)
        reached = further
    fullest, total = max(reached), sum(layer.own * layer.positions for layer in layers)
    nearly = fullest - machine.pe_rows if fullest < total else fullest  # where all fit there is no window for others
    least = min(fullest, max(nearly, total - outside))
    return list(min(found for filled, found in reached.items() if filled >= least)[1])


def _blocks(own: int, lanes: int, resident: int) -> Iterator[tuple[int, int, bool]]:
    """(first, how many, whether streamed): the resident ones first, cut at multiples of `lanes`."""
    edges = sorted({*range(0, own, lanes), resident, own})
    for first, end in pairwise(edges):
        if end > first:
            yield first, end - first, first >= resident
