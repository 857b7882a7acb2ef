"""Interleaved measurements, and the one table that they make."""

import statistics
import time
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path

#: Threads of the figures that train or predict; a run of the study takes one or all of the cores.
THREADS = 2


@dataclass(frozen=True)
class Row:
    """A figure: in images/s more is better, in all other units less.

    Attributes
    ----------
    baseline : the same work as a practitioner would write it, or as it was done before
    bound : the part of the work that nobody can leave out, alone
    target : what the figure should reach on two cores
    """

    figure: str
    unit: str
    ours: float
    baseline: float | None = None
    bound: float | None = None
    target: str = ""

    def cells(self) -> list[str]:
        """Return the row as text; a ratio above 1 says that ours is the better one."""
        rate = self.unit.endswith("/s")
        values = [self.ours, self.baseline, self.bound]
        ratios = [
            "" if other is None else f"{self.ours / other if rate else other / self.ours:.2f}"
            for other in values[1:]
        ]
        shown = [
            "" if value is None else f"{value:,.{0 if value > 99 else 1}f}" for value in values
        ]
        return [self.figure, self.unit, *shown, *ratios, self.target]


def interleave(ways: Mapping[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Call all ways in turn, so often, and return the median seconds of each.

    In turn, since a shared machine is now fast and now slow: its mood then spoils no ratio.
    """
    seconds = {name: [] for name in ways}
    for _ in range(repeats):
        for name, way in ways.items():
            started = time.perf_counter()
            way()
            seconds[name].append(time.perf_counter() - started)
    return {name: statistics.median(values) for name, values in seconds.items()}


def format_table(rows: list[Row]) -> str:
    """Return the header that names the machine, and the rows, as Markdown."""
    heads = ["figure", "unit", "ours", "baseline", "bound", "ours/baseline", "ours/bound", "target"]
    lines = [heads, ["---"] * 2 + ["---:"] * 5 + ["---"], *(row.cells() for row in rows)]
    table = "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
    return f"{describe_machine()}\n\n{table}"


def describe_machine() -> str:
    """Return CPU, cores, vector instructions, torch, threads and date in a line."""
    import torch  # here: what measures the start of a run must not have paid for it

    info = Path("/proc/cpuinfo")
    names = [line for line in info.read_text().splitlines() if line.startswith("model name")]
    config = StringIO()
    with redirect_stdout(config):
        print(torch.__config__.show())
    return ", ".join(
        [
            names[0].split(":")[1].strip(),
            f"{len(names)} cores",
            torch.backends.cpu.get_cpu_capability(),
            f"torch {torch.__version__}",
            f"{THREADS} threads",
            f"{datetime.now(UTC):%Y-%m-%d}",
        ]
    )
