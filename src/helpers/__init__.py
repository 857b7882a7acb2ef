"""What the notebooks and the pages of the report call: metrics, experiment, runs, report."""

import os
from pathlib import Path

try:
    Path.home()
except RuntimeError:  # a user without a name and HOME
    os.environ["HOME"] = os.sep

#: The repository; relative paths in parameters are taken from here.
ROOT = Path(__file__).resolve().parents[2]


class InputError(ValueError):
    """Bad input: one line that names the cause and the remedy. The command line exits with 2."""
