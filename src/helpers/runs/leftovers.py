"""What killed runs and earlier builds left, and nobody reads again."""

import shutil
import time
from pathlib import Path

from helpers import ROOT

#: A dotted name that a living run still writes is younger than this; it is left alone.
GRACE_SECONDS = 3600

#: Of a build of the book: made again from the pages and the records.
BUILT = ("book/_build", "book/runs")


def list_leftovers() -> list[tuple[Path, int]]:
    """Return what can be removed, and how many bytes each takes: never a record, never data.

    These are the builds of the book and, beside records, files and folders whose name begins with
    a dot, in which a run keeps what is not finished, if nothing in them changed for an hour.
    """
    built = [ROOT / name for name in BUILT if (ROOT / name).exists()]
    results = ROOT / "results"
    dotted = [path for path in sorted(results.glob("*/*/.*")) if _is_old(path)]
    return [(path, _count_bytes(path)) for path in [*built, *dotted]]


def remove(paths: list[Path]) -> None:
    """Remove files and folders; one that is gone already is none the worse."""
    for path in paths:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def _walk(path: Path) -> list[Path]:
    return [path, *path.rglob("*")] if path.is_dir() else [path]


def _is_old(path: Path) -> bool:
    newest = max(part.lstat().st_mtime for part in _walk(path))
    return time.time() - newest > GRACE_SECONDS


def _count_bytes(path: Path) -> int:
    return sum(part.lstat().st_size for part in _walk(path) if not part.is_dir())
