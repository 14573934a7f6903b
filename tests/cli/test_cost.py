"""caterpillar cost: what it prints adds up, its pictures are written, bad requests are one line."""

import pytest

from caterpillar.evaluate import WAYS


def test_components_add_up_and_every_price_has_a_source(run):
    document = run("cost", "paper-a", "--json").document
    assert document["prices"] == "cacti"
    assert sum(document["area"].values()) == pytest.approx(document["area_mm2"])
    assert sum(document["peak_power"].values()) == pytest.approx(document["peak_power_w"])
    for what, unit in (("area", "mm2"), ("peak_power", "w")):
        low, high = document[f"{what}_range_{unit}"]
        assert low < document[f"{what}_{unit}"] < high
    assert all(price["source"] for price in document["event_prices"])
    assert {memory["memory"] for memory in document["memories"]} == {
        "MEM A",
        "MEM B",
        "micro-program store",
        "ring queue",
        "softmax unit",
        "off-core SRAM",
    }


def test_the_paper_table_has_its_areas_and_no_memories_of_its_own(run):
    document = run("cost", "paper-b", "--prices", "paper", "--json").document
    assert document["area_mm2"] == pytest.approx(178.9, abs=0.15)
    assert "memories" not in document


def test_sensitivity_and_pictures(run, tmp_path):
    ran = run("cost", "paper-a", "--sensitivity", "--rule", "cp", "--out", tmp_path / "out", "--json")
    document = ran.document
    assert document["run"]["rule"] == "cp"
    low, high = document["run"]["energy_range_pj"]
    assert low < document["run"]["energy_pj_per_sample"] < high
    widths = [swing["high_pj"] - swing["low_pj"] for swing in document["sensitivity"]]
    assert widths == sorted(widths, reverse=True)
    for name in ("floorplan.svg", "tornado.svg", "energy.svg"):
        assert (tmp_path / "out" / name).read_text().startswith("<?xml")


def test_both_mappings_side_by_side(run):
    document = run("cost", "paper-a", "--sensitivity", "--mapping", "best", "--json").document
    paper, best = (document["pj_per_mac"][mapping] for mapping in ("paper", "best"))
    assert document["run"]["mapping"] == "best"
    assert sum(best.values()) * document["run"]["macs_per_sample"] == pytest.approx(
        document["run"]["energy_pj_per_sample"]
    )
    assert best["pe_memory"] < paper["pe_memory"]  # it keeps one operand of each multiply-add in a latch
    other = run("cost", "paper-a", "--sensitivity", "--rule", "mbcp", "--batch", 2, "--json").document
    assert set(other["pj_per_mac"]) | set(other["no_run"]) == set(WAYS)  # each has a run, or a reason for none
    assert "paper" in other["pj_per_mac"]
    assert all(other["no_run"].values())
    printed = run("cost", "paper-a", "--sensitivity").out
    assert "pJ a useful MAC by component and mapping" in printed
    assert "pJ a useful MAC by phase and mapping" in printed
    for mapping, phases in document["pj_per_mac_by_phase"].items():
        assert sum(phases.values()) == pytest.approx(sum(document["pj_per_mac"][mapping].values()))


def test_the_tables_are_printed(run):
    ran = run("cost", "paper-b", "--prices", "horowitz")
    assert ran.status == 0
    for heading in ("area", "peak power", "what an event costs", "2 cycles to read"):
        assert heading in ran.out


def test_what_cannot_be_is_refused_in_one_line(refused, tmp_path):
    assert refused("cost", "paper-a", "--rule", "cp") == "--rule describes a run: it goes with --sensitivity"
    for command in (("cost", "paper-a"), ("estimate",), ("simulate",)):
        said = refused(*command, "--prices", "cacti", "--volts", "nan")
        assert said == "--volts must be in [0.7, 1.1], where the scaling laws hold, got nan"
        assert refused(*command, "--prices", "cacti", "--volts", "x").endswith("must be a number, got 'x'")
    assert "--volts goes with --prices cacti" in refused("cost", "paper-a", "--prices", "paper", "--volts", "0.8")
    assert "ns a stage at 45 nm and 0.75 V" in refused("cost", "paper-a", "--volts", "0.75")
    fast = tmp_path / "fast.toml"
    fast.write_text("cores_per_row = 4\npe_rows = 4\npe_cols = 4\nfma_latency = 16\nclock_hz = 4e9\n")
    assert "MEM A: no SRAM of 16384 bytes in 16-bit words at 45 nm keeps up with clock_hz 4e+09" in refused(
        "cost", fast
    )
    assert "does not fit" in refused("cost", "paper-a", "--sensitivity", "--network", "9000-9000-10")


def test_every_price_says_value_unit_node_voltage_source_and_range(run):
    for prices, memory_volts, logic_volts in (("cacti", 1.0, 0.9), ("horowitz", 0.9, 0.9), ("paper", None, None)):
        entries = run("cost", "paper-a", "--prices", prices, "--json").document["event_prices"]
        for entry in entries:
            assert entry["unit"] == "pJ"
            assert entry["node_nm"] == 45
            assert entry["source"]
            assert entry["range_pj"][0] <= entry["pj"] <= entry["range_pj"][1]
            in_memory = entry["component"] in ("pe_memory", "core_memory")
            assert entry["volts"] == (memory_volts if in_memory else logic_volts)
    lowered = run("cost", "paper-a", "--prices", "cacti", "--volts", "0.8", "--json").document["event_prices"]
    assert {entry["volts"] for entry in lowered} == {1.0, 0.8}


def test_sensitivity_and_volts_of_an_estimate_and_of_a_simulation(run):
    estimated = run("estimate", "--prices", "cacti", "--mapping", "best", "--sensitivity", "--json").document
    total = estimated["energy_pj_per_sample"]
    assert sum(total - swing["low_pj"] for swing in estimated["sensitivity"]) == pytest.approx(
        total - estimated["energy_range_pj"][0]
    )
    small = ("simulate", "--network", "20-10-10")
    simulated = run(*small, "--prices", "cacti", "--sensitivity", "--json").document
    widths = [swing["high_pj"] - swing["low_pj"] for swing in simulated["sensitivity"]]
    assert widths
    assert widths == sorted(widths, reverse=True)
    lowered = run(*small, "--prices", "cacti", "--volts", 0.8, "--json").document
    assert lowered["energy_pj"]["fpu"] < simulated["energy_pj"]["fpu"]
    assert "what moves it" in run("estimate", "--prices", "horowitz", "--sensitivity").out
    assert "the paper prices have no ranges, so nothing moves it" in run("estimate", "--sensitivity").out
