"""Files in MedMNIST's layout: ``.npz`` with images and labels of train, val and test."""

import contextlib
import math
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torchvision.transforms.v2 import functional

from helpers import InputError

from .image_cache import check_pixels

#: MedMNIST's names of training, validation and test set.
SPLITS = ("train", "val", "test")

#: Bytes of images read at a time.
BLOCK = 2**24

#: Labels must be below this, since each number up to the largest is a class.
MAX_CLASSES = 2**15


def read_arrays(place: Path, size: int) -> tuple[list[np.ndarray], Iterator[np.ndarray]]:
    """Return the labels of each split, int64 (N,), and an iterator over the images of all splits.

    The images come in parts, uint8 (n, 3, size, size), resized on the shorter side and
    centre-cropped. Raises a one-line InputError if the file is not in MedMNIST's layout.
    """
    with _opening(place) as archive:
        labels = [_read_labels(archive, split) for split in SPLITS]

    def stream() -> Iterator[np.ndarray]:
        with _opening(place) as archive:
            for split, part in zip(SPLITS, labels, strict=True):
                yield from _stream_images(archive, split, len(part), size)

    return labels, stream()


@contextlib.contextmanager
def _opening(place: Path) -> Iterator[zipfile.ZipFile]:
    try:
        with zipfile.ZipFile(place) as archive:
            yield archive
    except OSError as error:
        raise InputError(f"cannot read {place}: {error}; fix it there") from None
    except Exception as error:  # zipfile and numpy raise almost anything for a damaged file
        reason = " ".join((str(error).strip("'\"") or type(error).__name__).split())
        raise InputError(
            f"{place} is not in MedMNIST's layout ({reason}); it needs train_images, train_labels,"
            " and the same of val and test"
        ) from None


def _read_labels(archive: zipfile.ZipFile, split: str) -> np.ndarray:
    with archive.open(f"{split}_labels.npy") as file:
        labels = np.lib.format.read_array(file)
    if labels.dtype.kind not in "iuf" or labels.shape not in ((len(labels),), (len(labels), 1)):
        raise ValueError(f"its {split}_labels are {labels.dtype} of shape {labels.shape}")
    bad = labels[~((labels >= 0) & (labels < MAX_CLASSES) & (labels == np.floor(labels)))]
    if len(bad):
        raise ValueError(f"label {bad[0]:g} is not a whole number from 0 to {MAX_CLASSES - 1:,}")
    return labels.astype(np.int64).reshape(-1)


def _stream_images(
    archive: zipfile.ZipFile, split: str, count: int, size: int
) -> Iterator[np.ndarray]:
    with archive.open(f"{split}_images.npy") as file:
        np.lib.format.read_magic(file)
        shape, fortran, dtype = np.lib.format.read_array_header_1_0(file)
        expected = ((count, *shape[1:3]), (count, *shape[1:3], 3))
        if dtype != np.uint8 or fortran or len(shape) < 3 or shape not in expected:
            order = " in Fortran order" * fortran
            raise ValueError(
                f"its {split}_images are {dtype} of shape {shape}{order}, not uint8"
                f" ({count}, H, W) or ({count}, H, W, 3) in C order for {count} labels"
            )
        check_pixels(shape[2], shape[1], size)
        row = math.prod(shape[1:])
        while block := file.read(max(1, BLOCK // row) * row):
            part = np.frombuffer(block, np.uint8).reshape(-1, *shape[1:])
            count -= len(part)
            colour = part if part.ndim == 4 else np.repeat(part[..., None], 3, axis=-1)
            pixels = torch.from_numpy(np.ascontiguousarray(colour.transpose(0, 3, 1, 2)))
            yield functional.center_crop(functional.resize(pixels, size), size).numpy()
    if count:
        raise ValueError(f"its {split}_images are not as long as their header says")
