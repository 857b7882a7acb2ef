"""Data sets as 8-bit tensors in one layout: published, generated, and a user's own."""

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
from .custom_data import load_custom

#: Largest share of a GPU's free memory for the images of a split; the network needs the rest.
RESIDENT_SHARE = 0.5


@dataclass(frozen=True)
class Split:
    """Images uint8 (N, 3, S, S), in memory or mapped from a file, and their labels int64 (N,)."""

    images: Tensor
    labels: Tensor
    _copies: dict = field(default_factory=dict, init=False, repr=False, compare=False)

    def on(self, device: torch.device) -> "Split":
        """Return the split on a device, uploaded once; images that do not fit stay on the CPU."""
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
    """A data set in three splits."""

    name: str
    official: bool  # whether these are the published images in the published split
    classes: tuple[str, ...]
    train: Split
    validation: Split
    test: Split
    files: dict | None = None  # for own data, see `describe_source`

    def __post_init__(self):
        for name in ("train", "validation", "test"):
            labels = getattr(self, name).labels
            if len(labels) == 0:
                raise InputError(f"{self.name}: the {name} split has no image")
            outside = labels[(labels < 0) | (labels >= len(self.classes))]
            if len(outside):
                label = f"label {int(outside[0])} in the {name} split"
                raise InputError(f"{self.name}: {label} is outside the {len(self.classes)} classes")
        if len(self.train.labels) == 1:
            raise InputError(f"{self.name}: batch norm needs two training images or more")

    @cached_property
    def sha256(self) -> str:
        """SHA-256 of the images and labels of training, validation and test set, in this order."""
        digest = hashlib.sha256()
        for split in (self.train, self.validation, self.test):
            digest.update(split.images.numpy())
            digest.update(split.labels.numpy())
        return digest.hexdigest()

    @property
    def summary(self) -> dict:
        """Description for the record: name, origin, checksum, classes, images per split."""
        sizes = {name: len(getattr(self, name).labels) for name in ("train", "validation", "test")}
        names = {"name": self.name, "official": self.official, "classes": list(self.classes)}
        return names | {"sha256": self.sha256, "files": self.files} | sizes

    def mean_and_std(self) -> tuple[list[float], list[float]]:
        """Return each channel's mean and standard deviation over the training set, in [0, 1]."""
        # Counts of the 256 grey levels are exact, which leaves 256 terms per moment.
        levels = torch.arange(256, dtype=torch.float64) / 255
        counts = torch.zeros(3, 256, dtype=torch.int64)
        for part in self.train.images.split(1024):  # bounds the memory in use
            counts += torch.stack([c.flatten().bincount(minlength=256) for c in part.unbind(1)])
        weights = counts / self.train.images[:, 0].numel()
        mean = (weights * levels).sum(1)
        std = (weights * (levels - mean[:, None]) ** 2).sum(1).sqrt()
        if not std.all():
            channel = f"channel {int(std.argmin())} of all training images is constant"
            raise InputError(f"{self.name}: {channel}; it cannot be normalised")
        return mean.tolist(), std.tolist()


def load_data(name: str, data_source: str, data_dir: str, image_size: int) -> Data:
    """Load a data set of the catalogue; on failure, raise InputError with the remedy.

    ``data_source`` is "official", the published set (downloaded into ``data_dir`` if missing);
    "synthetic", its generated stand-in; or the path of own data, see `load_custom`. Relative paths
    start at the root of the repository; ``image_size`` is in pixels.
    """
    if name not in DATASETS:
        raise InputError(f"unknown data set {name!r}; choose {', '.join(DATASETS)}")
    entry, official, files = DATASETS[name], False, None
    if data_source not in ("official", "synthetic"):
        name, splits, classes, files = load_custom(data_source, image_size, data_dir)
    elif entry.stand_in and data_source == "synthetic":
        name = entry.stand_in
        splits, classes = synthetic.generate(name, image_size), synthetic.CLASSES[name]
    else:
        official = True
        splits, classes = resolve_name(entry.loader)(data_dir, image_size)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The given NumPy array is not writable")  # read only
        splits = {split: Split(*map(torch.from_numpy, pair)) for split, pair in splits.items()}
    return Data(name, official, tuple(classes), **splits, files=files)
