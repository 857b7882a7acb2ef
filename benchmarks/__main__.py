"""Print one table of the benchmarks: ``python benchmarks [training evaluation batch book]``."""

import multiprocessing
import os
import sys
from concurrent.futures import ProcessPoolExecutor

import batch
import build_book
import networks
import timing

BENCHMARKS = {
    "training": networks.measure_training,
    "evaluation": networks.measure_evaluation,
    "batch": batch.measure,
    "book": build_book.measure,
}

if __name__ == "__main__":
    names = sys.argv[1:] or BENCHMARKS
    os.environ |= {"OMP_NUM_THREADS": str(timing.THREADS), "TQDM_DISABLE": "1"}
    rows = []
    # Each benchmark has a fresh process, so that none finds the warm caches of another.
    fresh = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=fresh, max_tasks_per_child=1) as pool:
        for name in names:
            print(f"measuring: {name}", file=sys.stderr, flush=True)
            rows += pool.submit(BENCHMARKS[name]).result()
    print(timing.format_table(rows))
