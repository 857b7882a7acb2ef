"""Peak resident memory of training on full-size PathMNIST, and what evaluation adds to it."""

import dataclasses
import resource
import tempfile
from pathlib import Path

import medmnist
import numpy as np
from evaluate import CORRUPTIONS
from timing import Row, format_table

from helpers import experiment as ex
from helpers.experiment.data import Split
from helpers.experiment.downloads import digest_file

COUNTS = {"train": 89_996, "val": 10_004, "test": 7_180}


def write_pathmnist(folder: Path) -> None:
    """Write noise in the file of PathMNIST, and let it pass for the published one."""
    generator = np.random.default_rng(0)
    arrays = {}
    for name, count in COUNTS.items():
        arrays[f"{name}_images"] = generator.integers(256, size=(count, 28, 28, 3), dtype=np.uint8)
        arrays[f"{name}_labels"] = generator.integers(9, size=(count, 1), dtype=np.uint8)
    np.savez(folder / "pathmnist.npz", **arrays)
    medmnist.INFO["pathmnist"]["MD5"] = digest_file(folder / "pathmnist.npz", "md5")


def peak_memory() -> float:
    """Return this process's peak so far in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure() -> list[Row]:
    """Return two rows, from an epoch of a few steps: memory does not grow with their number."""
    with tempfile.TemporaryDirectory() as folder:
        write_pathmnist(Path(folder))
        data = ex.load_data("pathmnist", "official", folder, 28)
    model = ex.make_model("resnet18", "random", data, "data", "train", 0)
    # All images are read once, as a run does for their checksum; the epoch takes a few of them.
    assert data.summary["train"] == COUNTS["train"]
    few = dataclasses.replace(data, train=Split(data.train.images[:1024], data.train.labels[:1024]))
    rates = {"backbone_lr": 1e-3, "head_lr": 1e-3, "weight_decay": 1e-6}
    shape = {"epochs": 1, "batch_size": 256, "precision": "float32", "seed": 0}
    ex.fit(model, few, ex.Augmentation(0.4, 20, 0.3), second_forward=True, **rates, **shape)
    trained = peak_memory()
    test = Split(data.test.images[:1024], data.test.labels[:1024])
    ex.evaluate(model, dataclasses.replace(data, test=test), CORRUPTIONS)
    return [
        Row("peak of training on full-size PathMNIST", "MB", trained, target="≤ 1,500 MB"),
        Row("what evaluation adds", "MB", peak_memory() - trained, target="≤ 200 MB"),
    ]


if __name__ == "__main__":
    print(format_table(measure()))
