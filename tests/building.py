"""Builds of the book as a reader would make them."""

import os
import re
import subprocess
import sys
from pathlib import Path

from helpers import ROOT


def build(folder, *words, profile="made_up"):
    """Build with warnings as errors; return the process and which pages executed."""
    environment = os.environ | {
        "REPORT_PROFILE": profile,
        "REPORT_RESULTS": str(folder / "results"),
        "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), os.environ.get("PYTHONPATH", "")]),
    }
    build = [Path(sys.executable).with_name("jupyter-book"), "build", "-W"]
    command = [*build, *words, folder / "book"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    executed = re.findall(r"book/(\S+)\.(?:md|ipynb): Executed", done.stdout + done.stderr)
    return done, set(executed)
