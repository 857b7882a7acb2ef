"""All faults in one table: ``python -m tests.survival [--quick] [--seed N] [--output CSV]``."""

import argparse
import csv
import os
import random
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

os.environ |= {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "TQDM_DISABLE": "1"}

from helpers.runs.run import describe_environment

from .checks import Tally

# Each imports what it needs: the writes fork thousands of times, which is slow with torch loaded.


def attack_writes(tally: Tally, folder: Path, quick: bool, seed: int) -> None:
    """Break each file operation of `helpers.runs` in every way."""
    from . import writes

    writes.survive(tally)


def attack_bodies(tally: Tally, folder: Path, quick: bool, seed: int) -> None:
    """Kill the code of a notebook: at random moments, and at every file operation."""
    from . import bodies

    bodies.prepare()
    reference, seconds = bodies.measure(folder / "undisturbed")
    resumed = bodies.survive(
        tally, reference, seconds, folder / "random", 8 if quick else 100, seed
    )
    resumed += bodies.survive_each(tally, reference, folder / "each", 9 if quick else 1)
    print(f"{resumed} runs went on from an epoch that another process had finished", flush=True)
    if not resumed:
        tally.wrong.append("no run went on from a checkpoint: the kills tried nothing")


def attack_batches(tally: Tally, folder: Path, quick: bool, seed: int) -> None:
    """Kill real batches, alone, two at once, and on a Dask scheduler."""
    from . import batches

    reference, seconds = batches.measure(folder / "undisturbed batch")
    print(f"an undisturbed batch takes {seconds:.0f} s", flush=True)
    plan = list(batches.TARGETS) * (2 if quick else 20)
    random.Random(seed).shuffle(plan)
    batches.survive(tally, reference, seconds, folder / "bätch", plan, seed)
    # Its runs have all cores each, on which the bits depend.
    alone, _ = batches.measure(folder / "undisturbed alone", ("--jobs", "1"))
    for number in range(1 if quick else 4):
        batches.survive_two(tally, alone, seconds, folder / "two", seed + number)
        batches.survive_lost_worker(tally, reference, seconds, folder / "lost", seed + number)


def write_table(path: Path, rows: list[tuple]) -> None:
    """Write the rows; what was not tried this time stays, with its commit and date."""
    table = {}
    if path.exists():
        with path.open(newline="", encoding="utf-8") as file:
            table = {row[2]: row for row in list(csv.reader(file))[1:]}
    table |= {row[2]: row for row in rows}
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerows([("commit", "date", "fault", "tried", "survived"), *table.values()])


LAYERS = {"writes": attack_writes, "bodies": attack_bodies, "batches": attack_batches}


def main() -> int:
    """Attack, and write the table; return 1 if a fault was not survived."""
    parser = argparse.ArgumentParser(prog="python -m tests.survival")
    parser.add_argument("--quick", action="store_true", help="a few kills of each kind")
    parser.add_argument("--only", choices=LAYERS, action="append", help="one layer")
    parser.add_argument("--seed", type=int, default=0, help="of the random moments")
    parser.add_argument("--output", type=Path, help="the table, as CSV")
    asked = parser.parse_args()
    tally = Tally()
    try:
        with tempfile.TemporaryDirectory() as folder:
            for layer in asked.only or LAYERS:
                LAYERS[layer](tally, Path(folder).resolve(), asked.quick, asked.seed)
    finally:  # stopped by Ctrl-C, it has tried what it has tried
        commit = describe_environment()["git_commit"] or "unknown"
        today = datetime.now(UTC).date().isoformat()
        rows = [(commit[:12], today, *row) for row in tally.rows()]
        for _, _, fault, tried, survived in rows:
            print(f"{survived:5} of {tried:5}  {fault}")
        if asked.output:
            write_table(asked.output, rows)
    return int(bool(tally.wrong))


if __name__ == "__main__":
    sys.exit(main())
