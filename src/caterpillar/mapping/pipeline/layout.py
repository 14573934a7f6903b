"""Where continuous propagation puts everything: weights, sums and errors in the PEs, activations in the core SRAMs.

Each core owns outputs of every layer but the last. In a core, lane p = po Pi + pi works on the inputs that fall to pi
and on the outputs o = 0 .. O - 1 of group po. Inputs come in positions, one word for each pi: a chunk of T_k positions
from each core, that of core k - 1 first, the core's own last. So what core k has added up for a position, core k + 1
can take up T_k positions later. Chunks may differ by some positions, so that as few as can be are half empty. MEM A
holds the weights in the order in which they are used. The last layer is cut along its inputs: a lane works with the
activations it has made.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from caterpillar.machine import Machine
from caterpillar.mapping.isa import Queue, halves
from caterpillar.mapping.pipeline.split import Split
from caterpillar.mapping.pipeline.words import Words, place_words
from caterpillar.mapping.schedule import Places
from caterpillar.network import Network


@dataclass(frozen=True, slots=True, kw_only=True)
class Registers:
    """Address registers (0: none): of own activations, and of all cores' in the core SRAM; the scaled ones are old."""

    queues: tuple[Queue, ...]
    gate: tuple[int, ...]
    scaled: int
    fresh: tuple[int, ...]
    old: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Layout:
    """splits[l]: of layer l = 1 .. L - 1 (index 0: none). addresses[l]: first word of W_l in MEM A.

    sample_beats: beats of a sample in core SRAM. empty: a beat of +0. fresh[l], old[l]: first beats of the activations
    of layer l that the next one goes forward with, and of those, times the learning rate, that it learns with (l = 0:
    the inputs).
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
    empty: int
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
        return self.words.end

    @cached_property
    def outputs(self) -> tuple[np.ndarray, ...]:
        """[l]: the neuron of layer l of (core, group, number); -1 none.

        A core has those that lie in its chunk of positions of the next layer.
        """
        found = [np.zeros((0, 0, 0), np.int64)]
        for index, split in enumerate(self.splits[1:], start=1):
            table = np.full((self.cores, split.output_lanes, split.sums), -1, np.int64)
            chunks = (1,) * self.cores if index == self.depth - 1 else self.splits[index + 1].chunks
            steps = self.splits[index + 1].steps if index < self.depth - 1 else 0
            place = split.place_in_chunk(steps) if steps else np.zeros(table.shape[1:], np.int64)
            first = 0
            for core, chunk in enumerate(chunks):
                mine = np.argwhere(place < chunk)[: self.sizes[index] - first]
                table[core, mine[:, 0], mine[:, 1]] = np.arange(first, first + len(mine))
                first += len(mine)
            found.append(table)
        return tuple(found)

    @cached_property
    def own(self) -> tuple[np.ndarray, ...]:
        """[l]: the neuron of layer l that (core, block, lane) ends up with; -1 none."""
        found = [np.zeros((0, 0, 0), np.int64)]
        for index, split in enumerate(self.splits[1:], start=1):
            table = np.full((self.cores, len(split.blocks), self.lanes), -1, np.int64)
            for number, block in enumerate(split.blocks):
                for lane in range(self.lanes):
                    group, local = split.local(block, lane)
                    if local >= 0:
                        table[:, number, lane] = self.outputs[index][:, group, local]
            found.append(table)
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
        for beat in before.beats(split.steps):
            position, step = divmod(beat.number, split.steps)
            here = slice(beat.column * self.rows, (beat.column + 1) * self.rows)
            chunk[:, position, step * self.rows : (step + 1) * self.rows] = own[:, beat.block, here]
        order = np.array([split.order(core) for core in range(self.cores)])
        return chunk[order[..., 0], order[..., 1]]

    def weight_places(self, index: int) -> Places:
        """MEM A's words of W_index, (inputs, outputs)."""
        if index == self.depth:
            return self._last_places()
        split = self.splits[index]
        lane = np.arange(self.lanes)
        group, within = lane // split.input_lanes, lane % split.input_lanes
        word = [[[split.slot(position, n)] for n in range(split.sums)] for position in range(split.positions)]
        return Places(
            core=np.arange(self.cores)[:, None, None, None],
            lane=lane,
            word=self.addresses[index] + np.array(word),
            row=self.inputs(index)[:, :, None, :][..., within],
            column=self.outputs[index][:, group].swapaxes(1, 2)[:, None],
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


def summed(split: Split, position: int, core: int) -> int:
    """Where, in words of a position each, what comes off the ring for a core's position is, and then its own sums.

    Sums of the core's own chunk come to lie at 0, 1, ...; what is for no position of the core's lies after them all.
    """
    own = position - split.positions + split.chunks[core]
    return own % split.chunk if position < split.positions else split.chunk


def old_delay(depth: int, layer: int) -> int:
    """Ticks from when a layer's activations are made until the next layer learns with them (0: the inputs)."""
    return 2 * (depth - layer) - (layer == 0)


def finish(network: Network, machine: Machine, splits: list[Split], together: Callable[[int, int], bool]) -> Layout:
    """Addresses for the splits of layers 1 .. L - 1. together: whether two layers may not share words of MEM B."""
    depth, outputs, k = network.depth, network.outputs, halves(machine)
    address, addresses = 0, [0]
    for weights in [*(split.weights for split in splits), len(splits[-1].blocks) * outputs]:
        addresses.append(address)
        address += -(-weights // k) * k
    queues: list[Queue] = []

    def queue(words: int, slots: int) -> int:
        one = Queue(words=words, slots=slots)
        if one not in queues:
            queues.append(one)
        return queues.index(one) + 1

    inputs = splits[0].positions * splits[0].steps
    fresh, old, fresh_queue, old_queue = [0], [inputs], [0], [0]
    beat = 2 * inputs + 1
    for layer in range(1, depth - 1):
        size, slots = machine.cores * splits[layer].chunk * splits[layer].steps, old_delay(depth, layer) + 1
        fresh.append(beat)
        old.append(beat + 2 * size)
        fresh_queue.append(queue(size, 2))
        old_queue.append(queue(size, slots))
        beat += (2 + slots) * size
    words, gates, scaled = place_words(machine, splits, outputs, queue, together)
    registers = Registers(
        queues=tuple(queues),
        gate=gates,
        scaled=scaled,
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
        sample_beats=2 * inputs,
        empty=2 * inputs,
        fresh=tuple(fresh),
        old=tuple(old),
        sram_beats=beat,
        mem_a_words=address,
    )
