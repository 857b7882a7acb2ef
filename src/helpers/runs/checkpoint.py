"""Where a training that is not over keeps its state, so that it can go on after a kill."""

import hashlib
from pathlib import Path

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
        checksum, content = content[:32], content[32:]
        if hashlib.sha256(content).digest() != checksum:
            print(f"{self.path} is damaged: training starts anew")
            return None
        return content

    def save(self, content: bytes) -> None:
        """Replace what was saved.

        Raises
        ------
        InputError : where it cannot be written; what was saved before is there still
        """
        write_whole(self.path, [hashlib.sha256(content).digest(), content])


def remove_checkpoints(folder: Path) -> None:
    """Remove the checkpoints of a run whose record is there.

    Raises
    ------
    InputError : where that fails
    """
    for path in list_beside(folder, "checkpoint"):
        remove(path)
