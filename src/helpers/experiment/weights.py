"""Published weights: where they are, and how to get them."""

from pathlib import Path

import torch

from helpers import InputError
from helpers.catalogue import PUBLISHED

from .downloads import digest_file, fetching, from_root


def locate_published(name: str, network: str, data_dir: str) -> Path:
    """Return the path of published weights."""
    prefix = PUBLISHED[name, network].sha256_prefix
    return from_root(data_dir) / "weights" / f"{name}-{network}-{prefix}.pth"


def fetch_weights(name: str, network: str, data_dir: str) -> Path:
    """Return the path of published weights, downloaded if they are missing, and verified."""
    published, path = PUBLISHED[name, network], locate_published(name, network, data_dir)
    advice = f"put {published.url} (SHA-256 {published.sha256_prefix}...) there"
    with fetching(path, advice) as folder:
        if folder:
            torch.hub.download_url_to_file(
                published.url, str(folder / path.name), published.sha256_prefix
            )
    if not digest_file(path).startswith(published.sha256_prefix):
        raise InputError(
            f"{path} is damaged or another file (its SHA-256 does not begin with"
            f" {published.sha256_prefix}); delete it, and it will be downloaded again"
        )
    return path


_get_published = fetch_weights  # until the second house is done


def __getattr__(name: str):  # until the second house is done
    from . import models

    return getattr(models, {"pack_checkpoint": "pack_weights"}.get(name, name))
