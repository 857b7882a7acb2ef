"""Locks on runs, so that two batches that share a results folder make each run once.

A lock is the operating system's, on a file beside the record, held by the process that makes the
run: it is released however that process ends. Between hosts this needs a file system whose locks
reach all of them.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from .atomic_io import writing


@contextlib.contextmanager
def lock_run(folder: Path) -> Iterator[bool]:
    """Hold the lock of a run during the body; yield False if another process holds it.

    Raises
    ------
    InputError : if the lock file cannot be written, or its file system has no locks
    """
    path = _lock_file(folder)
    # Without fallback: filelock would take the existence of a file for a lock, and a host that
    # crashed never removes it.
    lock = FileLock(path, fallback_to_soft=False)
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=0)
            ours = True
        except Timeout:
            ours = False
    try:
        yield ours
    finally:
        if ours:
            # Only once the record exists: else two processes could lock two files of this name.
            if (folder / "run.json").exists():
                with contextlib.suppress(OSError):
                    path.unlink()
            lock.release()


def is_locked(folder: Path) -> bool:
    """Return whether a process is making a run; writes nothing."""
    path = _lock_file(folder)
    if not path.exists():
        return False
    try:
        with FileLock(path, timeout=0, fallback_to_soft=False):
            return False
    except Timeout:
        return True
    except OSError:  # not ours to open, or no locks here
        return False


def _lock_file(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.lock")
