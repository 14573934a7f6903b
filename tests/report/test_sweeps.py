"""Pictures of a sweep are drawn where there is something to show."""

from pathlib import Path
from typing import Any

import pytest

from caterpillar.explore import Sweep, explore, plan_sweep, read_results
from caterpillar.report.sweeps import save_sweep_pictures


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The figures by the stem of the file that they go to; nothing is written."""
    figures: dict[str, Any] = {}
    monkeypatch.setattr("matplotlib.figure.Figure.savefig", lambda self, path, **_: figures.update({path.stem: self}))
    return figures


WORDS: dict[str, Any] = {
    "network": ["500-500-500-10", "100-10"],
    "rule": ["cp", "mbgd"],
    "batch": 8,
    "machine": {"cores_per_row": [4, 8], "pe_sram_bytes": [2048, 16384]},
    "objectives": {"gflops_per_watt": "max", "area_mm2": "min"},
}


@pytest.mark.parametrize(
    ("words", "names"),
    [
        ({}, ["pareto", "parallel", "utilization", "crossover"]),
        ({"rule": "cp"}, ["pareto", "parallel", "utilization"]),
        (
            {"objectives": {"gflops": "max"}, "rule": "cp", "network": "100-10", "machine": {"cores_per_row": [1, 2]}},
            ["utilization"],
        ),
        ({"machine": {}, "rule": "cp", "network": "100-10"}, ["pareto"]),
        ({"constraints": {"gflops": {"max": 0.001}}}, []),
    ],
)
def test_pictures(words: dict[str, Any], names: list[str], tmp_path: Path) -> None:
    sweep = Sweep(**(WORDS | words))
    explore(sweep, tmp_path)
    paths = save_sweep_pictures(plan_sweep(sweep), tmp_path)
    assert paths == [tmp_path / f"{name}.png" for name in names]
    assert sorted(tmp_path.glob("*.png")) == sorted(paths)
    assert all(path.stat().st_size > 5000 for path in paths)


def test_networks_that_differ_in_inputs_only_have_their_own_lines(tmp_path: Path, drawn: dict[str, Any]) -> None:
    (tmp_path / "few.toml").write_text("sizes = [16, 100, 10]\n")
    sweep = Sweep(**{**WORDS, "network": ["100-10", str(tmp_path / "few.toml")]})
    explore(sweep, tmp_path / "out")
    save_sweep_pictures(plan_sweep(sweep), tmp_path / "out")
    panel = drawn["utilization"].axes[0]
    texts = {line.get_label().split("\n")[0]: line.get_ydata() for line in panel.get_lines()}
    assert set(texts) == {"100-10", "100-10 (16 inputs)"}
    assert all((values > 0).all() for values in texts.values())
    assert len(drawn["crossover"].axes[0].get_yticks()) == 2


def test_price_tables_and_mappings_are_told_apart(tmp_path: Path, drawn: dict[str, Any]) -> None:
    words = {"network": "60-10-10", "rule": ["sgd", "mbgd"], "prices": ["paper", "cacti"], "mapping": ["paper", "best"]}
    machine = {"cores_per_row": [2, 4], "pe_rows": 2, "pe_cols": 2, "ring_words_per_cycle": 2}
    sweep = Sweep(**{**WORDS, **words, "machine": machine})
    explore(sweep, tmp_path)
    save_sweep_pictures(plan_sweep(sweep), tmp_path)
    on_front = {
        f"front: {row['rule']}{'8' * (row['batch'] == 8)}, {row['prices']}, {row['mapping']}"
        for row in read_results(tmp_path, "front").to_pylist()
    }
    assert {"paper", "cacti"} == {text.split(", ")[1] for text in on_front}
    axes = drawn["pareto"].axes[0]
    drawings = {drawing.get_label(): drawing for drawing in axes.collections}
    assert set(drawings) == on_front | {"feasible", "paper-a", "paper-b"}
    assert {text.get_text().split(", ")[0] for text in axes.texts} == {"paper", "cacti"}
    looks = {
        (tuple(d.get_facecolor()[0]), str(d.get_paths()[0].vertices))
        for text, d in drawings.items()
        if text in on_front
    }
    assert len(looks) == len(on_front)
    assert "prices" in [tick.get_text() for tick in drawn["parallel"].axes[0].get_xticklabels()]
