"""PathMNIST as published, from the file that the package medmnist names."""

import zipfile
import zlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
from torchvision.datasets.utils import download_url

from helpers import InputError
from helpers.source_files import digest_file, from_root

from .fetch import fetching
from .image_cache import cache_array, split_arrays, stream_array


def load_pathmnist(data_dir: str, image_size: int) -> tuple[dict, list[str], bool]:
    """Return PathMNIST in its published splits, its class names, and True (it is as published).

    Parameters
    ----------
    data_dir : holds ``pathmnist.npz`` (28 px) or ``pathmnist_<size>.npz``, else it is downloaded;
        it is verified and unpacked once, into ``<data_dir>/cache``
    image_size : 28, 64, 128 or 224 pixels

    Source: Yang et al. (2023), MedMNIST v2, through the package medmnist.
    """
    import medmnist  # here: it takes a second, and drawn images do without it

    info = medmnist.INFO["pathmnist"]
    path, url, md5 = locate_pathmnist(data_dir, image_size)
    cache = path.parent / "cache" / f"{path.stem}-{md5[:16]}.npy"
    counts = [info["n_samples"][split] for split in ("train", "val", "test")]
    unpack = partial(_unpack, path, url, md5)
    shape = (sum(counts), 3, image_size, image_size)
    images = cache_array(cache, shape, (p.transpose(0, 3, 1, 2) for p in unpack("images")))
    # From a cache too: labels of another file would not belong to the images.
    cache = cache.with_stem(f"{cache.stem}-labels")
    labels = cache_array(cache, shape[:1], (p[:, 0] for p in unpack("labels"))).astype(np.int64)
    return split_arrays(images, labels, counts), list(info["label"].values()), True


def locate_pathmnist(data_dir: str, image_size: int) -> tuple[Path, str, str]:
    """Return path, address and MD5 of the file, or raise InputError for another image size."""
    import medmnist

    info, sizes = medmnist.INFO["pathmnist"], medmnist.PathMNIST.available_sizes
    if image_size not in sizes:
        raise InputError(f"image_size: PathMNIST has {sizes} pixels, not {image_size}")
    suffix = "" if image_size == 28 else f"_{image_size}"
    path = from_root(data_dir) / f"pathmnist{suffix}.npz"
    return path, info[f"url{suffix}"], info[f"MD5{suffix}"]


def _unpack(path: Path, url: str, md5: str, kind: str) -> Iterator[np.ndarray]:
    """Yield the images or labels of all splits from the verified file, downloaded if missing."""
    advice = f"download {url} (MD5 {md5}) to {path}"
    with fetching(path, advice) as folder:
        if folder:
            download_url(url, folder, path.name, md5)
    try:
        if digest_file(path, "md5") != md5:
            raise ValueError(f"its MD5 is not {md5}; perhaps it was cut short")
        with zipfile.ZipFile(path) as archive:
            for split in ("train", "val", "test"):
                yield from stream_array(archive, f"{split}_{kind}")
    except (ValueError, OSError, EOFError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        raise InputError(
            f"{path} is not PathMNIST as published ({error}); delete it to have it downloaded"
            f" again, or {advice}"
        ) from None
