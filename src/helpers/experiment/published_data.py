"""PathMNIST and Oxford-IIIT Pets as published: downloaded, verified, decoded and cached once.

Sources: Yang et al. (2023), MedMNIST v2; Parkhi et al. (2012), Cats and Dogs.
"""

import hashlib
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from torchvision.datasets.utils import download_and_extract_archive

from helpers import InputError
from helpers.source_files import from_root

from .fetch import PublishedFile, make_once
from .image_cache import SPLITS, cache_array, cache_splits, decode_images, stream_array

#: Addresses and MD5 of the published archives, as in torchvision.
URL = "https://www.robots.ox.ac.uk/~vgg/data/pets/data"
ARCHIVES = {
    f"{URL}/images.tar.gz": "5c4f3ee8e5d25df40f4fd59a7f44e54c",
    f"{URL}/annotations.tar.gz": "95a8c909bbe2e81eed6a22bccdf3f68f",
}

#: Pets has no validation split: this stratified part of trainval, with this seed, in all runs.
VALIDATION_FRACTION, VALIDATION_SEED = 0.2, 0

#: SHA-256 of the published lists: sorted "<image> <label>" lines (3,680 and 3,669 images). The
#: images have no checksum other than that of their archive.
PETS_OFFICIAL = {
    "trainval": "bf3a54d2c1b0a83c9e9c9b4386ee170dc1d9c0a61c92bc239aa66624bd10b144",
    "test": "2f09789a8092d711b032af9cadf3e595063b2650aa90ef2714a3fa784d49c005",
}


def load_pathmnist(data_dir: str, image_size: int) -> tuple[dict, list[str], bool]:
    """Return PathMNIST in its published splits, its class names, and True (as published)."""
    import medmnist  # late: it takes a second, and generated images do without it

    info, file = medmnist.INFO["pathmnist"], locate_pathmnist(data_dir, image_size)

    def unpack(kind: str) -> Iterator[np.ndarray]:
        with zipfile.ZipFile(file.fetch()) as archive:
            for split in SPLITS:
                yield from stream_array(archive, f"{split}_{kind}")

    cache = file.path.parent / "cache" / f"{file.path.stem}-{file.digest[:16]}.npy"
    ends = np.cumsum([info["n_samples"][split] for split in SPLITS])
    # Cached with the images: labels of another file would not match them.
    labels_cache = cache.with_stem(f"{cache.stem}-labels")
    labels = cache_array(labels_cache, (int(ends[-1]),), (part[:, 0] for part in unpack("labels")))
    labels = np.split(labels.astype(np.int64), ends[:-1])
    images = (part.transpose(0, 3, 1, 2) for part in unpack("images"))
    return cache_splits(cache, image_size, images, labels), list(info["label"].values()), True


def locate_pathmnist(data_dir: str, image_size: int) -> PublishedFile:
    """Locate the file of an image size; raise InputError for a size that is not published."""
    import medmnist

    info, sizes = medmnist.INFO["pathmnist"], medmnist.PathMNIST.available_sizes
    if image_size not in sizes:
        raise InputError(f"image_size: PathMNIST has {sizes} pixels, not {image_size}")
    suffix = "" if image_size == 28 else f"_{image_size}"
    path = from_root(data_dir) / f"pathmnist{suffix}.npz"
    return PublishedFile(path, info[f"url{suffix}"], "md5", info[f"MD5{suffix}"])


def load_pets(data_dir: str, image_size: int) -> tuple[dict, list[str], bool]:
    """Return the splits of Oxford-IIIT Pets, its breeds, and whether its lists are as published.

    Images are resized to ``image_size`` pixels on the shorter side and centre-cropped.
    """
    from sklearn.model_selection import train_test_split

    def download(new: Path) -> None:
        for url, md5 in ARCHIVES.items():
            download_and_extract_archive(url, new, md5=md5, remove_finished=True)

    pets = locate_pets(data_dir)
    make_once(pets.path, download, f"unpack {pets.source} into {pets.path}")
    (trainval, test), official = pets.read_lists()
    strata = [label for _, label in trainval]
    train, validation = train_test_split(
        trainval, test_size=VALIDATION_FRACTION, random_state=VALIDATION_SEED, stratify=strata
    )
    listed = [*train, *validation, *test]
    paths = [pets.path / "images" / f"{name}.jpg" for name, _ in listed]
    seen = [f"{path.name} {(s := path.stat()).st_size} {s.st_mtime_ns}" for path in paths]
    digest = hashlib.sha256("\n".join(seen).encode()).hexdigest()
    cache = pets.path.parent / "cache" / f"pets-{image_size}-{digest[:16]}.npy"
    parts = decode_images(paths, image_size, lambda image: image.convert("RGB"))  # as torchvision
    breeds = {label: name.rpartition("_")[0].replace("_", " ").title() for name, label in listed}
    labels = [np.array([label for _, label in part]) for part in (train, validation, test)]
    splits = cache_splits(cache, image_size, parts, labels)
    return splits, [breeds[label] for label in sorted(breeds)], official


class PetsFolder(NamedTuple):
    """The folder that holds ``images`` and ``annotations``."""

    path: Path

    @property
    def source(self) -> str:
        """Addresses and checksums of the archives."""
        return " and ".join(f"{url} (MD5 {md5})" for url, md5 in ARCHIVES.items())

    @property
    def state(self) -> str:
        """State on this machine: "missing", "damaged", "a part" or "as published"."""
        if not self.path.exists():
            return "missing"
        try:
            return "as published" if self.read_lists()[1] else "a part"
        except InputError:
            return "damaged"

    def read_lists(self) -> tuple[list[list[tuple[str, int]]], bool]:
        """Return (image, label from 0) of trainval and test, and whether they are as published."""
        lists, official = [], True
        try:
            for split, published in PETS_OFFICIAL.items():
                lines = (self.path / "annotations" / f"{split}.txt").read_text().splitlines()
                rows = [line.split() for line in lines if line.strip()]
                lists.append([(name, int(label) - 1) for name, label, *_ in rows])
                text = "\n".join(sorted(f"{name} {label}" for name, label in lists[-1]))
                official &= hashlib.sha256(text.encode()).hexdigest() == published
            names = [f"{name}.jpg" for listed in lists for name, _ in listed]
            present = {path.name for path in (self.path / "images").iterdir()}
            if absent := [name for name in names if name not in present]:
                raise ValueError(f"{len(absent)} of {len(names)} images are missing: {absent[0]}")
        except (OSError, ValueError) as error:
            raise InputError(
                f"{self.path} is not whole ({error}); delete it to have it downloaded again, or"
                f" unpack {self.source} there"
            ) from None
        return lists, official


def locate_pets(data_dir: str) -> PetsFolder:
    """Locate the folder of Oxford-IIIT Pets."""
    return PetsFolder(from_root(data_dir) / "oxford-iiit-pet")


#: Data set to the function that locates its published files, by ``data_dir`` and ``image_size``.
PUBLISHED_FILES = {"pathmnist": locate_pathmnist, "pets": lambda folder, _: locate_pets(folder)}
