"""Claims on runs, so that two batches on the same results make each run once.

A claim is a lock of the operating system on a file beside the record, held by the process that
makes the run: whatever ends that process frees it. Between hosts this takes a file system whose
locks reach all of them.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from .files import make_folder, writing


@contextlib.contextmanager
def claim(folder: Path) -> Iterator[bool]:
    """Claim a run while the body lasts; give whether the claim is ours, False if it is another's.

    Raises
    ------
    InputError : where no lock can be had
    """
    path = folder.with_name(f".{folder.name}.lock")
    # In place of a lock that a file system lacks, filelock would take the file's being there, which
    # a host that died never ends.
    lock = FileLock(path, fallback_to_soft=False)
    with writing(path):
        make_folder(path.parent)
        try:
            lock.acquire(timeout=0)
            ours = True
        except Timeout:
            ours = False
    try:
        yield ours
    finally:
        if ours:
            # Two could claim a file that is removed: it goes only when nothing is left to be made.
            if (folder / "run.json").exists():
                with contextlib.suppress(OSError):
                    path.unlink()
            lock.release()
