"""Data sets as arrays in files: made once, whole or not at all, and mapped into memory."""

import hashlib
import itertools
import os
from collections.abc import Iterable, Iterator
from functools import partial
from io import BytesIO
from pathlib import Path

import numpy as np

from .downloads import fetching

#: "train", "validation" and "test" to images uint8 (N, 3, S, S) and labels int64 (N,).
Splits = dict[str, tuple[np.ndarray, np.ndarray]]

#: Bytes that are read at a time.
BLOCK = 2**20


def cache_array(cache: Path, shape: tuple[int, ...], parts: Iterable[np.ndarray]) -> np.ndarray:
    """Return an array uint8, read-only, mapped from a file that is made if need be.

    A mapped array takes no memory that the system could not have back, and may be larger than it.
    The file is a ``.npy`` with its SHA-256 behind the array. It is read once to compare, 1.5 GB a
    second: where it was cut short, changed, or never reached the disk, it is made again.

    Parameters
    ----------
    cache : the file; where its folder cannot be written, the array is held in memory
    shape : (N, ...), such as (N, 3, S, S) of images
    parts : N rows (n, ...) in parts, asked for only where the file is not there

    Raises
    ------
    InputError : where the file cannot be written
    ValueError : where there are not N rows of this shape
    """
    is_whole = partial(_is_whole, shape=shape)
    if not os.access(cache.parent if cache.parent.exists() else cache.parent.parent, os.W_OK):
        return _map(cache) if is_whole(cache) else _fill(np.empty(shape, np.uint8), parts)
    advice = f"free space in {cache.parent}, or make it writable"
    with fetching(cache, advice, is_whole) as folder:
        if folder:
            cache.unlink(missing_ok=True)  # a damaged one, which only who holds the lock removes
            _write(folder / cache.name, shape, parts)
    return _map(cache)


def _map(cache: Path) -> np.ndarray:
    return np.load(cache, mmap_mode="r")


def _is_whole(cache: Path, shape: tuple[int, ...]) -> bool:
    """Return whether a file is there as `_write` left it, with an array of this shape."""
    digest = hashlib.sha256()
    try:
        with cache.open("rb") as file:
            left = os.fstat(file.fileno()).st_size - digest.digest_size
            while left > 0 and (block := file.read(min(left, BLOCK))):
                digest.update(block)
                left -= len(block)
            same = file.read() == digest.digest()
    except OSError:  # not there, or on a part of the disk that cannot be read any more
        return False
    return same and _map(cache).shape == shape


def _write(path: Path, shape: tuple[int, ...], parts: Iterable[np.ndarray]) -> None:
    # Not through a mapping: where the disk is full, that kills the process instead of raising.
    header, digest = BytesIO(), hashlib.sha256()
    about = {"descr": "|u1", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(header, about)
    with path.open("wb") as file:
        for block in itertools.chain([header.getvalue()], _check(parts, shape)):
            file.write(block)
            digest.update(block)
        file.write(digest.digest())


def _fill(array: np.ndarray, parts: Iterable[np.ndarray]) -> np.ndarray:
    place = 0
    for part in _check(parts, array.shape):
        array[place : place + len(part)] = part
        place += len(part)
    return array


def _check(parts: Iterable[np.ndarray], shape: tuple[int, ...]) -> Iterator[np.ndarray]:
    """Yield parts as they lie in a file, if they are as many rows of a shape as there shall be."""
    count = 0
    for part in parts:
        if part.dtype != np.uint8 or part.shape[1:] != shape[1:]:
            raise ValueError(f"{part.dtype} {part.shape[1:]} instead of uint8 {shape[1:]}")
        if (count := count + len(part)) > shape[0]:
            break
        yield np.ascontiguousarray(part)
    if count != shape[0]:
        raise ValueError(f"{count} rows instead of {shape[0]}")
