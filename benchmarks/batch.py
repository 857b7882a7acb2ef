"""Seconds of a batch of two small runs on two cores: side by side, and one after the other."""

import os
import subprocess
import sys
import tempfile

from timing import Row, format_table, interleave

from helpers import ROOT

REPEATS = 2


def run_two(jobs: int, cores: set[int]) -> None:
    """Make seeds 0 and 1 of one experiment of the profile smoke, in a folder of their own.

    They train twice as long as there: of the shortest runs a third is the start of the worker.
    """
    with tempfile.TemporaryDirectory() as folder:
        asked = f"--only pathmnist_basic --seeds 0-1 --jobs {jobs} -p epochs=8"
        subprocess.run(
            [sys.executable, "-m", "helpers", "run", *asked.split(), "-p", f"results={folder}"],
            cwd=ROOT,
            check=True,
            capture_output=True,
            preexec_fn=lambda: os.sched_setaffinity(0, cores),
        )


def measure() -> list[Row]:
    """Return two rows: against one core, whose half is the bound, and against one run on both."""
    first, second, *_ = sorted(os.sched_getaffinity(0))
    ways = {
        "two at a time": lambda: run_two(2, {first, second}),
        "one core": lambda: run_two(1, {first}),
        "both cores": lambda: run_two(1, {first, second}),
    }
    seconds = interleave(ways, REPEATS)
    ours, alone = seconds["two at a time"], seconds["one core"]
    return [
        Row("batch of 2 runs; baseline: one after the other, a core each", "s", ours, alone,
            alone / 2, "≥ 1.6 × baseline"),
        Row("batch of 2 runs; baseline: one after the other, on both cores", "s", ours,
            seconds["both cores"]),
    ]  # fmt: skip


if __name__ == "__main__":
    print(format_table(measure()))
