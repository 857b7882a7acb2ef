"""Source files of a user's data set, identified by size, time and SHA-256 (without torch)."""

import contextlib
import hashlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from helpers import ROOT, InputError

#: Suffixes of image files that are read from folders.
IMAGES = {".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"}


def from_root(path: str | Path) -> Path:
    """Return a path; a relative one starts at the root of the repository."""
    with contextlib.suppress(RuntimeError):  # "~name" of an unknown user
        path = Path(path).expanduser()
    return ROOT / path


def digest_file(path: Path, algorithm: str = "sha256") -> str:
    """Return the hexadecimal digest of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


@contextlib.contextmanager
def reading() -> Iterator[None]:
    """Turn an error of the file system into an InputError that names the file."""
    try:
        yield
    except OSError as error:
        name = error.filename or "the data"
        raise InputError(f"cannot read {name}: {error.strerror}; fix it there") from None


def list_files(folder: Path) -> list[Path]:
    """Return the files below a folder in order, without hidden ones and links to parents."""

    def fail(error: OSError) -> None:
        raise error

    found = []
    for root, folders, files in os.walk(folder, onerror=fail, followlinks=True):
        above = {place := Path(root).resolve(), *place.parents}
        visible = sorted(name for name in folders if not is_hidden(name))
        folders[:] = [name for name in visible if (place / name).resolve() not in above]
        found += [Path(root, name) for name in sorted(files) if not is_hidden(name)]
    return found


def is_hidden(name: str) -> bool:
    """Return whether a file or folder is hidden, or made by macOS."""
    return name.startswith((".", "__MACOSX"))


@reading()
def describe_source(path: str | Path, known: dict | None = None) -> dict:
    """Return number, bytes, latest time and SHA-256 of a file, or of the images in a folder.

    ``listing`` is the SHA-256 of names, sizes and times, and ``sha256`` that of the content. A
    ``known`` description with the same listing is returned without reading the content.
    """
    path = from_root(path)
    files = list_files(path) if path.is_dir() else [path]
    files = [file for file in files if file == path or file.suffix.lower() in IMAGES]
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
    """Return whether a source differs from its recorded content; a missing one does not."""
    exists = from_root(path).exists()
    return exists and describe_source(path, recorded)["sha256"] != recorded["sha256"]
