"""Where everything lies for a mini-batch whose weights do not fit MEM A: in MEM A and in the core SRAMs.

On C cores of R x Q PEs, core k owns the outputs k q .. k q + q - 1 of every hidden layer, q = ceil(n / C): its panel.
Output j of a panel belongs to lane j mod (R Q), at own position j div (R Q). A lane keeps all the panel's outputs for
its share of the inputs: **position** i C + d is own position i of core k + d. Layer 1's inputs are dealt to the lanes
in order. A panel's outputs are cut into **blocks** of R Q, and each block lies as a whole in MEM A or in the core SRAM,
position after position. The last layer is cut along its inputs and lies in MEM A.

Layer 1's inputs are dealt to the cores: a **unit** is a word a lane of one position and sample. Sub-batches are worked
off in turn; of a tile of their positions, unit number f = position x samples + sample lies in core f mod C. Every core
sends as many units round the ring. Where a tile has fewer units than there are cores, the next tiles' lie in the others
at the same beats, and all of them go round for each of these tiles.

No activation is copied to all cores but for the moment in which it is used, and errors take the place of activations.
In direct feedback alignment the output errors are kept, so that a layer's errors can be made when its activations are
not wanted any more; row j of B_l lies in the lane that own output j belongs to.

In continuous propagation layer l is updated with the batch of delay[l] = 2 (L - l) ticks before, as in `batches`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from math import gcd

import numpy as np

from caterpillar.machine import Machine
from caterpillar.mapping.batches.layout import Held, Regions, up
from caterpillar.mapping.batches.layout import LayerLayout as LastLayer
from caterpillar.mapping.batches.layout import Layout as LastLayout
from caterpillar.mapping.isa import FIFO_BEATS, Queue, accumulators
from caterpillar.mapping.schedule import Places
from caterpillar.network import Network

MOST_POSITIONS = 4  # whose products are added up at once, forward

TILES = 5  # rooms for backward's weights: a tile comes while the two before are used, and leaves while the next two are
WINDOW = 2 * TILES - 1  # with those for tiles that are left over


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """Outputs first .. first + count - 1 of a panel; the weight of position n and output first + j is word
    address + n count + j of a lane, in MEM A or of the core SRAM."""

    first: int
    count: int
    streamed: bool
    address: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TiledLayer:
    """A hidden layer's share of a core. own: positions of its own outputs; positions: of its inputs.

    at_once: positions whose products are added up at once, forward; a divisor of the cores, for layers from 2 on.
    """

    inputs: int
    outputs: int
    panel: int
    own: int
    positions: int
    at_once: int
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """The hidden layers; the last one as `batches` has it; first words of regions of MEM A.

    samples: of a sub-batch. own[l]: activations, then errors, of hidden layer l, own positions by samples. window:
    where tiles that come from the core SRAM are used. dealt: units of a sub-batch in a core, rounded up to blocks.
    fixed[l]: B_l, one own position after the other, in direct feedback alignment. delay[l]: ticks from layer l's
    forward to its update. registers[l]: the address register of layer l's own words, of layer 0 that of the inputs; 0:
    they do not wait. sram_words: of the core SRAM, in words a lane, from the inputs on; those of two batches, and of
    all that wait, come first.
    """

    machine: Machine
    batch: int
    samples: int
    layers: tuple[TiledLayer, ...]
    last: LastLayout
    own: tuple[int, ...]
    window: int
    window_words: int
    dealt: int
    fixed: tuple[int, ...]
    delay: tuple[int, ...]
    registers: tuple[int, ...]
    queues: tuple[Queue, ...]
    mem_a_words: int
    mem_b_words: int
    sram_words: int

    @property
    def lanes(self) -> int:
        """PEs of a core."""
        return self.machine.pes_per_core

    @property
    def parts(self) -> int:
        """Sub-batches."""
        return self.batch // self.samples

    @property
    def direct(self) -> bool:
        """Whether the output errors go straight to each hidden layer."""
        return self.last.direct

    def past(self, index: int, ticks: int) -> dict[str, int]:
        """How a memory's address is moved to what the batch of some ticks ago left of layer `index`, 0 the inputs."""
        register = self.registers[index]
        return {"queue": register, "lag": -ticks % self.queues[register - 1].slots} if register else {}

    @property
    def units(self) -> int:
        """Of a tile of layer 1 and a sub-batch."""
        return self.layers[0].at_once * self.samples

    @property
    def slots(self) -> int:
        """Units that come round the ring for a tile of layer 1 and a sub-batch."""
        return max(self.units, self.machine.cores)

    def offset(self, tile: int, distance: int) -> int:
        """What takes a core's number, modulo the cores, to the place in its tile of a unit from a core so far away."""
        return (distance - tile * self.units) % self.machine.cores

    @property
    def streamed_weights(self) -> int:
        """Weights of the network that lie in core SRAM."""
        total, core = 0, np.arange(self.machine.cores).reshape(-1, 1)
        for layer in self.layers:
            outputs = [j for one in layer.blocks if one.streamed for j in range(one.first, one.first + one.count)]
            total += layer.inputs * int((core * layer.panel + np.array(outputs, np.int64) < layer.outputs).sum())
        return total

    def weight_places(self, index: int) -> Places:
        """The words of W_index: (cores, lanes, positions, outputs)."""
        m = self.machine
        core = np.arange(m.cores).reshape(-1, 1, 1, 1)
        lane = np.arange(self.lanes).reshape(-1, 1, 1)
        if index > len(self.layers):
            return self._last_places(core, lane)
        layer = self.layers[index - 1]
        n, j = np.arange(layer.positions).reshape(-1, 1), np.arange(layer.panel)
        if index == 1:
            row = n * self.lanes + lane + 0 * core
        else:
            i, distance = np.divmod(n, m.cores)
            row = _input(core, distance, i * self.lanes + lane, self.layers[index - 2].panel, m.cores)
        row = np.where(row < layer.inputs, row, -1)
        column = j + core * layer.panel
        column = np.where(column < layer.outputs, column, -1)
        word, streamed = np.zeros((layer.positions, layer.panel), np.int64), np.zeros(layer.panel, np.bool_)
        for block in layer.blocks:
            mine = slice(block.first, block.first + block.count)
            word[:, mine] = block.address + n * block.count + np.arange(block.count)
            streamed[mine] = block.streamed
        at = np.where(streamed, word * m.pe_cols + lane // m.pe_rows, word)
        return Places(core, lane, at, row, column, np.broadcast_to(streamed, at.shape))

    def _last_places(self, core: np.ndarray, lane: np.ndarray) -> Places:
        layer, m = self.last.layers[-1], self.machine
        i, j = np.arange(layer.positions).reshape(-1, 1), np.arange(layer.panel)
        row = _input(core, 0, i * self.lanes + lane, self.layers[-1].panel, m.cores)
        row = np.where(row < layer.inputs, row, -1)
        return Places(core, lane, layer.address + i * layer.padded + j, row, j + 0 * core)

    def feedback_places(self, index: int) -> Places:
        """MEM A's words of B_index: (cores, lanes, own positions, outputs of the network)."""
        layer, outputs = self.layers[index - 1], self.last.layers[-1].outputs
        core, lane = np.arange(self.machine.cores).reshape(-1, 1, 1, 1), np.arange(self.lanes).reshape(-1, 1, 1)
        i, j = np.arange(layer.own).reshape(-1, 1), np.arange(outputs)
        row = _input(core, 0, i * self.lanes + lane, layer.panel, self.machine.cores)
        row = np.where(row < layer.outputs, row, -1)
        return Places(core, lane, self.fixed[index] + i * self.fixed_words(index) + j, row, j + 0 * core)

    def fixed_words(self, index: int) -> int:
        """Words from one own position's row of B_index to the next one's."""
        last = self.last.layers[-1]
        return last.padded if index == len(self.layers) else last.outputs

    def input_beats(self, sample: int) -> tuple[np.ndarray, np.ndarray]:
        """The core, and the beat of its SRAM, of each beat of a sample's inputs."""
        m, positions = self.machine, self.layers[0].positions
        part, within = divmod(sample, self.samples)
        beat = np.arange(positions * m.pe_cols)
        tile, unit = np.divmod(beat // m.pe_cols * self.samples + within, self.units)
        turn, share = np.divmod(tile, self.slots // self.units)
        unit += share * self.units
        number = part * self.dealt + turn * (self.slots // m.cores) + unit // m.cores
        return unit % m.cores, number * m.pe_cols + beat % m.pe_cols


def _input(core: np.ndarray, distance: np.ndarray | int, within: np.ndarray, panel: int, cores: int) -> np.ndarray:
    """The number of an input, which is output `within` of a core's panel; too great a number where there is none."""
    return np.where(within < panel, (core + distance) % cores * panel + within, 1 << 40)


def first_at_once(machine: Machine, samples: int) -> Iterator[int]:
    """Positions of layer 1 in a tile: their units fill all cores alike; or, if these are many, an equal part."""
    step = machine.cores // gcd(machine.cores, samples)
    yield step * max(1, MOST_POSITIONS // step)
    if step > MOST_POSITIONS:
        yield from (n for n in range(MOST_POSITIONS, 0, -1) if machine.cores % (n * samples) == 0)


def sub_batches(machine: Machine, batch: int) -> Iterator[int]:
    """Sizes of a sub-batch, the greatest first: what is under way on the ring must fit the receive queue."""
    return (n for n in range(batch, 0, -1) if batch % n == 0 and n * machine.pe_cols <= FIFO_BEATS)


def make_layout(network: Network, machine: Machine, rule: str, batch: int, samples: int, first: int) -> Layout:
    """The placement of a network of at least two layers, `first` positions of layer 1 in a tile.

    It may exceed the memories. MEM B's use is left at 0 words.
    """
    lanes, cores, hidden = machine.pes_per_core, machine.cores, network.layers[:-1]
    panels = [-(-layer.outputs // cores) for layer in hidden]
    owns = [-(-panel // lanes) for panel in panels]
    positions = [-(-network.inputs // lanes), *(own * cores for own in owns[:-1])]
    ring = max(n for n in range(1, MOST_POSITIONS + 1) if cores % n == 0)
    at_once = [first, *(ring for _ in hidden[1:])]
    a, depth, parts = Regions(0), network.depth, batch // samples
    delay = (0, *(2 * (depth - index) if rule == "mbcp" else 0 for index in range(1, depth + 1)))
    tiles, units = -(-positions[0] // first), first * samples
    dealt = -(-tiles * units // max(units, cores)) * max(units, cores) // cores
    if delay[1]:
        a.wait("activations", 0, dealt * parts * machine.pe_cols, delay[1] + 2)  # one arrives meanwhile
    own = (0, *(a.hold("activations", layer, words * batch, delay[layer]) for layer, words in enumerate(owns, 1)))
    last = last_layout(network, machine, batch, owns[-1], a.take, own[-1])
    fixed, last = _direct(network, owns, last, a) if rule == "dfa" else ((), last)
    registers = tuple(a.registers.get(("activations", layer), 0) for layer in range(depth))
    if registers[-1]:
        waits: dict[tuple[Held, int], int] = {("activations", 1): registers[-1], ("errors", 1): registers[-1]}
        last = replace(last, registers=waits, queues=tuple(a.queues))
    sizes = [
        positions[layer] * min(lanes, panel - output)
        for layer, panel in enumerate(panels)
        for output in range(0, panel, lanes)
    ]
    window_words = 0
    if a.end + sum(sizes) > machine.pe_sram_words:
        window_words = max(2 * max(at_once) * min(lanes, max(panels)), WINDOW * machine.pe_registers)
    window = a.take(window_words)
    resident = _fill(sizes, machine.pe_sram_words - a.end)
    beyond, layers, number = (delay[1] + 2) * dealt * parts, list[TiledLayer](), 0
    for index, layer in enumerate(hidden):
        blocks: list[Block] = []
        for output in range(0, panels[index], lanes):
            streamed = not resident[number]
            at = beyond if streamed else a.take(sizes[number])
            beyond += sizes[number] * streamed
            count = min(lanes, panels[index] - output)
            blocks.append(Block(first=output, count=count, streamed=streamed, address=at))
            number += 1
        layers.append(
            TiledLayer(
                inputs=layer.inputs,
                outputs=layer.outputs,
                panel=panels[index],
                own=owns[index],
                positions=positions[index],
                at_once=at_once[index],
                blocks=tuple(blocks),
            )
        )
    return Layout(
        machine=machine,
        batch=batch,
        samples=samples,
        layers=tuple(layers),
        last=last,
        own=own,
        window=window,
        window_words=window_words,
        dealt=dealt,
        fixed=fixed,
        delay=delay,
        registers=registers,
        queues=tuple(a.queues),
        mem_a_words=a.end,
        mem_b_words=0,
        sram_words=beyond,
    )


def _direct(network: Network, owns: list[int], last: LastLayout, a: Regions) -> tuple[tuple[int, ...], LastLayout]:
    """Where B_l lie, from layer 0 on, which has none; and the last layer, whose errors are kept and go through them."""
    layer, lanes = last.layers[-1], last.machine.pes_per_core
    fixed = (0, *(a.take(own * network.outputs) for own in owns[:-1]), a.take(owns[-1] * layer.padded))
    kept = a.take(-(-network.outputs // lanes) * last.batch)
    return fixed, replace(last, fixed=(None, fixed[-1], None), direct=True, kept=kept)


def last_layout(
    network: Network, machine: Machine, batch: int, own: int, take: Callable[[int], int], errors: int = 0
) -> LastLayout:
    """The last layer as `batches` works it off: weights and gradient in MEM A, errors in place of activations."""
    layer, lanes = network.layers[-1], machine.pes_per_core
    padded = up(layer.outputs, max(machine.pe_rows, accumulators(machine) // 2))
    beats = padded // machine.pe_rows
    placed = LastLayer(
        inputs=layer.inputs,
        outputs=layer.outputs,
        panel=layer.outputs,
        padded=padded,
        beats=beats,
        own=-(-beats * machine.pe_rows // lanes),
        positions=own,
        rooms=own,
        address=take(own * padded),
    )
    return LastLayout(
        machine=machine,
        batch=batch,
        layers=(replace(placed, own=own), placed),  # of the layer before, its own words count
        activations=(0, errors),
        errors=(0, errors),
        inputs=(),
        gradient=take(own * padded),
        fixed=(None, None, None),
        direct=False,
        delay=(0, 0, 0),
        registers={},
        queues=(),
        shared=False,
        mem_a_words=0,
        mem_b_words=0,
    )


def _fill(sizes: list[int], room: int) -> list[bool]:
    """Which of these to choose so that as much as possible of the room is filled; rather the later ones."""
    reached: dict[int, tuple[int, ...]] = {0: ()}
    for number, size in reversed(list(enumerate(sizes))):
        for filled, chosen in sorted(reached.items(), reverse=True):
            if filled + size <= room:
                reached.setdefault(filled + size, (*chosen, number))
    best = reached[max(reached)]
    return [number in best for number in range(len(sizes))]
