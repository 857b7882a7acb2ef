"""Weights that a network starts from: published ones, and those of the pretraining notebooks."""

import io
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from helpers import InputError
from helpers.catalogue import PUBLISHED
from helpers.source_files import digest_file, from_root

from .fetch import fetching

#: Per channel mean and standard deviation of ImageNet's training set, as torchvision gives them.
IMAGENET_NORMALISATION = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])


@dataclass(frozen=True)
class Weights:
    """A backbone's state dict, the normalisation it was trained with, and where it is from."""

    summary: dict
    state: dict[str, Tensor] = field(default_factory=dict, repr=False)
    normalisation: tuple[list[float], list[float]] | None = None


def load_weights(network: str, initialisation: str, data_dir: str) -> Weights:
    """Load what an initialisation names.

    Parameters
    ----------
    network : "resnet18" or "resnet50"
    initialisation : "random"; "imagenet", torchvision's supervised weights; "barlow_twins", the
        ResNet-50 of Zbontar et al. (2021); or the path of a pretraining notebook's checkpoint
    data_dir : published weights are kept in its folder ``weights``

    Raises
    ------
    InputError : for weights that do not exist, cannot be had, are damaged, or are of another
        architecture
    """
    if initialisation == "random":
        return Weights({"initialisation": "random", "sha256": None, "official": True})
    official = (initialisation, network) in PUBLISHED
    if official:
        path = fetch_weights(initialisation, network, data_dir)
        state, normalisation = _load(path), IMAGENET_NORMALISATION
    elif initialisation in {name for name, _ in PUBLISHED}:
        raise InputError(
            f"initialisation: there are no published {initialisation} weights of a {network};"
            " take another network, or the path of a checkpoint"
        )
    else:
        path = from_root(initialisation)
        checkpoint = _load(path)
        if not _is_checkpoint(checkpoint):
            raise InputError(f"{path} is no checkpoint of a pretraining notebook; give one")
        if checkpoint["network"] != network:
            raise InputError(
                f"{path} holds a {checkpoint['network']}, not a {network};"
                " give the checkpoint of a pretraining run of the same network"
            )
        state = checkpoint["state"]
        normalisation = checkpoint["mean"], checkpoint["std"]
    digest = digest_file(path)
    summary = {"initialisation": initialisation, "sha256": digest, "official": official}
    return Weights(summary, state, normalisation)


def pack_checkpoint(
    network: str, state: dict[str, Tensor], mean: list[float], std: list[float]
) -> bytes:
    """Return the file of a pretrained backbone, which `load_weights` reads."""
    buffer = io.BytesIO()
    torch.save({"network": network, "state": state, "mean": mean, "std": std}, buffer)
    return buffer.getvalue()


def locate_published(name: str, network: str, data_dir: str) -> Path:
    """Return where published weights lie."""
    prefix = PUBLISHED[name, network].sha256_prefix
    return from_root(data_dir) / "weights" / f"{name}-{network}-{prefix}.pth"


def fetch_weights(name: str, network: str, data_dir: str) -> Path:
    """Return the path of published weights, downloaded if missing, and verified.

    Raises
    ------
    InputError : where the download fails, or the file is corrupt
    """
    published, path = PUBLISHED[name, network], locate_published(name, network, data_dir)
    advice = f"download {published.url} (SHA-256 {published.sha256_prefix}...) to {path}"
    with fetching(path, advice) as folder:
        if folder:
            torch.hub.download_url_to_file(
                published.url, str(folder / path.name), published.sha256_prefix
            )
    if not digest_file(path).startswith(published.sha256_prefix):
        raise InputError(
            f"{path} is corrupt or another file (its SHA-256 does not begin with"
            f" {published.sha256_prefix}); delete it to have it downloaded again, or {advice}"
        )
    return path


def _load(path: Path) -> dict:
    """Read tensors and plain values from a file; pickled code is refused.

    So is an archive that holds more than it is long, before it is unpacked: torch does not
    compress, so one that does was made to fill the memory. Its checksums, which torch does not
    look at, show a changed bit.
    """
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                unpacked = sum(entry.file_size for entry in archive.infolist())
                if unpacked > path.stat().st_size:
                    raise ValueError(f"it would unpack to {unpacked:,} bytes")
                if damaged := archive.testzip():
                    raise ValueError(f"{damaged} differs from its checksum")
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise InputError(
            f"initialisation: there is no {path}; make it with a pretraining notebook, or take"
            f" random or {' or '.join(sorted({name for name, _ in PUBLISHED}))}"
        ) from None
    except Exception as error:  # a damaged file makes torch raise what it likes
        reason = (str(error) or type(error).__name__).split("\n")[0]
        raise InputError(f"{path} is no checkpoint, or a damaged one ({reason})") from None
    if not isinstance(content, dict):
        raise InputError(f"{path} is no checkpoint: it holds a {type(content).__name__}")
    return content


def _is_checkpoint(content: dict) -> bool:
    """Return whether a file's content is what `pack_checkpoint` packs, by its types."""
    channels = [content.get("mean"), content.get("std")]
    state = content.get("state")
    return (
        isinstance(content.get("network"), str)
        and isinstance(state, dict)
        and all(isinstance(value, Tensor) for value in state.values())
        and all(isinstance(values, list) and len(values) == 3 for values in channels)
        and all(isinstance(value, float) for values in channels for value in values)
        and all(value > 0 for value in content["std"])
    )
