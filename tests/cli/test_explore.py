"""caterpillar explore: what it prints and writes, and its one-line errors."""

import pytest

SWEEP = """
network = ["500-500-500-10", "100-10"]
rule = ["sgd", "cp", "mbgd"]
batch = 50

[machine]
cores_per_row = [4, 16]
pe_rows = [4, 8]
pe_cols = "pe_rows"
pe_sram_bytes = [4096, 16384]

[constraints]
area_mm2 = { max = 103.2 }

[objectives]
gflops_per_watt = "max"
area_mm2 = "min"
"""


@pytest.fixture
def sweep(tmp_path):
    path = tmp_path / "sweep.toml"
    path.write_text(SWEEP)
    return path


def test_a_sweep_and_a_query(run, sweep, tmp_path):
    out = tmp_path / "out"
    document = run("explore", sweep, "--out", out, "--json").document
    assert (document["points"], document["results"]) == (48, str(out / "results.parquet"))
    assert 0 < document["on_front"] == document["picked"] == len(document["shown"])
    assert document["feasible"] + sum(document["reasons"].values()) == 48
    best = [row["gflops_per_watt"] for row in document["shown"]]
    assert best == sorted(best, reverse=True)
    picked = run("explore", "--query", "rule == 'cp' and not feasible", "--out", out, "--json", "--limit", 2).document
    assert picked["picked"] >= len(picked["shown"]) > 0
    assert {(row["rule"], row["feasible"]) for row in picked["shown"]} == {("cp", False)}


def test_tables_name_what_was_swept(run, sweep, tmp_path):
    ran = run("explore", sweep, "--out", tmp_path / "out", "--limit", 3)
    assert ran.status == 0
    for text in ("48 points", "on the front", "constraint area_mm2: above 103.2", "pe_sram_bytes", "results.parquet"):
        assert text in ran.out


def test_pictures(run, sweep, tmp_path):
    files = run("explore", sweep, "--out", tmp_path / "out", "--pictures", "--json").document["files"]
    names = ("pareto", "parallel", "utilization", "crossover")
    assert files == [str(tmp_path / "out" / f"{name}.png") for name in names]
    for name in names:
        assert (tmp_path / "out" / f"{name}.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("old", "new", "error"),
    [
        ("cores_per_row =", "core_per_row =", "machine: unknown key 'core_per_row'; allowed are base, core_rows,"),
        ("[4096, 16384]", "{ from = 9, to = 8, step = 1 }", "machine.pe_sram_bytes: the range is empty"),
        ("max = 103.2", "max = 0.1", "constraints.area_mm2 cannot be met"),
        ("gflops_per_watt", "flops", "objectives: unknown key 'flops'; allowed are cycles_per_sample"),
        ('"sgd", ', '"spd", ', "rule must be one of sgd, mbgd, fa, dfa, cp, mbcp, got 'spd'"),
        ("network =", "network", "is not TOML"),
        (
            SWEEP,
            'network = "9-9"\nrule = "cp"\nmachine = 3\n[objectives]\ngflops = "max"\n',
            "machine must be a table, got 3",
        ),
        ('["sgd", "cp", "mbgd"]', '[["sgd"]]', "rule must be a text, got ['sgd']"),
        ("batch = 50", 'mapping = [["best"]]', "mapping must be a text, got ['best']"),
    ],
)
def test_a_wrong_word_is_one_line_and_no_work(refused, sweep, tmp_path, old, new, error):
    sweep.write_text(SWEEP.replace(old, new, 1))
    assert error in refused("explore", sweep, "--out", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_search_takes_workers_for_its_confirmation_only(run, refused, sweep, tmp_path):
    pytest.importorskip("optuna")
    sweep.write_text(SWEEP.replace("batch = 50", "batch = 50\nsearch = { trials = 3 }"))
    assert "a [search] runs in one process" in refused("explore", sweep, "--out", tmp_path / "out", "--workers", 2)
    ran = run("explore", sweep, "--out", tmp_path / "out", "--workers", 2, "--confirm", "--json")
    assert len(ran.document["confirmed"]) >= ran.document["on_front"]


def test_wrong_options_are_one_line(refused, sweep, tmp_path):
    assert "cannot be read" in refused("explore", tmp_path / "none.toml")
    assert "a sweep file is missing" in refused("explore")
    assert "--workers must be an int of at least 1, got 0" in refused("explore", sweep, "--workers", 0)
    assert "--limit must be an int of at least 1" in refused("explore", sweep, "--limit", 0)
    assert "--confirm needs the sweep file" in refused("explore", "--query", "front", "--confirm")
    assert "--pictures needs the sweep file" in refused("explore", "--query", "front", "--pictures")
    assert "results.parquet does not exist: " in refused("explore", "--query", "front", "--out", tmp_path)


def test_to_accuracy_takes_the_stored_study(run, refused, sweep, tmp_path, monkeypatch):
    study = "caterpillar.reproduce.study.results"
    text = SWEEP.replace("gflops_per_watt", "energy_j_to_accuracy").replace('"max"', '"min"')
    sweep.write_text("accuracy_percent = 90\n" + text)
    monkeypatch.setattr(f"{study}.STORED", tmp_path / "none.parquet")
    assert "needs the convergence study's results, and there are none" in refused("explore", sweep)
    write_study(tmp_path / "study.parquet")
    monkeypatch.setattr(f"{study}.STORED", tmp_path / "study.parquet")
    shown = run("explore", sweep, "--out", tmp_path / "out", "--query", "feasible", "--json").document["shown"]
    assert {(row["network"], row["rule"], row["epochs_to_accuracy"]) for row in shown} == {("100-10", "cp", 2.0)}


def write_study(path):
    from caterpillar.reproduce.study.results import write_records

    same = {"purpose": "final", "arithmetic": "fp32", "network": "100-10", "learning_rate": 0.01, "epochs": 3}
    runs = [{**same, "method": "cp", "seed": seed} for seed in (0, 1, 2)]
    curve = enumerate((0.8, 0.93, 0.94), start=1)
    write_records([{**run, "epoch": epoch, "accuracy": value} for epoch, value in curve for run in runs], path)
