"""A run as its notebook sees it: begun with checked parameters, finished with a record."""

import io
import platform
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib import metadata

import numpy as np

from helpers import ROOT

from .recipe import Recipe, make_recipe
from .record import Record, run_folder, write_record

try:
    import resource
except ImportError:  # Windows
    resource = None

PACKAGES = ("torch", "torchvision", "medmnist", "numpy", "pandas", "pillow")


class Run:
    """One run of an experiment, from `begin` to `finish`."""

    def __init__(self, experiment: str, recipe: Recipe):
        self.experiment = experiment
        self.recipe = recipe
        self.started = datetime.now(UTC)
        self.environment = describe_environment()

    def finish(self, data, model, training, evaluation=None, examples=None) -> Record:
        """Write the record of the run.

        Parameters
        ----------
        data, model, training, evaluation, examples : what the functions of
            ``helpers.experiment`` return; without an evaluation the run is a pretraining and
            its record holds the backbone's weights

        Raises
        ------
        InputError : where the results cannot be written
        """
        contents = {"history.csv": _csv(training.history)}
        if evaluation is None:
            contents["weights.pt"] = model.pack_backbone()
        else:
            contents["metrics.csv"] = _csv(evaluation.scores())
            contents["predictions.npz"] = _npz(evaluation.arrays())
            contents["examples.npz"] = _npz(examples)
        about = {
            "experiment": self.experiment,
            "seed": self.recipe.seed,
            "parameters": self.recipe.model_dump(mode="json"),
            "recipe_hash": self.recipe.identity,
            "data": data.summary,
            "weights": model.weights,
            "environment": model.machine | self.environment,
            "started": self.started.isoformat(timespec="seconds"),
            "train_seconds": round(training.seconds, 3),
            "evaluate_seconds": round(evaluation.seconds, 3) if evaluation else None,
            "peak_memory_bytes": _peak_memory_bytes(),
            "best_epoch": training.best_epoch,
        }
        folder = run_folder(ROOT / self.recipe.results, self.experiment, self.recipe.seed)
        return write_record(folder, about, contents)


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
    commit, changes = _git("rev-parse", "HEAD"), _git("status", "--porcelain", "-uno")
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


def _csv(table) -> bytes:
    return table.to_csv(index=False).encode()


def _npz(arrays: dict[str, np.ndarray]) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()
