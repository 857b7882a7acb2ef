"""What lies in ``data_dir``, and whether it is what was published; looks, and fetches nothing."""

import os
from dataclasses import dataclass
from pathlib import Path

import psutil
import torch
from torchvision.datasets import OxfordIIITPet

from helpers import InputError

from .downloads import digest_file, from_root
from .pathmnist import locate_pathmnist
from .pets import PETS_OFFICIAL, digest_pets
from .weights import PUBLISHED, locate_published


@dataclass(frozen=True)
class Item:
    """A data set or weights: where they lie or should, and where they are to be had.

    Attributes
    ----------
    state : "as published", "missing", "damaged", or of Pets "a part"
    checksum : what the state was told by
    source : address or addresses
    """

    path: Path
    state: str
    checksum: str
    source: str


def look_up_data(name: str, image_size: int, data_dir: str) -> Item:
    """Return the state of "pathmnist" in a size, or of "pets", which have one for all sizes.

    Raises
    ------
    InputError : for a size that PathMNIST does not have
    """
    if name == "pathmnist":
        path, url, md5 = locate_pathmnist(data_dir, image_size)
        return Item(path, _compare(path, md5, "md5"), f"MD5 {md5}", url)
    folder = from_root(data_dir) / "oxford-iiit-pet"
    source = " and ".join(url for url, _ in OxfordIIITPet._RESOURCES)
    archives = f"MD5 {' and '.join(md5 for _, md5 in OxfordIIITPet._RESOURCES)}"
    return Item(folder, _look_at_pets(folder), archives, source)


def _look_at_pets(folder: Path) -> str:
    """Return the state of the unpacked set, by its published lists and the files that they name."""
    if not folder.exists():
        return "missing"
    try:
        parts = {split: OxfordIIITPet(folder.parent, split) for split in PETS_OFFICIAL}
    except (RuntimeError, OSError, ValueError):
        return "damaged"
    if not all(path.is_file() for part in parts.values() for path in part._images):
        return "damaged"
    whole = all(digest_pets(part) == PETS_OFFICIAL[split] for split, part in parts.items())
    return "as published" if whole else "a part"


def look_up_weights(initialisation: str, network: str, data_dir: str) -> Item:
    """Return the state of published weights.

    Raises
    ------
    InputError : where there are none of this network
    """
    if (initialisation, network) not in PUBLISHED:
        raise InputError(f"there are no published {initialisation} weights of a {network}")
    published = PUBLISHED[initialisation, network]
    path = locate_published(initialisation, network, data_dir)
    state = _compare(path, published.sha256_prefix, "sha256")
    return Item(path, state, f"SHA-256 {published.sha256_prefix}...", published.url)


def _compare(path: Path, digest: str, algorithm: str) -> str:
    if not path.exists():
        return "missing"
    return "as published" if digest_file(path, algorithm).startswith(digest) else "damaged"


def describe_machine() -> dict[str, str]:
    """Return the device that a run would take, and its memory and the machine's in GB."""
    memory = psutil.virtual_memory()
    facts = {
        "device": f"CPU, {os.cpu_count()} cores",
        "memory": f"{memory.available / 1e9:.1f} of {memory.total / 1e9:.1f} GB free",
    }
    if torch.cuda.is_available():
        free, total = torch.cuda.mem_get_info()
        facts["device"] = torch.cuda.get_device_name()
        facts["GPU memory"] = f"{free / 1e9:.1f} of {total / 1e9:.1f} GB free"
    return facts
