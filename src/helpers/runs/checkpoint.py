"""Where a training that is not over keeps its state, so that it can go on after a kill."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from .files import list_beside, remove, write_whole


class Checkpoint:
    """One file beside the place of a record, replaced whole, with a checksum of its own.

    Parameters
    ----------
    folder : where the record shall lie
    part : sets apart the trainings of a run that has several
    """

    def __init__(self, folder: Path, part: int | None = None):
        name = folder.name if part is None else f"{folder.name}.{part}"
        self.path = folder.with_name(f".{name}.checkpoint")

    def load(self) -> memoryview | None:
        """Return what was saved last; None where there is nothing, or nothing whole."""
        try:
            content = memoryview(self.path.read_bytes())
        except FileNotFoundError:
            return None
        except OSError as error:
            print(f"{self.path} cannot be read ({error.strerror}): training starts anew")
            return None
        content, checksum = content[:-32], content[-32:]
        if hashlib.sha256(content).digest() != checksum:
            print(f"{self.path} is damaged: training starts anew")
            return None
        return content

    def save(self, fill: Callable[[BinaryIO], object]) -> None:
        """Replace what was saved by what a function writes into a file.

        Raises
        ------
        InputError : where it cannot be written; what was saved before is there still
        """

        def fill_and_sum_up(file: BinaryIO) -> None:
            summed = _Summed(file)
            try:
                fill(summed)
            except RuntimeError as error:  # torch, of a write that failed
                raise summed.error or error from None
            file.write(summed.checksum.digest())

        write_whole(self.path, fill_and_sum_up)


class _Summed:
    """A file that sums up what is written into it: a state is too large to be held twice."""

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


def remove_checkpoints(folder: Path) -> None:
    """Remove the checkpoints of a run whose record is there.

    Raises
    ------
    InputError : where that fails
    """
    for path in list_beside(folder, "checkpoint"):
        remove(path)
