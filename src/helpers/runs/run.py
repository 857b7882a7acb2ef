"""A run as its notebook sees it: begun with checked parameters, finished with a record."""

import contextlib
import io
import platform
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib import metadata

import numpy as np

from helpers import ROOT, InputError

from .checkpoint import Checkpoint, remove_checkpoints
from .checks import make_recipe
from .orphans import die_with_parent
from .recipe import Recipe
from .record import DamagedRecord, Record, read_record, run_folder, write_record

try:
    import resource
except ImportError:  # Windows
    resource = None

PACKAGES = (
    "torch",
    "torchvision",
    "medmnist",
    "numpy",
    "scipy",
    "scikit-learn",
    "pandas",
    "pillow",
)


class Run:
    """One run of an experiment, from `begin` to `finish`.

    Attributes
    ----------
    checkpoint : keeps the state of its training, for when the process is killed
    """

    def __init__(self, experiment: str, recipe: Recipe):
        die_with_parent()
        self.experiment = experiment
        self.recipe = recipe
        self.folder = run_folder(ROOT / recipe.results, experiment, recipe.seed)
        self._check_place()
        self.checkpoint = Checkpoint(self.folder)
        self.started = datetime.now(UTC)
        self.environment = describe_environment()

    def _check_place(self) -> None:
        """Raise InputError where a run by another recipe lies; a damaged one may be replaced."""
        with contextlib.suppress(DamagedRecord):
            record = read_record(self.folder)
            if record and record.run["recipe_hash"] != self.recipe.identity:
                raise InputError(
                    f"results: {self.folder} holds a run by another recipe; give another folder,"
                    " or delete that one"
                )

    def finish(self, data, model, training, evaluation=None) -> Record:
        """Write the record of the run.

        Parameters
        ----------
        data, model, training, evaluation : what the functions of ``helpers.experiment`` return;
            without an evaluation the run is a pretraining and its record holds the backbone's
            weights

        Raises
        ------
        InputError : where the results cannot be written
        """
        contents = {"history.csv": pack_table(training.history)}
        if evaluation is None:
            contents["weights.pt"] = model.pack_backbone()
        else:
            contents["metrics.csv"] = pack_table(evaluation.scores())
            contents["predictions.npz"] = pack_arrays(evaluation.arrays())
            contents["examples.npz"] = pack_arrays(evaluation.examples)
        about = {
            "data": data.summary,
            "weights": model.weights,
            "train_seconds": round(training.seconds, 3),
            "evaluate_seconds": round(evaluation.seconds, 3) if evaluation else None,
            "best_epoch": training.best_epoch,
        }
        return self._write(model, about, contents)

    def _write(self, model, about: dict, contents: dict[str, bytes]) -> Record:
        """Write a record of these files, with what every run tells besides what it is about."""
        run = {
            "experiment": self.experiment,
            "seed": self.recipe.seed,
            "parameters": self.recipe.model_dump(mode="json"),
            "recipe_hash": self.recipe.identity,
            "environment": model.machine | self.environment,
            "started": self.started.isoformat(timespec="seconds"),
            "peak_memory_bytes": _peak_memory_bytes(),
            "peak_gpu_memory_bytes": model.peak_gpu_memory_bytes,
        }
        self._check_place()  # another process may have been faster
        record = write_record(self.folder, run | about, contents)
        remove_checkpoints(self.folder)
        return record


def begin(experiment: str, values: Mapping) -> Run:
    """Begin a run of an experiment with the parameters that its notebook holds.

    Parameters
    ----------
    experiment : the notebook's name
    values : the notebook's ``globals()``; what is no parameter is left aside

    Raises
    ------
    InputError : naming the parameter that is wrong, its value, and what it must be
    """
    return Run(experiment, make_recipe(experiment, values))


def describe_environment() -> dict:
    """Return what else the numbers of a run depend on: platform, versions, commit."""
    commit = _git("rev-parse", "HEAD")
    # Files that git does not know yet count too; where else they lie, they decide no number.
    changes = _git("status", "--porcelain", "--", "src", "book/experiments", "profiles")
    return {
        "machine": platform.machine(),
        "system": platform.system(),
        "python": platform.python_version(),
        **{name: metadata.version(name) for name in PACKAGES},
        "git_commit": commit,
        "git_dirty": None if changes is None else bool(changes),
    }


def _git(*arguments: str) -> str | None:
    try:
        command = ["git", "-C", str(ROOT), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None  # no git, or no repository: an unpacked archive


def _peak_memory_bytes() -> int | None:
    if resource is None:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def pack_table(table) -> bytes:
    """Return a data frame as a record's file."""
    return table.to_csv(index=False).encode()


def pack_arrays(arrays: dict[str, np.ndarray]) -> bytes:
    """Return arrays as a record's file."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()
