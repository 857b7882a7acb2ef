"""PathMNIST as published, from the file that the package medmnist names."""

import functools
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from torchvision.datasets.utils import download_url

from helpers import InputError

from .caching import Splits, cache_array
from .downloads import digest_file, fetching, from_root

#: Images that are unpacked at a time; at 224 px these are 39 MB.
CHUNK = 256


def load_pathmnist(data_dir: str, image_size: int) -> tuple[Splits, list[str], bool]:
    """Return PathMNIST in its published splits, its class names, and True (it is the official).

    Parameters
    ----------
    data_dir : holds ``pathmnist.npz`` (28 px) or ``pathmnist_<size>.npz``, or gets it
    image_size : 28, 64, 128 or 224 pixels

    Raises
    ------
    InputError : for another size, or a file that is missing, damaged or not the published one

    The file is compressed: its images and labels are unpacked once, into ``<data_dir>/cache``, and
    come from there, so that a set may be larger than the memory. The file is verified before
    anything is unpacked; a cache bears its digest, so that reading 13 GB for it once is enough.

    Source: Yang et al. (2023), MedMNIST v2, through the package medmnist.
    """
    import medmnist  # here: it takes a second, and the stand-ins do without it

    info = medmnist.INFO["pathmnist"]
    path, url, md5 = locate_pathmnist(data_dir, image_size)
    with fetching(path, f"put {path.name} from {url} (MD5 {md5}) there") as folder:
        if folder:
            download_url(url, folder, path.name, md5)
    verify = functools.cache(functools.partial(_verify, path, md5))  # at most once
    splits = {}
    for split, count in info["n_samples"].items():
        cache = path.parent / "cache" / f"{path.stem}-{split}-{md5[:16]}.npy"
        parts = _unpack(path, f"{split}_images", verify)
        shape = (count, 3, image_size, image_size)
        images = cache_array(cache, shape, (part.transpose(0, 3, 1, 2) for part in parts))
        # Labels too: those of another file in this one's place would not belong to the images.
        parts = _unpack(path, f"{split}_labels", verify)
        cache = cache.with_stem(f"{cache.stem}-labels")
        labels = cache_array(cache, (count,), (part[:, 0].astype(np.uint8) for part in parts))
        splits["validation" if split == "val" else split] = images, labels.astype(np.int64)
    return splits, list(info["label"].values()), True


def locate_pathmnist(data_dir: str, image_size: int) -> tuple[Path, str, str]:
    """Return where PathMNIST of a size lies, its address, and its MD5.

    Raises
    ------
    InputError : for a size that it does not have
    """
    import medmnist

    info, sizes = medmnist.INFO["pathmnist"], medmnist.PathMNIST.available_sizes
    if image_size not in sizes:
        raise InputError(f"image_size: PathMNIST has {sizes} pixels, not {image_size}")
    suffix = "" if image_size == 28 else f"_{image_size}"
    path = from_root(data_dir) / f"pathmnist{suffix}.npz"
    return path, info[f"url{suffix}"], info[f"MD5{suffix}"]


def _verify(path: Path, md5: str) -> None:
    if digest_file(path, "md5") != md5:
        raise ValueError(f"its MD5 is not {md5}, perhaps it was cut short")


def _unpack(path: Path, name: str, verify: Callable[[], None]) -> Iterator[np.ndarray]:
    """Yield an array (N, ...) out of a compressed .npz, a few rows at a time.

    Raises
    ------
    InputError : where the file cannot be read, or is not the published one
    """
    try:
        verify()
        with zipfile.ZipFile(path) as archive, archive.open(f"{name}.npy") as file:
            np.lib.format.read_magic(file)
            shape, _, dtype = np.lib.format.read_array_header_1_0(file)
            size = int(np.prod(shape[1:])) * dtype.itemsize
            while part := file.read(CHUNK * size):
                yield np.frombuffer(part, dtype).reshape(-1, *shape[1:])
    except (ValueError, OSError, EOFError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        raise InputError(
            f"{path} is not PathMNIST as published ({error}); delete it, and it will be downloaded"
            " again"
        ) from None
