"""Oxford-IIIT Pets, from torchvision: fetched, split, decoded once."""

import hashlib
import os
import tarfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image
from torchvision.datasets.utils import download_url
from torchvision.transforms.v2 import functional
from tqdm import tqdm

from helpers import InputError

from .caching import Splits, cache_array
from .downloads import fetching, from_root

#: Pets ships no validation split: this part of trainval, stratified, by this seed. The split is
#: part of the data set: all runs share it, so that they differ in nothing but their seed.
VALIDATION_FRACTION, VALIDATION_SEED = 0.2, 0

#: Pixels of the largest image that is decoded; as RGB it takes 100 MB.
MAX_PIXELS = 2**25

#: What an image may be, whatever its name says (some of Pets are no JPEGs). Pillow knows others,
#: and would run a program for some: Ghostscript for EPS.
FORMATS = ("JPEG", "PNG", "GIF", "BMP", "PPM", "TIFF", "WEBP")

#: SHA-256 of the published split: "<image> <class>" a line, sorted (3,680 and 3,669 images).
#: Checksums of the images are published for their archive only, which a download is held against.
PETS_OFFICIAL = {
    "trainval": "bf3a54d2c1b0a83c9e9c9b4386ee170dc1d9c0a61c92bc239aa66624bd10b144",
    "test": "2f09789a8092d711b032af9cadf3e595063b2650aa90ef2714a3fa784d49c005",
}


def load_pets(data_dir: str, image_size: int) -> tuple[Splits, list[str], bool]:
    """Return Oxford-IIIT Pets at one size, its breeds, and whether its lists are as published.

    The images are resized to ``image_size`` on the shorter side and cropped to the centre
    square, once; the result is cached in ``<data_dir>/cache``. The validation split is a
    stratified fifth of trainval.

    Parameters
    ----------
    data_dir : holds ``oxford-iiit-pet/images`` and ``.../annotations``, or gets them
    image_size : side in pixels

    Raises
    ------
    InputError : for an image that is missing or cannot be decoded, a download that fails

    Source: Parkhi et al. (2012), Cats and Dogs, through torchvision.datasets.OxfordIIITPet.
    """
    from sklearn.model_selection import train_test_split
    from torchvision.datasets import OxfordIIITPet

    root = from_root(data_dir)
    folder = root / "oxford-iiit-pet"
    archives = " and ".join(f"{url} (MD5 {md5})" for url, md5 in OxfordIIITPet._RESOURCES)
    advice = f"unpack {archives} into {folder}"
    with fetching(folder, advice) as temporary:
        if temporary:
            for url, md5 in OxfordIIITPet._RESOURCES:
                download_url(url, temporary, md5=md5)  # nothing is unpacked but what it verified
                # torchvision would unpack with all that the archive says, also outside its folder.
                with tarfile.open(temporary / url.rpartition("/")[2]) as archive:
                    archive.extractall(temporary / folder.name, filter="data")
    try:
        parts = {split: OxfordIIITPet(root, split) for split in ("trainval", "test")}
    except (RuntimeError, OSError, ValueError) as error:
        raise InputError(f"{folder} is not whole ({error}); {advice}") from None
    official = True
    for split, part in parts.items():
        official &= digest_pets(part) == PETS_OFFICIAL[split]
    trainval, test = parts["trainval"], parts["test"]
    try:
        train, validation = train_test_split(
            np.arange(len(trainval)),
            test_size=VALIDATION_FRACTION,
            random_state=VALIDATION_SEED,
            stratify=trainval._labels,
        )
    except ValueError as error:
        reason = f"too few images for a validation split: {error}"
        raise InputError(f"{folder} is not whole ({reason}); {advice}") from None
    chosen = {
        "train": (trainval, train),
        "validation": (trainval, validation),
        "test": (test, range(len(test))),
    }
    splits = {}
    for split, (part, indices) in chosen.items():
        cache = root / "cache" / f"pets-{split}-{image_size}.npy"
        paths = [part._images[index] for index in indices]
        images = _decode(paths, image_size, cache)
        splits[split] = images, np.array([part._labels[index] for index in indices])
    return splits, test.classes, official


def digest_pets(part) -> str:
    """Return the SHA-256 of a split's list, to hold against `PETS_OFFICIAL`."""
    listed = zip(part._images, part._labels, strict=True)
    pairs = [f"{path.stem} {label}" for path, label in listed]
    return hashlib.sha256("\n".join(sorted(pairs)).encode()).hexdigest()


def _decode(paths: list[Path], size: int, cache: Path) -> np.ndarray:
    """Return the images uint8 (N, 3, size, size), from the cache or decoded into it."""
    try:
        seen = [f"{path.name} {(s := path.stat()).st_size} {s.st_mtime_ns}" for path in paths]
    except OSError as error:
        raise InputError(f"{error.filename} cannot be read ({error.strerror})") from None
    digest = hashlib.sha256("\n".join(seen).encode()).hexdigest()
    cache = cache.with_stem(f"{cache.stem}-{digest[:16]}")
    return cache_array(cache, (len(paths), 3, size, size), decode_images(paths, size))


def decode_images(paths: list[Path], size: int) -> Iterator[np.ndarray]:
    """Yield the centre squares of image files as uint8 (1, 3, size, size)."""
    # Threads do: Pillow decodes and resizes without holding the interpreter's lock.
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        decoded = pool.map(lambda path: _decode_one(path, size), paths)
        yield from tqdm(decoded, "decode images", len(paths), leave=False, unit="image")


def _decode_one(path: Path, size: int) -> np.ndarray:
    try:
        with Image.open(path, formats=FORMATS) as image:  # reads no pixel yet
            short, long = sorted(image.size)
            if long * max(short, size**2 / short) > MAX_PIXELS:  # as it is, or once resized
                raise OSError(f"{image.width} x {image.height} pixels are too many")
            square = functional.center_crop(functional.resize(image.convert("RGB"), size), size)
    except Exception as error:  # a damaged image makes Pillow raise what it likes
        reason = " ".join((str(error) or type(error).__name__).split())
        raise InputError(f"{path} cannot be decoded ({reason}); replace the file") from None
    return np.asarray(square).transpose(2, 0, 1)[None]
