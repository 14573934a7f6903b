"""Data sets: MNIST as shipped, and any folder of IDX files."""

from caterpillar.datasets.dataset import Dataset, Samples

__all__ = ["Dataset", "Samples"]
