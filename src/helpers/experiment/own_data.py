"""Data of one's own: a file in MedMNIST's layout, or folders of images."""

import zipfile
from pathlib import Path

import numpy as np
import torch
from torchvision.datasets import ImageFolder
from torchvision.transforms.v2 import functional

from helpers import InputError

from .caching import Splits
from .downloads import from_root
from .pets import decode_images

#: Our splits to MedMNIST's words for them.
SPLITS = {"train": "train", "validation": "val", "test": "test"}


def load_own(path: str, image_size: int) -> tuple[str, Splits, list[str], bool]:
    """Return the name of own data, their splits, class names, and False: they are not published.

    Images of another size are resized on the shorter side and cropped to the centre square.

    Parameters
    ----------
    path : of a ``.npz`` with the arrays ``train_images``, ``train_labels``, and the same of
        ``val`` and ``test``, images uint8 (N, H, W) or (N, H, W, 3), labels (N,) or (N, 1), from
        0; or of a folder with ``train/<class>/``, ``val/<class>/`` and ``test/<class>/``. A
        relative path is taken from the repository.
    image_size : side in pixels

    Raises
    ------
    InputError : naming what is missing or cannot be read
    """
    place = from_root(path)
    if place.is_dir():
        return place.name, *_read_folders(place, image_size), False
    if place.is_file():
        return place.stem, *_read_file(place, image_size), False
    raise InputError(
        f"data_source: there is no {place}; give a .npz in MedMNIST's layout, a folder with train,"
        " val and test, or official or synthetic"
    )


def _read_file(path: Path, size: int) -> tuple[Splits, list[str]]:
    splits = {}
    try:
        with np.load(path, allow_pickle=False) as arrays:
            for ours, theirs in SPLITS.items():
                images, labels = arrays[f"{theirs}_images"], arrays[f"{theirs}_labels"]
                splits[ours] = _square(images, size), labels.reshape(len(images)).astype(np.int64)
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        reason = " ".join(str(error).strip("'\"").split())
        raise InputError(f"{path} is not in MedMNIST's layout ({reason}); see load_own") from None
    count = 1 + max(labels.max(initial=-1) for _, labels in splits.values())
    return splits, [f"class {label}" for label in range(count)]


def _square(images: np.ndarray, size: int) -> np.ndarray:
    """Return images as MedMNIST stores them as uint8 (N, 3, size, size)."""
    if images.dtype != np.uint8:
        raise TypeError(f"its images are {images.dtype}, not uint8")
    if images.ndim == 3:
        images = np.repeat(images[..., None], 3, axis=-1)
    if images.ndim != 4 or images.shape[-1] != 3:
        raise TypeError(f"its images are of shape {images.shape}")
    pixels = torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))
    if pixels.shape[2:] != (size, size):
        pixels = functional.center_crop(functional.resize(pixels, size), size)
    return pixels.contiguous().numpy()


def _read_folders(path: Path, size: int) -> tuple[Splits, list[str]]:
    splits, classes = {}, None
    for ours, theirs in SPLITS.items():
        try:
            found = ImageFolder(path / theirs)
        except OSError as error:  # also where a class has no image
            raise InputError(f"{path / theirs} holds no folders of images ({error})") from None
        if found.classes != (classes := classes or found.classes):
            raise InputError(f"{path / theirs} has other classes than {path / 'train'}")
        paths, labels = zip(*found.samples, strict=True)
        parts = list(decode_images([Path(p) for p in paths], size))
        images = np.ascontiguousarray(np.concatenate(parts))
        splits[ours] = images, np.array(labels)
    return splits, classes
