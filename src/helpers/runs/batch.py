"""Many runs at a time, by a Dask cluster."""

import contextlib
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from tqdm import tqdm

from helpers import ROOT, InputError

from .claims import claim
from .cluster import BatchError, open_cluster
from .files import clear_leftovers, list_beside, make_folder, writing
from .integrity import DamagedRecord
from .plan import Job
from .progress import TOPIC, Lines
from .worker import Outcome, make_run

#: Seconds between two looks at the runs that another batch is making.
PAUSE = 2


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
    _check_sources(missing)
    for folder in {job.folder.parent for job in missing}:
        _check_writable(folder)
    ended = {}
    try:
        for outcome in _outcomes(missing, workers, scheduler):
            ended[outcome.job.folder] = outcome
    except KeyboardInterrupt:
        done = sum(not outcome.kind for outcome in ended.values())
        begun = "; the scheduler's workers finish what they have begun" if scheduler else ""
        print(f"{done} of {len(missing)} runs are done{begun}", file=sys.stderr)
        raise
    failed = [outcome for outcome in ended.values() if outcome.kind]
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
    """Return the jobs without a whole record, and tell of each that is damaged.

    Raises
    ------
    InputError : for all records that can neither be taken nor be made again
    """
    missing, errors = [], []
    for job in jobs:
        try:
            if not job.is_done():
                missing.append(job)
            else:
                _tidy(job.folder)
        except DamagedRecord as error:
            print(f"warning: {error}", file=sys.stderr)
            missing.append(job)
        except InputError as error:
            errors.append(str(error))
    if errors:
        more = f" (and {len(errors) - 1} more: see status)" if len(errors) > 1 else ""
        raise InputError(errors[0] + more)
    return missing


def _tidy(folder: Path) -> None:
    """Remove what a run left beside its record when it was killed right after writing that."""
    kinds = "new", "checkpoint"
    if list_beside(folder, *kinds):
        with contextlib.suppress(InputError), claim(folder) as ours:
            if ours:
                clear_leftovers(folder, True)


def _outcomes(missing: list[Job], workers: int | None, scheduler: str | None) -> Iterator[Outcome]:
    """Yield outcomes as the runs end, with a bar and a line for each."""
    with open_cluster(len(missing), workers, scheduler) as (client, threads):
        bar = tqdm(total=len(missing), desc="runs", unit="run", disable=None)
        lines = Lines()
        client.subscribe_topic(TOPIC, lines.show)
        waiting, ended, told = missing, {}, False
        while waiting:
            elsewhere = []
            for outcome in _submit(client, waiting, threads, ended):
                if outcome.elsewhere:
                    elsewhere.append(outcome.job)
                    continue
                ended[outcome.job.folder] = outcome
                lines.close(outcome.job.name)
                how = f"failed, {outcome.kind}" if outcome.kind else "done"
                tqdm.write(f"{outcome.job.name:<32} {how:<8} {outcome.seconds:6.0f} s")
                bar.update()
                yield outcome
            waiting = [job for job in waiting if job in elsewhere]
            if waiting:
                if not told:
                    tqdm.write(f"another batch is making {len(waiting)} of them: waiting")
                told = True
                time.sleep(PAUSE)
        bar.close()


def _submit(client, jobs: list[Job], threads: int | None, ended: dict) -> Iterator[Outcome]:
    """Yield the outcomes of jobs, each begun after those that it needs."""
    from distributed import as_completed

    futures, owners = {}, {}
    for job in jobs:
        first = [futures.get(folder, ended.get(folder)) for folder in job.needs]
        future = client.submit(make_run, job, threads, [one for one in first if one], pure=False)
        futures[job.folder], owners[future] = future, job
    for future in as_completed(owners):
        if future.cancelled():
            raise BatchError(
                "the connection to the scheduler is lost; the same command goes on with what is"
                " missing"
            )
        if (error := future.exception()) is None:
            yield future.result()
        else:  # a worker that was lost again and again
            yield Outcome(owners[future], 0, type(error).__name__, str(error))


def _check_sources(jobs: Iterable[Job]) -> None:
    """Raise InputError for own data that are not there, before hours of what comes first."""
    for job in jobs:
        source = getattr(job.config, "data_source", "synthetic")
        place = ROOT / Path(source).expanduser()
        if source not in ("official", "synthetic") and not place.exists():
            raise InputError(f"data_source: there is no {place}")


def _check_writable(folder: Path) -> None:
    with writing(folder):
        make_folder(folder)
        with tempfile.TemporaryFile(dir=folder):
            pass
