"""GPU of each worker, so that the workers of a host share its GPUs evenly; imports no torch."""

import functools
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from filelock import FileLock, Timeout

#: Seconds after which an `nvidia-smi` that hangs counts as no GPU.
PATIENCE = 20

#: Keeps its GPU from other workers until this process ends.
_held: list[FileLock] = []


def list_gpus() -> list[str]:
    """Return the GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    # CUDA ignores what follows the first invalid entry, which -1 is.
    allowed = None if visible is None else re.split(r",?\s*-1\b", visible)[0].strip()
    if allowed == "" or not shutil.which("nvidia-smi"):
        return []
    command = ["nvidia-smi", "-L"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    except (OSError, subprocess.TimeoutExpired):
        return []
    # Only the parts of a divided GPU can be used.
    present = re.findall(r"UUID: (MIG-[^)]+)", done.stdout)
    present = present or re.findall(r"UUID: (GPU-[^)]+)", done.stdout)
    return allowed.split(",") if allowed and present else present


@functools.cache
def acquire_gpu() -> str | None:
    """Return a GPU that no other worker uses, reserved for the life of this process.

    If all are taken, they are shared. None if there is nothing to choose from.
    """
    gpus = list_gpus()
    if len(gpus) < 2:
        return None
    user = os.getuid() if hasattr(os, "getuid") else 0
    for gpu in gpus:
        lock = FileLock(Path(tempfile.gettempdir()) / f"robustness-report-{user}-{gpu}.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            continue
        _held.append(lock)
        return gpu
    return gpus[os.getpid() % len(gpus)]
