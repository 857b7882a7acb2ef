"""Repetition of a run from its record, and a comparison bit by bit."""

import hashlib
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from helpers import ROOT, InputError

from .config import list_experiments, make_config, unknown
from .gpus import list_gpus
from .plan import Job
from .record import Record, is_run, read_record

#: Files that are compared; images of the galleries decide no number.
NUMERIC = ("history.csv", "metrics.csv", "predictions.npz", "weights.pt")


@dataclass(frozen=True)
class Comparison:
    """A record against that of a repeated run.

    Attributes
    ----------
    files : numeric file to its difference, "" for the same bits
    environment : field that differs to its values then and now
    """

    files: dict[str, str]
    environment: dict[str, tuple]

    @property
    def same(self) -> bool:
        """Whether every file has the same bits."""
        return not any(self.files.values())


def verify(folder: Path) -> Comparison:
    """Repeat a run in a new process, in a temporary folder, and compare the two records.

    The run gets its record's parameters and threads; one that was made on a CPU gets no GPU.

    Raises
    ------
    InputError : if there is no record, it is corrupt, or it cannot be repeated: notebook, data or
        first weights differ, or it was made on a GPU and this machine has none
    BatchError : if the run fails otherwise
    """
    from .cluster import BatchError
    from .worker import make_run

    record = read_record(folder) if is_run(folder.resolve()) else None
    if record is None:
        raise InputError(
            f"no record in {folder}; give the folder of a run, such as"
            " results/smoke/pathmnist_basic/seed-0"
        )
    record.check()
    with tempfile.TemporaryDirectory() as results:
        job = plan_repetition(record, Path(results))
        print(f"repeating {job.name}, {record.run['train_seconds'] or 0:.0f} s of training then")
        if record.environment["device"] == "cpu":
            os.environ["CUDA_VISIBLE_DEVICES"] = ""
        outcome = make_run(job, record.environment["threads"], [])
        if outcome.kind == "InputError":
            raise InputError(outcome.message)
        if outcome.kind:
            raise BatchError(f"{job.name}: {outcome.kind}: {outcome.message}")
        repeated = read_record(job.folder)
        for kind in ("data", "weights"):
            then, now = record.run[kind]["sha256"], repeated.run[kind]["sha256"]
            if then not in (None, now):
                raise _refuse(
                    record,
                    f"its {kind} differed (SHA-256 {then}, now {now})",
                    f"check the files in {ROOT / repeated.parameters['data_dir']}",
                )
        return compare(record, repeated)


def plan_repetition(record: Record, results: Path) -> Job:
    """Return the job that repeats a run in another results folder.

    Raises
    ------
    InputError : if notebook, parameters, device or first weights are not available
    """
    commit = f"check out the commit of the run ({record.environment['git_commit'] or 'unknown'})"
    if record.experiment not in list_experiments():
        raise _refuse(record, unknown("experiment", record.experiment, list_experiments()), commit)
    source, parameters = record.folder.resolve().parents[1], dict(record.parameters)
    start = (parameters.get("stand_in_weights") or {}).get(parameters.get("initialisation"))
    if start is not None:  # a checkpoint of the record's own results folder
        content = (source / start).read_bytes() if (source / start).is_file() else b""
        then = record.weights["sha256"]
        if hashlib.sha256(content).hexdigest() != then:
            reason = "it started from other weights"
            raise _refuse(record, reason, f"{source / start} must have SHA-256 {then}")
        parameters |= {"initialisation": str(source / start), "stand_in_weights": {}}
    try:
        config = make_config(record.experiment, parameters | {"results": str(results)})
    except InputError as error:  # a parameter that the notebook did not have, or a bad value
        raise _refuse(record, error, commit) from None
    if gone := parameters.keys() - type(config).model_fields.keys():
        reason = f"{record.experiment} no longer has {', '.join(sorted(gone))}"
        raise _refuse(record, reason, commit)
    if record.environment["device"] not in (None, "cpu") and not list_gpus():
        reason = f"it was made on {record.environment['device']}, and this machine has no GPU"
        raise _refuse(record, reason, "repeat it on one that has")
    return Job(record.experiment, config, config.model_dump())


def _refuse(record: Record, reason: object, advice: str) -> InputError:
    return InputError(f"{record.folder} cannot be repeated: {reason}; {advice}")


def compare(then: Record, now: Record) -> Comparison:
    """Compare the numeric files of two records, except those left out, and their environments."""
    names = [name for name in NUMERIC if then.has(name) or now.has(name)]
    old, new = then.environment, now.environment
    environment = {
        name: (old.get(name), new.get(name))
        for name in old | new
        # Two trees with uncommitted changes may differ, though their commits do not.
        if old.get(name) != new.get(name) or (name == "git_dirty" and old.get(name))
    }
    kept = [name for name in names if name not in then.run["left_out"]]
    return Comparison({name: _compare_file(name, then, now) for name in kept}, environment)


def _compare_file(name: str, then: Record, now: Record) -> str:
    if not now.has(name) or not then.has(name):
        return "is new" if now.has(name) else "is missing"
    if then.run["files"][name] == now.run["files"][name]:
        return ""
    if name == "weights.pt":
        return "other bytes"
    # A table is a mapping of columns, as an archive is one of arrays.
    tables = (getattr(record, name.partition(".")[0]) for record in (then, now))
    return "; ".join(list_differences(*tables)) or "other bytes, the same values"


def list_differences(then: Mapping, now: Mapping) -> list[str]:
    """Return the arrays or columns in which two mappings differ, and by how much.

    Examples
    --------
    >>> list_differences({"logits": [0.0, 1.0]}, {"logits": [0.0, 1.5]})
    ['logits differs in 1 of 2 values, by up to 0.5']
    """
    parts = []
    for name in dict.fromkeys([*then, *now]):
        if name not in now or name not in then:
            parts.append(f"{name} is {'new' if name in now else 'missing'}")
            continue
        old, new = np.asarray(then[name]), np.asarray(now[name])
        if old.shape != new.shape or old.dtype.kind != new.dtype.kind:
            parts.append(f"{name} is {new.dtype} {new.shape}, not {old.dtype} {old.shape}")
            continue
        differ = (old != new) & ~((old != old) & (new != new))  # NaN equals NaN
        if not differ.any():
            continue
        part = f"{name} differs in {differ.sum():,} of {differ.size:,} values"
        if np.issubdtype(old.dtype, np.number):
            largest = np.abs(old[differ].astype(float) - new[differ].astype(float)).max()
            part += f", by up to {largest:.3g}"
        parts.append(part)
    return parts
