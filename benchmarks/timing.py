"""Interleaved measurements, and the table of their results."""

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

#: Threads of the benchmarks that train or predict.
THREADS = 2


@dataclass(frozen=True)
class Row:
    """One figure, images/s (higher is better) or seconds, beside its baseline and its bound.

    README.md defines the two.
    """

    figure: str
    unit: str
    ours: float
    baseline: float | None = None
    bound: float | None = None

    def cells(self) -> list[str]:
        """Return the row as text; a ratio above 1 means that ours is better."""
        values = [self.ours, self.baseline, self.bound]
        ratios = [
            other and (self.ours / other if self.unit.endswith("/s") else other / self.ours)
            for other in values[1:]
        ]
        shown = ["" if x is None else f"{x:,.{0 if x > 99 else 1}f}" for x in values]
        return [self.figure, self.unit, *shown, *("" if x is None else f"{x:.2f}" for x in ratios)]


def interleave(ways: Mapping[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Call all ways in turn, `repeats` times, and return the median seconds of each.

    Taking turns keeps a machine whose speed varies from favouring one of them.
    """
    seconds = {name: [] for name in ways}
    for _ in range(repeats):
        for name, way in ways.items():
            started = time.perf_counter()
            way()
            seconds[name].append(time.perf_counter() - started)
    return {name: statistics.median(values) for name, values in seconds.items()}


def format_table(rows: list[Row]) -> str:
    """Return the rows as Markdown, below a line that describes the machine."""
    heads = ["figure", "unit", "ours", "baseline", "bound", "ours/baseline", "ours/bound"]
    lines = [heads, ["---"] * 2 + ["---:"] * 5, *(row.cells() for row in rows)]
    table = "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
    return f"{describe_machine()}\n\n{table}"


def describe_machine() -> str:
    """Return processor, cores, vector instructions, torch, threads and date in one line."""
    import torch  # here, so that the parent process of the benchmarks starts without it

    info = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    models = [line.split(":")[1].strip() for line in info if line.startswith("model name")]
    capability, version = torch.backends.cpu.get_cpu_capability(), torch.__version__
    return (
        f"{models[0]}, {len(models)} cores, {capability}, torch {version}, {THREADS} threads,"
        f" {datetime.now(UTC):%Y-%m-%d}"
    )
