"""Locks on runs, so that two batches that share a results folder make each run once.

The operating system releases a lock when its process ends, for whatever reason.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from .atomic_io import beside, writing


@contextlib.contextmanager
def lock_run(folder: Path) -> Iterator[bool]:
    """Hold the lock of a run during the body; yield False if another process holds it."""
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
    except Timeout:
        return True
    except OSError:  # not permitted, or a file system without locks
        return False
