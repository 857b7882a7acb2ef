"""The record of a run: one folder that is written whole or not at all, and read with checks.

``results/<profile>/<experiment>/seed-<n>/`` holds

=================  =========================================================================
run.json           recipe, data, weights, environment, durations, checksums of the other files
history.csv        a row an epoch
metrics.csv        a row a corruption and strength; the first is the clean test set
predictions.npz    float16 logits of all test images, clean and corrupted, and of the validation
                   images, and the labels of both
examples.npz       a few test images under every corruption, the most confident mistakes under each,
                   and one MixUp instance
weights.pt         pretraining only: the backbone's state dict
=================  =========================================================================

An ablation's tables have one column more, and its logits one axis, for the variants of its arms.

The executed notebook lies beside the folder as ``seed-<n>.ipynb``: papermill is still writing it
when its last cell writes the record, so it cannot be inside.
"""

import hashlib
import io
import json
import re
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from .files import reading, recover, recover_all, replace_folder
from .integrity import DamagedRecord, check_description, read_content, sum_up

#: Names of experiments; they stand in pages and on command lines.
EXPERIMENT = re.compile(r"[\w-]+")


@dataclass(frozen=True)
class Record:
    """A finished run: its folder, and what run.json says."""

    folder: Path
    run: dict

    @property
    def experiment(self) -> str:
        """Name of the notebook that made the run."""
        return self.run["experiment"]

    @property
    def seed(self) -> int:
        """Seed of the run."""
        return self.run["seed"]

    @property
    def origin(self) -> list[str | None]:
        """What runs in one cell share: hashes of recipe, data and first weights, if any."""
        data, weights = self.run["data"], self.run["weights"]
        return [self.run["recipe_hash"], data["sha256"], weights["sha256"]]

    @property
    def notebook(self) -> Path:
        """The executed notebook; there if whoever ran it kept it beside the record."""
        return self.folder.with_suffix(".ipynb")

    @cached_property
    def history(self) -> pd.DataFrame:
        """A row an epoch; losses in nats, accuracies as fractions."""
        return pd.read_csv(io.BytesIO(self._read("history.csv")))

    @cached_property
    def metrics(self) -> pd.DataFrame:
        """A row a corruption and strength; scores as fractions, strength NaN for clean."""
        return pd.read_csv(io.BytesIO(self._read("metrics.csv")))

    @cached_property
    def predictions(self) -> dict[str, np.ndarray]:
        """Logits float16 (P, N, C), labels int64 (N,), corruption str (P,), strength (P,); of the
        clean validation set validation_logits float16 (V, C), validation_labels int64 (V,).
        """
        return self._arrays("predictions.npz")

    @cached_property
    def examples(self) -> dict[str, np.ndarray]:
        """What ``make_examples`` and ``find_mistakes`` of ``helpers.experiment`` returned."""
        return self._arrays("examples.npz")

    def check(self) -> "Record":
        """Return the record if every file has the checksum that run.json gives it.

        Raises
        ------
        DamagedRecord : naming the file that is missing or differs
        """
        for name in self.run["files"]:
            self._read(name)
        return self

    def _arrays(self, name: str) -> dict[str, np.ndarray]:
        with np.load(io.BytesIO(self._read(name)), allow_pickle=False) as arrays:
            return dict(arrays)

    def _read(self, name: str) -> bytes:
        content = read_content(self.folder, name)
        if hashlib.sha256(content).hexdigest() != self.run["files"][name]:
            raise DamagedRecord(self.folder, f"{name} differs from its checksum in run.json")
        return content


def run_folder(results: Path, experiment: str, seed: int) -> Path:
    """Return where the record of a run lies."""
    return Path(results) / experiment / f"seed-{seed}"


def write_record(folder: Path, run: dict, contents: dict[str, bytes]) -> Record:
    """Write a record, whole or not at all; one that is there already is replaced.

    Parameters
    ----------
    folder : where the record shall lie
    run : what run.json shall say; ``files`` and ``checksum`` are added, the checksums of the other
        files and of run.json itself
    contents : file name to content

    Raises
    ------
    InputError : where the folder cannot be written
    """
    checksums = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    run = json.loads(json.dumps(run | {"files": checksums}, allow_nan=False))
    run["checksum"] = sum_up(run)
    text = json.dumps(run, indent=2) + "\n"
    replace_folder(folder, contents | {"run.json": text.encode()})
    return Record(folder, run)


def read_record(folder: Path) -> Record | None:
    """Return the record in a folder, or None where there is none; its files are read later.

    Raises
    ------
    DamagedRecord : where run.json is not as it was written, or of another run
    InputError : where it may not be read
    """
    with reading(folder):
        recover(folder)
        try:
            if not any(folder.iterdir()):
                return None
        except (FileNotFoundError, NotADirectoryError):
            return None
    content = read_content(folder, "run.json")
    try:
        run = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise DamagedRecord(folder, f"run.json cannot be read ({error})") from None
    check_description(folder, run)
    return Record(folder, run)


def read_whole(folder: Path) -> Record | None:
    """Return the checked record in a folder, or None; read again if it is replaced meanwhile.

    Raises
    ------
    DamagedRecord, InputError : as `read_record` and `Record.check`
    """
    while True:
        before = _identify(folder)
        try:
            record = read_record(folder)
            return record and record.check()
        except DamagedRecord:
            if _identify(folder) == before:
                raise


def _identify(folder: Path) -> int | None:
    """Return what differs between a record and the one that takes its place."""
    try:
        return folder.stat().st_ino
    except OSError:
        return None


def read_records(
    results: Path, experiment: str = "*", damaged: list[DamagedRecord] | None = None
) -> list[Record]:
    """Return the checked records below a profile's results, by experiment and then by seed.

    Parameters
    ----------
    damaged : takes what is wrong with the records that are left out; if None, none is left out

    Raises
    ------
    DamagedRecord : for the first record that is damaged, if `damaged` is None
    InputError : where a record may not be read
    """
    recover_all(results, experiment)
    found = []
    for folder in _list_runs(Path(results), experiment):
        try:
            if (record := read_whole(folder)) is not None:
                found.append(record)
        except DamagedRecord as error:
            if damaged is None:
                raise
            damaged.append(error)
    return sorted(found, key=lambda record: (record.experiment, record.seed))


def _list_runs(results: Path, experiment: str) -> list[Path]:
    """Return the folders of runs in order; another name than an experiment's is none."""
    found = []
    with reading(results):
        for place in results.iterdir() if results.is_dir() else []:
            if EXPERIMENT.fullmatch(place.name) and fnmatch(place.name, experiment):
                found += filter(is_run, place.iterdir() if place.is_dir() else [])
    return sorted(found)


def is_run(folder: Path) -> bool:
    """Return whether a folder is named as a record is, and there."""
    return re.fullmatch(r"seed-\d+", folder.name) is not None and folder.is_dir()
