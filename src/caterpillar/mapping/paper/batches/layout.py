"""What a batch adds to the paper's placement: activations and errors in core SRAM, once; fixed matrices; parts.

A core keeps its own outputs of every layer and sample, and its own errors; others get them over the ring when they are
wanted. The first layer's inputs are in every core, or, where there is no room, in every second, third ... core.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

from caterpillar.machine import Machine
from caterpillar.mapping.isa import FIFO_BEATS, accumulators, power_of_two_at_least
from caterpillar.mapping.paper.layout import PaperLayer, PaperLayout, output_blocks, places_of, up
from caterpillar.mapping.schedule import Places
from caterpillar.network import Network


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchLayout(PaperLayout):
    """The layers, and where a batch's tensors lie.

    In core SRAM, by first beat, sample after sample: inputs_at[l - 1] has the core's own inputs of layer l, which are
    its outputs of layer l - 1; errors_at[l - 1] its own errors of layer l (those of layers l and l + 2 share a place);
    output_errors_at, for direct feedback, all output errors. In MEM B, besides PaperLayout's: gates: a sample's own
    outputs, in every PE of their column. In an update MEM B has errors alone, from word 0 on.

    beside: whether MEM B has room for two samples' errors and words for own inputs and errors, as sums beside the
    products of the next sample take. fixed: B_l of each layer, where the rule has one. gradients: MEM A's first word
    of a block's sums, for updates in parts. parts: of each layer, the first sample and the number of samples of each
    part of its update.
    """

    batch: int
    direct: bool
    beside: bool
    inputs_at: tuple[int, ...]
    errors_at: tuple[int, ...]
    output_errors_at: int
    gates: int
    fixed: tuple[PaperLayer | None, ...]
    gradients: int
    parts: tuple[tuple[tuple[int, int], ...], ...]

    def source(self, index: int, sample: int) -> int:
        """The first beat of core SRAM of a sample's own inputs of a layer."""
        return self.inputs_at[index - 1] + sample * self.layers[index - 1].beats

    def errors_of(self, index: int, sample: int) -> int:
        """The first beat of core SRAM of a sample's own errors of a layer."""
        return self.errors_at[index - 1] + sample * self.layers[index - 1].sums

    def matrix(self, index: int) -> PaperLayer:
        """What takes errors back to a layer's inputs, or under direct feedback from the network's to its outputs."""
        return self.fixed[index - 1] or self.layers[index - 1]

    def feedback_places(self, index: int) -> Places:
        """MEM A's words of B_index: as weight_places, with the matrix turned for direct feedback."""
        found = places_of(self.matrix(index), self.cores, self.rows)
        return replace(found, row=found.column, column=found.row) if self.direct else found


