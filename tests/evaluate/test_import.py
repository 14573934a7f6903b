"""The public names, and that importing them loads nothing heavy."""

import subprocess
import sys

import pytest

import caterpillar

HEAVY = ("numpy", "numba", "matplotlib", "pyarrow", "joblib", "rich", "typer")


def test_import_loads_nothing_heavy() -> None:
    code = f"import sys, caterpillar; print([name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_public_names_are_the_functions_in_whatever_order_rooms_are_imported() -> None:
    code = "from caterpillar.estimate.paper import estimate\nimport caterpillar as cp\n"
    code += "assert callable(cp.evaluate) and cp.estimate is estimate\n"
    code += "assert cp.train.__name__ == 'caterpillar.train'"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_public_name_is_there() -> None:
    assert all(hasattr(caterpillar, name) for name in caterpillar.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = caterpillar.nothing
