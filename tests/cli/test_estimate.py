"""caterpillar estimate: the figures of evaluate, as a table and as JSON; and what is refused."""

import pytest

from caterpillar.evaluate import evaluate
from caterpillar.machine import PAPER_B
from caterpillar.network import parse_network
from caterpillar.rules import mbcp

WANTED = [
    "network",
    "rule",
    "batch",
    "machine",
    "mapping",
    "prices",
    "numerics",
    "fits",
    "macs_per_sample",
    "cycles_per_sample",
    "utilization",
    "energy_pj_per_sample",
    "energy_pj",
    "counts",
    "power_w",
    "gflops",
    "gflops_per_watt",
    "gflops_per_mm2",
    "area_mm2",
]


def test_json_is_what_evaluate_says(run):
    asked = ("--network", "300-10", "--rule", "mbcp", "--batch", 4, "--momentum", 0.5, "--machine", "paper-b")
    document = run("estimate", *asked, "--json").document
    assert document == evaluate(parse_network("300-10"), mbcp(4, momentum=0.5), PAPER_B).as_dict()
    assert set(WANTED) <= set(document)
    assert (document["network"], document["rule"], document["batch"]) == ("300-10", "mbcp", 4)


def test_the_default_is_the_papers_first_case(run):
    document = run("estimate", "--json").document
    assert (document["network"], document["rule"], document["machine"]) == ("500-500-500-10", "sgd", "paper-a")


def test_tables_name_units_and_say_where_cycles_and_energy_go(run):
    ran = run("estimate", "--rule", "cp", "--network", "2500-2000-1500-1000-500-10")
    assert ran.status == 0
    for word in ("GFLOPS/W", "mm2", "uJ", "Where the cycles go", "Where the energy goes", "words are off-core"):
        assert word in ran.out


def test_what_does_not_fit_is_an_answer(run, tmp_path):
    machine = tmp_path / "small.toml"
    machine.write_text("cores_per_row = 1\npe_rows = 1\npe_cols = 1\ncore_sram_bytes = 64\npe_sram_bytes = 64\n")
    ran = run("estimate", "--machine", machine, "--json")
    assert ran.status == 0
    assert ran.document["fits"] is False
    lacking = ran.document["infeasible"]
    assert lacking["needs_bytes"] > lacking["has_bytes"]
    assert lacking["hint"]
    assert ran.document["macs_per_sample"] == 2299000
    assert ran.document["area_mm2"] > 0
    fitting = run("estimate", "--json").document
    assert set(fitting) - set(ran.document) == {
        "area",
        "energy_by_phase",
        "matrix_words",
        "activation_words",
        "off_core_words",
    }
    assert run("estimate", "--machine", machine).out.startswith("500-500-500-10, sgd on small does not fit: ")


@pytest.mark.parametrize("json", [(), ("--json",)])
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--network", "500-abc"), "--network must be layer sizes joined with dashes, such as 500-500-500-10, or a"),
        (("--rule", "adam"), "--rule must be one of sgd, mbgd, fa, dfa, cp, mbcp, got 'adam'"),
        (("--rule", "mbgd", "--batch", "0"), "--batch must be an int in [1, 65536] samples, got 0"),
        (("--rule", "cp", "--batch", "8"), "--batch must be 1 for cp (the batched rule is mbcp), got 8"),
        (("--batch", "two"), "Invalid value for '--batch': must be a whole number, got 'two'"),
        (("--momentum", "1"), "--momentum must be a number in [0, 0.9999], got 1.0"),
        (("--momentum", "much"), "Invalid value for '--momentum': must be a number, got 'much'"),
        (
            ("--machine", "paper-c"),
            "--machine must be one of paper-a, paper-b, lean-sgd, wide-sgd, small-sgd, wide-cp, lean-cp, or a .toml",
        ),
        (("--machine", "none.toml"), "--machine file none.toml cannot be read: No such file or directory"),
        (("--mapping", "worst"), "--mapping must be one of paper, best, got 'worst'"),
        (("--prices", "free"), "--prices must be one of "),
        (("--numerics", "fp9"), "--numerics must be one of "),
        (("--speed", "9"), "No such option: --speed"),
    ],
)
def test_refusals(refused, json, arguments, message):
    assert refused("estimate", *arguments, *json).startswith(message)
