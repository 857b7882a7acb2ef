"""How damage to a record is noticed: checksums, and the place where it lies."""

import hashlib
import json
from pathlib import Path

from helpers import InputError


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
    needed = {"experiment", "seed", "parameters", "recipe_hash", "data", "files", "checksum"}
    if (
        not isinstance(run, dict)
        or not needed <= run.keys()
        or not isinstance(run["parameters"], dict)
        or not isinstance(run["files"], dict)
    ):
        raise DamagedRecord(folder, "run.json is not the description of a run")
    if run["checksum"] != sum_up(run):
        raise DamagedRecord(folder, "run.json differs from its checksum")
    place = folder.absolute()
    if (run["experiment"], f"seed-{run['seed']}") != (place.parent.name, place.name):
        raise DamagedRecord(folder, f"it is that of {run['experiment']} seed {run['seed']}")
