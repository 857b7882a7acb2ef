"""State and progress of an unfinished training, next to the place of its record."""

import hashlib
import io
import json
import os
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from .atomic_io import beside, remove, write_file


class Checkpoint:
    """A file of state with its own SHA-256 and a file of progress, each replaced as a whole."""

    def __init__(self, folder: Path):
        self.path, self.progress = beside(folder, "checkpoint"), beside(folder, "progress")

    def load(self) -> memoryview | None:
        """Return the last saved state, or None if there is none or it is damaged."""
        try:
            content = memoryview(self.path.read_bytes())
            state, checksum = content[:-32], content[-32:]
            if hashlib.sha256(state).digest() == checksum:
                return state
            why = "is damaged"
        except FileNotFoundError:
            return None
        except OSError as error:
            why = f"cannot be read ({error.strerror})"
        print(f"{self.path} {why}: training restarts")
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
        remove(self.path)
        remove(self.progress)


def read_progress(folder: Path) -> dict | None:
    """Return the progress of a run that is being made or was interrupted, or None."""
    try:
        return json.loads(beside(folder, "progress").read_bytes())
    except (OSError, ValueError):
        return None
