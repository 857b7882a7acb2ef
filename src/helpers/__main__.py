"""``python -m helpers``: nothing that takes long is imported before Ctrl-C is taken care of."""

import sys


def main() -> int:
    """Return the exit code of the command line; 130 for Ctrl-C, from the first import on."""
    try:
        from helpers.commands import app
        from helpers.exits import call

        return call(app)
    except KeyboardInterrupt:
        print("stopped; the same command goes on with what is missing", file=sys.stderr)
        # A Ctrl-C that passed through an exec of text, such as dataclasses do when imported, leaves
        # a mark, caught or not, by which a Python with -m dies of SIGINT. Another exec clears it.
        exec("")
        return 130


if __name__ == "__main__":
    sys.exit(main())
