"""Locks on runs, so that two batches that share a results folder make each run once.

The operating system releases a lock however the process that holds it ends.
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
    # Without fallback: filelock would take the existence of a file for a lock, and a host that
    # crashed never removes it.
    lock = FileLock(path, fallback_to_soft=False)
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(Timeout):
            lock.acquire(timeout=0)
    try:
        yield lock.is_locked
    finally:
        # Only once the record exists: else two processes could lock two files of this name.
        if lock.is_locked and (folder / "run.json").exists():
            with contextlib.suppress(OSError):
                path.unlink()
        lock.release()


def is_locked(folder: Path) -> bool:
    """Return whether a process is making a run; writes nothing."""
    path = beside(folder, "lock")
    if not path.exists():
        return False
    try:
        with FileLock(path, timeout=0, fallback_to_soft=False):
            return False
    except Timeout:
        return True
    except OSError:  # not ours to open, or no locks here
        return False
