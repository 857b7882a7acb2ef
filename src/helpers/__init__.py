"""Code behind the notebooks and the pages of the book: metrics, experiment, runs and report."""

import os
from pathlib import Path

try:
    Path.home()
except RuntimeError:  # HOME is not set, and the user has no name
    os.environ["HOME"] = os.sep

#: Root of the repository; relative paths in parameters start here.
ROOT = Path(__file__).resolve().parents[2]


class InputError(ValueError):
    """Bad input: one line that names the cause and the remedy. The command line exits with 2."""
