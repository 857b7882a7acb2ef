"""Files from elsewhere: fetched once, verified, and whole or not at all."""

import contextlib
import hashlib
import os
import shutil
import socket
import tarfile
from collections.abc import Callable, Iterator
from http.client import HTTPException
from pathlib import Path

from filelock import FileLock

from helpers import ROOT, InputError

#: Seconds without a byte after which a server counts as gone.
PATIENCE = 60


@contextlib.contextmanager
def fetching(
    target: Path, advice: str, is_whole: Callable[[Path], bool] = Path.exists
) -> Iterator[Path | None]:
    """Give a temporary folder to download into, or None where the target is there already.

    What the body leaves in the folder under the target's name is flushed to the disk and renamed
    to the target when the body ends well. A lock makes a second process wait instead of
    downloading the same. A process that was killed leaves its temporary folder; whoever is next to
    hold the lock removes it.

    Parameters
    ----------
    target : file or folder that shall be there
    advice : what a user without network puts where, for the error
    is_whole : tells whether what is there will do; it is asked again once the lock is held

    Raises
    ------
    InputError : where the download fails, with the advice
    """
    if is_whole(target):
        yield None
        return
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        # Where a file system has no locks it shall say so, see `helpers.runs.claims`.
        lock = FileLock(target.with_name(f".{target.name}.lock"), fallback_to_soft=False)
        with lock:
            if is_whole(target):
                yield None
                return
            folder = target.with_name(f".{target.name}.download")
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            before = socket.getdefaulttimeout()
            socket.setdefaulttimeout(PATIENCE)  # the libraries that download set none
            try:
                yield folder
                fetched = folder / target.name
                _flush(fetched, *fetched.rglob("*"))
                fetched.rename(target)
                _flush(target.parent)
            finally:
                socket.setdefaulttimeout(before)
                shutil.rmtree(folder, ignore_errors=True)
    # URLError is an OSError, a wrong checksum a RuntimeError, a bad archive a TarError.
    except (OSError, RuntimeError, HTTPException, tarfile.TarError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"cannot get {target} ({reason}); {advice}") from None


def _flush(*paths: Path) -> None:
    """Flush files, and the names in folders, to the disk; Windows has no way to."""
    if os.name == "nt":
        return
    for path in paths:
        if path.is_symlink():  # its name is flushed with its folder
            continue
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def from_root(path: str | Path) -> Path:
    """Return a path, a relative one taken from the repository."""
    return ROOT / Path(path).expanduser()


def digest_file(path: Path, algorithm: str = "sha256") -> str:
    """Return the hexadecimal digest of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()
