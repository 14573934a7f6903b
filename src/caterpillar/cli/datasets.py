"""caterpillar datasets"""

from __future__ import annotations

from dataclasses import asdict

from caterpillar.cli.options import Json


def datasets(json: Json = False) -> None:
    """The data sets that come with the package. Your own is a folder of four IDX files: --data DIR."""
    from caterpillar.cli.output import print_json, print_table
    from caterpillar.datasets import DATASETS

    if json:
        print_json({"datasets": [asdict(info) for info in DATASETS.values()]})
        return
    columns = ("name", "training images", "test images", "pixels", "classes", "source")
    rows = [
        (d.name, d.train_images, d.test_images, f"{d.image_rows} x {d.image_cols}", d.classes, d.source)
        for d in DATASETS.values()
    ]
    print_table("Data sets", columns, rows)
