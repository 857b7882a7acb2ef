"""State and progress of an unfinished training, kept beside the place of its record."""

import hashlib
import json
import os
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from .atomic_io import remove, write_file


class Checkpoint:
    """One file that is replaced as a whole and carries its own SHA-256, and one of progress.

    Parameters
    ----------
    folder : place of the record
    """

    def __init__(self, folder: Path):
        self.path = folder.with_name(f".{folder.name}.checkpoint")
        self.progress = _progress_file(folder)

    def load(self) -> memoryview | None:
        """Return the state saved last; None without one, or if it is damaged."""
        try:
            content = memoryview(self.path.read_bytes())
        except FileNotFoundError:
            return None
        except OSError as error:
            print(f"{self.path} cannot be read ({error.strerror}): training restarts")
            return None
        content, checksum = content[:-32], content[-32:]
        if hashlib.sha256(content).digest() != checksum:
            print(f"{self.path} is damaged: training restarts")
            return None
        return content

    def save(self, fill: Callable[[BinaryIO], object]) -> None:
        """Replace the state by what a function writes into a file.

        Raises
        ------
        InputError : if it cannot be written; the state saved before is kept
        """

        def fill_and_sum(file: BinaryIO) -> None:
            hashing = _HashingFile(file)
            try:
                fill(hashing)
            except RuntimeError as error:  # torch's, for a write that failed
                raise hashing.error or error from None
            file.write(hashing.checksum.digest())

        write_file(self.path, fill_and_sum)

    def report(self, **progress: float | int | None) -> None:
        """Replace the progress: epoch, epochs, validation accuracies, seconds per epoch."""
        host = {"host": socket.gethostname(), "pid": os.getpid(), "updated": time.time()}
        write_file(self.progress, json.dumps(host | progress).encode())

    def remove(self) -> None:
        """Remove both files, once the record exists."""
        for path in (self.path, self.progress):
            remove(path)


class _HashingFile:
    """A file that hashes what is written to it: a state is too large to be held twice."""

    def __init__(self, file: BinaryIO):
        self.file, self.checksum = file, hashlib.sha256()
        self.error: OSError | None = None

    def write(self, part: bytes) -> int:
        self.checksum.update(part)
        try:
            return self.file.write(part)
        except OSError as error:
            self.error = error
            raise

    def flush(self) -> None:
        self.file.flush()


def read_progress(folder: Path) -> dict | None:
    """Return the progress of a run that is being made or was interrupted; None if it has none."""
    try:
        progress = json.loads(_progress_file(folder).read_bytes())
    except (OSError, ValueError):
        return None
    return progress if isinstance(progress, dict) else None


def _progress_file(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.progress")
