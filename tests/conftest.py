"""Settings for all tests."""

import pytest
from hypothesis import settings

# Speed is measured in benchmarks, never asserted here, so a slow machine fails no test.
settings.register_profile("caterpillar", deadline=None)
settings.load_profile("caterpillar")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--examples", type=int, help="random cases of each hypothesis test, in place of its own number")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    number = config.getoption("--examples")
    for test in (getattr(item, "obj", None) for item in items) if number else ():
        own = getattr(test, "_hypothesis_internal_use_settings", None)
        if own is not None:
            test._hypothesis_internal_use_settings = settings(own, max_examples=number)  # pyright: ignore
