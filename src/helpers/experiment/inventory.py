"""State of published data sets and weights on this machine; downloads nothing."""

import os
from pathlib import Path
from typing import NamedTuple

import torch

from helpers import InputError
from helpers.source_files import digest_file, from_root

from .image_cache import free_memory
from .pathmnist import locate_pathmnist
from .pets import ARCHIVES, read_lists
from .weights import PUBLISHED, locate_published


class Item(NamedTuple):
    """A data set or weights; state: "as published", "missing", "damaged", or of Pets "a part"."""

    path: Path
    state: str
    checksum: str
    source: str


def look_up_data(name: str, image_size: int, data_dir: str) -> Item:
    """Return the state of "pathmnist" in a size, or of "pets", the same for all sizes."""
    if name == "pathmnist":
        path, url, md5 = locate_pathmnist(data_dir, image_size)
        return Item(path, _compare(path, md5, "md5"), f"MD5 {md5}", url)
    path, state = from_root(data_dir) / "oxford-iiit-pet", "missing"
    if path.exists():
        try:
            state = "as published" if read_lists(path)[2] else "a part"
        except InputError:
            state = "damaged"
    return Item(path, state, f"MD5 {' and '.join(ARCHIVES.values())}", " and ".join(ARCHIVES))


def look_up_weights(initialisation: str, network: str, data_dir: str) -> Item:
    """Return the state of published weights, or raise InputError where none exist."""
    if (initialisation, network) not in PUBLISHED:
        raise InputError(f"no published {initialisation} weights exist for a {network}")
    url, prefix = PUBLISHED[initialisation, network]
    path = locate_published(initialisation, network, data_dir)
    return Item(path, _compare(path, prefix, "sha256"), f"SHA-256 {prefix}...", url)


def _compare(path: Path, digest: str, algorithm: str) -> str:
    if not path.exists():
        return "missing"
    return "as published" if digest_file(path, algorithm).startswith(digest) else "damaged"


def describe_machine() -> dict[str, str]:
    """Return the device that a run would use, and the free memory in GB."""
    memory = f"{free_memory() / 1e9:.1f} GB free"
    facts = {"device": f"CPU, {os.cpu_count()} cores", "memory": memory}
    if torch.cuda.is_available():
        free, total = torch.cuda.mem_get_info()
        facts["device"] = torch.cuda.get_device_name()
        facts["GPU memory"] = f"{free / 1e9:.1f} of {total / 1e9:.1f} GB free"
    return facts
