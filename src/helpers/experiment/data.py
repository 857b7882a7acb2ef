"""Data sets as 8-bit tensors: the real ones and the embedded stand-ins, in one shape."""

import hashlib
from dataclasses import dataclass

import torch
from torch import Tensor

from helpers import InputError

from . import synthetic
from .real_data import load_pathmnist, load_pets

REAL = {"pathmnist": load_pathmnist, "pets": load_pets}
STAND_IN = {"pathmnist": "tissue", "pets": "creatures", "source": "source"}


@dataclass(frozen=True)
class Split:
    """Images uint8 (N, 3, S, S) and their labels int64 (N,)."""

    images: Tensor
    labels: Tensor


@dataclass(frozen=True)
class Data:
    """A data set in three splits.

    Attributes
    ----------
    name : "pathmnist", "pets", or of a stand-in "tissue", "creatures", "source"
    official : whether these are the published images in the published split
    classes : names, by label
    """

    name: str
    official: bool
    classes: tuple[str, ...]
    train: Split
    validation: Split
    test: Split

    def __post_init__(self):
        for name in ("train", "validation", "test"):
            labels = getattr(self, name).labels
            if len(labels) == 0:
                raise InputError(f"{self.name}: the {name} split holds no image")
            outside = labels[(labels < 0) | (labels >= len(self.classes))]
            if len(outside):
                raise InputError(
                    f"{self.name}: label {int(outside[0])} in the {name} split is outside the"
                    f" {len(self.classes)} classes; get the data set anew"
                )
        if len(self.train.labels) == 1:
            raise InputError(f"{self.name}: one training image is too few; batch norm needs two")

    @property
    def summary(self) -> dict:
        """What the record says of the data: name, origin, checksum of all arrays, counts."""
        digest = hashlib.sha256()
        splits = {"train": self.train, "validation": self.validation, "test": self.test}
        for split in splits.values():
            digest.update(split.images.numpy())
            digest.update(split.labels.numpy())
        counts = {name: len(split.labels) for name, split in splits.items()}
        return {
            "name": self.name,
            "official": self.official,
            "sha256": digest.hexdigest(),
            "classes": list(self.classes),
        } | counts

    def mean_and_std(self) -> tuple[list[float], list[float]]:
        """Return each channel's mean and standard deviation over the training set, in [0, 1].

        Raises
        ------
        InputError : where a channel is constant, which no network can be normalised by
        """
        # Counts of the 256 grey levels are exact; the moments then take 256 terms.
        levels = torch.arange(256, dtype=torch.float64) / 255
        means, deviations = [], []
        for channel in self.train.images.unbind(1):
            weight = torch.bincount(channel.flatten(), minlength=256) / channel.numel()
            mean = (weight * levels).sum()
            means.append(mean.item())
            deviations.append((weight * (levels - mean) ** 2).sum().sqrt().item())
        if 0 in deviations:
            raise InputError(
                f"{self.name}: all training images are the same in channel {deviations.index(0)};"
                " get the data set anew"
            )
        return means, deviations


def load_data(name: str, data_source: str, data_dir: str, image_size: int) -> Data:
    """Load a data set.

    Parameters
    ----------
    name : "pathmnist", "pets", or "source" (embedded only)
    data_source : "official" for the published set, downloaded into ``data_dir`` if it is not
        there; "synthetic" for the embedded stand-in of the same shape
    data_dir : folder of the data sets; a relative one is taken from the repository
    image_size : side of the images in pixels

    Raises
    ------
    InputError : naming what is wrong with the data and how to mend it
    """
    if data_source == "synthetic":
        stand_in = STAND_IN[name]
        splits = synthetic.generate(stand_in, image_size)
        classes, official = synthetic.CLASSES[stand_in], False
        name = stand_in
    else:
        splits, classes, official = REAL[name](data_dir, image_size)
    tensors = {
        split: Split(torch.from_numpy(images), torch.from_numpy(labels))
        for split, (images, labels) in splits.items()
    }
    return Data(name, official, tuple(classes), **tensors)
