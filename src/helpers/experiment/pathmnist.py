"""PathMNIST as published, from the file that the package medmnist names."""

import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from torchvision.datasets.utils import download_url

from helpers import InputError

from .caching import Splits, cache_images
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

    The file is compressed: its images are unpacked once, into ``<data_dir>/cache``, and mapped
    from there, so that a set may be larger than the memory.

    Source: Yang et al. (2023), MedMNIST v2, through the package medmnist.
    """
    import medmnist  # here: it takes a second, and the stand-ins do without it

    info = medmnist.INFO["pathmnist"]
    path, url, md5 = locate_pathmnist(data_dir, image_size)
    with fetching(path, f"put {path.name} from {url} (MD5 {md5}) there") as folder:
        if folder:
            download_url(url, folder, path.name, md5)
    caches = {
        split: path.parent / "cache" / f"{path.stem}-{split}-{md5[:16]}.npy"
        for split in ("train", "val", "test")
    }
    # A cache was made of a file that was whole: reading 13 GB for their digest once is enough.
    if not all(map(Path.exists, caches.values())) and digest_file(path, "md5") != md5:
        raise InputError(
            f"{path} is not PathMNIST as published (its MD5 is not {md5}), perhaps cut short;"
            " delete it, and it will be downloaded again"
        )
    splits = {}
    for split, cache in caches.items():
        try:
            with np.load(path) as arrays:
                labels = arrays[f"{split}_labels"][:, 0].astype(np.int64)
            shape = (len(labels), 3, image_size, image_size)
            images = cache_images(cache, shape, _unpack(path, f"{split}_images"))
        except (ValueError, OSError, KeyError, zipfile.BadZipFile) as error:
            raise InputError(f"{path} cannot be read ({error}); delete it") from None
        splits["validation" if split == "val" else split] = images, labels
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


def _unpack(path: Path, name: str) -> Iterator[np.ndarray]:
    """Yield an array of images (N, H, W, 3) out of a compressed .npz, a few of them at a time."""
    with zipfile.ZipFile(path) as archive, archive.open(f"{name}.npy") as file:
        np.lib.format.read_magic(file)
        shape, _, dtype = np.lib.format.read_array_header_1_0(file)
        size = int(np.prod(shape[1:]))
        while part := file.read(CHUNK * size):
            yield np.frombuffer(part, dtype).reshape(-1, *shape[1:]).transpose(0, 3, 1, 2)
