"""Where continuous propagation puts everything: weights, sums and errors in the PEs, activations in the core SRAMs.

Core k of C owns the outputs k q .. k q + q - 1 of every layer but the last, q = ceil(n / C). In a core, lane
p = po Pi + pi works on the inputs that fall to pi and on the outputs o = 0 .. O - 1 of group po. Inputs come in
positions, one word for each pi: a chunk of T positions from each core, that of core k - 1 first, the core's own last.
So what core k has added up for a position, core k + 1 can take up a chunk later. MEM A holds the weights in the order
in which they are used. The last layer is cut along its inputs: a lane works with the activations it has made.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from caterpillar.machine import Machine
from caterpillar.mapping.isa import Queue, halves, power_of_two_at_least
from caterpillar.mapping.schedule import Places
from caterpillar.network import Network


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """How a layer but the last is split over the lanes of a core.

    panel: outputs of a core. input_lanes, output_lanes: Pi, Po. sums: O. width: positions that take turns, so that a
    sum is not needed before it is ready. chunk: T (of the first layer: all positions). alike: blocks of sums all have
    the same size (before the last layer).
    """

    panel: int
    input_lanes: int
    output_lanes: int
    sums: int
    width: int
    chunk: int
    positions: int
    rows: int
    alike: bool

    @property
    def steps(self) -> int:
        """Beats of a position."""
        return self.input_lanes // self.rows

    @property
    def shift(self) -> int:
        """From one position of a group to the next, how much further on in the outputs the same weight's turn is."""
        return self.sums // self.width

    @property
    def groups(self) -> int:
        """Groups of `width` positions."""
        return self.positions // self.width

    @property
    def weights(self) -> int:
        """Weights of a lane, padding included."""
        return self.positions * self.sums

    @property
    def blocks(self) -> tuple[int, ...]:
        """Sizes of the blocks in which the lanes' sums are added: powers of two, of whole rows."""
        full, rest = divmod(self.sums, self.input_lanes)
        size = self.input_lanes if full and self.alike else max(self.rows, power_of_two_at_least(rest))
        last = (size,) if rest else ()
        return (self.input_lanes,) * full + last

    @property
    def padded(self) -> int:
        """Words of partial sums."""
        return sum(self.blocks)

    @property
    def beats(self) -> tuple[tuple[int, int], ...]:
        """Block and column of PEs of each beat of a core's own activations, in the order of the next layer's inputs."""
        found: list[tuple[int, int]] = []
        for block in range(len(self.blocks)):
            rest = self.sums - block * self.input_lanes
            for group in range(self.output_lanes):
                used = -(-min(rest, self.input_lanes) // self.rows)
                found += [(block, group * self.steps + step) for step in range(used)]
        return tuple(found)

    def local(self, block: int, lane: int) -> tuple[int, int]:
        """Group and number in it of the output whose sum lane ends up with; past the sums: none."""
        group, within = divmod(lane, self.input_lanes)
        return group, block * self.input_lanes + within % self.blocks[block]

    def output(self, group: int, number: int) -> int:
        """Number in the panel of a group's output; -1 if there is none."""
        found = group * self.sums + number
        return found if number < self.sums and found < self.panel else -1


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """First words in MEM B. Of hidden layer l = 1 .. L - 1 at index l.

    sums: partial sums; errors: of the panel, in every lane; final: error sums of the core's own positions; own_errors.
    staged: inputs of the next group; carried: error sums off the ring; moved, work: shortly. logits: all cores'.
    gate: own activations (an address register's); shared: the same, times the learning rate, on their way to all cores;
    scaled: those of layer L - 1.
    """

    sums: tuple[int, ...]
    errors: tuple[int, ...]
    final: tuple[int, ...]
    own_errors: tuple[int, ...]
    gate: tuple[int, ...]
    shared: tuple[int, ...]
    scaled: int
    staged: int
    carried: int
    moved: int
    work: int
    logits: int
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Registers:
    """Address registers (0: none) and how many ticks back a value is read, by layer; see ticks_late."""

    queues: tuple[Queue, ...]
    gate: tuple[int, ...]
    scaled: int
    inputs: int
    fresh: tuple[int, ...]
    old: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Layout:
    """splits[l]: of layer l = 1 .. L - 1 (index 0: none). addresses[l]: first word of W_l in MEM A.

    sample_beats: beats of a sample in core SRAM. fresh[l], old[l]: first beats of the activations of layer l that the
    next one goes forward with, and of those, times the learning rate, that it learns with (l = 0: the inputs).
    """

    cores: int
    lanes: int
    rows: int
    sizes: tuple[int, ...]
    splits: tuple[Split, ...]
    addresses: tuple[int, ...]
    words: Words
    registers: Registers
    sample_beats: int
    fresh: tuple[int, ...]
    old: tuple[int, ...]
    sram_beats: int
    mem_a_words: int

    @property
    def depth(self) -> int:
        """Layers."""
        return len(self.sizes) - 1

    @property
    def mem_b_words(self) -> int:
        """Words of MEM B in use."""
        return self.words.total

    @cached_property
    def own(self) -> tuple[np.ndarray, ...]:
        """[l]: the neuron of layer l that (core, block, lane) ends up with; -1 none."""
        found = [np.zeros((0, 0, 0), np.int64)]
        for index, split in enumerate(self.splits[1:], start=1):
            table = np.full((len(split.blocks), self.lanes), -1, np.int64)
            for block in range(len(split.blocks)):
                for lane in range(self.lanes):
                    table[block, lane] = split.output(*split.local(block, lane))
            neuron = np.arange(self.cores)[:, None, None] * split.panel + table
            found.append(np.where((table >= 0) & (neuron < self.sizes[index]), neuron, -1))
        return tuple(found)

    def inputs(self, index: int) -> np.ndarray:
        """The input of layer index < L at (core, position, input lane), in the order of processing; -1 none."""
        split = self.splits[index]
        lane = np.arange(split.input_lanes)
        if index == 1:
            found = np.arange(split.positions)[:, None] * split.input_lanes + lane
            return np.where(found < self.sizes[0], found, -1)[None]
        before, own = self.splits[index - 1], self.own[index - 1]
        chunk = np.full((self.cores, split.chunk, split.input_lanes), -1, np.int64)
        for number, (block, column) in enumerate(before.beats):
            position, step = divmod(number, split.steps)
            here = slice(column * self.rows, (column + 1) * self.rows)
            chunk[:, position, step * self.rows : (step + 1) * self.rows] = own[:, block, here]
        core, turn = np.arange(self.cores)[:, None], np.arange(self.cores)
        owner = (core + self.cores - 1 - turn) % self.cores
        return chunk[owner].reshape(self.cores, split.positions, split.input_lanes)

    def in_place(self, index: int) -> bool:
        """Whether error sums of layer index, halved over the columns of PEs, end where their activations are."""
        split, before = self.splits[index], self.splits[index - 1]
        columns = self.lanes // self.rows
        there = tuple(divmod(n, columns) for n in range(len(before.beats)))
        return split.output_lanes == columns and split.chunk % columns == 0 and before.beats == there

    def weight_places(self, index: int) -> Places:
        """MEM A's words of W_index, (inputs, outputs)."""
        if index == self.depth:
            return self._last_places()
        split = self.splits[index]
        lane = np.arange(self.lanes)
        group, within = lane // split.input_lanes, lane % split.input_lanes
        position = np.arange(split.positions)[:, None, None]
        number = np.arange(split.sums)[:, None]  # of the output in its group
        turn = (number - split.shift * (position % split.width)) % split.sums
        word = (position // split.width * split.sums + turn) * split.width + position % split.width
        outputs = np.array([[split.output(int(g), n) for g in group] for n in range(split.sums)])
        core = np.arange(self.cores)[:, None, None, None]
        columns = core * split.panel + outputs
        return Places(
            core=core,
            lane=lane,
            word=self.addresses[index] + word,
            row=self.inputs(index)[:, :, None, :][..., within],
            column=np.where((outputs >= 0) & (columns < self.sizes[index]), columns, -1),
        )

    def _last_places(self) -> Places:
        own, outputs = self.own[self.depth - 1], self.sizes[-1]
        block, column = np.arange(own.shape[1])[:, None, None], np.arange(outputs)[:, None]
        return Places(
            core=np.arange(self.cores)[:, None, None, None],
            lane=np.arange(self.lanes),
            word=self.addresses[self.depth] + block * outputs + column,
            row=own[:, :, None, :],
            column=column[None, None],
        )

    def feedback_places(self, index: int) -> Places:
        """There is no feedback matrix."""
        raise NotImplementedError(f"continuous propagation has no feedback matrix B_{index}")


def late(depth: int, layer: int) -> int:
    """1 where a layer's activations are made in the next tick's program: of the last three, if it is not the first."""
    return int(depth > 2 and layer >= max(2, depth - 2))


def late_errors(depth: int, layer: int) -> int:
    """1 where the errors that a layer has sent back are added up in the next tick's program: the last two."""
    return int(depth > 2 and layer >= depth - 1)


def gate_delay(depth: int, layer: int) -> int:
    """Ticks from when a layer's own activations are stored until their errors go through the slope."""
    if layer == depth - 1:  # the last layer's pass does it itself
        return 2 - late(depth, layer)
    return 2 * (depth - layer) + late_errors(depth, layer + 1) - late(depth, layer)


def old_delay(depth: int, layer: int) -> int:
    """Ticks from when a layer's activations reach the core SRAMs until the next layer learns with them."""
    return 2 * (depth - layer) - late(depth, layer)


def finish(network: Network, machine: Machine, splits: list[Split]) -> Layout:
    """Addresses for the splits of layers 1 .. L - 1."""
    depth, outputs = network.depth, network.outputs
    address, addresses = 0, [0]
    for split in splits:
        addresses.append(address)
        address += split.weights
    addresses.append(address)
    mem_a_words = address + -(-len(splits[-1].blocks) * outputs // halves(machine)) * halves(machine)
    queues: list[Queue] = []

    def queue(words: int, slots: int) -> int:
        one = Queue(words=words, slots=slots)
        if one not in queues:
            queues.append(one)
        return queues.index(one) + 1

    beat = splits[0].positions * splits[0].steps
    sample_beats = beat
    inputs = queue(beat, 2 * depth)
    fresh, old, fresh_queue, old_queue = [0], [beat], [0], [inputs]
    beat += beat * 2 * depth
    for layer in range(1, depth - 1):
        size, slots = splits[layer].positions * splits[layer].steps, old_delay(depth, layer) + 1
        fresh.append(beat)
        old.append(beat + 2 * size)
        fresh_queue.append(queue(size, 2))
        old_queue.append(queue(size, slots))
        beat += (2 + slots) * size
    words, gates, scaled = _words(machine, splits, depth, outputs, queue)
    registers = Registers(
        queues=tuple(queues),
        gate=gates,
        scaled=scaled,
        inputs=inputs,
        fresh=tuple(fresh_queue),
        old=tuple(old_queue),
    )
    return Layout(
        cores=machine.cores,
        lanes=machine.pes_per_core,
        rows=machine.pe_rows,
        sizes=network.sizes,
        splits=(splits[0], *splits),
        addresses=tuple(addresses),
        words=words,
        registers=registers,
        sample_beats=sample_beats,
        fresh=tuple(fresh),
        old=tuple(old),
        sram_beats=beat,
        mem_a_words=mem_a_words,
    )


def _words(
    machine: Machine, splits: list[Split], depth: int, outputs: int, queue: Callable[[int, int], int]
) -> tuple[Words, tuple[int, ...], int]:
    word = 0

    def take(count: int) -> int:
        nonlocal word
        word += count
        return word - count

    last_sums = last_padded(machine, splits[-1], outputs)
    sums = (0, *(take(split.padded) for split in splits), take(last_sums))
    errors = (0, *(take(split.sums) for split in splits), take(outputs))
    final = (0, 0, *(take(split.chunk) for split in splits[1:]))
    own_errors = (0, *(take(len(split.blocks)) for split in splits))
    gate, gates = [0], [0]
    for layer, split in enumerate(splits, start=1):
        slots = gate_delay(depth, layer) + 1
        gate.append(take(slots * len(split.blocks)))
        gates.append(queue(len(split.blocks), slots))
    slots = gate_delay(depth, depth - 1) + 1
    scaled_at = take(slots * len(splits[-1].blocks))
    scaled = queue(len(splits[-1].blocks), slots)
    width = max(split.width for split in splits)
    found = Words(
        sums=sums,
        errors=errors,
        final=final,
        own_errors=own_errors,
        gate=tuple(gate),
        shared=(0, *(take(len(split.blocks)) for split in splits[:-1])),
        scaled=scaled_at,
        staged=take(4 * width),
        carried=take(max([0, *(split.chunk for split in splits[1:])])),
        moved=take(max(split.output_lanes for split in splits)),
        work=take(2),
        logits=take(last_blocks(machine, splits[-1], outputs) * machine.cores),
        total=0,
    )
    return replace(found, total=word), tuple(gates), scaled


def last_bits(machine: Machine, split: Split, outputs: int) -> tuple[list[int], list[int]]:
    """Bits of the lane over which the last layer's partial sums are halved, and those over which they are added whole.

    Lanes that have the same activations, since a block has fewer sums than there are input lanes, are not added.
    """
    distinct = (split.blocks[0] - 1).bit_length()
    whole = (split.input_lanes - 1).bit_length()
    all_bits = (machine.pes_per_core - 1).bit_length()
    low = distinct if distinct < whole else all_bits
    halved = min(low, (power_of_two_at_least(max(outputs, machine.pe_rows)) - 1).bit_length())
    rest = [*range(halved, distinct), *range(whole, all_bits)] if low < all_bits else [*range(halved, all_bits)]
    return [*range(halved)], rest


def last_blocks(machine: Machine, split: Split, outputs: int) -> int:
    """Blocks of logits, as many as the lanes that the sums are halved over."""
    halved, _ = last_bits(machine, split, outputs)
    return -(-outputs // (1 << len(halved)))


def last_padded(machine: Machine, split: Split, outputs: int) -> int:
    """Words of the last layer's partial sums."""
    halved, _ = last_bits(machine, split, outputs)
    return last_blocks(machine, split, outputs) << len(halved)
