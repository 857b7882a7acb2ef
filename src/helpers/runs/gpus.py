"""Which GPU a worker takes, so that those of a host share its GPUs evenly. Takes no torch."""

import functools
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from filelock import FileLock, Timeout

#: Keeps its GPU from other workers until this process ends.
_held: list[FileLock] = []


def list_gpus() -> list[str]:
    """Return the GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them."""
    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    if given == "" or not shutil.which("nvidia-smi"):
        return []
    listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True).stdout
    # A GPU that is divided can be used by its parts only.
    there = re.findall(r"UUID: (MIG-[^)]+)", listed) or re.findall(r"UUID: (GPU-[^)]+)", listed)
    return given.split(",") if given and there else there


@functools.cache
def take_gpu() -> str | None:
    """Return the GPU of this process, for as long as it lives: one that no other worker holds.

    Where every one is held they are shared. None where there is nothing to choose.
    """
    gpus = list_gpus()
    if len(gpus) < 2:
        return None
    folder = Path(tempfile.gettempdir())
    for gpu in gpus:
        lock = FileLock(folder / f"robustness-report-{_user()}-{gpu}.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            continue
        _held.append(lock)
        return gpu
    return gpus[os.getpid() % len(gpus)]


def _user() -> int:
    return os.getuid() if hasattr(os, "getuid") else 0