def forward_blocks(layer: PaperLayer, machine: Machine) -> list[tuple[int, int]]:
    """(first, count) of the outputs worked off at a time: few blocks, for each takes the inputs once more."""
    most = max(1, (accumulators(machine) + machine.pe_registers) // layer.ways)
    number = min(-(-layer.sums // most), len(output_blocks(layer, machine)))
    bounds = [layer.sums * i // number for i in range(number + 1)]
    return [(low, high - low) for low, high in pairwise(bounds)]


def block_registers(layers: tuple[PaperLayer, ...], machine: Machine) -> int:
    """Registers for sums that find no accumulator."""
    blocks = [(layer, count) for layer in layers for _, count in forward_blocks(layer, machine)]
    blocks += [(layer, count) for layer in layers for _, count in output_blocks(layer, machine)]
    return max(0, max(count * layer.ways for layer, count in blocks) - accumulators(machine))


def make_layout(network: Network, machine: Machine, batch: int, rule: str) -> BatchLayout:
    """The placement of a network of at least two layers; it may exceed the memories.

    The first layer's inputs lie in as many cores as there is room for.
    """
    shares = [share for share in range(1, machine.cores + 1) if machine.cores % share == 0]
    found = [_layout(network, machine, batch, rule, share) for share in shares]
    words = machine.core_sram_bytes // 2
    return next((one for one in found if sram_words(one) <= words), found[-1])


def sram_words(layout: BatchLayout) -> int:
    """Words of core SRAM, with those of the next batch, which arrives in the meantime."""
    return (layout.sram_beats + layout.batch * layout.layers[0].beats) * layout.rows


def _layout(network: Network, machine: Machine, batch: int, rule: str, share: int) -> BatchLayout:
    layers = _layers(network, machine, share)
    address = layers[-1].address + layers[-1].positions * layers[-1].sums
    fixed: list[PaperLayer | None] = [None] * len(layers)
    for number, layer in enumerate(layers):
        one = _turned(layer, layers[-1], machine) if rule == "dfa" else layer
        if (rule == "dfa" and number < len(layers) - 1) or (rule == "fa" and number):
            fixed[number] = replace(one, address=address)
            address += one.positions * one.sums
    parts = tuple(_parts(layer, machine, batch) for layer in layers)
    blocks = [
        layer.positions * max(count for _, count in output_blocks(layer, machine))
        for layer, some in zip(layers, parts, strict=True)
        if len(some) > 1
    ]
    updated = max(
        max(samples for _, samples in some) * max(count for _, count in output_blocks(layer, machine))
        for layer, some in zip(layers, parts, strict=True)
    )
    direct = rule == "dfa"
    beside = not direct and _mem_b(layers, machine, direct=False, beside=True)[-1] <= machine.pe_mem_b_bytes // 2
    own, errors, gates, sums, reduced, words = _mem_b(layers, machine, direct=direct, beside=beside)
    inputs_at, errors_at, output_errors_at, beats = _core_sram(layers, machine, batch, direct=direct)
    return BatchLayout(
        cores=machine.cores,
        rows=machine.pe_rows,
        layers=layers,
        gathered=(0,) * len(layers),
        own=(own,) * len(layers),
        errors=errors,
        sums=sums,
        reduced=reduced,
        mem_a_words=address + max(blocks, default=0),
        mem_b_words=max(words, updated),
        sram_beats=beats,
        batch=batch,
        direct=direct,
        beside=beside,
        inputs_at=inputs_at,
        errors_at=errors_at,
        output_errors_at=output_errors_at,
        gates=gates,
        fixed=tuple(fixed),
        gradients=address,
        parts=parts,
    )


def _layers(network: Network, machine: Machine, share: int) -> tuple[PaperLayer, ...]:
    rows, cores = machine.pe_rows, machine.cores
    layers: list[PaperLayer] = []
    address = 0
    for layer in network.layers:
        panel = up(-(-layer.outputs // cores), rows)
        sums = panel // rows
        ways = power_of_two_at_least(-(-machine.fma_latency // sums))
        beats = layers[-1].sums if layers else -(-layer.inputs // (rows * share))
        one = PaperLayer(
            inputs=layer.inputs,
            outputs=layer.outputs,
            panel=panel,
            sums=sums,
            ways=ways,
            chunks=cores if layers else share,
            beats=beats,
            chunk=up(beats, max(ways, accumulators(machine)) if layers else ways),
            address=address,
        )
        layers.append(one)
        address += one.positions * sums
    return tuple(layers)


def _turned(layer: PaperLayer, last: PaperLayer, machine: Machine) -> PaperLayer:
    """B_l of direct feedback, which takes all output errors to a core's outputs of a layer."""
    beats = -(-last.outputs // machine.pe_rows)
    return replace(layer, inputs=last.outputs, chunks=1, beats=beats, chunk=up(beats, layer.ways))


def _parts(layer: PaperLayer, machine: Machine, batch: int) -> tuple[tuple[int, int], ...]:
    """Samples that an update takes at a time: MEM B has their errors, the ring's queue their inputs.

    At least three, so that parts of at least two are left.
    """
    most = machine.pe_mem_b_bytes // 2 // max(count for _, count in output_blocks(layer, machine))
    if layer.chunks > 1:
        most = min(most, FIFO_BEATS // layer.ways)
    number = -(-batch // max(3, most))
    bounds = [batch * i // number for i in range(number + 1)]
    return tuple((low, high - low) for low, high in pairwise(bounds))


def _mem_b(layers: tuple[PaperLayer, ...], machine: Machine, *, direct: bool, beside: bool) -> tuple[int, ...]:
    """First words of own inputs, errors, gates, sums and reduced sums; words in all."""
    rows, cores, last = machine.pe_rows, machine.cores, layers[-1]

    def groups(beats: int) -> int:
        return -(-beats // rows)

    back = [layer.positions + max(0, up(layer.beats, rows) - layer.chunk) for layer in layers[1:]]
    partial = max(up(layer.sums, rows) for layer in layers)
    logits = cores * groups(last.sums) + cores * last.sums
    sizes = (
        0 if direct else max(up(layer.beats, rows) if beside else groups(layer.beats) for layer in layers[1:]),
        0 if direct else max(layer.sums for layer in layers[1:]) * (2 if beside else 1),
        partial if direct else 0,
        max(partial, logits, *([] if direct else back)),
        2 * max(groups(layer.sums) for layer in layers),
    )
    return tuple(sum(sizes[:i]) for i in range(len(sizes) + 1))


def _core_sram(
    layers: tuple[PaperLayer, ...], machine: Machine, batch: int, *, direct: bool
) -> tuple[tuple[int, ...], tuple[int, ...], int, int]:
    """First beats of own inputs and errors by layer, and of all output errors; beats in all."""
    inputs_at = [batch * sum(layer.beats for layer in layers[:i]) for i in range(len(layers))]
    beat = batch * sum(layer.beats for layer in layers)
    odd, even = (batch * max((layer.sums for layer in layers[i::2]), default=0) for i in range(2))
    errors_at = [beat + (odd if i % 2 else 0) for i in range(len(layers))]
    beat += odd + even
    everywhere = batch * -(-layers[-1].outputs // machine.pe_rows) if direct else 0
    return tuple(inputs_at), tuple(errors_at), beat, beat + everywhere
