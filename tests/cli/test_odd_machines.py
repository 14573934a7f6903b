"""caterpillar simulate on machines as users may think them up: it works, or says in one line what would."""

import pytest

RULES = (("sgd", 1), ("cp", 1), ("fa", 1), ("mbgd", 4), ("mbcp", 2), ("dfa", 2))
COMMON = {"core_rows": 1, "cores_per_row": 2, "pe_rows": 2, "pe_cols": 2}
MACHINES = {
    "columns": COMMON | {"core_rows": 2, "cores_per_row": 3, "pe_cols": 8, "fma_latency": 3},
    "one PE": COMMON
    | {"cores_per_row": 1, "pe_rows": 1, "pe_cols": 1, "pe_mem_b_bytes": 8192, "pe_sram_bytes": 1 << 17},
    "a column": COMMON | {"pe_rows": 32, "pe_cols": 1, "pe_registers": 32},
    "a row": COMMON | {"cores_per_row": 3, "pe_rows": 1, "pe_cols": 8, "fma_latency": 2, "pe_mem_b_bytes": 1024},
    "square": COMMON | {"cores_per_row": 3, "pe_rows": 4, "pe_cols": 4, "fma_latency": 5, "pe_registers": 16},
    "a register": COMMON | {"pe_registers": 1},
    "16 bytes of MEM B": COMMON | {"pe_mem_b_bytes": 16},
    "1 KB of core SRAM": COMMON | {"core_sram_bytes": 1024},
    "64 bytes of MEM A": COMMON | {"pe_sram_bytes": 64},
}
FIT = {
    "columns": {"best": RULES},
    "one PE": {"best": RULES[:3], "paper": (("sgd", 1), ("cp", 1))},
    "a column": {"best": RULES},
    "a row": {"best": RULES},
    "square": {"best": RULES, "paper": (("sgd", 1), ("cp", 1), ("mbgd", 4))},
}


def toml(fields):
    return "".join(f"{name} = {str(value).lower()}\n" for name, value in fields.items())


@pytest.mark.parametrize("name", MACHINES)
@pytest.mark.parametrize("mapping", ["best", "paper"])
def test_odd_machines(run, tmp_path, name, mapping):
    machine = tmp_path / "m.toml"
    machine.write_text(toml(MACHINES[name]))
    for rule, batch in RULES:
        how = ("--rule", rule, "--batch", batch, "--mapping", mapping, "--samples", batch)
        ran = run("simulate", "--network", "20-10-10", "--machine", machine, *how, "--json")
        if (rule, batch) in FIT.get(name, {}).get(mapping, ()):
            assert ran.status == 0, (rule, batch, ran.err)
            assert ran.document["fits"], (rule, batch, ran.out)
        elif ran.status == 0:
            short = ran.document.get("infeasible")
            assert ran.document["fits"] is (short is None)
            if short is None:
                continue
            assert short["needs_bytes"] > short["has_bytes"]
            assert short["hint"]
        else:
            assert ran.status == 2
            assert ran.out == ""
            assert ran.err.startswith(("error: --rule must be", "error: Machine.", "error: --batch must be"))
            assert ", got " in ran.err or "; got " in ran.err
            assert ran.err.count("\n") == 1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"pe_rows": 3, "pe_cols": 5}, "Machine.pe_rows must be a power of two for a simulation, got 3"),
        ({"ring_words_per_cycle": 0}, "Machine.ring_words_per_cycle must be an int in [1, 256] words a cycle, got 0"),
        ({"neighbour_links": False}, "Machine.neighbour_links must be true for a simulation, got false"),
        ({"fma_latency": 0}, "Machine.fma_latency must be an int in [1, 16] cycles, got 0"),
    ],
)
@pytest.mark.parametrize("mapping", ["best", "paper"])
def test_machines_that_cannot_be(refused, tmp_path, change, words, mapping):
    machine = tmp_path / "m.toml"
    machine.write_text(toml(COMMON | change))
    assert refused("simulate", "--machine", machine, "--mapping", mapping) == words


def test_requests_that_cannot_be(refused, tmp_path):
    machine = tmp_path / "m.toml"
    machine.write_text(toml(MACHINES["square"]))
    asked = ("simulate", "--network", "20-10-10", "--machine", machine)
    assert refused(*asked, "--samples", 0) == "--samples must be an int in [1, 60000] training images, got 0"
    assert refused(*asked, "--samples", 0, "--count-only") == "--samples must be at least 1, got 0"
    assert refused(*asked, "--lr", 0) == "--lr must be a number in [1e-09, 1000], got 0.0"
    assert refused(*asked, "--lr", "fast") == "Invalid value for '--lr': must be a number, got 'fast'"
    assert refused(*asked, "--seed", -1).startswith("--seed must be an int in [0, ")
    wide = tmp_path / "wide.toml"  # mapping paper, which takes such batches, is for as many columns as rows
    wide.write_text(toml(MACHINES["columns"]))
    odd = ("simulate", "--network", "20-10-10", "--machine", wide, "--rule", "mbgd", "--batch", 5)
    assert refused(*odd) == "--batch must be 1 or even for a simulation, got 5"
    assert refused(*asked, "--rule", "mbgd", "--batch", 4, "--samples", 6).startswith(
        "--samples must be a multiple of "
    )
    assert refused(*asked, "--trace", tmp_path).endswith("cannot be written: Is a directory")
    nine = ("simulate", "--network", "20-10-9", "--machine", machine)
    assert refused(*nine) == "--network has 9 outputs, but mnist has 10 classes"
