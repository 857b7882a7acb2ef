"""Downloads and caches: made once, by one process at a time, and whole or not at all."""

import contextlib
import shutil
import socket
import tarfile
from collections.abc import Callable, Iterator
from http.client import HTTPException
from pathlib import Path

from filelock import FileLock

from helpers import InputError

#: Seconds without a byte after which a server counts as gone.
PATIENCE = 60


@contextlib.contextmanager
def fetching(
    target: Path, advice: str, is_whole: Callable[[Path], bool] = Path.exists
) -> Iterator[Path | None]:
    """Give a temporary folder to make a file or folder in, or None where it exists already.

    What the body leaves there under the target's name replaces the target at the end. Other
    processes wait for a lock meanwhile. The folder of a killed process is removed by the next one.

    Raises
    ------
    InputError : where the target cannot be made, with the advice
    """
    if is_whole(target):
        yield None
        return
    folder = target.with_name(f".{target.name}.download")
    before = socket.getdefaulttimeout()
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        # No soft lock, which nobody releases when its process is killed.
        with FileLock(target.with_name(f".{target.name}.lock"), fallback_to_soft=False):
            if is_whole(target):
                yield None
                return
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            socket.setdefaulttimeout(PATIENCE)  # the libraries that download set none
            try:
                yield folder
                (folder / target.name).replace(target)
            finally:
                socket.setdefaulttimeout(before)
                shutil.rmtree(folder, ignore_errors=True)
    # URLError is an OSError, a wrong checksum a RuntimeError, a bad archive a TarError.
    except (OSError, RuntimeError, HTTPException, tarfile.TarError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"cannot make {target} ({reason}); {advice}") from None
