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

#: Not copied: `results` and `records` are linked, the others are not needed.
LEFT_OUT = (".*", "_build", "data", "records", "results", "__pycache__")


def measure() -> list[Row]:
    """Return two rows, measured in a copy of the repository whose caches are empty."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "copy"
        shutil.copytree(ROOT, folder, ignore=shutil.ignore_patterns(*LEFT_OUT))
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
