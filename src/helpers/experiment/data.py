"""Data sets as 8-bit tensors: the real ones and the embedded stand-ins, in one shape."""

import hashlib
import warnings
from dataclasses import dataclass, field
from functools import cached_property
from pkgutil import resolve_name

import torch
from torch import Tensor

from helpers import InputError
from helpers.catalogue import DATASETS

from . import synthetic
from .own_data import load_own

#: Largest share of a GPU's free memory that the images of a split take; the network needs the rest.
RESIDENT_SHARE = 0.5


@dataclass(frozen=True)
class Split:
    """Images uint8 (N, 3, S, S), in memory or mapped from a file, and their labels int64 (N,)."""

    images: Tensor
    labels: Tensor
    _copies: dict = field(default_factory=dict, init=False, repr=False, compare=False)

    def on(self, device: torch.device) -> "Split":
        """Return the split for use on a device; uploaded once, then cached.

        The labels are on the device. So are the images if they fit `RESIDENT_SHARE` of its free
        memory; otherwise they stay on the CPU, from where batches are uploaded.
        """
        if device.type != "cuda":
            return Split(self.images, self.labels.to(device))
        if device not in self._copies:
            free, _ = torch.cuda.mem_get_info(device)
            fits = self.images.nbytes <= RESIDENT_SHARE * free
            images = self.images.to(device) if fits else self.images
            self._copies[device] = Split(images, self.labels.to(device))
        return self._copies[device]


@dataclass(frozen=True)
class Data:
    """A data set in three splits.

    Attributes
    ----------
    name : as in the catalogue; of a stand-in "tissue", "creatures" or "source"; of own data that
        of the file or folder
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

    @cached_property
    def sha256(self) -> str:
        """SHA-256 of all images and labels, of training, validation and test set in turn."""
        digest = hashlib.sha256()
        for split in (self.train, self.validation, self.test):
            digest.update(split.images.numpy())
            digest.update(split.labels.numpy())
        return digest.hexdigest()

    @property
    def summary(self) -> dict:
        """Description for the record: name, origin, checksum, classes, images per split."""
        return {
            "name": self.name,
            "official": self.official,
            "sha256": self.sha256,
            "classes": list(self.classes),
            "train": len(self.train.labels),
            "validation": len(self.validation.labels),
            "test": len(self.test.labels),
        }

    def mean_and_std(self) -> tuple[list[float], list[float]]:
        """Return each channel's mean and standard deviation over the training set, in [0, 1].

        Raises
        ------
        InputError : where a channel is constant, which no network can be normalised by
        """
        # Counts of the 256 grey levels are exact; the moments then take 256 terms.
        levels = torch.arange(256, dtype=torch.float64) / 255
        counts = torch.zeros(3, 256, dtype=torch.int64)
        for part in self.train.images.split(1024):  # so that few images are in memory at a time
            counts += torch.stack([c.flatten().bincount(minlength=256) for c in part.unbind(1)])
        means, deviations = [], []
        for count in counts:
            weight = count / self.train.images[:, 0].numel()
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
    name : of the catalogue: "pathmnist", "pets", "source" (embedded only), ...
    data_source : "official" for the published set, downloaded into ``data_dir`` if it is not
        there; "synthetic" for the embedded stand-in of the same shape, if it has one; or the path
        of an own ``.npz`` or folder that takes its place, see `load_own`
    data_dir : folder of the data sets; a relative one is taken from the repository
    image_size : side of the images in pixels

    Raises
    ------
    InputError : naming what is wrong with the data and how to mend it
    """
    if name not in DATASETS:
        raise InputError(f"there is no data set {name!r}; there are {', '.join(DATASETS)}")
    loader, stand_in = DATASETS[name]
    if data_source not in ("official", "synthetic"):
        name, splits, classes, official = load_own(data_source, image_size)
    elif stand_in and data_source == "synthetic":
        name, official = stand_in, False
        splits, classes = synthetic.generate(name, image_size), synthetic.CLASSES[name]
    elif loader:
        splits, classes, official = resolve_name(loader)(data_dir, image_size)
    else:
        raise InputError(f"data_source: {name} is embedded only; take synthetic")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The given NumPy array is not writable")  # nobody writes
        tensors = {
            split: Split(torch.from_numpy(images), torch.from_numpy(labels))
            for split, (images, labels) in splits.items()
        }
    return Data(name, official, tuple(classes), **tensors)
