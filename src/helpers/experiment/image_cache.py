"""Images as arrays in files: decoded once, complete or not at all, and memory-mapped."""

import contextlib
import math
import os
import shutil
import zipfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import psutil
from PIL import Image
from torchvision.transforms.v2 import functional
from tqdm import tqdm

from helpers import InputError
from helpers.source_files import reading

from .fetch import make_once

#: MedMNIST's names of training, validation and test set.
SPLITS = ("train", "val", "test")

#: Bytes read at a time, and images decoded at a time.
BLOCK, CHUNK = 2**24, 512

#: Most pixels per image (100 MB as RGB), and most images named in an error.
MAX_PIXELS, MAX_NAMED = 2**25, 200

#: Formats, recognised by content. Not EPS, for which Pillow runs Ghostscript.
FORMATS = ("JPEG", "PNG", "GIF", "BMP", "PPM", "TIFF", "WEBP")

#: Controllers of control groups (version 2, 1) to their files of use and limit, and the entry of
#: reclaimable memory.
GROUPS = {
    "": ("memory.current", "memory.max", "inactive_file"),
    "memory": ("memory.usage_in_bytes", "memory.limit_in_bytes", "total_inactive_file"),
}


def cache_array(cache: Path, shape: tuple[int, ...], parts: Iterable[np.ndarray]) -> np.ndarray:
    """Return an array uint8, read-only, mapped from a ``.npy`` file that is made if missing.

    The file name identifies the content, whose rows come in parts. If the folder is not writable or
    the disk too small, the array is held in memory.
    """

    def is_whole(path: Path) -> bool:
        with reading(path), contextlib.suppress(ValueError, EOFError):  # a truncated file
            return path.exists() and np.load(path, mmap_mode="r").shape == shape
        return False

    def write(path: Path) -> None:
        # Not through a memory map: on a full disk that kills the process instead of raising.
        with path.open("wb") as file:
            header = {"descr": "|u1", "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(file, header)
            for part in parts:
                file.write(np.ascontiguousarray(part, np.uint8))
            file.flush()
            os.fsync(file.fileno())

    folder = next(path for path in cache.parents if path.exists())
    disk = shutil.disk_usage(folder).free if os.access(folder, os.W_OK) else 0
    memory, needed = free_memory(), math.prod(shape)
    if needed and (is_whole(cache) or needed < disk):  # an empty array cannot be mapped
        make_once(cache, write, f"free space in {cache.parent} or make it writable", is_whole)
        return np.load(cache, mmap_mode="r")
    if needed > memory:
        raise InputError(
            f"{cache} needs {needed / 1e9:,.1f} GB, but {disk / 1e9:,.1f} GB of disk and"
            f" {memory / 1e9:,.1f} GB of memory are free; give fewer or smaller images"
        )
    array, filled = np.empty(shape, np.uint8), 0
    for part in parts:
        array[filled : filled + len(part)] = part
        filled += len(part)
    return array


def cache_splits(
    cache: Path, size: int, parts: Iterable[np.ndarray], labels: list[np.ndarray]
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return the cached images and the labels of "train", "validation" and "test".

    The parts are the images of all splits in this order, uint8 (n, 3, size, size).
    """
    ends = np.cumsum([len(part) for part in labels])
    images = np.split(cache_array(cache, (int(ends[-1]), 3, size, size), parts), ends[:-1])
    return dict(zip(("train", "validation", "test"), zip(images, labels, strict=True), strict=True))


def free_memory(
    cgroup: Path = Path("/sys/fs/cgroup"), own: Path = Path("/proc/self/cgroup")
) -> int:
    """Return the free memory in bytes, of the container if it has less than the machine."""
    free = psutil.virtual_memory().available
    lines = own.read_text().splitlines() if own.exists() else []
    for kind, path in (line.split(":", 2)[1:] for line in lines):
        if kind not in GROUPS:
            continue
        used, limit, reclaimable = GROUPS[kind]
        group = cgroup / kind / path.lstrip("/")
        for folder in (group, *group.parents):
            # A missing group, or "max", sets no limit.
            with contextlib.suppress(OSError, ValueError, KeyError):
                entries = dict(line.split() for line in (folder / "memory.stat").open())
                taken = int((folder / used).read_text()) - int(entries[reclaimable])
                free = min(free, max(0, int((folder / limit).read_text()) - taken))
    return free


def read_header(archive: zipfile.ZipFile, name: str) -> tuple[tuple[int, ...], np.dtype, int]:
    """Return shape, type and offset in bytes of an array in a .npz that can be streamed."""
    with archive.open(f"{name}.npy") as file:
        version = np.lib.format.read_magic(file)
        if version != (1, 0):  # the version of plain arrays, with a short header
            raise ValueError(f"{name} has format {version}; save it with numpy.savez")
        shape, fortran, dtype = np.lib.format.read_array_header_1_0(file)
        offset = file.tell()
    size = archive.getinfo(f"{name}.npy").file_size - offset
    if dtype.hasobject:
        raise TypeError(f"{name} holds objects, not numbers")
    if min(shape, default=0) < 0 or math.prod(shape) * dtype.itemsize > size:
        raise ValueError(f"{name} is too short for {dtype} {shape}")
    if fortran and len(shape) > 1:
        raise ValueError(f"{name} is in Fortran order; save it in C order")
    return shape, dtype, offset


def stream_array(archive: zipfile.ZipFile, name: str) -> Iterator[np.ndarray]:
    """Yield the rows of an array in a .npz in parts of about `BLOCK` bytes."""
    shape, dtype, offset = read_header(archive, name)
    row = math.prod(shape[1:]) * dtype.itemsize
    with archive.open(f"{name}.npy") as file:
        file.seek(offset)
        while part := file.read(max(1, BLOCK // max(row, 1)) * row):
            yield np.frombuffer(part, dtype).reshape(-1, *shape[1:])


def decode_images(
    paths: list[Path], size: int, convert: Callable[[Image.Image], Image.Image]
) -> Iterator[np.ndarray]:
    """Yield images as uint8 (n, 3, size, size), resized on the shorter side and centre-cropped.

    After the last image, an InputError names all that cannot be decoded.
    """

    def decode(path: Path) -> np.ndarray | str:
        try:
            with Image.open(path, formats=FORMATS) as image:  # reads no pixel yet
                check_pixels(*image.size, size)
                square = functional.center_crop(functional.resize(convert(image), size), size)
                return np.asarray(square).transpose(2, 0, 1)
        except Exception as error:  # Pillow raises almost anything for a damaged image
            return f"{path} ({' '.join(str(error).split()) or type(error).__name__})"

    damaged = []
    # Threads suffice: Pillow releases the interpreter lock while decoding and resizing.
    progress = tqdm(total=len(paths), desc="decode images", unit="image", leave=False)
    with ThreadPoolExecutor(os.cpu_count()) as pool, progress:
        for start in range(0, len(paths), CHUNK):
            images = list(pool.map(decode, paths[start : start + CHUNK]))
            damaged += [image for image in images if isinstance(image, str)]
            if not damaged:
                yield np.stack(images)
            progress.update(len(images))
    if damaged:
        raise InputError(
            f"{len(damaged)} of {len(paths)} images cannot be decoded; replace or remove"
            f" {', '.join(damaged[:MAX_NAMED])}"
        )


def check_pixels(width: int, height: int, size: int) -> None:
    """Raise ValueError if an image is too large, as it is or once resized."""
    short, long = sorted((width, height))
    if short < 1 or long * max(short, size**2 / short) > MAX_PIXELS:
        raise ValueError(f"{width} x {height} pixels cannot be resized to {size}")
