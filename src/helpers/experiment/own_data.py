"""Data of one's own: a file in MedMNIST's layout, or folders of images."""

import math
import zipfile
from pathlib import Path

import numpy as np
import psutil
import torch
from torchvision.datasets import ImageFolder
from torchvision.transforms.v2 import functional

from helpers import InputError

from .caching import Splits
from .downloads import from_root
from .pets import decode_images

#: Our splits to MedMNIST's words for them.
SPLITS = {"train": "train", "validation": "val", "test": "test"}

#: Labels of a file lie below this, since each number up to the largest is a class. ImageNet in
#: full has 21,841.
MAX_CLASSES = 2**15


def load_own(path: str, image_size: int) -> tuple[str, Splits, list[str], bool]:
    """Return the name of own data, their splits, class names, and False: they are not published.

    Images of another size are resized on the shorter side and cropped to the centre square.

    Parameters
    ----------
    path : of a ``.npz`` with the arrays ``train_images``, ``train_labels``, and the same of
        ``val`` and ``test``, images uint8 (N, H, W) or (N, H, W, 3), labels (N,) or (N, 1), whole
        numbers from 0; or of a folder with ``train/<class>/``, ``val/<class>/`` and
        ``test/<class>/``. A relative path is taken from the repository.
    image_size : side in pixels

    Raises
    ------
    InputError : naming what is missing, cannot be read, or would not fit into the free memory
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
        with zipfile.ZipFile(path) as archive:
            _check_memory(path, archive, size)
            for ours, theirs in SPLITS.items():
                images = _read(archive, f"{theirs}_images.npy")
                labels = _read(archive, f"{theirs}_labels.npy").reshape(len(images))
                splits[ours] = _square(images, size), _check_labels(labels)
    except InputError:
        raise
    except Exception as error:  # a damaged file makes zipfile and numpy raise what they like
        reason = " ".join((str(error).strip("'\"") or type(error).__name__).split())
        raise InputError(
            f"{path} is not in MedMNIST's layout ({reason}); it needs train_images, train_labels,"
            " and the same of val and test"
        ) from None
    count = 1 + max(labels.max(initial=-1) for _, labels in splits.values())
    return splits, [f"class {label}" for label in range(count)]


def _check_memory(path: Path, archive: zipfile.ZipFile, size: int) -> None:
    """Raise InputError for a file that would fill the memory, before any of it is unpacked.

    A few kilobytes can be made to unpack to, say that they are, or be resized to terabytes.
    """
    free = psutil.virtual_memory().available
    needed = sum(entry.file_size for entry in archive.infolist())
    if needed <= free:  # else not even headers are read
        needed += sum(_measure(archive, split, size) for split in SPLITS.values())
    if needed > free:
        raise InputError(
            f"{path} would take {needed / 1e9:,.1f} GB of memory, and {free / 1e9:,.1f} GB are"
            " free; give fewer or smaller images"
        )


def _measure(archive: zipfile.ZipFile, split: str, size: int) -> int:
    """Return the bytes that a split's images take in colour and resized, by the headers alone.

    Raises
    ------
    TypeError, ValueError : where images or labels are of another type or shape
    """
    count, *sides = shape = _read_header(archive, f"{split}_images.npy", "u1")
    if len(sides) not in (2, 3) or sides[2:] not in ([], [3]) or min(sides) < 1 or count < 0:
        raise ValueError(f"its images are of shape {shape}")
    _read_header(archive, f"{split}_labels.npy", "b1 i1 i2 i4 i8 u1 u2 u4 u8 f2 f4 f8")
    short, long = sorted(sides[:2])
    resized = 0 if short == long == size else size * math.ceil(size * long / short)
    return 3 * count * (short * long + resized)


def _read_header(archive: zipfile.ZipFile, name: str, types: str) -> tuple[int, ...]:
    """Return the shape of an array that is of one of some types and no longer than its file."""
    with archive.open(name) as file:
        version = np.lib.format.read_magic(file)
        read = getattr(np.lib.format, f"read_array_header_{version[0]}_{version[1]}")
        shape, _, dtype = read(file)
    if dtype.str[1:] not in types.split():
        what = name.partition("_")[2].removesuffix(".npy")
        raise TypeError(f"its {what} are {dtype}, not {'uint8' if types == 'u1' else 'numbers'}")
    if math.prod(shape) * dtype.itemsize > archive.getinfo(name).file_size:
        raise ValueError(f"{name} is too short for {shape}")
    return shape


def _read(archive: zipfile.ZipFile, name: str) -> np.ndarray:
    with archive.open(name) as file:
        return np.lib.format.read_array(file, allow_pickle=False)


def _check_labels(labels: np.ndarray) -> np.ndarray:
    """Return labels as int64; raise ValueError where they are no whole numbers, or too large."""
    if (largest := labels.max(initial=0)) >= MAX_CLASSES:
        raise ValueError(f"label {largest} is beyond {MAX_CLASSES:,} classes, counted from 0")
    with np.errstate(invalid="ignore"):  # of what is not a number
        whole = labels.astype(np.int64)
    if len(broken := labels[whole != labels]):
        raise ValueError(f"label {broken[0]} is no whole number")
    return whole


def _square(images: np.ndarray, size: int) -> np.ndarray:
    """Return images as MedMNIST stores them as uint8 (N, 3, size, size)."""
    if images.ndim == 3:
        images = np.repeat(images[..., None], 3, axis=-1)
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
