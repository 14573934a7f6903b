"""Settings for all tests."""

from hypothesis import settings

# Speed is measured in benchmarks, never asserted here, so a slow machine fails no test.
settings.register_profile("caterpillar", deadline=None)
settings.load_profile("caterpillar")
