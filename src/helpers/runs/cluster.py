"""Workers that make runs, on this machine or of a Dask scheduler, each with a GPU if possible."""

import contextlib
import logging
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from multiprocessing import get_context
from multiprocessing.resource_tracker import ensure_running

from helpers import InputError

#: Dask's settings, instead of the user's. By default, ticks every 20 ms, a profiler and a monitor
#: of Python's lock take 14 % of a core while two workers wait for their kernels.
SETTINGS = {
    "distributed.admin.tick.interval": "1s",
    "distributed.admin.system-monitor.gil.enabled": False,
    "distributed.scheduler.active-memory-manager.start": False,
    "distributed.worker.profile.enabled": False,
}

#: Seconds after which a hanging `nvidia-smi` counts as no GPU.
PATIENCE = 20


class BatchError(RuntimeError):
    """Runs that failed; the message names them or the reason."""


@contextlib.contextmanager
def open_cluster(count: int, workers: int | None, scheduler: str | None) -> Iterator[tuple]:
    """Yield a client of a cluster for `count` runs, and the number of threads per run."""
    # Late: this takes half a second, and most commands do not need it.
    try:
        import dask
    except ValueError as error:  # an invalid file of the user's settings, read on import
        raise InputError(" ".join(str(error).split())) from None
    from dask.system import CPU_COUNT
    from distributed import Client, LocalCluster

    # A lost connection ends the batch with our own message; lost workers are still logged.
    logging.getLogger("distributed.client").setLevel(logging.CRITICAL)
    if scheduler is not None:
        try:
            client = Client(scheduler, timeout="20s")
        except (OSError, ValueError):
            raise InputError(
                f"cannot reach the scheduler {scheduler}; start one with `dask scheduler`, or"
                " leave out --scheduler"
            ) from None
        with client:
            client.register_worker_callbacks(choose_gpu)
            yield client, None
        return
    dask.config.refresh(paths=[], env={})
    dask.config.set(SETTINGS)
    workers = workers or len(list_gpus()) or CPU_COUNT
    try:
        get_context("spawn").Lock()  # fails without shared memory, which workers need
        with _signals_blocked():
            cluster = LocalCluster(
                n_workers=min(workers, count),
                threads_per_worker=1,
                memory_limit=0,  # kernels, not workers, need the memory
                dashboard_address="127.0.0.1:0",  # any free port
            )
        client = Client(cluster, timeout="60s")
    except Exception as error:  # no loopback interface, or a worker died while starting
        why = " ".join(str(error).split()) or type(error).__name__
        raise BatchError(
            f"the workers do not start: {why}; they need the loopback interface (127.0.0.1), shared"
            " memory (/dev/shm) and free memory; with these, try the same command again"
        ) from None
    log = logging.getLogger("distributed")
    try:
        with client:
            client.register_worker_callbacks(choose_gpu)
            yield client, max(1, CPU_COUNT // workers)
            log.setLevel(logging.CRITICAL)  # connections end with the cluster
    except BaseException:
        log.setLevel(logging.CRITICAL)
        _kill_workers(cluster)
        raise
    finally:
        cluster.close()


@contextlib.contextmanager
def _signals_blocked() -> Iterator[None]:
    """Delay Ctrl-C and SIGTERM in the body, and block them in the processes that it starts."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    ensure_running()  # it would unblock the signals if it started later
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _kill_workers(cluster) -> None:
    """Kill the workers and kernels of a local cluster; a graceful stop would wait for runs."""
    import psutil

    for nanny in cluster.workers.values():
        nanny.auto_restart = False
        with contextlib.suppress(psutil.Error):
            worker = psutil.Process(nanny.pid)
            for process in [*worker.children(recursive=True), worker]:
                process.kill()


def list_gpus() -> list[str]:
    """Return the GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    # CUDA ignores everything from the first invalid entry on, such as -1.
    allowed = None if visible is None else re.split(r",?\s*-1\b", visible)[0].strip()
    if allowed == "":
        return []
    command = ["nvidia-smi", "-L"]
    try:
        printed = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE).stdout
    except (OSError, subprocess.TimeoutExpired):
        return []
    # Of a partitioned GPU, only the partitions can be used.
    parts = re.findall(r"UUID: (MIG-[^)]+)", printed)
    present = parts or re.findall(r"UUID: (GPU-[^)]+)", printed)
    return allowed.split(",") if allowed and present else present


def choose_gpu(dask_worker) -> None:
    """Let the runs of a worker see one GPU only, by the worker's number; called as it starts."""
    gpus = list_gpus()
    if len(gpus) > 1:
        number = int(re.search(r"\d*$", str(dask_worker.name))[0] or 0)
        os.environ["CUDA_VISIBLE_DEVICES"] = gpus[number % len(gpus)]
