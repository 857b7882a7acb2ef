"""Records that ship with the repository: the numbers of a run, without any image of its data."""

import json
from collections.abc import Iterator
from pathlib import Path

from helpers import ROOT, InputError

from .config import PRETRAINING, list_profiles, unknown
from .record import Record, keep_notebook, read_record, read_records, run_folder, write_record

#: Files of a record that hold images, or weights too large to ship.
LEFT_OUT = {"examples.npz", "weights.pt"}

#: Largest total of a shipped record, in bytes.
LARGEST = 1_500_000

#: Tag of the notebook cells whose outputs show images of the data set.
IMAGES = "images"


def ship(profile: str) -> Iterator[tuple[Record, Record]]:
    """Copy the records of a profile from ``results/`` to ``records/``; yield each with its copy.

    A record that ships already is skipped. The copy lists the files that were left out.

    Raises
    ------
    InputError : for an unknown profile, or a record that is corrupt or too large
    """
    if profile not in list_profiles():
        raise unknown("profile", profile, list_profiles())
    for record in read_records(ROOT / "results" / profile):
        place = ROOT / "records" / profile, record.experiment, record.seed, record.variant
        folder = run_folder(*place)
        if record.experiment in PRETRAINING or read_record(folder) is not None:
            continue
        yield record, _copy(record, folder)


def _copy(record: Record, folder: Path) -> Record:
    run = json.loads((record.folder / "run.json").read_bytes())
    kept = [name for name in run["files"] if name not in LEFT_OUT]
    contents = {name: (record.folder / name).read_bytes() for name in kept}
    if (size := sum(map(len, contents.values()))) > LARGEST:
        raise InputError(f"{record.folder} has {size:,} bytes; at most {LARGEST:,} can be shipped")
    run |= {"left_out": sorted(run["files"].keys() - set(kept)), "notebook": None}
    write_record(folder, run, contents)
    if record.notebook is not None:
        keep_notebook(folder, remove_images(record.notebook.read_bytes()))
    return read_record(folder)


def remove_images(notebook: bytes) -> bytes:
    """Return an executed notebook without the outputs of cells that show images of the data."""
    content = json.loads(notebook)
    for cell in content["cells"]:
        if IMAGES in cell["metadata"].get("tags", []):
            cell["outputs"] = []
    return json.dumps(content).encode()
