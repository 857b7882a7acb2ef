"""Entry point of the command line; handles Ctrl-C and SIGTERM from the first import on."""

import os
import signal
import sys
import warnings


def main() -> int:
    """Return the exit code of the command line: 130 after Ctrl-C, 143 after SIGTERM."""
    stopped_by = [signal.SIGINT]

    def stop(number: int, frame) -> None:
        stopped_by.append(number)
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, stop)
    for stream in (sys.stdout, sys.stderr):
        # Some locales cannot encode ±; lines reach a log at once.
        stream.reconfigure(errors="replace", line_buffering=True)
    if sys.warnoptions:  # from PYTHONWARNINGS: other packages' warnings must not become errors
        sys.warnoptions.clear()
        os.environ.pop("PYTHONWARNINGS", None)
        warnings.simplefilter("ignore")
    try:
        from helpers.cli import call

        return call(sys.argv[1:])
    except KeyboardInterrupt:
        print("stopped; the same command continues with what is missing", file=sys.stderr)
        return 128 + stopped_by[-1]


if __name__ == "__main__":
    sys.exit(main())
