"""How damage to a record is noticed: checksums, and the place where it lies."""

import contextlib
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

from helpers import InputError

from .recipe import hash_parameters


@contextlib.contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn an error of the file system into a line that names the place and the mend.

    Raises
    ------
    InputError : in place of any OSError
    """
    try:
        yield
    except OSError as error:
        raise InputError(
            f"cannot read {path}: {error.strerror}; mend its permissions, or give another folder:"
            " -p results=FOLDER"
        ) from None


class DamagedRecord(InputError):  # noqa: N818
    """A record that is not as it was written, or not in its place.

    Attributes
    ----------
    folder : where it lies
    why : what is wrong with it
    """

    def __init__(self, folder: Path, why: str):
        super().__init__(
            f"{folder} is damaged: {why}; `python -m helpers run` sets it aside and makes the run"
            " again"
        )
        self.folder, self.why = folder, why


def read_content(folder: Path, name: str) -> bytes:
    """Return a file of a record.

    Raises
    ------
    DamagedRecord : where it cannot be read
    InputError : where it may not be read, which making the run again would not mend
    """
    try:
        return (folder / name).read_bytes()
    except PermissionError:
        raise InputError(f"cannot read {folder / name}: mend its permissions") from None
    except OSError as error:
        raise DamagedRecord(folder, f"{name} cannot be read ({error.strerror})") from None


def sum_up(run: dict) -> str:
    """Return the checksum of what run.json says besides it, however it is laid out."""
    rest = {name: value for name, value in run.items() if name != "checksum"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


def check_description(folder: Path, run: object) -> None:
    """Raise DamagedRecord unless this is what run.json said when it was written, in this folder."""
    needed = {"experiment", "seed", "parameters", "recipe_hash", "data", "files"}
    if (
        not isinstance(run, dict)
        or not needed <= run.keys()
        or not isinstance(run["parameters"], dict)
        or not isinstance(run["files"], dict)
    ):
        raise DamagedRecord(folder, "run.json is not the description of a run")
    if "checksum" in run:
        differs = run["checksum"] != sum_up(run)
    else:  # written by an earlier version: there only the parameters have a checksum
        differs = run["recipe_hash"] != hash_parameters(run["parameters"])
    if differs:
        raise DamagedRecord(folder, "run.json differs from its checksum")
    place = folder.absolute()
    if (run["experiment"], f"seed-{run['seed']}") != (place.parent.name, place.name):
        raise DamagedRecord(folder, f"it is that of {run['experiment']} seed {run['seed']}")
