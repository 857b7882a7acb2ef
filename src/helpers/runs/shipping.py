"""Copies of records that ship with the repository, without images, and shipped checksums.

The runs of profile ``smoke`` do not ship: only their checksums do, to compare other machines with.
"""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

from helpers import ROOT, InputError

from .config import list_profiles, unknown
from .files import write_file
from .record import Record, keep_notebook, read_record, read_records, run_folder, write_record

#: Largest size in bytes of a shipped record without its weights, and of the weights.
LARGEST, LARGEST_WEIGHTS = 1_500_000, 25_000_000

CHECKSUMS = Path("records", "smoke.sha256")


def ship(profile: str) -> Iterator[tuple[Path, str]]:
    """Copy the records of a profile that do not ship yet; yield their places and omitted files.

    Images are always left out, and weights unless the profile is ``paper``. For ``smoke``, only
    checksums ship.
    """
    if profile not in list_profiles():
        raise unknown("profile", profile, list_profiles())
    records = read_records(ROOT / "results" / profile)
    if profile == "smoke":
        _write_checksums(records)
        yield CHECKSUMS, "everything but checksums"
        return
    for record in records:
        place = run_folder(Path("records", profile), record.experiment, record.seed, record.variant)
        if read_record(ROOT / place) is None:
            left_out = _copy(record, ROOT / place, weights=profile == "paper")
            yield place, ", ".join(left_out)


def _copy(record: Record, folder: Path, weights: bool) -> list[str]:
    run = json.loads((record.folder / "run.json").read_bytes())
    contents = {n: (record.folder / n).read_bytes() for n in run["files"] if n != "examples.npz"}
    network = contents.pop("weights.pt", b"")
    if (size := sum(map(len, contents.values()))) > LARGEST:
        raise InputError(f"{record.folder} has {size:,} bytes; at most {LARGEST:,} can be shipped")
    if weights and 0 < len(network) <= LARGEST_WEIGHTS:
        contents["weights.pt"] = network
    run |= {"left_out": sorted(run["files"].keys() - contents.keys()), "notebook": None}
    write_record(folder, run, contents)
    if record.notebook is not None:
        content = json.loads(record.notebook.read_bytes())
        for cell in content["cells"]:
            if "images" in cell["metadata"].get("tags", []):  # its outputs show the data
                cell["outputs"] = []
        keep_notebook(folder, json.dumps(content).encode())
    return run["left_out"]


def compare_checksums(records: list[Record]) -> tuple[int, int, str]:
    """Return how many checksums match the shipped ones, of how many, and their processor."""
    path = ROOT / CHECKSUMS
    head, *lines = path.read_text().splitlines() if path.is_file() else ["# unknown"]
    shipped = {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
    same = [shipped[n] == digest for n, digest in _digest_numbers(records).items() if n in shipped]
    return sum(same), len(same), head.removeprefix("# ")


def describe_processor(records: list[Record]) -> str:
    """Return what the bits of runs depend on: processor, instructions, device, torch version."""
    names = ("processor", "vectors", "device", "torch")
    made = {tuple(r.environment[name] or "unknown" for name in names) for r in records}
    return "; ".join("{}, {}, {}, torch {}".format(*values) for values in sorted(made))


def _write_checksums(records: list[Record]) -> None:
    if not records:
        raise InputError("results/smoke has no runs; make them with `python -m helpers run`")
    lines = [f"{digest}  {name}" for name, digest in _digest_numbers(records).items()]
    text = "\n".join([f"# {describe_processor(records)}", *lines, ""])
    write_file(ROOT / CHECKSUMS, text.encode())


def _digest_numbers(records: list[Record]) -> dict[str, str]:
    """Return the SHA-256 of each run's history, and of its predictions' names, types and values."""
    found = {}
    for record in records:
        place = f"{record.folder.parent.name}/{record.folder.name}"
        if record.has("history.csv"):
            found[f"{place}/history"] = record.run["files"]["history.csv"]
        if record.predictions is not None:
            digest = hashlib.sha256()
            for name, array in sorted(record.predictions.items()):
                digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
                digest.update(array.tobytes())
            found[f"{place}/predictions"] = digest.hexdigest()
    return found
