"""One run made by papermill, in the process of a Dask worker."""

import json
import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import jupytext

from helpers import ROOT, InputError

from .atomic_io import clear_leftovers, quarantine, remove, writing
from .claims import claim
from .config import NOTEBOOKS
from .gpus import take_gpu
from .kernels import preload
from .plan import Job
from .progress import Listener, tell_batch
from .record import CorruptRecord as DamagedRecord, keep_notebook


@dataclass(frozen=True)
class Outcome:
    """How a job ended: the kind and the message of its error, or none.

    Attributes
    ----------
    elsewhere : whether nothing was done, since another process has the claim on the run
    """

    job: Job
    seconds: float
    kind: str | None = None
    message: str = ""
    elsewhere: bool = False


def make_run(job: Job, threads: int | None, first: list[Outcome]) -> Outcome:
    """Make a run that is not there, in a kernel of its own, unless another process makes it.

    Parameters
    ----------
    job : what to make
    threads : cores that the run may take; None leaves the worker's setting
    first : outcomes of the runs that it needs, as far as they belong to the batch
    """
    started = time.perf_counter()
    for needed in first:
        if needed.kind or needed.elsewhere:
            return Outcome(job, 0, needed.kind, needed.message, needed.elsewhere)
    kind, message = None, ""
    try:
        with claim(job.folder) as ours:
            if not ours:
                return Outcome(job, 0, elsewhere=True)
            if not _is_made(job):
                kind, message = _execute(job, threads)
    except InputError as error:
        kind, message = "InputError", str(error)
    return Outcome(job, time.perf_counter() - started, kind, message)


def _is_made(job: Job) -> bool:
    """Return whether another process was faster; if not, leave nothing in the run's way."""
    try:
        if job.is_done():
            clear_leftovers(job.folder, True)
            return True
    except DamagedRecord:
        quarantine(job.folder)
    clear_leftovers(job.folder, False)
    remove(job.notebook)  # of a try that failed: what is beside a record shall be its own
    return False


def _execute(job: Job, threads: int | None) -> tuple[str | None, str]:
    """Execute the notebook of a job; return kind and message of the error, if it failed."""
    import papermill
    from papermill.exceptions import PapermillExecutionError

    if threads is not None:
        os.environ |= {name: str(threads) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")}
    if gpu := take_gpu():
        os.environ["CUDA_VISIBLE_DEVICES"] = gpu
    preload("helpers.experiment", "helpers.report")
    kind, message = None, ""
    # Beside the record, under a name that whoever comes after a kill clears away.
    beside = {"dir": job.folder.parent, "prefix": f".{job.folder.name}.", "suffix": ".new"}
    with writing(job.folder), tempfile.TemporaryDirectory(**beside) as folder:
        source, executed = (Path(folder) / f"{name}.ipynb" for name in (job.experiment, "executed"))
        jupytext.write(jupytext.read(NOTEBOOKS / f"{job.experiment}.py"), source)
        try:
            papermill.execute_notebook(
                source,
                executed,
                job.injected,
                progress_bar=False,
                stderr_file=Listener(tell_batch(job.name)),
                cwd=ROOT,
                # The record is on the disk: a kernel that is asked to leave takes 1.5 s to do so.
                shutdown_kernel="immediate",
            )
        except PapermillExecutionError as error:
            kind, message = error.ename, error.evalue
        except OSError:  # of the temporary folder
            raise
        except Exception as error:  # a kernel that died: the other runs go on
            kind, message = type(error).__name__, str(error)
            _note_error(executed, kind, message)
        if executed.exists():
            keep_notebook(job.folder, executed.read_bytes())
    return kind, message


def _note_error(notebook: Path, kind: str, message: str) -> None:
    """Write an error that no cell raised into the notebook, for `status` to tell it."""
    content = json.loads(notebook.read_bytes()) if notebook.exists() else {"cells": []}
    output = {"output_type": "error", "ename": kind, "evalue": message, "traceback": [message]}
    cell = {"cell_type": "code", "execution_count": None, "metadata": {}, "source": ""}
    content["cells"].append(cell | {"outputs": [output]})
    notebook.write_text(json.dumps({"metadata": {}, "nbformat": 4, "nbformat_minor": 4} | content))
