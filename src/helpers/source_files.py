"""Source files of a user's data set, recognised by size, time and SHA-256 (without torch)."""

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

from helpers import ROOT

#: Suffixes of the files that are read from a folder of images.
IMAGES = {".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"}


def from_root(path: str | Path) -> Path:
    """Return a path; a relative one is taken from the repository."""
    return ROOT / Path(path).expanduser()


def digest_file(path: Path, algorithm: str = "sha256") -> str:
    """Return the hexadecimal digest of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


def list_files(folder: Path) -> list[Path]:
    """Return the files below a folder in order, without hidden files and hidden folders."""
    found = []
    for root, folders, files in os.walk(folder, followlinks=True):
        folders[:] = sorted(name for name in folders if name[0] != ".")
        found += [Path(root, name) for name in sorted(files) if name[0] != "."]
    return found


def describe_source(path: str | Path, known: dict | None = None) -> dict:
    """Return number, bytes, latest time and SHA-256 of a file, or of the images in a folder.

    ``listing`` is the SHA-256 of names, sizes and times, ``sha256`` that of the content, which is
    not read where the listing is that of a ``known`` description; that is returned then.
    """
    path = from_root(path)
    images = (file for file in list_files(path) if file.suffix.lower() in IMAGES)
    files = list(images) if path.is_dir() else [path]
    stats = [file.stat() for file in files]

    def digest(texts: Iterable[str]) -> str:
        names = (os.fsencode(file.relative_to(path)) for file in files)
        lines = (b"%s %s" % (name, t.encode()) for name, t in zip(names, texts, strict=True))
        return hashlib.sha256(b"\n".join(lines)).hexdigest()

    listing = digest(f"{s.st_size} {s.st_mtime_ns}" for s in stats)
    if known and known["listing"] == listing:
        return known
    return {
        "files": len(files),
        "bytes": sum(s.st_size for s in stats),
        "modified": max((s.st_mtime for s in stats), default=None),  # seconds since 1970
        "listing": listing,
        "sha256": digest(map(digest_file, files)) if path.is_dir() else digest_file(path),
    }


def has_changed(path: str | Path, recorded: dict) -> bool:
    """Return whether a source holds other content than recorded; a missing one has not changed."""
    exists = from_root(path).exists()
    return exists and describe_source(path, recorded)["sha256"] != recorded["sha256"]
