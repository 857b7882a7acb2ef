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
import os
import re
import shutil
import uuid
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from helpers import InputError


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
        InputError : naming the file that is missing or differs
        """
        for name in self.run["files"]:
            self._read(name)
        return self

    def _arrays(self, name: str) -> dict[str, np.ndarray]:
        with np.load(io.BytesIO(self._read(name)), allow_pickle=False) as arrays:
            return dict(arrays)

    def _read(self, name: str) -> bytes:
        try:
            content = (self.folder / name).read_bytes()
        except OSError as error:
            raise _damaged(self.folder, f"{name} cannot be read ({error.strerror})") from None
        if hashlib.sha256(content).hexdigest() != self.run["files"][name]:
            raise _damaged(self.folder, f"{name} differs from its checksum in run.json")
        return content


def _damaged(folder: Path, why: str) -> InputError:
    return InputError(f"{folder} is damaged: {why}; delete the folder and make the run again")


def run_folder(results: Path, experiment: str, seed: int) -> Path:
    """Return where the record of a run lies."""
    return Path(results) / experiment / f"seed-{seed}"


def write_record(folder: Path, run: dict, contents: dict[str, bytes]) -> Record:
    """Write a record beside its place, flush it to the disk, and rename it there.

    A record that is there already is replaced. What a killed process leaves is a folder whose
    name begins with a dot, which no reader looks at.

    Parameters
    ----------
    folder : where the record shall lie
    run : what run.json shall say; ``files``, the checksums, are added
    contents : file name to content

    Raises
    ------
    InputError : where the folder cannot be written
    """
    checksums = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    run = run | {"files": checksums}
    contents = contents | {"run.json": (json.dumps(run, indent=2, allow_nan=False) + "\n").encode()}
    beside = folder.with_name(f".{folder.name}-{uuid.uuid4().hex}")
    replaced = beside.with_suffix(".replaced")
    try:
        beside.mkdir(parents=True)
        for name, content in contents.items():
            with (beside / name).open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        if folder.exists():
            folder.rename(replaced)
        beside.rename(folder)
    except OSError as error:
        if replaced.exists() and not folder.exists():
            replaced.rename(folder)
        raise InputError(
            f"cannot write the record {folder}: {error.strerror}; free space there, or give"
            " another folder as the parameter results"
        ) from None
    finally:
        shutil.rmtree(beside, ignore_errors=True)
        shutil.rmtree(replaced, ignore_errors=True)
    return Record(folder, run)


def read_record(folder: Path) -> Record | None:
    """Return the record in a folder, or None where there is none; its files are read later.

    Raises
    ------
    InputError : where run.json is there and cannot be understood
    """
    try:
        run = json.loads((folder / "run.json").read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        raise _damaged(folder, f"run.json cannot be read ({error})") from None
    needed = {"experiment", "seed", "parameters", "recipe_hash", "data", "files"}
    if not isinstance(run, dict) or not needed <= run.keys():
        raise _damaged(folder, "run.json is not the description of a run")
    return Record(folder, run)


def read_records(results: Path, experiment: str = "*") -> list[Record]:
    """Return the checked records below a profile's results, by experiment and then by seed.

    Raises
    ------
    InputError : naming the first record that is damaged
    """
    folders = (f for f in Path(results).glob(f"{experiment}/seed-*") if _is_run(f))
    records = (read_record(folder) for folder in folders)
    found = [record.check() for record in records if record is not None]
    return sorted(found, key=lambda record: (record.experiment, record.seed))


def _is_run(folder: Path) -> bool:
    return folder.is_dir() and re.fullmatch(r"seed-\d+", folder.name) is not None
