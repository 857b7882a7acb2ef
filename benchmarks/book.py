"""Seconds and memory of the first build of all pages, from made-up records of the real sizes."""

import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from timing import Row, format_table

from helpers import ROOT
from helpers.experiment.evaluation import Evaluation
from helpers.runs.record import run_folder, write_record
from helpers.runs.run import pack_arrays, pack_table

sys.path.append(str(ROOT / "tests"))
import made_up

#: Test and validation images.
SIZES = {"pathmnist": (7180, 10004), "pets": (3669, 736)}
PROFILE = "made_up"


def write_full_size(small: Path, results: Path, experiment: str, seed: int) -> None:
    """Write a made-up record with as many images as the real set: small ones, drawn with noise."""
    record = made_up.write_run(small, PROFILE, experiment, seed)
    dataset = experiment.split("_")[0]
    shared = np.random.default_rng(len(dataset))  # labels must be those of the other runs
    noise = np.random.default_rng([seed, *experiment.encode()])
    stored, large = record.predictions, {}
    for prefix, count in zip(("", "validation_"), SIZES[dataset], strict=True):
        chosen = shared.integers(len(stored[f"{prefix}labels"]), size=count)
        logits = stored[f"{prefix}logits"][..., chosen, :]
        shifted = logits + noise.normal(scale=0.5, size=logits.shape)
        large[f"{prefix}logits"] = shifted.astype(np.float16)
        large[f"{prefix}labels"] = stored[f"{prefix}labels"][chosen]
    strengths = [None if np.isnan(value) else float(value) for value in stored["strength"]]
    conditions = list(zip(stored["corruption"], strengths, strict=True))
    evaluation = Evaluation(conditions, **large, examples=record.examples, seconds=0)
    contents = {
        "history.csv": pack_table(record.history),
        "metrics.csv": pack_table(evaluation.scores()),
        "predictions.npz": pack_arrays(evaluation.arrays()),
        "examples.npz": pack_arrays(record.examples),
    }
    about = record.run["data"] | {"test": SIZES[dataset][0], "validation": SIZES[dataset][1]}
    new = write_record(
        run_folder(results, experiment, seed), record.run | {"data": about}, contents
    )
    shutil.copy(record.notebook, new.notebook)


def build(seeds: int) -> tuple[float, float]:
    """Build a copy of the book; return the seconds, and the largest process's peak in MB."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for experiment in made_up.EXPERIMENTS:
            for seed in range(seeds):
                write_full_size(folder / "small", folder / "results", experiment, seed)
        leave = shutil.ignore_patterns("_build", "runs", "experiments")
        shutil.copytree(ROOT / "book", folder / "book", ignore=leave)
        shown = {"REPORT_PROFILE": PROFILE, "REPORT_RESULTS": str(folder / "results")}
        command = [Path(sys.executable).with_name("jupyter-book"), "build", "-W", folder / "book"]
        started = time.perf_counter()
        done = subprocess.run(command, env=os.environ | shown, capture_output=True, text=True)
        seconds = time.perf_counter() - started
    if done.returncode:
        raise RuntimeError(done.stdout + done.stderr)
    return seconds, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024


def measure(seeds: int = 3) -> list[Row]:
    """Return two rows; one build, for it takes long and pages do not speed up by repetition."""
    seconds, memory = build(seeds)
    allowed, what = ("25 s", "3 seeds") if seeds == 3 else ("60 s", f"{seeds} seeds")
    return [
        Row(f"first build of the book, {what}", "s", seconds, target=f"≤ {allowed}"),
        Row(f"its largest process, {what}", "MB", memory, target="≤ 1,000 MB"),
    ]


def measure_many() -> list[Row]:
    """Return the rows of a hundred seeds."""
    return measure(100)


if __name__ == "__main__":
    print(format_table(measure(int(sys.argv[1]) if len(sys.argv) > 1 else 3)))
