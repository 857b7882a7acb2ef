"""Files of a run: written whole or not at all, locked, and resumable after a kill.

Beside its record, a run has files whose names begin with a dot, which readers of records ignore:

==========================  =================================================================
.seed-0.lock                the lock of the process that is making the run
.seed-0.checkpoint          the state of an unfinished training
.seed-0.progress            the epoch it has reached, for ``status``
.seed-0.error               the error of a failed run, for ``status``
.seed-0.<digits>.new        an unfinished record or file; removed by the next run
.seed-0.<digits>.corrupt    a corrupt record, kept for inspection
==========================  =================================================================
"""

import contextlib
import hashlib
import io
import json
import os
import shutil
import socket
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

from filelock import FileLock, Timeout

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
        if path.parent in (place, *place.parents) or place in path.parents:
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


def beside(path: Path, kind: str) -> Path:
    """Return the hidden name next to a file or folder that ends in a kind."""
    return path.with_name(f".{path.name.lstrip('.')}.{kind}")


def list_leftovers(folder: Path, done: bool) -> list[Path]:
    """Return what killed processes left of a run; a record needs nothing beside it once done."""
    kinds = "new", "error", *(("checkpoint", "progress", "lock") if done else ())
    return [path for kind in kinds for path in folder.parent.glob(f".{folder.name}.*{kind}")]


def clear_leftovers(folder: Path, done: bool) -> None:
    """Remove these; only with the lock held."""
    for path in list_leftovers(folder, done):
        _discard(path)


@contextlib.contextmanager
def lock_run(folder: Path) -> Iterator[bool]:
    """Hold the lock of a run during the body; yield False if another process holds it.

    Two batches that share a results folder so make each run once. The operating system releases a
    lock when its process ends, for whatever reason.
    """
    path = beside(folder, "lock")
    # No fallback: filelock would treat the existence of a file as a lock, which remains after a
    # host has crashed.
    lock = FileLock(path, fallback_to_soft=False)
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(Timeout):
            lock.acquire(timeout=0)
    try:
        yield lock.is_locked
    finally:
        # Only once the record exists: otherwise two processes could lock two files of this name.
        if lock.is_locked and (folder / "run.json").exists():
            with contextlib.suppress(OSError):
                path.unlink()
        lock.release()


def is_locked(folder: Path) -> bool:
    """Return whether a process is making a run, without writing anything."""
    path = beside(folder, "lock")
    if not path.exists():
        return False
    try:
        with FileLock(path, timeout=0, fallback_to_soft=False):
            return False
    except OSError as error:  # or not permitted, or a file system without locks
        return isinstance(error, Timeout)


class Checkpoint:
    """A file of state with its own SHA-256 and a file of progress, each replaced as a whole."""

    def __init__(self, folder: Path):
        self.path, self.progress = beside(folder, "checkpoint"), beside(folder, "progress")

    def load(self) -> memoryview | None:
        """Return the last saved state, or None if there is none or it is damaged."""
        if not self.path.exists():
            return None
        content = memoryview(self.path.read_bytes())
        state, checksum = content[:-32], content[-32:]
        if hashlib.sha256(state).digest() == checksum:
            return state
        print(f"{self.path} is damaged: training restarts")
        return None

    def save(self, fill: Callable[[BinaryIO], object]) -> None:
        """Replace the state by what a function writes to a file."""
        state = io.BytesIO()  # in memory, as torch hides the reason of a failed write
        fill(state)
        state.write(hashlib.sha256(state.getbuffer()).digest())
        write_file(self.path, state.getbuffer())

    def report(self, **progress: float | int | None) -> None:
        """Replace the progress: epoch, epochs, validation accuracies, seconds per epoch."""
        host = {"host": socket.gethostname(), "pid": os.getpid(), "updated": time.time()}
        write_file(self.progress, json.dumps(host | progress).encode())

    def remove(self) -> None:
        """Remove both files, once the record exists."""
        for path in (self.path, self.progress):
            with writing(path):
                path.unlink(missing_ok=True)


def read_progress(folder: Path) -> dict | None:
    """Return the progress of a run that is being made or was interrupted, or None."""
    try:
        return json.loads(beside(folder, "progress").read_bytes())
    except (OSError, ValueError):
        return None
