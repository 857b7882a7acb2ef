"""Kill real batches at random moments, and record how often the runs survived.

``python -m tests.survival --output survival.csv --tries 50``: a try starts a batch, kills one of
its processes after a random time, and survives if afterwards

- no process is left after 15 seconds, and no record is incomplete;
- the same command completes, with the bits of a run that nothing disturbed;
- nothing but records and notebooks is left.
"""

import argparse
import csv
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import psutil
from tests.runs.batches import PATIENCE, Batch, write_data

from helpers import ROOT, InputError


def kill_first(batch: Batch, name: str) -> None:
    """Kill the first process of a batch with a word in its command, if one has started."""
    for process in batch.processes(name)[:1]:
        process.kill()


FAULTS: dict[str, Callable[[Batch], None]] = {
    "SIGKILL of a batch": lambda batch: batch.process.kill(),
    "SIGTERM of a batch": lambda batch: batch.process.send_signal(signal.SIGTERM),
    "Ctrl-C, to all processes of a batch": lambda b: os.killpg(b.process.pid, signal.SIGINT),
    "SIGKILL of a worker": lambda batch: kill_first(batch, "--multiprocessing-fork"),
    "SIGKILL of a kernel": lambda batch: kill_first(batch, "ipykernel"),
}


def try_fault(batch: Batch, fault: Callable, seconds: float, expected: dict) -> list[str]:
    """Disturb a batch after some seconds, complete it, and return what was lost."""
    lost = []
    family = []
    batch.start()
    try:
        batch.process.wait(seconds)
    except subprocess.TimeoutExpired:
        family = batch.processes()
        fault(batch)
        batch.process.wait(PATIENCE)
    if psutil.wait_procs(family, timeout=15)[1]:
        lost.append("a process was left")
    try:
        if batch.files() not in (None, expected):
            lost.append("a record with other bits")
        batch.run()
        if batch.files() != expected:
            lost.append("other bits at the end")
        if batch.left() != {"seed-0", "seed-0.ipynb"}:
            lost.append(f"leftovers: {batch.left()}")
    except (AssertionError, InputError) as error:
        lost.append(f"the same command did not complete: {error}")
    return lost


def main() -> int:
    """Return 0 if every fault was survived, and write the table of the page Reliability."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--tries", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    moments = random.Random(arguments.seed)
    tried, survived = dict.fromkeys(FAULTS, 0), dict.fromkeys(FAULTS, 0)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        data = write_data(folder / "data.npz")
        undisturbed = Batch(folder, data)
        started = time.monotonic()
        undisturbed.run()
        duration = time.monotonic() - started
        expected = undisturbed.files()
        for number in range(arguments.tries):
            name = list(FAULTS)[number % len(FAULTS)]
            shutil.rmtree(undisturbed.results, ignore_errors=True)
            seconds = moments.uniform(0.3, duration)
            lost = try_fault(Batch(folder, data), FAULTS[name], seconds, expected)
            tried[name] += 1
            survived[name] += not lost
            print(f"{name} after {seconds:.1f} s: {'; '.join(lost) or 'survived'}", flush=True)
            write_table(arguments.output, tried, survived)
    return int(tried != survived)


def write_table(path: Path, tried: dict[str, int], survived: dict[str, int]) -> None:
    """Write a CSV with a row per fault: commit, date, fault, tried, survived."""
    command = ["git", "-C", str(ROOT), "rev-parse", "--short=12", "HEAD"]
    commit = subprocess.run(command, capture_output=True, text=True).stdout.strip()
    with path.open("w", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["commit", "date", "fault", "tried", "survived"])
        for name in filter(tried.get, tried):
            date = f"{datetime.now(UTC):%Y-%m-%d}"
            rows.writerow(
                [commit, date, f"{name}, at a random moment", tried[name], survived[name]]
            )


if __name__ == "__main__":
    sys.exit(main())
