"""Runs made by papermill, many at a time, by a Dask cluster."""

import logging
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import jupytext
from tqdm import tqdm

from helpers import ROOT, InputError

from .kernels import preload
from .parameters import NOTEBOOKS
from .plan import Job


class BatchError(RuntimeError):
    """Some of the runs failed; the message names them."""


@dataclass(frozen=True)
class Outcome:
    """How a job ended: the kind and the message of its error, or none."""

    job: Job
    seconds: float
    kind: str | None = None
    message: str = ""


def run_batch(
    jobs: Iterable[Job], workers: int | None = None, scheduler: str | None = None
) -> None:
    """Make the runs that are not there yet, and report each with a line.

    Parameters
    ----------
    jobs : what `plan` returned
    workers : runs at a time on this machine; by default one a core, or one where there is a GPU.
        Each gets its share of the cores.
    scheduler : address of a Dask scheduler whose workers make the runs instead; they must see
        the same files

    Raises
    ------
    InputError : for bad input, a line for each culprit
    BatchError : naming the runs that failed otherwise
    """
    missing = _list_missing(jobs)
    if not missing:
        return
    for folder in {job.folder.parent for job in missing}:
        _check_writable(folder)
    failed = [outcome for outcome in _outcomes(missing, workers, scheduler) if outcome.kind]
    if not failed:
        if absent := _list_missing(missing):
            job = absent[0]
            raise BatchError(f"no record of {job.name}: do all workers see {job.folder}?")
        return
    if all(outcome.kind == "InputError" for outcome in failed):
        raise InputError("\n".join(dict.fromkeys(outcome.message for outcome in failed)))
    lines = [f"{outcome.job.name}: {outcome.kind}: {outcome.message}" for outcome in failed]
    count = f"{len(failed)} of {len(missing)} runs failed; their notebooks tell where"
    raise BatchError("\n".join([*lines, count]))


def _list_missing(jobs: Iterable[Job]) -> list[Job]:
    """Return the jobs without a record, or raise one InputError for all unusable records."""
    missing, errors = [], []
    for job in jobs:
        try:
            if not job.is_done():
                missing.append(job)
        except InputError as error:
            errors.append(str(error))
    if errors:
        more = f" (and {len(errors) - 1} more: see status)" if len(errors) > 1 else ""
        raise InputError(errors[0] + more)
    return missing


def _outcomes(missing: list[Job], workers: int | None, scheduler: str | None) -> Iterable[Outcome]:
    """Yield outcomes as the runs end, with a bar and a line for each."""
    # Here: a second to import, which a batch with nothing to do should not take.
    from dask.system import CPU_COUNT
    from distributed import Client, LocalCluster, as_completed

    if scheduler is None:
        workers = workers or (1 if has_gpu() else CPU_COUNT)
        at_once = min(workers, len(missing))
        tqdm.write(f"{len(missing)} runs to make, {at_once} at a time")
        cluster = LocalCluster(
            n_workers=at_once,
            threads_per_worker=1,
            dashboard_address=None,
            silence_logs=logging.CRITICAL,
        )
        threads = max(1, CPU_COUNT // workers)
    else:
        cluster, threads = scheduler, None
    try:
        client = Client(cluster, timeout="20s")
    except (OSError, ValueError):
        raise InputError(
            f"cannot reach the scheduler {scheduler}; start one with `dask scheduler`, or leave"
            " out --scheduler"
        ) from None
    with client, tqdm(total=len(missing), desc="runs", unit="run", disable=None) as bar:
        futures, jobs = {}, {}
        for job in missing:
            first = [futures[folder] for folder in job.needs if folder in futures]
            future = client.submit(make_run, job, threads, first, pure=False)
            futures[job.folder], jobs[future] = future, job
        for future in as_completed(jobs):
            if (error := future.exception()) is None:
                outcome = future.result()
            else:  # a worker that was lost again and again
                outcome = Outcome(jobs[future], 0, type(error).__name__, str(error))
            how = f"failed, {outcome.kind}" if outcome.kind else "done"
            tqdm.write(f"{outcome.job.name:<32} {how:<8} {outcome.seconds:6.0f} s")
            bar.update()
            yield outcome
    if scheduler is None:
        cluster.close()


def make_run(job: Job, threads: int | None, first: list[Outcome]) -> Outcome:
    """Execute the notebook of a job in a kernel of its own; on a Dask worker.

    Parameters
    ----------
    job : what to make
    threads : cores that the run may take; None leaves the worker's setting
    first : outcomes of the runs that it needs, as far as they belong to the batch
    """
    import papermill
    from papermill.exceptions import PapermillExecutionError

    started = time.perf_counter()
    for needed in first:
        if needed.kind:
            return Outcome(job, 0, needed.kind, needed.message)
    if threads is not None:
        os.environ |= {name: str(threads) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")}
    # Dask asks malloc to give memory back at once; a training takes the same blocks every step,
    # and would spend a third of its time on page faults.
    os.environ.pop("MALLOC_TRIM_THRESHOLD_", None)
    preload("helpers.experiment", "helpers.report")
    kind, message = None, ""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / f"{job.experiment}.ipynb"
        jupytext.write(jupytext.read(NOTEBOOKS / f"{job.experiment}.py"), source)
        job.notebook.parent.mkdir(parents=True, exist_ok=True)
        try:
            papermill.execute_notebook(
                source,
                job.notebook,
                job.injected,
                progress_bar=False,
                cwd=ROOT,
                # The record is on the disk: a kernel that is asked to leave takes 1.5 s to do so.
                shutdown_kernel="immediate",
            )
        except PapermillExecutionError as error:
            kind, message = error.ename, error.evalue
        except Exception as error:  # a kernel that died: the other runs go on
            kind, message = type(error).__name__, str(error)
    return Outcome(job, time.perf_counter() - started, kind, message)


def has_gpu() -> bool:
    """Return whether the driver lists a GPU that this process may use; takes no torch."""
    if os.environ.get("CUDA_VISIBLE_DEVICES") == "" or not shutil.which("nvidia-smi"):
        return False
    listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True)
    return "GPU" in listed.stdout


def _check_writable(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise InputError(
            f"cannot write to {folder}: {error.strerror}; mend its permissions, or give another"
            " folder: -p results=FOLDER"
        ) from None
