"""The processes that make runs: workers on this machine, or those of a Dask scheduler."""

import contextlib
import logging
import signal
from collections.abc import Iterator
from multiprocessing.resource_tracker import ensure_running

from tqdm import tqdm

from helpers import InputError

from .gpus import list_gpus


class BatchError(RuntimeError):
    """Not all runs that were asked for could be made; the message says which or why."""


@contextlib.contextmanager
def open_cluster(count: int, workers: int | None, scheduler: str | None) -> Iterator[tuple]:
    """Give a client of a cluster, and how many threads a run may take there.

    Parameters
    ----------
    count : of runs; no more workers than these are started
    workers, scheduler : as of `batch.run_batch`

    Raises
    ------
    InputError : where the scheduler cannot be reached
    BatchError : where this machine's workers do not start
    """
    # Here: a second to import, which a batch with nothing to do should not take.
    from dask.system import CPU_COUNT
    from distributed import Client, LocalCluster

    for name in ("distributed", "distributed.client"):  # what it logs comes as a line from here
        logging.getLogger(name).setLevel(logging.CRITICAL)
    cluster, threads = scheduler, None
    if scheduler is None:
        workers = workers or len(list_gpus()) or CPU_COUNT
        at_once = min(workers, count)
        threads = max(1, CPU_COUNT // workers)
        tqdm.write(f"{count} run{'s' * (count > 1)} to make, {at_once} at a time")
        try:
            with _interrupts_later():
                cluster = LocalCluster(
                    n_workers=at_once,
                    threads_per_worker=1,
                    dashboard_address="127.0.0.1:0",
                    silence_logs=logging.CRITICAL,
                )
        except RuntimeError as error:  # a worker died before it had started
            raise BatchError(f"no workers: {error} The same command tries again.") from None
    try:
        client = Client(cluster, timeout="20s")
    except (OSError, ValueError):
        if scheduler is None:
            cluster.close()
            raise BatchError("the workers do not answer; the same command tries again") from None
        raise InputError(
            f"cannot reach the scheduler {scheduler}; start one with `dask scheduler`, or leave"
            " out --scheduler"
        ) from None
    try:
        with client:
            yield client, threads
    except BaseException:
        if scheduler is None:
            _kill_workers(cluster)
        raise
    finally:
        if scheduler is None:
            cluster.close()


@contextlib.contextmanager
def _interrupts_later() -> Iterator[None]:
    """Let Ctrl-C wait for the end of the body, and never come to the processes started there.

    A terminal sends it to all of them. Who ends the workers is this process.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    ensure_running()  # where it starts this tracker, multiprocessing lets interrupts in again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _kill_workers(cluster) -> None:
    """Kill workers and kernels of a local cluster, which asked to leave would end their runs."""
    import psutil

    for nanny in cluster.workers.values():
        nanny.auto_restart = False
        with contextlib.suppress(psutil.Error):
            worker = psutil.Process(nanny.pid)
            for process in [*worker.children(recursive=True), worker]:
                process.kill()
