"""Seconds of the first build of all pages from the present records, and of a second build."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from timing import Row

from helpers import ROOT


def leave_out(folder: str, names: list[str]) -> list[str]:
    """Return the names that the copy leaves out; it links to `records` and `results`."""
    top = {"data", "records", "results"} if Path(folder) == ROOT else set()
    return [name for name in names if name in top or name == "_build" or name.startswith(".")]


def measure() -> list[Row]:
    """Return two rows, measured in a copy of the repository whose caches are empty."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "copy"
        shutil.copytree(ROOT, folder, ignore=leave_out)
        for name in ("results", "records"):
            (folder / name).symlink_to(ROOT / name)
        command = [Path(sys.executable).with_name("jupyter-book"), "build", "-W", "book"]
        environment = os.environ | {"PYTHONPATH": str(folder / "src")}
        seconds = []
        for _ in range(2):
            started = time.perf_counter()
            done = subprocess.run(command, cwd=folder, env=environment, capture_output=True)
            seconds.append(time.perf_counter() - started)
            if done.returncode:
                raise RuntimeError((done.stdout + done.stderr).decode())
    return [
        Row("first build of the book", "s", seconds[0]),
        Row("build with nothing changed", "s", seconds[1]),
    ]
