"""Record of a run: one folder, written as a whole and never replaced, readable by later versions.

``results/<profile>/<experiment>/seed-<n>/`` holds

=================  =========================================================================
run.json           configuration, data, weights, environment, durations, SHA-256 of all files
history.csv        one row per epoch
metrics.csv        one row per corruption and strength; the first is the clean test set
predictions.npz    float16 logits of all test images (clean and corrupted) and of the validation
                   images, with the labels of both
examples.npz       a few test images and the most confident errors under every corruption, and one
                   MixUp example
weights.pt         the network in float16, of an arm's seed 0
=================  =========================================================================

A variant of an ablation has its own record, in ``<experiment>@<variant>/seed-<n>/``. The executed
notebook, ``seed-<n>.ipynb``, is next to the folder, since papermill finishes it after the record.
Fields and files that an older record lacks read as None.
"""

import hashlib
import io
import json
import re
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from helpers import InputError
from helpers.data_files import digest_file

from .files import write_file, write_folder

#: Packages whose versions are recorded.
PACKAGES = (
    *("torch", "torchvision", "medmnist", "numpy"),
    *("scipy", "scikit-learn", "pandas", "pillow"),
)
PLATFORM = ("device", "threads", "vectors", "processor", "machine", "system", "python")

#: Fields of run.json with their values in a record that lacks them.
DEFAULTS: dict = {
    "variant": "",
    "parameters": {},
    "environment": dict.fromkeys([*PLATFORM, *PACKAGES, "git_commit", "git_dirty"]),
    "data": {"name": "unknown"}
    | dict.fromkeys(["official", "sha256", "classes", "train", "validation", "test", "files"]),
    "weights": dict.fromkeys(["initialisation", "sha256", "official"]),
    **dict.fromkeys(["config_hash", "started", "train_seconds", "evaluate_seconds", "best_epoch"]),
    **dict.fromkeys(["peak_memory_bytes", "peak_gpu_memory_bytes", "notebook", "weights_rounding"]),
    "files": {},
    "left_out": [],
}


class CorruptRecord(InputError):  # noqa: N818
    """A record that differs from what was written, or that belongs to another run."""

    def __init__(self, folder: Path, why: str):
        super().__init__(
            f"{folder} is corrupt: {why}; `python -m helpers run` sets it aside and repeats the run"
        )
        self.folder, self.why = folder, why


class Record:
    """A finished run; `checksum` is the SHA-256 of run.json, which has those of the other files."""

    def __init__(self, folder: Path, run: dict):
        self.folder, self.run = folder, run
        self.experiment, self.variant, self.seed = run["experiment"], run["variant"], run["seed"]
        self.parameters, self.config_hash = run["parameters"], run["config_hash"]
        self.data, self.weights, self.environment = run["data"], run["weights"], run["environment"]
        self.checksum = run["checksum"]

    @property
    def notebook(self) -> Path | None:
        """The executed notebook; None if it is missing or was edited since."""
        path = self.folder.with_suffix(".ipynb")
        return path if path.is_file() and digest_file(path) == self.run["notebook"] else None

    @cached_property
    def history(self) -> pd.DataFrame | None:
        """One row per epoch; losses in nats, accuracies as fractions."""
        return self._parse("history.csv", _parse_table)

    @cached_property
    def metrics(self) -> pd.DataFrame | None:
        """One row per corruption and strength; scores as fractions, strength NaN for clean."""
        return self._parse("metrics.csv", _parse_table)

    @cached_property
    def predictions(self) -> dict[str, np.ndarray] | None:
        """Logits float16 (P, N, C), labels int64 (N,), corruption str (P,), strength (P,); of the
        clean validation set validation_logits float16 (V, C), validation_labels int64 (V,).
        """
        return self._parse("predictions.npz", _parse_arrays)

    @cached_property
    def examples(self) -> dict[str, np.ndarray] | None:
        """Images of the galleries; see ``helpers.experiment.evaluation``."""
        return self._parse("examples.npz", _parse_arrays)

    def has(self, name: str) -> bool:
        """Return whether the record has a file, and it was not left out on purpose."""
        return name in self.run["files"] and name not in self.run["left_out"]

    def check(self) -> "Record":
        """Return the record; raise CorruptRecord if a file is missing or differs."""
        for name in filter(self.has, self.run["files"]):
            self._read(name)
        return self

    def _parse(self, name: str, parse: Callable) -> Any:
        content = io.BytesIO(self._read(name)) if self.has(name) else None
        return content and parse(content, self.run.get("part"))

    def _read(self, name: str) -> bytes:
        content = _read_file(self.folder, name)
        if hashlib.sha256(content).hexdigest() != self.run["files"][name]:
            raise CorruptRecord(self.folder, f"{name} differs from its checksum in run.json")
        return content


def _parse_table(content: io.BytesIO, part: str | None) -> pd.DataFrame:
    table = pd.read_csv(content)
    return table[table.variant == part].drop(columns="variant") if part else table


def _parse_arrays(content: io.BytesIO, part: str | None) -> dict[str, np.ndarray]:
    with np.load(content, allow_pickle=False) as archive:
        arrays = dict(archive)
    if part and "variants" in arrays:
        arrays["logits"] = arrays["logits"][arrays["variants"].tolist().index(part)]
    return arrays


