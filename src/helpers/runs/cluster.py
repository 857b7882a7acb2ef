"""Processes that make runs: workers on this machine, or those of a Dask scheduler."""

import contextlib
import logging
import signal
from collections.abc import Iterator
from multiprocessing import get_context
from multiprocessing.resource_tracker import ensure_running

from helpers import InputError

from .gpus import list_gpus

#: Dask's settings in place of the user's. Ticks every 20 ms, a profiler and a monitor of Python's
#: lock cost 14 % of a core while two workers wait for their kernels.
SETTINGS = {
    "distributed.admin.tick.interval": "1s",
    "distributed.admin.system-monitor.gil.enabled": False,
    "distributed.scheduler.active-memory-manager.start": False,
    "distributed.worker.profile.enabled": False,
}


class BatchError(RuntimeError):
    """Some of the runs could not be made; the message names them or the reason."""


@contextlib.contextmanager
def open_cluster(count: int, workers: int | None, scheduler: str | None) -> Iterator[tuple]:
    """Yield a client of a cluster, and the number of threads that a run may use there.

    Parameters
    ----------
    count : number of runs; no more workers than these are started
    workers, scheduler : as in `batch.run_batch`

    Raises
    ------
    InputError : if the scheduler cannot be reached
    BatchError : if this machine's workers do not start
    """
    # Imported late: it takes half a second, and most commands do not need it.
    import dask
    from dask.system import CPU_COUNT
    from distributed import Client, LocalCluster

    if scheduler is not None:
        try:
            client = Client(scheduler, timeout="20s")
        except (OSError, ValueError):
            raise InputError(
                f"cannot reach the scheduler {scheduler}; start one with `dask scheduler`, or"
                " leave out --scheduler"
            ) from None
        with client:
            yield client, None
        return
    dask.config.refresh(paths=[], env={})
    dask.config.set(SETTINGS)
    workers = workers or len(list_gpus()) or CPU_COUNT
    try:
        get_context("spawn").Lock()
    except OSError:
        raise BatchError("workers need shared memory (/dev/shm), which is not available") from None
    try:
        with _signals_blocked():
            cluster = LocalCluster(
                n_workers=min(workers, count),
                threads_per_worker=1,
                memory_limit=0,  # the memory of a run is its kernel's
                dashboard_address=None,
            )
        client = Client(cluster, timeout="60s")
    except Exception as error:  # no loopback interface, a worker that died at its start
        why = " ".join(str(error).split()) or type(error).__name__
        raise BatchError(f"the workers do not start: {why}; try the same command again") from None
    try:
        with client:
            yield client, max(1, CPU_COUNT // workers)
            quieten()
    except BaseException:
        quieten()
        _kill_workers(cluster)
        raise
    finally:
        cluster.close()


def quieten() -> None:
    """Silence Dask's log, once the connections that it would report as lost may end."""
    logging.getLogger("distributed").setLevel(logging.CRITICAL)


@contextlib.contextmanager
def _signals_blocked() -> Iterator[None]:
    """Delay Ctrl-C and SIGTERM to the end of the body, and keep them from processes started in it.

    A terminal or a queue sends them to all processes; this one ends its workers itself.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    ensure_running()  # it would unblock the signals when it starts later
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _kill_workers(cluster) -> None:
    """Kill workers and kernels of a local cluster; a graceful stop would wait for their runs."""
    import psutil

    for nanny in cluster.workers.values():
        nanny.auto_restart = False
        with contextlib.suppress(psutil.Error):
            worker = psutil.Process(nanny.pid)
            for process in [*worker.children(recursive=True), worker]:
                process.kill()
