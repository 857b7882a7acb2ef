"""Published weights: their path, and the download."""

from pathlib import Path

import torch

from helpers import InputError
from helpers.catalogue import PUBLISHED
from helpers.source_files import digest_file, from_root

from .fetch import fetching


def locate_published(name: str, network: str, data_dir: str) -> Path:
    """Return the path of published weights."""
    prefix = PUBLISHED[name, network].sha256_prefix
    return from_root(data_dir) / "weights" / f"{name}-{network}-{prefix}.pth"


def fetch_weights(name: str, network: str, data_dir: str) -> Path:
    """Return the path of published weights, downloaded if they are missing, and verified."""
    url, prefix = PUBLISHED[name, network]
    path = locate_published(name, network, data_dir)
    advice = f"download {url} (SHA-256 {prefix}...) to {path}"
    with fetching(path, advice) as folder:
        if folder:
            torch.hub.download_url_to_file(url, str(folder / path.name), prefix)
    if not digest_file(path).startswith(prefix):
        raise InputError(
            f"{path} is corrupt or another file (its SHA-256 does not begin with {prefix});"
            f" delete it to have it downloaded again, or {advice}"
        )
    return path
