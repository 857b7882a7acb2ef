"""What killed runs and builds of the book left, and nobody needs again."""

import re
import shutil
from pathlib import Path

from filelock import FileLock, Timeout

from helpers import ROOT

#: Made again from the pages and the records.
BUILT = ("book/_build", "book/runs")


def list_leftovers() -> list[tuple[Path, int]]:
    """Return what can be removed, and how many bytes each takes: never a record, never data.

    These are builds of the book, and what lies beside records under a name that begins with a dot:
    states of trainings that are not over, half-written and damaged records. What belongs to a run
    that is being made is left out.
    """
    built = [ROOT / name for name in BUILT if (ROOT / name).exists()]
    dotted = sorted((ROOT / "results").glob("*/*/.*"))
    return [(p, _count_bytes(p)) for p in [*built, *(p for p in dotted if not _is_claimed(p))]]


def remove(paths: list[Path]) -> None:
    """Remove files and folders; one that is gone already is none the worse."""
    for path in paths:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def _is_claimed(path: Path) -> bool:
    """Return whether a living process holds the lock of the run that a name belongs to."""
    run = re.match(r"\.seed-\d+", path.name)
    if run is None or not (lock := path.with_name(f"{run[0]}.lock")).exists():
        return False
    try:
        with FileLock(lock, blocking=False):
            return False
    except Timeout:
        return True


def _count_bytes(path: Path) -> int:
    parts = path.rglob("*") if path.is_dir() else [path]
    return sum(part.lstat().st_size for part in parts if not part.is_dir())
