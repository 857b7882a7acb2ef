"""Files that are downloaded or computed once, by one process at a time, whole or not at all."""

import shutil
import socket
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path
from typing import NamedTuple

from filelock import FileLock

from helpers import InputError
from helpers.catalogue import PUBLISHED
from helpers.data_files import digest_file, from_root

#: Seconds without data after which a download is given up.
PATIENCE = 60


def make_once(target: Path, make: Callable[[Path], None], advice: str) -> None:
    """Make a missing file, one process at a time; an InputError ends with `advice`."""
    if target.exists():
        return
    folder = target.with_name(f".{target.name}.download")
    before = socket.getdefaulttimeout()
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        # No soft lock: after its process is killed, nothing releases it.
        with FileLock(target.with_name(f".{target.name}.lock"), fallback_to_soft=False):
            if target.exists():
                return
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            socket.setdefaulttimeout(PATIENCE)  # torch and torchvision set no timeout
            try:
                make(folder / target.name)
                (folder / target.name).replace(target)
            finally:
                socket.setdefaulttimeout(before)
                shutil.rmtree(folder, ignore_errors=True)
    # URLError is an OSError; a file system without locks raises a RuntimeError.
    except (OSError, RuntimeError, HTTPException) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"cannot make {target} ({reason}); {advice}") from None


class PublishedFile(NamedTuple):
    """A published file: its path on this machine, address, and first digits of its checksum."""

    path: Path
    url: str
    algorithm: str
    digest: str

    @property
    def source(self) -> str:
        """Address and checksum."""
        return f"{self.url} ({self.algorithm.upper()} {self.digest})"

    @property
    def state(self) -> str:
        """State on this machine: "missing", "damaged" or "as published"."""
        if not self.path.exists():
            return "missing"
        found = digest_file(self.path, self.algorithm)
        return "as published" if found.startswith(self.digest) else "damaged"

    def fetch(self) -> Path:
        """Return the path of the file, downloaded if missing, and verified."""
        import torch  # late: a process that finds the file does without it

        def download(path: Path) -> None:
            torch.hub.download_url_to_file(self.url, str(path))
            if self._replace(path=path).state == "damaged":
                raise OSError("the download is corrupted")

        advice = f"download {self.source} to {self.path}"
        make_once(self.path, download, advice)
        if self.state == "damaged":
            raise InputError(
                f"{self.path} is not as published (another {self.algorithm.upper()}); delete it to"
                f" have it downloaded again, or {advice}"
            )
        return self.path


def locate_weights(name: str, network: str, data_dir: str) -> PublishedFile:
    """Locate the file of published weights."""
    url, prefix = PUBLISHED[name, network]
    path = from_root(data_dir) / "weights" / f"{name}-{network}-{prefix}.pth"
    return PublishedFile(path, url, "sha256", prefix)
