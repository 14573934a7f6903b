"""What docs/explore.md and the examples show does what they say."""

import re
import runpy
from pathlib import Path

import pytest

from caterpillar.explore import explore, plan_sweep, read_results, read_sweep

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "explore.md").read_text()
EXAMPLES = sorted((ROOT / "examples").glob("*.toml"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_every_example_can_be_planned(path: Path) -> None:
    words, _ = read_sweep(path)
    assert plan_sweep(words).points > 1


def test_the_pages_query_shows_points_of_its_example(tmp_path: Path) -> None:
    words, text = read_sweep(ROOT / "examples" / "sweep.toml")
    done = explore(words, tmp_path, text=text)
    assert f"{done.feasible:,} of the {done.points:,} points are feasible" in PAGE
    (query,) = re.findall(r'^    caterpillar explore --query "(.+)" --out sweep', PAGE, re.MULTILINE)
    assert read_results(tmp_path, query).num_rows > 0


def test_the_pages_python_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    script = tmp_path / "page.py"
    script.write_text("".join(re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)))
    names = runpy.run_path(str(script))
    assert names["best"].num_rows > 0
    assert read_results("to-95", "front").num_rows == 1
