"""Repetition of a run from its record, with a bitwise comparison."""

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from helpers import InputError

from .cluster import BatchError, list_gpus
from .config import Config, make_config, read_defaults
from .plan import Job
from .record import Record, is_run, read_record
from .worker import make_run

#: Files that are compared; neither stored weights nor example images affect a number of the run.
NUMERIC = ("history.csv", "metrics.csv", "predictions.npz")


def verify(folder: Path) -> tuple[dict[str, str], dict[str, tuple]]:
    """Repeat a run in a new process, in a temporary folder, and `compare` the two records.

    The run gets its record's parameters and threads, and no GPU if it was made on a CPU. InputError
    if it cannot be repeated, such as with other data or a missing GPU; BatchError if it fails.
    """
    record = read_record(folder) if is_run(folder.resolve()) else None
    if record is None:
        example = "results/smoke/pathmnist_basic/seed-0"
        raise InputError(f"no record in {folder}; give the folder of a run, such as {example}")
    record.check()
    with tempfile.TemporaryDirectory() as results:
        job = plan_repetition(record, Path(results))
        print(f"repeating {job.name}, {record.run['train_seconds'] or 0:.0f} s of training")
        if record.environment["device"] == "cpu":
            os.environ["CUDA_VISIBLE_DEVICES"] = ""
        outcome = make_run(job, record.environment["threads"])
        if outcome.kind == "InputError":
            raise InputError(outcome.message)
        if outcome.kind:
            raise BatchError(f"{job.name}: {outcome.kind}: {outcome.message}")
        repeated = read_record(job.folder)
        for kind in ("data", "weights"):
            then, now = record.run[kind]["sha256"], repeated.run[kind]["sha256"]
            if then not in (None, now):
                reason = f"its {kind} differed (SHA-256 {then}, now {now})"
                raise _refuse(record, reason, f"restore the {kind} that it was made with")
        return compare(record, repeated)


def plan_repetition(record: Record, results: Path) -> Job:
    """Return the job that repeats a run in `results`; InputError if anything needed is missing."""
    commit = f"check out the commit of the run ({record.environment['git_commit'] or 'unknown'})"
    parameters = record.parameters | {"results": str(results)}
    start = parameters.get("stand_in_weights", {}).get(parameters.get("initialisation"))
    if start is not None:  # a checkpoint of the record's own results folder
        path = record.folder.resolve().parents[1] / start
        parameters |= {"initialisation": str(path), "stand_in_weights": {}}
    try:
        read_defaults(record.experiment)  # refuses an unknown experiment
        config = make_config(record.experiment, parameters)
    except InputError as error:  # also a parameter that the notebook did not have, or a bad value
        raise _refuse(record, error, commit) from None
    if gone := parameters.keys() - Config.model_fields.keys():
        reason = f"{record.experiment} no longer has {', '.join(sorted(gone))}"
        raise _refuse(record, reason, commit)
    if record.environment["device"] not in (None, "cpu") and not list_gpus():
        reason = f"it was made on {record.environment['device']}, and this machine has no GPU"
        raise _refuse(record, reason, "repeat it on a machine with a GPU")
    return Job(record.experiment, config, config.model_dump())


def _refuse(record: Record, reason: object, advice: str) -> InputError:
    return InputError(f"{record.folder} cannot be repeated: {reason}; {advice}")


def compare(then: Record, now: Record) -> tuple[dict[str, str], dict[str, tuple]]:
    """Map files to differences ("" if none), and changed environment fields to both values."""
    files = {}
    for name in filter(then.has, NUMERIC):
        files[name] = ""
        if then.run["files"][name] != now.run["files"][name]:
            # Tables and archives both map names to arrays.
            tables = (getattr(record, name.partition(".")[0]) for record in (then, now))
            files[name] = "; ".join(list_differences(*tables)) or "other bytes, the same values"
    old, new = then.environment, now.environment
    pairs = {name: (old.get(name), new.get(name)) for name in old | new}
    changed = {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}
    if old.get("git_dirty"):  # two trees with uncommitted changes may differ from each other
        changed["git_dirty"] = pairs["git_dirty"]
    return files, changed


def list_differences(then: Mapping, now: Mapping) -> list[str]:
    """Describe differing entries, such as ``logits: 1 of 2 values differ``."""
    found = []
    for name in dict.fromkeys([*then, *now]):
        old, new = np.asarray(then.get(name)), np.asarray(now.get(name))
        if old.shape != new.shape:
            found.append(f"{name} is missing, new or of another shape")
        # NaN equals NaN.
        elif count := np.count_nonzero((old != new) & ((old == old) | (new == new))):
            found.append(f"{name}: {count:,} of {old.size:,} values differ")
    return found
