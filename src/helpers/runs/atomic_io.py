"""Writing files and folders completely or not at all; failures are one-line InputErrors.

A killed process leaves only names that begin with a dot, which readers of records ignore:

==========================  =================================================================
.seed-0.<digits>.new        an unfinished record or file; removed by the next run
.seed-0.<digits>.corrupt    a corrupt record, kept for inspection
.seed-0.checkpoint          the state of an unfinished training
.seed-0.progress            the epoch it has reached, for ``status``
.seed-0.lock                the lock of the process that is making the run
==========================  =================================================================
"""

import contextlib
import os
import shutil
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path

from helpers import InputError

Buffer = bytes | memoryview


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn an OSError in the body into an InputError that names the file and a remedy."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or type(error).__name__
        named = isinstance(error.filename, str | bytes)
        place = Path(os.fsdecode(error.filename)) if named else path
        advice = "fix it there"  # another program's file, for which results is no remedy
        if path.parent in (place, *place.parents):
            advice = "free space or fix permissions, or give another folder: -p results=FOLDER"
        raise InputError(f"cannot write {place}: {reason}; {advice}") from None


def write_file(path: Path, content: Buffer) -> None:
    """Write a file, replacing an existing one."""
    with _temporary(path) as temporary:
        _write(temporary, content)
        temporary.replace(path)


def write_folder(folder: Path, contents: Mapping[str, Buffer]) -> None:
    """Write a folder of files; an existing one is never replaced."""
    with _temporary(folder) as temporary:
        temporary.mkdir()
        for name, content in contents.items():
            _write(temporary / name, content)
        # On POSIX a rename replaces only an empty folder, on Windows none.
        if folder.exists():
            raise InputError(f"{folder} exists; delete it, or give another folder: -p results=")
        temporary.rename(folder)


def quarantine(folder: Path) -> None:
    """Rename a corrupt record so that the run can be repeated."""
    with writing(folder):
        folder.rename(beside(folder, f"{uuid.uuid4().hex}.corrupt"))


def remove(path: Path) -> None:
    """Remove a file if it exists."""
    with writing(path):
        path.unlink(missing_ok=True)


def beside(path: Path, kind: str) -> Path:
    """Return the hidden name next to a file or folder that ends in a kind."""
    return path.with_name(f".{path.name.lstrip('.')}.{kind}")


def list_beside(folder: Path, *kinds: str) -> list[Path]:
    """Return the files and folders next to a record that have one of these endings."""
    return [path for kind in kinds for path in folder.parent.glob(f".{folder.name}.*{kind}")]


def clear_leftovers(folder: Path, done: bool) -> None:
    """Remove what killed processes left, if `done` also the checkpoint; only with the lock held."""
    for path in list_beside(folder, "new", *(["checkpoint", "progress"] if done else [])):
        _discard(path)


@contextlib.contextmanager
def _temporary(path: Path) -> Iterator[Path]:
    temporary = beside(path, f"{uuid.uuid4().hex}.new")
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield temporary
        finally:
            _discard(temporary)


def _write(path: Path, content: Buffer) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())  # after a power cut, a renamed file must not be empty


def _discard(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    with contextlib.suppress(OSError):
        path.unlink()
