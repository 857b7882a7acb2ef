"""One run, executed by papermill in a kernel that is isolated from the user's settings."""

import contextlib
import importlib.util
import logging
import os
import sys
import tempfile
import time
import uuid
from dataclasses import dataclass, replace
from pathlib import Path

from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager

from helpers import ROOT, InputError

from .config import NOTEBOOKS
from .files import beside, clear_leftovers, lock_run, write_file, writing
from .plan import Job
from .record import CorruptRecord, keep_notebook

#: Settings of glibc that keep freed memory for the next training step (a tenth of its time). Blocks
#: above the first size are mapped separately; free memory above the second returns to the system.
ALLOCATOR = {
    "MALLOC_MMAP_THRESHOLD_": str(32 * 2**20),  # the most that glibc accepts
    "MALLOC_TRIM_THRESHOLD_": str(2**31 - 1),
}

#: Seconds before a run that another process is making is looked at again.
PAUSE = 2

#: Prefixes of variables through which a user's settings would reach a kernel.
FOREIGN = ("IPYTHON", "JUPYTER", "MPLBACKEND", "PYTHONOPTIMIZE", "PYTHONSTARTUP", "PYTHONWARNINGS")


@dataclass(frozen=True)
class Outcome:
    """Result of a job, with its error if it failed; `elsewhere` if another process is making it.

    `message` is that of the error, or what the notebook printed, such as ignored files.
    """

    job: Job
    seconds: float
    kind: str | None = None
    message: str = ""
    elsewhere: bool = False


def make_run(job: Job, threads: int | None, needed: Outcome | None = None) -> Outcome:
    """Make a run in its own kernel, unless it is done or the run that it needs has failed."""
    started = time.perf_counter()
    if needed and (needed.kind or needed.elsewhere):
        return replace(needed, job=job, seconds=0)
    kind, message = None, ""
    try:
        with lock_run(job.folder) as ours, writing(job.folder):
            if not ours:
                time.sleep(PAUSE)
                return Outcome(job, 0, elsewhere=True)
            try:
                done = job.is_done()  # made by another process in the meantime
            except CorruptRecord:
                job.folder.rename(beside(job.folder, f"{uuid.uuid4().hex}.corrupt"))
                done = False
            clear_leftovers(job.folder, done)
            if not done:
                job.notebook.unlink(missing_ok=True)  # from a failed attempt
                kind, message = _execute(job, threads)
                if kind:
                    write_file(beside(job.folder, "error"), f"{kind}: {message}".encode())
    except InputError as error:
        kind, message = "InputError", str(error)
    return Outcome(job, time.perf_counter() - started, kind, message)


def _execute(job: Job, threads: int | None) -> tuple[str | None, str]:
    # Imported late: only workers need them.
    import jupytext
    import papermill
    from papermill.exceptions import PapermillExecutionError

    logging.getLogger("papermill").setLevel(logging.ERROR)  # no notebook names the variant
    # Next to the record, under a name that the next holder of the lock removes after a kill.
    place = {"dir": job.folder.parent, "prefix": f".{job.folder.name}.", "suffix": ".new"}
    with tempfile.TemporaryDirectory(**place) as temporary:
        folder = Path(temporary)
        executed = folder / "executed.ipynb"
        try:
            done = papermill.execute_notebook(
                jupytext.read(NOTEBOOKS / f"{job.experiment}.py"),
                # papermill formats the path with the parameters.
                str(executed).replace("{", "{{").replace("}", "}}"),
                job.injected,
                progress_bar=False,
                cwd=ROOT,
                kernel_manager_class=make_manager(folder, make_environment(folder, threads)),
                coalesce_streams=True,  # the last state of a progress bar, not thousands
                # The record is written, and a graceful shutdown would take 1.5 s.
                shutdown_kernel="immediate",
            )
            outputs = [output for cell in done.cells for output in cell.get("outputs", ())]
            printed = "".join(o.text for o in outputs if o.get("name") == "stdout")
            kind, message = None, printed.rstrip()
        except PapermillExecutionError as error:
            kind, message = error.ename, error.evalue
            if not (message or error.traceback):  # a cell without output
                message = "no reason given; check memory and `ulimit -n` (open files)"
        except OSError:  # from the temporary folder
            raise
        except Exception as error:  # a kernel that died: the other runs continue
            kind, message = type(error).__name__, str(error)
        with contextlib.suppress(FileNotFoundError, ValueError):  # none, or written in part
            keep_notebook(job.folder, executed.read_bytes())
    return kind, message


def make_environment(folder: Path, threads: int | None) -> dict[str, str]:
    """Return a kernel's environment variables; None keeps this process's number of threads.

    The folder replaces the user's IPython and Jupyter folders.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
    # Not imported: a worker needs nothing else of matplotlib.
    matplotlib = Path(importlib.util.find_spec("matplotlib").origin).parent
    jupyter = [f"JUPYTER_{kind}_DIR" for kind in ("CONFIG", "DATA", "RUNTIME")]
    own = dict.fromkeys(["IPYTHONDIR", *jupyter], str(folder)) | {
        "MATPLOTLIBRC": str(matplotlib / "mpl-data" / "matplotlibrc"),
        "PYTHONUTF8": "1",  # so that the locale does not matter
    }
    if threads is not None:
        own |= {name: str(threads) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")}
    return kept | ALLOCATOR | own


def make_manager(folder: Path, environment: dict[str, str]) -> type[AsyncKernelManager]:
    """Return a class of managers for this interpreter's kernel, ignoring the user's kernelspecs."""
    # Named sockets on Linux: another kernel could take a free TCP port a moment later.
    meeting = {"transport": "ipc", "ip": f"@{uuid.uuid4().hex}"} if sys.platform == "linux" else {}

    class Manager(AsyncKernelManager):
        def __init__(self, **options):
            super().__init__(
                kernel_spec_manager=KernelSpecManager(kernel_dirs=[]),
                connection_file=str(folder / "connection.json"),
                **meeting,
                **options,
            )

        async def start_kernel(self, **options) -> None:
            await super().start_kernel(env=environment, **options)

    return Manager
