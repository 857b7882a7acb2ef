"""One run, executed by papermill in the process of a Dask worker."""

import contextlib
import json
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from helpers import ROOT, InputError

from .atomic_io import clear_leftovers, quarantine, remove, writing
from .config import NOTEBOOKS
from .gpus import acquire_gpu
from .kernel import make_environment, make_manager
from .locks import lock_run
from .plan import Job
from .record import CorruptRecord, keep_notebook


@dataclass(frozen=True)
class Outcome:
    """End of a job: kind and message of its error, if it failed.

    Attributes
    ----------
    elsewhere : True if nothing was done because another process holds the lock of the run
    """

    job: Job
    seconds: float
    kind: str | None = None
    message: str = ""
    elsewhere: bool = False


def make_run(job: Job, threads: int | None, needed: list[Outcome]) -> Outcome:
    """Make a run in a kernel of its own, unless it is done or another process is making it.

    Parameters
    ----------
    threads : cores that the run may use; None keeps the worker's setting
    needed : outcomes of the runs that it needs, if they belong to the same batch
    """
    started = time.perf_counter()
    for outcome in needed:
        if outcome.kind or outcome.elsewhere:
            return Outcome(job, 0, outcome.kind, outcome.message, outcome.elsewhere)
    kind, message = None, ""
    try:
        with lock_run(job.folder) as ours:
            if not ours:
                return Outcome(job, 0, elsewhere=True)
            if not _is_made(job):
                kind, message = _execute(job, threads)
    except InputError as error:
        kind, message = "InputError", str(error)
    return Outcome(job, time.perf_counter() - started, kind, message)


def _is_made(job: Job) -> bool:
    """Return whether another process has made the run; clear what a killed one left."""
    try:
        done = job.is_done()
    except CorruptRecord:
        quarantine(job.folder)
        done = False
    clear_leftovers(job.folder, done)
    if not done:
        remove(job.notebook)  # of a failed attempt
    return done


def _execute(job: Job, threads: int | None) -> tuple[str | None, str]:
    """Execute the notebook of a job; return kind and message of the error, if it failed."""
    # Imported late: only workers need them.
    import jupytext
    import papermill
    from papermill.exceptions import PapermillExecutionError

    kind, message = None, ""
    # Beside the record, under a name that the next holder of the lock clears after a kill.
    beside = {"dir": job.folder.parent, "prefix": f".{job.folder.name}.", "suffix": ".new"}
    with writing(job.folder), tempfile.TemporaryDirectory(**beside) as temporary:
        folder = Path(temporary)
        executed = folder / "executed.ipynb"
        environment = make_environment(folder, threads, acquire_gpu())
        try:
            papermill.execute_notebook(
                jupytext.read(NOTEBOOKS / f"{job.experiment}.py"),
                # papermill formats the path with the parameters.
                str(executed).replace("{", "{{").replace("}", "}}"),
                job.injected,
                progress_bar=False,
                cwd=ROOT,
                kernel_manager_class=make_manager(folder, environment),
                # The record is on the disk: a graceful shutdown would take 1.5 s.
                shutdown_kernel="immediate",
            )
        except PapermillExecutionError as error:
            kind, message = error.ename, error.evalue
            if not error.traceback:  # a cell that left no output, for want of files or memory
                message = message or "the kernel gave no reason"
                _note_error(executed, kind, message)
        except OSError:  # of the temporary folder
            raise
        except Exception as error:  # a kernel that died: the other runs continue
            kind, message = type(error).__name__, str(error)
            _note_error(executed, kind, message)
        if executed.exists():
            keep_notebook(job.folder, executed.read_bytes())
    return kind, message


def _note_error(notebook: Path, kind: str, message: str) -> None:
    """Write an error that no cell raised into the notebook, for `status` to show."""
    content = {"cells": []}
    with contextlib.suppress(OSError, ValueError):  # papermill may have written none of it, or half
        content = json.loads(notebook.read_bytes())
    output = {"output_type": "error", "ename": kind, "evalue": message, "traceback": [message]}
    cell = {"cell_type": "code", "execution_count": None, "metadata": {}, "source": ""}
    content["cells"].append(cell | {"outputs": [output]})
    notebook.write_text(json.dumps({"metadata": {}, "nbformat": 4, "nbformat_minor": 4} | content))
