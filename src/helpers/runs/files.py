"""All writing of `helpers.runs`: whole or not at all, flushed to the disk, and told in one line.

Whatever a killed process leaves has a name that begins with a dot, which no reader looks at. Beside
``seed-0`` there may lie

=======================  ==================================================================
.seed-0.<digits>.new     being written; or left by a process that died, and removed later
.seed-0.<digits>.old     a record that is being replaced; put back if its successor never came
.seed-0.<digits>.damaged a damaged record that was set aside for whoever wants to look at it
.seed-0.checkpoint       the state of a training that is not over
.seed-0.lock             the claim on the run
=======================  ==================================================================
"""

import contextlib
import os
import shutil
import uuid
from collections.abc import Callable, Iterator, Mapping
from operator import methodcaller
from pathlib import Path
from typing import BinaryIO

from helpers import InputError


def writing(path: Path) -> contextlib.AbstractContextManager[None]:
    """Turn an error of the file system in the body into an InputError with file and mend."""
    return _telling(f"cannot write {path}", "free space there or mend its permissions")


def reading(path: Path) -> contextlib.AbstractContextManager[None]:
    """Turn an error of the file system in the body into an InputError with place and mend."""
    return _telling(f"cannot read {path}", "mend its permissions")


@contextlib.contextmanager
def _telling(what: str, mend: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise InputError(
            f"{what}: {reason}; {mend}, or give another folder: -p results=FOLDER"
        ) from None


def make_folder(folder: Path) -> None:
    """Make a folder with those above it, and flush the names of all that were not there."""
    absent = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for path in absent:
        _flush(path.parent)


def write_whole(path: Path, fill: Callable[[BinaryIO], object]) -> None:
    """Let a file be written beside its place, flush it, and rename it there.

    Raises
    ------
    InputError : where that fails; what was there before is there still
    """
    beside = _name_beside(path, "new")
    with writing(path):
        try:
            make_folder(path.parent)
            _write(beside, fill)
            beside.replace(path)
            _flush(path.parent)
        finally:
            _remove(beside)


def replace_folder(folder: Path, contents: Mapping[str, bytes]) -> None:
    """Write a folder of files beside its place, flush it, and rename it there.

    A folder cannot be renamed onto another: what is there is renamed first. Whoever finds the
    place empty because the process died between the two renames calls `recover`.

    Raises
    ------
    InputError : where that fails; what was there before is there still
    """
    beside, old = _name_beside(folder, "new"), _name_beside(folder, "old")
    with writing(folder):
        try:
            make_folder(beside)
            for name, content in contents.items():
                _write(beside / name, methodcaller("write", content))
            _flush(beside)
            while not _rename(beside, folder):
                folder.rename(old)
            _flush(folder.parent)
        finally:
            _remove(beside)
            recover(folder)
            if folder.exists():
                _remove(old)


def recover(folder: Path) -> None:
    """Put a folder back whose replacement never came; where nothing may be written, do nothing."""
    if folder.exists():
        return
    for old in list_beside(folder, "old"):
        with contextlib.suppress(OSError):  # another reader was faster
            _rename(old, folder)


def recover_all(results: Path, experiment: str = "*") -> None:
    """Put back all records of a profile whose replacement never came."""
    for old in Path(results).glob(f"{experiment}/.seed-*.old"):
        recover(old.with_name(old.name[1:].partition(".")[0]))


def clear_leftovers(folder: Path, *kinds: str) -> None:
    """Remove what processes that died have left beside a folder; only for who holds its claim."""
    recover(folder)
    for path in list_beside(folder, *kinds):
        _remove(path)


def set_aside(folder: Path) -> Path:
    """Rename a damaged folder, so that its place is free and it can be looked at.

    Raises
    ------
    InputError : where that fails
    """
    aside = _name_beside(folder, "damaged")
    with writing(folder):
        folder.rename(aside)
        _flush(folder.parent)
    return aside


def remove(path: Path) -> None:
    """Remove a file that may be there.

    Raises
    ------
    InputError : where that fails
    """
    with writing(path):
        path.unlink(missing_ok=True)


def list_beside(folder: Path, *kinds: str) -> list[Path]:
    """Return what lies beside a folder under dotted names that end so."""
    start, ends = f".{folder.name}.", tuple(f".{kind}" for kind in kinds)
    try:
        there = sorted(folder.parent.iterdir())
    except OSError:
        return []
    return [path for path in there if path.name.startswith(start) and path.name.endswith(ends)]


def _name_beside(path: Path, kind: str) -> Path:
    return path.with_name(f".{path.name.lstrip('.')}.{uuid.uuid4().hex}.{kind}")


def _write(path: Path, fill: Callable[[BinaryIO], object]) -> None:
    with path.open("wb") as file:
        fill(file)
        file.flush()
        os.fsync(file.fileno())


def _rename(source: Path, target: Path) -> bool:
    """Rename a folder unless another one, not empty, is in its place; return whether it did."""
    try:
        source.rename(target)
    except OSError:
        if source.is_dir() and target.is_dir():
            return False
        raise
    return True


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink()


def _flush(folder: Path) -> None:
    """Flush the names in a folder to the disk; Windows has no way to."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
