"""PathMNIST and Oxford-IIIT Pets as published: downloaded, verified, decoded and cached once.

Sources: Yang et al. (2023), MedMNIST v2; Parkhi et al. (2012), Cats and Dogs.
"""

import posixpath
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from torchvision.datasets.utils import extract_archive

from helpers import InputError
from helpers.data_files import from_root

from .fetch import PublishedFile
from .image_cache import cache_images, decode_images
from .medmnist_file import read_arrays

#: Addresses and MD5 of the published archives, as in torchvision.
URL = "https://www.robots.ox.ac.uk/~vgg/data/pets/data"
ARCHIVES = {
    f"{URL}/images.tar.gz": "5c4f3ee8e5d25df40f4fd59a7f44e54c",
    f"{URL}/annotations.tar.gz": "95a8c909bbe2e81eed6a22bccdf3f68f",
}

#: Pets has no validation split: this stratified part of trainval, with this seed, in all runs.
VALIDATION_FRACTION, VALIDATION_SEED = 0.2, 0


def load_pathmnist(data_dir: str, image_size: int) -> tuple[dict, list[str]]:
    """Return PathMNIST in its published splits, and its class names."""
    import medmnist  # late: it takes a second, and generated images do without it

    (file,) = locate_pathmnist(data_dir, image_size)
    labels, images = read_arrays(file.fetch(), image_size)
    cache = file.path.parent / "cache" / f"{file.path.stem}-{file.digest[:16]}.npy"
    splits = cache_images(cache, image_size, labels, images)
    return splits, list(medmnist.INFO["pathmnist"]["label"].values())


def locate_pathmnist(data_dir: str, image_size: int) -> list[PublishedFile]:
    """Locate the file of an image size; raise InputError for a size that is not published."""
    import medmnist

    info, sizes = medmnist.INFO["pathmnist"], medmnist.PathMNIST.available_sizes
    if image_size not in sizes:
        raise InputError(f"image_size: PathMNIST has {sizes} pixels, not {image_size}")
    suffix = "" if image_size == 28 else f"_{image_size}"
    path = from_root(data_dir) / f"pathmnist{suffix}.npz"
    return [PublishedFile(path, info[f"url{suffix}"], "md5", info[f"MD5{suffix}"])]


def load_pets(data_dir: str, image_size: int) -> tuple[dict, list[str]]:
    """Return the splits of Oxford-IIIT Pets, and its breeds.

    Images are resized to ``image_size`` pixels on the shorter side and centre-cropped.
    """
    from sklearn.model_selection import train_test_split

    archive, annotations = locate_pets(data_dir, image_size)
    trainval, test = _read_lists(annotations)
    strata = [label for _, label in trainval]
    train, validation = train_test_split(
        trainval, test_size=VALIDATION_FRACTION, random_state=VALIDATION_SEED, stratify=strata
    )
    listed = [*train, *validation, *test]
    digests = f"{archive.digest[:8]}{annotations.digest[:8]}"
    cache = from_root(data_dir) / "cache" / f"pets-{image_size}-{digests}.npy"

    def decode() -> Iterator[np.ndarray]:
        with tempfile.TemporaryDirectory() as unpacked:
            extract_archive(str(archive.fetch()), unpacked)
            paths = [Path(unpacked, "images", f"{name}.jpg") for name, _ in listed]
            # As torchvision reads them.
            yield from decode_images(paths, image_size, lambda image: image.convert("RGB"))

    labels = [np.array([label for _, label in part]) for part in (train, validation, test)]
    breeds = {label: name.rpartition("_")[0].replace("_", " ").title() for name, label in listed}
    splits = cache_images(cache, image_size, labels, decode())
    return splits, [breeds[label] for label in sorted(breeds)]


def _read_lists(annotations: PublishedFile) -> list[list[tuple[str, int]]]:
    """Return pairs of image and label from 0 in the published lists, trainval and test."""
    lists = []
    with tarfile.open(annotations.fetch()) as archive:
        members = {posixpath.normpath(member.name): member for member in archive}
        for split in ("trainval", "test"):
            text = archive.extractfile(members[f"annotations/{split}.txt"]).read().decode()
            rows = [line.split() for line in text.splitlines()]
            lists.append([(name, int(label) - 1) for name, label, *_ in rows])
    return lists


def locate_pets(data_dir: str, image_size: int) -> list[PublishedFile]:
    """Locate the archives of the images and the annotations, the same for every image size."""
    folder = from_root(data_dir) / "oxford-iiit-pet"
    return [
        PublishedFile(folder / posixpath.basename(url), url, "md5", digest)
        for url, digest in ARCHIVES.items()
    ]


#: Data set to the function that locates its published files, by ``data_dir`` and ``image_size``.
PUBLISHED_FILES = {"pathmnist": locate_pathmnist, "pets": locate_pets}
