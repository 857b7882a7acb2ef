"""What killed runs and builds of the book left, and can be made again."""

import contextlib
import re
import shutil
from pathlib import Path

from helpers import ROOT

from .claims import claim

#: Made again from the pages and the records.
BUILT = ("book/_build", "book/runs")


def list_leftovers() -> list[tuple[Path, int]]:
    """Return what can be removed, and how many bytes each takes: never a record, never data.

    These are builds of the book, and what lies beside records under a name that begins with a dot:
    states of trainings that are not over, half-written and damaged records. What belongs to a run
    that is being made is left out, and so are locks: an empty file that others may have open.
    """
    built = [ROOT / name for name in BUILT if (ROOT / name).exists()]
    found = []
    dotted = (ROOT / "results").glob("*/*/.*")
    for path in sorted(path for path in dotted if path.suffix != ".lock"):
        with _claim(path) as ours:
            if ours:
                found.append(path)
    return [(path, _count_bytes(path)) for path in [*built, *found]]


def remove(paths: list[Path]) -> None:
    """Remove files and folders, but for what belongs to a run that has been taken up meanwhile."""
    for path in paths:
        with _claim(path) as ours:
            if not ours:
                continue
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)


def _claim(path: Path) -> contextlib.AbstractContextManager[bool]:
    """Claim the run that a name belongs to, if it belongs to any."""
    run = re.match(r"\.(seed-\d+)\.", path.name)
    return claim(path.with_name(run[1])) if run else contextlib.nullcontext(True)


def _count_bytes(path: Path) -> int:
    total = 0
    for part in [path, *path.rglob("*")]:
        with contextlib.suppress(OSError):  # gone meanwhile
            total += 0 if part.is_dir() else part.lstat().st_size
    return total
