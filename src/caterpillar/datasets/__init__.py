"""Data sets: MNIST as shipped, and any folder of IDX files."""

from caterpillar.datasets.dataset import Dataset, DatasetInfo, Samples
from caterpillar.datasets.load import PAPER_SAMPLES, load_dataset, sample_order
from caterpillar.datasets.mnist import MNIST

DATASETS: dict[str, DatasetInfo] = {MNIST.name: MNIST}

__all__ = ["DATASETS", "MNIST", "PAPER_SAMPLES", "Dataset", "DatasetInfo", "Samples", "load_dataset", "sample_order"]
