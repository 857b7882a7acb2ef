"""Image sets as arrays in files: made once, whole or not at all, and mapped into memory."""

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from .downloads import fetching

#: "train", "validation" and "test" to images uint8 (N, 3, S, S) and labels int64 (N,).
Splits = dict[str, tuple[np.ndarray, np.ndarray]]


def cache_images(cache: Path, shape: tuple[int, ...], parts: Iterable[np.ndarray]) -> np.ndarray:
    """Return images uint8 (N, 3, S, S), read-only, mapped from a file that is made if need be.

    A mapped array takes no memory that the system could not have back, and may be larger than it.

    Parameters
    ----------
    cache : the file; where its folder cannot be written, the images are held in memory
    shape : (N, 3, S, S)
    parts : N images (n, 3, S, S) in parts, asked for only where the file is not there

    Raises
    ------
    ValueError : where there are not N images of this shape
    """
    if cache.exists():
        with contextlib.suppress(ValueError):  # cut short: make it again
            return np.load(cache, mmap_mode="r")
        cache.unlink()
    if not os.access(cache.parent if cache.parent.exists() else cache.parent.parent, os.W_OK):
        return _fill(np.empty(shape, np.uint8), parts)
    with fetching(cache, f"make {cache.parent} writable") as folder:
        if folder:
            _fill(np.lib.format.open_memmap(folder / cache.name, "w+", np.uint8, shape), parts)
    return np.load(cache, mmap_mode="r")


def _fill(images: np.ndarray, parts: Iterable[np.ndarray]) -> np.ndarray:
    place = 0
    for part in parts:
        images[place : place + len(part)] = part
        place += len(part)
    if place != len(images):
        raise ValueError(f"{place} images instead of {len(images)}")
    return images
