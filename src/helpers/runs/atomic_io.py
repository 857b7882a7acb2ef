"""Writing that is complete or absent, flushed to the disk, with errors in one line.

A killed process leaves only names that begin with a dot, which no reader looks at:

==========================  =================================================================
.seed-0.<digits>.new        a record or file that was being written; removed by the next run
.seed-0.<digits>.corrupt    a corrupt record, kept for inspection
.seed-0.checkpoint          the state of an unfinished training
.seed-0.progress            the epoch that it has reached, for ``status``
.seed-0.lock                the lock of the process that makes the run
==========================  =================================================================
"""

import contextlib
import functools
import os
import shutil
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

from helpers import InputError


@contextlib.contextmanager
def writing(
    path: Path, verb: str = "write", advice: str = "free space there or fix its permissions"
) -> Iterator[None]:
    """Turn an OSError in the body into an InputError that names its file and a remedy."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or type(error).__name__
        named = isinstance(error.filename, str | bytes)
        place = Path(os.fsdecode(error.filename)) if named else path
        if path.parent not in (place, *place.parents):  # not ours: naming results would mislead
            raise InputError(f"cannot {verb} {place}: {reason}; fix it there") from None
        raise InputError(
            f"cannot {verb} {place}: {reason}; {advice}, or give another folder: -p results=FOLDER"
        ) from None


reading = functools.partial(writing, verb="read", advice="fix its permissions")


def make_folder(folder: Path) -> None:
    """Make a folder with its parents, and flush their names."""
    absent = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for path in absent:
        _flush(path.parent)


def write_file(path: Path, fill: Callable[[BinaryIO], object] | bytes) -> None:
    """Write a file beside its place, flush it, and rename it there.

    Parameters
    ----------
    fill : the content, or a function that writes it into a file

    Raises
    ------
    InputError : if that fails; what was there before is unchanged
    """
    with _beside(path) as beside:
        _write(beside, fill)
        beside.replace(path)


def write_folder(folder: Path, contents: Mapping[str, bytes]) -> None:
    """Write a folder of files beside its place, flush it, and rename it there.

    Raises
    ------
    InputError : if that fails, or the folder exists: nothing is ever replaced
    """
    with _beside(folder) as beside:
        make_folder(beside)
        for name, content in contents.items():
            _write(beside / name, content)
        _flush(beside)
        # On POSIX a rename replaces an empty folder only, on Windows none.
        if folder.exists():
            raise InputError(f"{folder} exists; delete it, or give another folder: -p results=")
        beside.rename(folder)


def quarantine(folder: Path) -> Path:
    """Rename a corrupt record, so that the run can be repeated; return the new name.

    Raises
    ------
    InputError : if that fails
    """
    aside = _name_beside(folder, "corrupt")
    with writing(folder):
        folder.rename(aside)
        _flush(folder.parent)
    return aside


def remove(path: Path) -> None:
    """Remove a file if it exists.

    Raises
    ------
    InputError : if that fails
    """
    with writing(path):
        path.unlink(missing_ok=True)


def list_beside(folder: Path, *kinds: str) -> list[Path]:
    """Return the files and folders beside a record that have one of these endings."""
    start, ends = f".{folder.name}.", tuple(f".{kind}" for kind in kinds)
    with contextlib.suppress(OSError):
        names = sorted(folder.parent.iterdir())
        return [path for path in names if path.name.startswith(start) and path.name.endswith(ends)]
    return []


def clear_leftovers(folder: Path, done: bool) -> None:
    """Remove what killed processes left beside a record; only for the holder of its lock.

    Parameters
    ----------
    done : whether the record exists, so that checkpoint and progress are no longer needed
    """
    for path in list_beside(folder, "new", *(["checkpoint", "progress"] if done else [])):
        _discard(path)


@contextlib.contextmanager
def _beside(path: Path) -> Iterator[Path]:
    """Give a temporary name, which the body renames to the path."""
    beside = _name_beside(path, "new")
    with writing(path):
        try:
            make_folder(path.parent)
            yield beside
            _flush(path.parent)
        finally:
            _discard(beside)


def _name_beside(path: Path, kind: str) -> Path:
    return path.with_name(f".{path.name.lstrip('.')}.{uuid.uuid4().hex}.{kind}")


def _write(path: Path, fill: Callable[[BinaryIO], object] | bytes) -> None:
    with path.open("w+b") as file:
        file.write(fill) if isinstance(fill, bytes) else fill(file)
        file.flush()
        os.fsync(file.fileno())


def _discard(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    with contextlib.suppress(OSError):
        path.unlink()


def _flush(folder: Path) -> None:
    """Flush the names in a folder to the disk; Windows has no way to."""
    if os.name != "nt":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
