"""A run as its notebook sees it: begun with validated parameters, finished with a record."""

import contextlib
import io
import os
import platform
import re
import subprocess
import sys
import types
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

import numpy as np

from helpers import ROOT, InputError

from .config import Config, make_config, unknown
from .files import Checkpoint
from .record import PACKAGES, Record, run_folder, write_record


class Run:
    """One run, from `begin` to `finish`; its training can resume from `checkpoint` after a kill."""

    def __init__(self, experiment: str, config: Config):
        self.experiment, self.config = experiment, config
        self.folder = run_folder(ROOT / config.results, experiment, config.seed, config.variant)
        if (self.folder / "run.json").exists():
            raise InputError(f"results: {self.folder} exists; delete it, or give another folder")
        self.checkpoint = Checkpoint(self.folder)
        self.started = datetime.now(UTC)
        self.environment = {
            "machine": platform.machine(),
            "processor": _name_processor(),
            "system": platform.system(),
            "python": platform.python_version(),
            **{name: metadata.version(name) for name in PACKAGES},
            **describe_commit(),
        }

    def finish(self, data, model, training, evaluation) -> Record:
        """Write the record of the run from the results of the functions of ``helpers.experiment``.

        The record of an arm's seed 0 has the network in float16.
        """
        contents = {
            "history.csv": training.history.to_csv(index=False).encode(),
            "metrics.csv": evaluation.scores().to_csv(index=False).encode(),
            "predictions.npz": _pack_arrays(evaluation.arrays()),
            "examples.npz": _pack_arrays(evaluation.examples),
        }
        rounding = None
        if self.config.seed == 0 and not self.config.variant:
            contents["weights.pt"] = model.pack_weights()
            rounding = evaluation.measure_rounding(model, data)
        run = {
            "experiment": self.experiment,
            "variant": self.config.variant,
            "seed": self.config.seed,
            "parameters": self.config.model_dump(mode="json"),
            "config_hash": self.config.hash,
            "environment": model.machine | self.environment,
            "started": self.started.isoformat(timespec="seconds"),
            "peak_memory_bytes": _peak_memory_bytes(),
            "peak_gpu_memory_bytes": model.peak_gpu_memory_bytes,
            "data": data.summary,
            "weights": model.weights,
            "weights_rounding": rounding,
            "train_seconds": round(training.seconds, 3),
            "evaluate_seconds": round(evaluation.seconds, 3),
            "best_epoch": training.best_epoch,
        }
        record = write_record(self.folder, run, contents)
        self.checkpoint.remove()
        return record


def begin(experiment: str, values: Mapping) -> Run:
    """Begin a run with its notebook's ``globals()``, in which all plain values are parameters."""
    config = make_config(experiment, values)
    plain = bool | int | float | str | list | tuple | dict | types.NoneType
    for name, value in values.items():
        known = name in Config.model_fields or name in ("In", "Out") or name.startswith("_")
        if not known and isinstance(value, plain):
            raise unknown("parameter", name, sorted(Config.model_fields))
    return Run(experiment, config)


def describe_commit() -> dict:
    """Return the commit and whether files that affect numbers differ from it; None if unknown."""
    nothing = {"git_commit": None, "git_dirty": None}
    if not (ROOT / ".git").exists():  # not that of a repository above
        return nothing
    # GIT_DIR and similar, set by hooks and tools, would select another repository.
    environment = {name: v for name, v in os.environ.items() if not name.startswith("GIT_")}
    environment |= {"GIT_DIR": str(ROOT / ".git"), "GIT_WORK_TREE": str(ROOT)}
    # Untracked files count too, whatever the user's settings.
    command = ["git", "-C", str(ROOT), "status", "--porcelain=v2", "--branch"]
    command += ["--untracked-files=all", "--", "src", "book/experiments", "profiles"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, env=environment)
    except OSError:
        return nothing
    if done.returncode:
        print(f"the record has no commit: {done.stderr.strip()}")
        return nothing
    first, *lines = done.stdout.splitlines()
    changes = [line for line in lines if not line.startswith("#")]
    return {"git_commit": first.removeprefix("# branch.oid "), "git_dirty": bool(changes)}


def _name_processor() -> str:
    with contextlib.suppress(OSError):  # Linux, where `platform` does not know the name
        if found := re.search(r"model name\s*: (.+)", Path("/proc/cpuinfo").read_text()):
            return found[1]
    return platform.processor()


def _peak_memory_bytes() -> int | None:
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _pack_arrays(arrays: dict[str, np.ndarray]) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()
