"""All figures in one table: ``python benchmarks [--all]``; each is measured in its own process."""

import multiprocessing
import os
import sys
from concurrent.futures import ProcessPoolExecutor

import batch
import book
import evaluate
import memory
import start
import timing
import train

if __name__ == "__main__":
    os.environ |= {"OMP_NUM_THREADS": str(timing.THREADS), "TQDM_DISABLE": "1"}
    figures = [train.measure, evaluate.measure, batch.measure, start.measure, memory.measure]
    figures.append(book.measure)
    if "--all" in sys.argv[1:]:
        figures.append(book.measure_many)
    rows = []
    # A new process for each: its peak memory, threads and warm caches are no other figure's.
    fresh = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=fresh, max_tasks_per_child=1) as pool:
        for measure in figures:
            print(f"measuring: {measure.__module__}", file=sys.stderr, flush=True)
            rows += pool.submit(measure).result()
    print(timing.format_table(rows))
