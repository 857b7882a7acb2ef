"""A run made again from its record, to see whether it gives the same bits."""

import hashlib
import os
import shutil
import tempfile
from pathlib import Path

from helpers import ROOT, InputError

from .checks import make_recipe
from .cluster import BatchError
from .comparison import Comparison, compare
from .gpus import list_gpus
from .parameters import list_experiments, unknown
from .plan import Job
from .record import Record, is_run, read_record, run_folder
from .worker import make_run


def verify(folder: Path) -> Comparison:
    """Repeat a run in a new process, away from its record, and compare the two.

    The run gets its record's parameters and threads; one that was made on a CPU gets no GPU.

    Parameters
    ----------
    folder : of the record; what it started from is looked for in the same results folder

    Raises
    ------
    InputError : where there is no record, it is damaged, or it cannot be repeated: the notebook
        is gone or takes other parameters, the data or the first weights are others, it was made
        on a GPU and there is none
    BatchError : where the run fails otherwise
    """
    record = read_record(folder) if is_run(folder.resolve()) else None
    if record is None:
        raise InputError(
            f"there is no record in {folder}; give the folder of a run, such as"
            " results/smoke/pathmnist_basic/seed-0"
        )
    record.check()
    with tempfile.TemporaryDirectory() as results:
        job = plan_repeat(record, Path(results))
        seconds = record.run["train_seconds"]
        print(f"repeating {job.name}, {seconds:.0f} s of training then", flush=True)
        return compare(record, repeat(record, job))


def plan_repeat(record: Record, results: Path) -> Job:
    """Return the job that makes a run again in another results folder.

    What it needs of its own results folder, checkpoints or the records of other runs, is copied.

    Raises
    ------
    InputError : where notebook or recipe are not what they were, or what it needs is not there
    """
    run = record.run
    if record.experiment not in list_experiments():
        raise _refuse(record, unknown("experiment", record.experiment, list_experiments()))
    try:
        recipe = make_recipe(record.experiment, run["parameters"] | {"results": str(results)})
    except InputError as error:  # a parameter that the notebook did not have, or a bad value
        raise _refuse(record, error) from None
    if recipe.identity != run["recipe_hash"]:
        gone = run["parameters"].keys() - type(recipe).model_fields.keys()
        why = f"{record.experiment} has no {', '.join(sorted(gone))} any more" if gone else None
        raise _refuse(record, why or f"its parameters are not those of recipe {run['recipe_hash']}")
    device = run["environment"]["device"]
    if device != "cpu" and not list_gpus():
        raise InputError(
            f"{record.folder} cannot be repeated: it was made on {device}, and this machine has no"
            " GPU; repeat it where there is one"
        )
    _copy_needed(record, record.folder.resolve().parents[1], results)
    return Job(record.experiment, recipe, recipe.model_dump())


def _refuse(record: Record, why: object) -> InputError:
    commit = record.run["environment"]["git_commit"] or "not known"
    return InputError(
        f"{record.folder} cannot be repeated: {why}; check out the commit that made it ({commit})"
    )


def _copy_needed(record: Record, source: Path, results: Path) -> None:
    """Copy from one results folder to another what a run reads there.

    An ablation reads the records of its arms, and starts from what they started from.
    """
    for arm, origin in record.run.get("arms", {}).items():
        folder = run_folder(source, arm, record.seed)
        base = read_record(folder)
        if base is None or base.check().origin != origin:
            raise InputError(
                f"{record.folder} cannot be repeated: {folder} is not the run that it switches"
                f" choices of (recipe {origin[0]}); put that run there"
            )
        shutil.copytree(folder, run_folder(results, arm, record.seed))
        _copy_needed(base, source, results)
    parameters = record.run["parameters"]
    start = parameters.get("stand_in_weights", {}).get(parameters.get("initialisation"))
    if start is None:
        return
    content = (source / start).read_bytes() if (source / start).is_file() else b""
    if hashlib.sha256(content).hexdigest() != record.run["weights"]["sha256"]:
        raise InputError(
            f"{record.folder} cannot be repeated: {source / start} does not hold the weights that"
            f" it started from (SHA-256 {record.run['weights']['sha256']}); put them there"
        )
    (results / start).parent.mkdir(parents=True, exist_ok=True)
    (results / start).write_bytes(content)


def repeat(record: Record, job: Job) -> Record:
    """Return the record that a job leaves, made with the threads and the data of another record.

    Raises
    ------
    InputError : where the data or the first weights are others
    BatchError : where the run fails otherwise
    """
    then = record.run
    if then["environment"]["device"] == "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    outcome = make_run(job, then["environment"]["threads"], [])
    if outcome.kind == "InputError":
        raise InputError(outcome.message)
    if outcome.kind:
        raise BatchError(f"{job.name}: {outcome.kind}: {outcome.message}")
    repeated = read_record(job.folder)
    for what in [name for name in ("data", "weights") if name in then]:  # an ablation has arms
        now, before = repeated.run[what]["sha256"], then[what]["sha256"]
        if now != before:
            raise InputError(
                f"{record.folder} cannot be repeated: other {what} than then (SHA-256 {now}, not"
                f" {before}); look for the files it used in {ROOT / job.recipe.data_dir}"
            )
    return repeated
