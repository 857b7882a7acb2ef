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


def ship(profile: str) -> Iterator[tuple[Record, Record]]:
    """Copy the records of a profile that do not ship yet; yield each with its copy."""
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
        content = json.loads(record.notebook.read_bytes())
        for cell in content["cells"]:
            if "images" in cell["metadata"].get("tags", []):  # its outputs show the data
                cell["outputs"] = []
        keep_notebook(folder, json.dumps(content).encode())
    return read_record(folder)
