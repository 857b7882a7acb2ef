"""PathMNIST as published, from the file that the package medmnist names."""

import zipfile
from collections.abc import Iterator

import numpy as np

from helpers import InputError
from helpers.source_files import from_root

from .fetch import PublishedFile
from .image_cache import SPLITS, cache_array, cache_splits, stream_array


def load_pathmnist(data_dir: str, image_size: int) -> tuple[dict, list[str], bool]:
    """Return PathMNIST in its published splits, its class names, and True (it is as published).

    The file is downloaded into ``data_dir`` if it is missing there, verified and unpacked, once.

    Source: Yang et al. (2023), MedMNIST v2, through the package medmnist.
    """
    import medmnist  # here: it takes a second, and drawn images do without it

    info, file = medmnist.INFO["pathmnist"], locate_pathmnist(data_dir, image_size)

    def unpack(kind: str) -> Iterator[np.ndarray]:
        with zipfile.ZipFile(file.fetch()) as archive:
            for split in SPLITS:
                yield from stream_array(archive, f"{split}_{kind}")

    cache = file.path.parent / "cache" / f"{file.path.stem}-{file.digest[:16]}.npy"
    ends = np.cumsum([info["n_samples"][split] for split in SPLITS])
    # From a cache too: labels of another file would not belong to the images.
    labels_cache = cache.with_stem(f"{cache.stem}-labels")
    labels = cache_array(labels_cache, (int(ends[-1]),), (part[:, 0] for part in unpack("labels")))
    labels = np.split(labels.astype(np.int64), ends[:-1])
    images = (part.transpose(0, 3, 1, 2) for part in unpack("images"))
    return cache_splits(cache, image_size, images, labels), list(info["label"].values()), True


def locate_pathmnist(data_dir: str, image_size: int) -> PublishedFile:
    """Return the file of an image size, or raise InputError for a size that is not published."""
    import medmnist

    info, sizes = medmnist.INFO["pathmnist"], medmnist.PathMNIST.available_sizes
    if image_size not in sizes:
        raise InputError(f"image_size: PathMNIST has {sizes} pixels, not {image_size}")
    suffix = "" if image_size == 28 else f"_{image_size}"
    path = from_root(data_dir) / f"pathmnist{suffix}.npz"
    return PublishedFile(path, info[f"url{suffix}"], "md5", info[f"MD5{suffix}"])
