"""How a command ends: its exit code, and a line that says why."""

import sys

import typer

from helpers import InputError
from helpers.runs.cluster import BatchError

EXIT_CODES = (
    "Exit codes: 0 all is well; 1 runs failed or differ, or something is missing; 2 bad input, and"
    " a line that names the mend; 130 stopped by Ctrl-C."
)

#: Words that the command line does not take; the class is typer's or click's, by its version.
UsageError = typer.BadParameter.__base__


def call(app: typer.Typer) -> int:
    """Call what the command line asks for, and return the exit code.

    Raises
    ------
    KeyboardInterrupt : for Ctrl-C
    """
    try:
        # By its one name, since shells complete no `python -m helpers`.
        code = app(sys.argv[1:] or ["--help"], prog_name="helpers", standalone_mode=False) or 0
    except UsageError as error:
        print(f"error: {error.format_message()} (see --help)", file=sys.stderr)
        return 2
    except InputError as error:
        for line in str(error).splitlines():
            print(f"error: {line}", file=sys.stderr)
        return 2
    except BatchError as error:
        print(error, file=sys.stderr)
        return 1
    except OSError as error:  # where the output goes: a full disk, or `| head`
        print(f"error: {error}", file=sys.stderr)
        return 1
    except typer.Abort:
        code = 130
    if code == 130:  # newer versions of typer return it
        raise KeyboardInterrupt
    return code
