"""Many runs at a time, made by a Dask cluster."""

import contextlib
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from tqdm import tqdm

from helpers import ROOT, InputError

from .atomic_io import clear_leftovers, list_beside, writing
from .cluster import BatchError, open_cluster
from .locks import lock_run
from .plan import Job
from .progress import Monitor
from .record import CorruptRecord
from .worker import Outcome, make_run

#: Seconds between two looks at the progress of runs, and at the runs that another batch makes.
INTERVAL, PAUSE = 1, 2


def find_missing(jobs: Iterable[Job]) -> list[Job]:
    """Return the jobs without a record, and print a warning for each corrupt record.

    Raises
    ------
    InputError : if records can neither be used nor made again, own data do not exist, or a
        results folder cannot be written
    """
    missing, errors = [], []
    for job in jobs:
        try:
            if job.is_done():
                _tidy(job.folder)
            else:
                missing.append(job)
        except CorruptRecord as error:
            print(f"warning: {error}; this batch makes it again", file=sys.stderr)
            missing.append(job)
        except InputError as error:
            errors.append(str(error))
    if errors:
        more = f" (and {len(errors) - 1} more: see status)" if len(errors) > 1 else ""
        raise InputError(errors[0] + more)
    for job in missing:
        source = getattr(job.config, "data_source", "synthetic")
        path = ROOT / Path(source).expanduser()
        if source not in ("official", "synthetic") and not path.exists():
            raise InputError(f"data_source: {path} does not exist")
    for folder in {job.folder.parent for job in missing}:
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                pass
    return missing


def _tidy(folder: Path) -> None:
    """Remove what a run left that was killed right after writing its record."""
    if list_beside(folder, "new", "checkpoint", "progress", "lock"):
        with contextlib.suppress(InputError), lock_run(folder) as ours:
            if ours:
                clear_leftovers(folder, done=True)


def run_batch(
    jobs: Iterable[Job], workers: int | None = None, scheduler: str | None = None
) -> None:
    """Make runs, each after the runs that it needs, and print a line for each.

    Parameters
    ----------
    jobs : what `find_missing` returned
    workers : number of runs at a time on this machine; by default one per core, or one per GPU if
        it has any. The runs share the cores.
    scheduler : address of a Dask scheduler whose workers make the runs instead; they must see
        the same files

    Raises
    ------
    InputError : for bad input, with a line for each culprit
    BatchError : naming the runs that failed for other reasons
    """
    jobs = list(jobs)
    ended: dict[Path, Outcome] = {}
    try:
        for outcome in _make_runs(jobs, workers, scheduler):
            ended[outcome.job.folder] = outcome
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


def _make_runs(jobs: list[Job], workers: int | None, scheduler: str | None) -> Iterator[Outcome]:
    """Yield the outcomes of runs as they end, and display the runs in progress."""
    where = f" by {scheduler}" if scheduler else ""
    tqdm.write(f"{len(jobs)} run{'s' * (len(jobs) > 1)} to make{where}")
    with (
        open_cluster(len(jobs), workers, scheduler) as (client, threads),
        tqdm(total=len(jobs), desc="runs", unit="run", disable=None) as bar,
    ):
        monitor = Monitor(jobs)
        waiting, ended, announced = jobs, {}, False
        while waiting:
            elsewhere = []
            for outcome in _submit(client, waiting, threads, ended, monitor):
                if outcome.elsewhere:
                    elsewhere.append(outcome.job)
                    continue
                ended[outcome.job.folder] = outcome
                monitor.close(outcome.job)
                state = f"failed, {outcome.kind}" if outcome.kind else "done"
                tqdm.write(f"{outcome.job.name:<32} {state:<8} {outcome.seconds:6.0f} s")
                bar.update()
                yield outcome
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
    """Yield the outcomes of jobs as they end, each begun after those that it needs."""
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
            else:  # its worker was lost again and again
                yield Outcome(job, 0, type(error).__name__, str(error))
