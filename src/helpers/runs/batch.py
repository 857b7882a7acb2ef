"""Concurrent runs on a Dask cluster."""

import contextlib
import sys
import tempfile
from collections.abc import Iterable, Iterator
from datetime import datetime

from tqdm import tqdm

from helpers import InputError
from helpers.data_files import from_root

from .cluster import BatchError, open_cluster
from .files import clear_leftovers, list_leftovers, lock_run, read_progress, writing
from .plan import Job
from .record import CorruptRecord
from .worker import Outcome, make_run

#: Seconds between two checks of the progress.
INTERVAL = 1


def describe_progress(progress: dict) -> str:
    """Return the epoch, the accuracies, the speed and the expected end of a training."""
    epoch, epochs, seconds = (progress[n] for n in ("epoch", "epochs", "seconds_per_epoch"))
    if not seconds:  # before the end of the first epoch
        return f"epoch {epoch} of {epochs}"
    accuracy, best = progress["validation_accuracy"], progress["best_validation_accuracy"]
    end = datetime.fromtimestamp(progress["updated"] + seconds * (epochs - epoch)).astimezone()
    return (
        f"epoch {epoch} of {epochs}, validation accuracy {accuracy:.3f} (best {best:.3f}),"
        f" {seconds:.1f} s per epoch, training ends about {end:%a %H:%M}"
    )


def find_missing(jobs: Iterable[Job]) -> list[Job]:
    """Return the jobs without a record; refuse those that this batch could not make."""
    missing = []
    for job in jobs:
        try:
            if not job.is_done():
                missing.append(job)
            elif list_leftovers(job.folder, done=True):  # killed right after writing its record
                with contextlib.suppress(InputError), lock_run(job.folder) as ours:
                    if ours:
                        clear_leftovers(job.folder, done=True)
        except CorruptRecord as error:
            print(f"warning: {error}; this batch repeats it", file=sys.stderr)
            missing.append(job)
    for source in {job.config.data_source for job in missing} - {"official", "synthetic"}:
        if not from_root(source).exists():
            raise InputError(f"data_source: {from_root(source)} does not exist")
    for folder in {job.folder.parent for job in missing}:
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=folder).close()
    return missing


def run_batch(
    jobs: Iterable[Job], workers: int | None = None, scheduler: str | None = None
) -> None:
    """Make runs, each after the one that it needs; print a line for each epoch and each run.

    The jobs are those of `find_missing`; `workers` is the number of concurrent runs on this machine
    (by default one per GPU or, without GPUs, per core); `scheduler` is the address of a Dask
    scheduler whose workers see the same files.
    """
    jobs, ended = list(jobs), []
    where = f" by {scheduler}" if scheduler else ""
    tqdm.write(f"{len(jobs)} run{'s' * (len(jobs) > 1)} to make{where}")
    try:
        with (
            open_cluster(len(jobs), workers, scheduler) as (client, threads),
            tqdm(total=len(jobs), desc="runs", unit="run", disable=None) as bar,
        ):
            for outcome in _make_runs(client, jobs, threads):
                ended.append(outcome)
                state = f"failed, {outcome.kind}" if outcome.kind else "done"
                tqdm.write(f"{outcome.job.name:<32} {state:<8} {outcome.seconds:6.0f} s")
                if outcome.message and not outcome.kind:
                    tqdm.write(outcome.message)
                bar.update()
    except KeyboardInterrupt:
        done = sum(not outcome.kind for outcome in ended)
        print(f"{done} of {len(jobs)} runs are done", file=sys.stderr)
        raise
    failed = [outcome for outcome in ended if outcome.kind]
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


def _make_runs(client, jobs: list[Job], threads: int | None) -> Iterator[Outcome]:
    """Yield the outcomes of runs as they end; print a line for each epoch in the meantime."""
    from distributed import CancelledError, wait

    futures, owners = {}, {}

    def submit(job: Job, priority: int = 0) -> None:
        needed = futures.get(job.needed)
        future = client.submit(make_run, job, threads, needed, pure=False, priority=priority)
        futures[job.folder], owners[future] = future, job

    for job in jobs:
        submit(job)
    # Progress files of runs that were interrupted earlier are no news.
    shown = {job.folder: read_progress(job.folder) for job in jobs}
    announced = False
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
        for job in owners.values():
            progress = read_progress(job.folder)
            if progress is not None and progress != shown[job.folder]:
                shown[job.folder] = progress
                tqdm.write(f"{job.name:<32} {describe_progress(progress)}")
        for future in done:
            job = owners.pop(future)
            if error := future.exception():  # its worker was lost repeatedly
                outcome = Outcome(job, 0, type(error).__name__, str(error))
            else:
                outcome = future.result()
            if not outcome.elsewhere:
                yield outcome
                continue
            if not announced:
                tqdm.write("another batch is making some of these runs: waiting")
            announced = True
            submit(job, priority=-1)  # after the other runs
