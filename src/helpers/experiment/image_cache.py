"""Images as arrays in files: decoded once, complete or not at all, and memory-mapped."""

import math
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image
from torchvision.transforms.v2 import functional
from tqdm import tqdm

from helpers import InputError

from .fetch import make_once

#: Images decoded at a time.
CHUNK = 512

#: Most pixels per image (100 MB as RGB), and most images named in an error.
MAX_PIXELS, MAX_NAMED = 2**25, 200

#: Formats, recognised by content. Not EPS, for which Pillow runs Ghostscript.
FORMATS = ("JPEG", "PNG", "GIF", "BMP", "PPM", "TIFF", "WEBP")


def cache_images(
    cache: Path, size: int, labels: list[np.ndarray], parts: Iterable[np.ndarray]
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return images and labels of "train", "validation" and "test", given the labels of each.

    The images are read-only and mapped from a ``.npy`` file, which is made if missing. Its name
    identifies the content: the images of all splits in order, which come in parts, uint8
    (n, 3, size, size). If its folder is read-only or full, the file is in the home folder instead.
    """
    ends = np.cumsum([len(part) for part in labels])
    shape = (int(ends[-1]), 3, size, size)
    needed = math.prod(shape)
    elsewhere = Path.home() / ".cache" / "robustness-report" / cache.name
    if not _fits(cache, needed) and _fits(elsewhere, needed):
        cache = elsewhere

    def write(path: Path) -> None:
        free = shutil.disk_usage(path.parent).free
        if needed > free:
            raise OSError(f"it needs {needed / 1e9:,.1f} GB, but {free / 1e9:,.1f} GB are free")
        # Not through a memory map: on a full disk that kills the process instead of raising.
        with path.open("wb") as file:
            header = {"descr": "|u1", "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(file, header)
            for part in parts:
                file.write(np.ascontiguousarray(part))
            file.flush()
            os.fsync(file.fileno())

    make_once(cache, write, f"free space in {cache.parent}, make it writable, or set data_dir")
    try:
        images = np.split(np.load(cache, mmap_mode="r"), ends[:-1])
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"cannot read {cache} ({error}); delete it to make it again") from None
    return dict(zip(("train", "validation", "test"), zip(images, labels, strict=True), strict=True))


def _fits(file: Path, size: int) -> bool:
    """Return whether a file exists, or could be written with this size in bytes."""
    folder = next(parent for parent in file.parents if parent.exists())
    may_write = os.access(folder, os.W_OK) and shutil.disk_usage(folder).free >= size
    return file.exists() or may_write


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
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        starts = range(0, len(paths), CHUNK)
        for start in tqdm(starts, "decode", unit="image", unit_scale=CHUNK, leave=False):
            images = list(pool.map(decode, paths[start : start + CHUNK]))
            damaged += [image for image in images if isinstance(image, str)]
            if not damaged:
                yield np.stack(images)
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