def run_folder(results: Path, experiment: str, seed: int, variant: str = "") -> Path:
    """Return the folder of a run's record."""
    return Path(results) / (f"{experiment}@{variant}" if variant else experiment) / f"seed-{seed}"


def is_run(folder: Path) -> bool:
    """Return whether a folder exists and has the name of a record."""
    return folder.is_dir() and re.fullmatch(r"seed-\d+", folder.name) is not None


def write_record(folder: Path, run: dict, contents: dict[str, bytes]) -> Record:
    """Write a record, adding ``files`` and ``checksum`` to `run`; InputError if it exists."""
    checksums = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    write_folder(folder, contents | {"run.json": _dump(run | {"files": checksums})})
    return read_record(folder)


def keep_notebook(folder: Path, content: bytes) -> None:
    """Write an executed notebook next to a record, and its SHA-256 into run.json if that exists."""
    notebook = json.loads(content)
    for name in ("input_path", "output_path"):  # they were temporary
        notebook["metadata"].get("papermill", {}).pop(name, None)
    content = json.dumps(notebook, indent=1).encode() + b"\n"
    write_file(folder.with_suffix(".ipynb"), content)
    if (folder / "run.json").exists():
        run = _load(folder) | {"notebook": hashlib.sha256(content).hexdigest()}
        write_file(folder / "run.json", _dump(run))


def read_record(folder: Path) -> Record | None:
    """Return the record in a folder, or None; CorruptRecord if run.json was changed or moved."""
    if not any(folder.glob("*")):
        return None
    run = _load(folder)
    filled = DEFAULTS | {"config_hash": run.get("recipe_hash")}
    filled |= {name: value for name, value in run.items() if value is not None}
    filled |= {name: DEFAULTS[name] | filled[name] for name in ("environment", "data", "weights")}
    # Older records of the study came without their example images and do not say so.
    if "config_hash" not in run and not (folder / "examples.npz").exists():
        filled["left_out"] = sorted({*filled["left_out"], "examples.npz"})
    return Record(folder, filled)


def read_records(
    results: Path, experiment: str = "*", corrupt: list[CorruptRecord] | None = None
) -> list[Record]:
    """Return the checked records of a results folder, by experiment, variant and seed.

    `experiment` is a pattern of ``<experiment>`` or ``<experiment>@<variant>``. Errors of corrupt
    records are added to `corrupt`; without it the first one is raised.
    """
    found = []
    for folder in filter(is_run, Path(results).glob(f"{experiment}/seed-*")):
        try:
            if (record := read_record(folder)) is not None:
                found += _split(record.check())
        except CorruptRecord as error:
            if corrupt is None:
                raise
            corrupt.append(error)
    return sorted(found, key=lambda record: (record.experiment, record.variant, record.seed))


def _split(record: Record) -> list[Record]:
    """Return the record, or one per variant if it is an ablation's of the older format.

    Their ``part`` is the variant's name in the tables and arrays of that record.
    """
    if "changes" not in record.run:
        return [record]
    run = dict(record.run)
    parts, best = [], run["best_epoch"]
    for name, changes in run.pop("changes").items():
        experiment = name.split(" ")[0]
        arm = read_record(run_folder(record.folder.parents[1], experiment, record.seed))
        changed = {
            "experiment": experiment,
            "variant": re.sub(r"[^\w-]+", "-", ",".join(f"{k}-{v}" for k, v in changes.items())),
            "part": name,
            "parameters": (arm.parameters if arm else {}) | changes,
            "weights": arm.weights if arm else DEFAULTS["weights"],
            "best_epoch": best.get(name) if isinstance(best, dict) else best,
        }
        parts.append(Record(record.folder, run | changed))
    return parts


def _load(folder: Path) -> dict:
    """Return run.json as written; raise CorruptRecord if it was changed or moved."""
    content = _read_file(folder, "run.json")
    try:
        run = json.loads(content)
        unchanged = run["checksum"] == _sum(run)
        place = run_folder(Path(), run["experiment"], run["seed"], run.get("variant", ""))
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
        raise CorruptRecord(folder, "run.json does not describe a run") from None
    if not unchanged:
        raise CorruptRecord(folder, "run.json differs from its checksum")
    if folder.absolute().parts[-2:] != place.parts:
        raise CorruptRecord(folder, f"it belongs to {place.parts[0]} seed {run['seed']}")
    return run


def _dump(run: dict) -> bytes:
    text = json.dumps(run | {"checksum": _sum(run)}, indent=2, allow_nan=False)
    return text.encode() + b"\n"


def _sum(run: dict) -> str:
    """Return the SHA-256 of run.json without its checksum, independent of its layout."""
    rest = {name: value for name, value in run.items() if name != "checksum"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


def _read_file(folder: Path, name: str) -> bytes:
    try:
        return (folder / name).read_bytes()
    except PermissionError:
        raise InputError(f"cannot read {folder / name}: fix its permissions") from None
    except OSError as error:
        raise CorruptRecord(folder, f"{name} cannot be read ({error.strerror})") from None
