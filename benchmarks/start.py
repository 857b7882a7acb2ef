"""Seconds from asking for a run until its notebook asks for the data: kernel start and imports."""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import datetime

from jupyter_client.manager import start_new_kernel
from jupyter_client.provisioning import KernelProvisionerFactory
from timing import Row, format_table, interleave

from helpers.runs.plan import plan
from helpers.runs.worker import make_run

REPEATS = 3


def time_start() -> float:
    """Make the smallest run; return the seconds before its notebook asks for the data."""
    with tempfile.TemporaryDirectory() as folder:
        changes = {"results": folder, "epochs": 1, "corruptions": {"blur": [0.5]}}
        (job,) = plan("smoke", [0], "pathmnist_basic", changes)
        started = time.time()
        outcome = make_run(job, threads=1, first=[])
        if outcome.kind:
            raise RuntimeError(outcome.message)
        cells = json.loads(job.notebook.read_text(encoding="utf-8"))["cells"]
    loading = next(cell for cell in cells if "ex.load_data" in "".join(cell["source"]))
    reached = datetime.fromisoformat(loading["metadata"]["papermill"]["start_time"])
    return reached.timestamp() - started


def start_bare() -> None:
    """Start a kernel that answers, then import torch in a process of its own."""
    KernelProvisionerFactory.instance().default_provisioner_name = "local-provisioner"
    manager, client = start_new_kernel()
    client.stop_channels()
    manager.shutdown_kernel(now=True)
    subprocess.run([sys.executable, "-c", "import torch"], check=True)


def measure() -> list[Row]:
    """Return two rows; the bound is a bare kernel and ``import torch``.

    As a worker of a batch does, this process makes one run after the other. The first waits for
    the server of kernels to start and import; it has a row of its own.
    """
    first, later = time_start(), []
    ways = {"ours": lambda: later.append(time_start()), "bare": start_bare}
    bound = interleave(ways, REPEATS)["bare"]
    every = statistics.median([first, *later])
    return [
        Row("start of a run, median of a worker's", "s", every, None, bound, "≤ 4 s"),
        Row("start of a worker's first run", "s", first, None, bound),
    ]


if __name__ == "__main__":
    print(format_table(measure()))
