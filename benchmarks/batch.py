"""Seconds of two small runs on two cores: side by side, and one after the other."""

import os
import subprocess
import sys
import tempfile

from timing import Row, interleave

from helpers import ROOT


def run_two(jobs: int, cores: set[int]) -> None:
    """Make seeds 0 and 1 of one experiment of the profile smoke, with twice as many epochs."""
    with tempfile.TemporaryDirectory() as folder:
        command = f"-m helpers run --only pathmnist_basic --seeds 0-1 --jobs {jobs}".split()
        subprocess.run(
            [sys.executable, *command, "-p", "epochs=8", "-p", f"results={folder}"],
            cwd=ROOT,
            check=True,
            capture_output=True,
            preexec_fn=lambda: os.sched_setaffinity(0, cores),
        )


def measure(repeats: int = 2) -> list[Row]:
    """Return two rows; the baselines run one after the other, on one core and on two."""
    cores = sorted(os.sched_getaffinity(0))[:2]
    ways = {
        "two at a time": lambda: run_two(2, set(cores)),
        "one core": lambda: run_two(1, {cores[0]}),
        "two cores": lambda: run_two(1, set(cores)),
    }
    seconds = interleave(ways, repeats)
    ours, alone = seconds["two at a time"], seconds["one core"]
    return [
        Row("2 runs; baseline: in turn, on one core", "s", ours, alone, alone / 2),
        Row("2 runs; baseline: in turn, on two cores", "s", ours, seconds["two cores"]),
    ]
