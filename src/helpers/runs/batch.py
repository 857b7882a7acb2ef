"""Concurrent runs on a Dask cluster."""

import contextlib
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path

from tqdm import tqdm

from helpers import InputError
from helpers.source_files import from_root

from .atomic_io import clear_leftovers, list_beside, writing
from .checkpoint import read_progress
from .cluster import BatchError, open_cluster
from .locks import lock_run
from .plan import Job
from .record import CorruptRecord
from .worker import Outcome, make_run

#: Seconds between two checks of the progress, and of the runs that another batch is making.
INTERVAL, PAUSE = 1, 2


def describe_progress(progress: dict) -> str:
    """Return the epoch, the accuracies, the speed and the expected end of a training."""
    parts = [f"epoch {progress['epoch']} of {progress['epochs']}"]
    if (accuracy := progress.get("validation_accuracy")) is not None:
        best = progress["best_validation_accuracy"]
        parts.append(f"validation accuracy {accuracy:.3f} (best {best:.3f})")
    if seconds := progress.get("seconds_per_epoch"):
        left = seconds * (progress["epochs"] - progress["epoch"])
        end = datetime.fromtimestamp(progress["updated"] + left).astimezone()
        parts += [f"{seconds:.1f} s per epoch", f"training ends about {end:%a %H:%M}"]
    return ", ".join(parts)


class Monitor:
    """Display of the runs in progress: one bar each on a terminal, one line per epoch in a log."""

    def __init__(self, jobs: Iterable[Job]):
        self.jobs = list(jobs)
        self.bars: dict[str, tqdm] = {}
        # Progress files of runs that were interrupted earlier are no news.
        self.shown = {job.name: read_progress(job.folder) for job in self.jobs}

    def update(self) -> None:
        """Show the progress files that have changed."""
        for job in self.jobs:
            progress = read_progress(job.folder)
            if progress is None or progress == self.shown[job.name]:
                continue
            self.shown[job.name] = progress
            text = f"{job.name:<32} {describe_progress(progress)}"
            if not sys.stdout.isatty():
                tqdm.write(text)
            if job.name not in self.bars:
                self.bars[job.name] = tqdm(bar_format="{desc}", leave=False, disable=None)
            self.bars[job.name].set_description_str(text)

    def close(self, outcome: Outcome) -> None:
        """Replace the progress of a run by its outcome."""
        self.jobs.remove(outcome.job)
        if outcome.job.name in self.bars:
            self.bars.pop(outcome.job.name).close()
        state = f"failed, {outcome.kind}" if outcome.kind else "done"
        tqdm.write(f"{outcome.job.name:<32} {state:<8} {outcome.seconds:6.0f} s")
        if outcome.message and not outcome.kind:
            tqdm.write(outcome.message)


def find_missing(jobs: Iterable[Job]) -> list[Job]:
    """Return the jobs without a record; refuse those that this batch could not make."""
    missing, errors = [], []
    for job in jobs:
        try:
            if not job.is_done():
                missing.append(job)
            elif list_beside(job.folder, "new", "checkpoint", "progress", "lock"):
                # Left by a run that was killed right after writing its record.
                with contextlib.suppress(InputError), lock_run(job.folder) as ours:
                    if ours:
                        clear_leftovers(job.folder, done=True)
        except CorruptRecord as error:
            print(f"warning: {error}; this batch repeats it", file=sys.stderr)
            missing.append(job)
        except InputError as error:
            errors.append(str(error))
    if errors:
        more = f" (and {len(errors) - 1} more: see status)" if len(errors) > 1 else ""
        raise InputError(errors[0] + more)
    for source in {job.config.data_source for job in missing} - {"official", "synthetic"}:
        if not from_root(source).exists():
            raise InputError(f"data_source: {from_root(source)} does not exist")
    for folder in {job.folder.parent for job in missing}:
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                pass
    return missing


def run_batch(
    jobs: Iterable[Job], workers: int | None = None, scheduler: str | None = None
) -> None:
    """Make runs, each after those that it needs, and print one line for each.

    The jobs are those of `find_missing`; `workers` is the number of concurrent runs on this machine
    (by default one per GPU or, without GPUs, per core); `scheduler` is the address of a Dask
    scheduler whose workers see the same files.
    """
    jobs, ended = list(jobs), {}
    try:
        _make_runs(jobs, ended, workers, scheduler)
    except KeyboardInterrupt:
        done = sum(not outcome.kind for outcome in ended.values())
        begun = "; the scheduler's workers finish the runs that they have begun"
        print(f"{done} of {len(jobs)} runs are done{begun * bool(scheduler)}", file=sys.stderr)
        raise
    failed = [outcome for outcome in ended.values() if outcome.kind]
    if not failed:
        for job in jobs:
            if not (job.folder / "run.json").exists():
                raise BatchError(f"no record of {job.name}: do all workers see {job.folder}?")
        return
    if all(outcome.kind == "InputError" for outcome in failed):
        raise InputError("\n".join(dict.fromkeys(outcome.message for outcome in failed)))
    lines = [f"{outcome.job.name}: {outcome.kind}: {outcome.message}" for outcome in failed]
    count = f"{len(failed)} of {len(jobs)} runs failed; `status` and their notebooks show where"
    raise BatchError("\n".join([*lines, count]))


def _make_runs(
    jobs: list[Job], ended: dict[Path, Outcome], workers: int | None, scheduler: str | None
) -> None:
    """Fill `ended` with the outcomes of runs as they end, and display those in progress."""
    where = f" by {scheduler}" if scheduler else ""
    tqdm.write(f"{len(jobs)} run{'s' * (len(jobs) > 1)} to make{where}")
    with (
        open_cluster(len(jobs), workers, scheduler) as (client, threads),
        tqdm(total=len(jobs), desc="runs", unit="run", disable=None) as bar,
    ):
        monitor = Monitor(jobs)
        waiting, announced = jobs, False
        while waiting:
            elsewhere = []
            for outcome in _submit(client, waiting, threads, ended, monitor):
                if outcome.elsewhere:
                    elsewhere.append(outcome.job)
                else:
                    ended[outcome.job.folder] = outcome
                    monitor.close(outcome)
                    bar.update()
            waiting = elsewhere
            if waiting:
                if not announced:
                    tqdm.write(f"another batch is making {len(waiting)} of them: waiting")
                announced = True
                monitor.update()
                time.sleep(PAUSE)


def _submit(
    client, jobs: list[Job], threads: int | None, ended: dict[Path, Outcome], monitor: Monitor
) -> Iterator[Outcome]:
    """Yield the outcomes of jobs as they end; each job begins after those that it needs."""
    from distributed import CancelledError, wait

    futures, owners = {}, {}
    for job in jobs:
        needed = [futures.get(folder, ended.get(folder)) for folder in job.needs]
        future = client.submit(make_run, job, threads, [one for one in needed if one], pure=False)
        futures[job.folder], owners[future] = future, job
    while owners:
        try:
            done = wait([*owners], timeout=INTERVAL, return_when="FIRST_COMPLETED").done
        except TimeoutError:
            done = ()
        except CancelledError:
            raise BatchError(
                "lost the connection to the scheduler; the same command continues with what is"
                " missing"
            ) from None
        monitor.update()
        for future in done:
            job = owners.pop(future)
            if (error := future.exception()) is None:
                yield future.result()
            else:  # its worker was lost repeatedly
                yield Outcome(job, 0, type(error).__name__, str(error))
