"""The tables of docs/cost.md on prices and machines, each made from the code that it speaks of."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from caterpillar.checks import Infeasible, UsageError
from caterpillar.cost import CACTI, PAPER, areas, control, leaves, memory_timings
from caterpillar.cost.circuits import control_store
from caterpillar.cost.physical import control_pj
from caterpillar.cost.technology.figures import FMA_PUBLISHED_PJ
from caterpillar.evaluate import MAPPINGS
from caterpillar.machine import PAPER_A, PAPER_B, Machine
from caterpillar.program import Program
from caterpillar.reproduce.paper import cases, rule_of_label

COMPARED = (("N1", "sgd"), ("N1", "cp"), ("N1", "mbgd50"), ("N3", "sgd"), ("N3", "cp"))
FROM = {
    "fma": "four published units, below",
    "pe_sram_read_words": "CACTI 7, 350 K",
    "pe_sram_write_words": "CACTI 7, 350 K",
    "mem_b_read_words": "CACTI 7, one read and one write port",
    "mem_b_write_words": "CACTI 7, one read and one write port",
    "core_sram_read_words": "CACTI 7, banks in turn, and half a core of wire",
    "core_sram_write_words": "CACTI 7, banks in turn, and half a core of wire",
    "outside_words": "LPDDR2 (Dark Memory); range: a quarter of Horowitz's 64-bit DRAM access",
    "register_reads": "Pedram et al. 2017 (Dark Memory), files of 16 and 64 words",
    "register_writes": "Pedram et al. 2017 (Dark Memory), files of 16 and 64 words",
    "row_bus_words": "wire over the PEs of a row, a latch in each",
    "column_bus_words": "wire over the PEs of a column, a latch in each",
    "neighbour_words": "wire of a PE's side, a latch",
    "ring_word_hops": "wire of a core's side, a latch, a queue",
    "activation_words": "a comparison and a latch; high: 13 FMAs, as softmax takes for each of its two words a logit",
    "leakage": "CACTI for memories (a core's are shared by its PEs); 12.3 mW/mm2 of logic (Aladdin, 40 nm)",
    "clock": "clock wires, flip-flops that are never gated (Aladdin: 9 fJ a bit); high: none is gated",
    "control": "the control word as executed; see below",
}


def prices() -> str:
    """What `cacti` charges on paper-a."""
    rows = []
    for event, part, price in leaves(CACTI.of(PAPER_A)):
        name, source = (f"PE and cycle: {part}", FROM[part]) if event == "pe_cycles" else (plain(event), FROM[event])
        rows.append((name, f"{price.value:.3g}", f"{price.low:.3g} to {price.high:.3g}", source))
    return table(("event", "pJ", "range", "from"), rows)


def fma() -> str:
    """The published multiply-adds behind the FMA's range."""
    return table(
        ("pJ of a half-precision multiply-add", "published"),
        [(f"{pj:.3g}", source) for source, pj in sorted(FMA_PUBLISHED_PJ.items(), key=lambda item: item[1])],
    )


def activity() -> str:
    """What a cycle asks of the control word, as its price takes it."""
    from caterpillar.mapping.encoding import WORD_BITS  # numpy is slow to import

    measured = {
        "bits that change in the fields that PEs obey, latched in every PE": control.CHANGED_BITS,
        "of them, bits that differ from the cycle before, on wires past all PEs of the core": control.TOGGLES,
        "units of a core that are told something, for which a sequencer steps": control.ISSUES,
        "instructions fetched": control.FETCHES,
    }
    rows = [(what, f"{value:g}", f"{low:g} to {high:g}") for what, (low, value, high) in measured.items()]
    bits = f"{control.pe_word_bits()} of {WORD_BITS}"
    return table(
        ("a cycle and core", "sgd on N1", "range"), [("bits of the control word that PEs obey", bits, ""), *rows]
    )


def programs() -> str:
    """Control as the programs at hand would have it, beside what the price takes for all of them."""
    rows = []
    for case, label in (*COMPARED, ("N1", "fa"), ("N1", "dfa")):
        network, machine = cases()[case]
        for mapping in MAPPINGS:
            row = _program_row(rule_of_label(label)(network), machine, mapping)
            rows += [(f"{label} on {case}, {mapping}", *row)] if row else []
    activity = ("changed bits", "toggles", "steps", "fetches")
    return table(("program", *activity, "pJ a PE and cycle", "charged", "KB a core", "a store for it, mm2"), rows)


def _program_row(program: Program, machine: Machine, mapping: str) -> tuple[str, ...]:
    """Nothing where the mapping has no program."""
    from caterpillar.cost.activity import measured  # numpy is slow to import
    from caterpillar.mapping import place

    try:
        schedule = place(program, machine, mapping=mapping)
    except UsageError:
        return ()
    if isinstance(schedule, Infeasible):
        return ()
    one = measured(schedule)
    charged = next(price.value for _, part, price in leaves(CACTI.of(machine)) if part == "control")
    counts = (f"{one.changed_bits:.1f}", f"{one.toggles:.1f}", f"{one.issues:.2f}", f"{one.fetches:.3f}")
    size = control.program_bytes(schedule.steady)
    more_mm2 = machine.cores * (_store_mm2(machine, size) - _store_mm2(machine, control.STORE_BYTES))
    store = f"{more_mm2:+.1f}" if size > control.STORE_BYTES else ""
    return (*counts, f"{control_pj(machine, one):.2f}", f"{charged:.2f}", f"{size / 1024:.1f}", store)


def _store_mm2(machine: Machine, size_bytes: int) -> float:
    store = control_store(machine, size_bytes)
    return store.lanes * store.sram.area_mm2


def timing() -> str:
    """The memories of both machines against the clock."""
    rows = [
        (machine.name, m.memory, m.design, f"{m.access_ns:.2f}", f"{m.cycle_ns:.2f}", m.read_cycles, m.extra_cycles)
        for machine in (PAPER_A, PAPER_B)
        for m in memory_timings(machine)
    ]
    columns = ("machine", "memory", "design taken", "answers, ns", "next access, ns", "cycles to read", "late")
    return table(columns, rows)


def blocks() -> str:
    """What a PE is made of, mm2, and the SRAM of a core."""
    tables = [(PAPER_A, PAPER), (PAPER_A, CACTI), (PAPER_B, CACTI)]
    columns = [dict(areas(machine, pricing.of(machine))) for machine, pricing in tables]
    rows = []
    for block in dict.fromkeys(name for column in columns for name in column):
        shares = [m.cores if block == "core_memory" else m.pes for m, _ in tables]
        found = [f"{c[block].value / n:.4f}" if block in c else "" for c, n in zip(columns, shares, strict=True)]
        rows.append((f"{plain(block)}{' (of a core)' if block == 'core_memory' else ''}", *found))
    return table(("mm2 of a PE", "the paper", "paper-a, `cacti`", "paper-b, `cacti`"), rows)


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table in Markdown."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(str(cell) for cell in line)} |" for line in lines)


def plain(name: str) -> str:
    """A name of the code, in words."""
    return name.replace("_", " ")
