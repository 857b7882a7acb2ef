"""``nox -s book`` makes the report and ``pdf`` prints it; all other sessions test it."""

import argparse
import hashlib
import json
import os
import shutil
import sys
from pathlib import Path

import nox

nox.needs_version = ">=2024.3.2"
nox.options.sessions = ["book"]

VENV = Path(".venv")
BIN = VENV.absolute() / ("Scripts" if os.name == "nt" else "bin")


def install(session: nox.Session) -> None:
    """Make the one environment of all sessions, again only when what it is made from changes.

    torch is several GB, so the sessions share ``.venv``; after the first time no network is
    needed.
    """
    if not (3, 11, 4) <= sys.version_info < (3, 14):
        session.error(
            f"Python 3.11 (from 3.11.4) to 3.13 is needed; nox runs on {sys.version.split()[0]}"
        )
    files = ("requirements.txt", "constraints.txt", "pyproject.toml")
    made_from = b"".join(Path(name).read_bytes() for name in files)
    wanted = [sys.version, hashlib.sha256(made_from).hexdigest()]
    stamp = VENV / "made-from.json"
    there = json.loads(stamp.read_text()) if stamp.exists() else [sys.version]
    if there != wanted:
        clear = ["--clear"] if there[0] != sys.version else []  # another Python's packages
        session.run(sys.executable, "-m", "venv", *clear, str(VENV), external=True)
        python(session, "-m", "pip", "install", "-r", "requirements.txt")
        stamp.write_text(json.dumps(wanted))


def python(session: nox.Session, *arguments: str, **options) -> None:
    """Run the environment's Python."""
    session.run(str(BIN / "python"), *arguments, external=True, **options)


@nox.session(python=False)
def book(session: nox.Session) -> None:
    """Make the runs that are missing, then the book: -- [--profile NAME] [--seeds 0-2] [...].

    What else follows -- goes to ``python -m helpers run``, but for -p: the book would not know.
    """
    parser = argparse.ArgumentParser(prog="nox -s book --", add_help=False)
    parser.add_argument("--profile", default="smoke")
    parser.add_argument("--seeds", default="0-2")
    asked, rest = parser.parse_known_args(session.posargs)
    if any(word.startswith("-p") for word in rest):
        session.error("book takes no -p; make the runs with `python -m helpers run`, see README")
    install(session)
    which = ["--profile", asked.profile, "--seeds", asked.seeds]
    python(session, "-m", "helpers", "run", *which, *rest)
    shown = {"REPORT_PROFILE": asked.profile, "REPORT_SEEDS": asked.seeds}
    build = [str(BIN / "jupyter-book"), "build", "book/", "-W", "--keep-going"]
    session.run(*build, env=shown, external=True)
    index = Path("book/_build/html/index.html").absolute()
    session.log(f"The report is at {index.as_uri()}")


@nox.session(python=False)
def pdf(session: nox.Session) -> None:
    """Print the whole book to one PDF with Chromium or Chrome, from the runs that REPORT_PROFILE
    names (smoke).
    """
    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    chromium = next(filter(None, map(shutil.which, names)), None)
    if chromium is None:
        session.error(f"a browser is needed that prints; none of these is there: {names}")
    install(session)
    builder = ["--builder", "singlehtml", "-W", "--keep-going"]
    session.run(str(BIN / "jupyter-book"), "build", "book/", *builder, external=True)
    page, target = (Path("book/_build", name).absolute() for name in ("singlehtml", "book.pdf"))
    options = ["--no-sandbox", "--no-pdf-header-footer", "--generate-pdf-document-outline"]
    options += [f"--print-to-pdf={target}", (page / "index.html").as_uri()]
    # What it says while it prints is of its own affairs, and shown only if it fails.
    session.run(chromium, "--headless", *options, external=True, silent=True)
    session.log(f"The book is at {target.as_uri()}")


@nox.session(python=False)
def tests(session: nox.Session) -> None:
    """Run the tests; what follows -- goes to pytest."""
    install(session)
    python(session, "-m", "pytest", *session.posargs)


@nox.session(python=False)
def lint(session: nox.Session) -> None:
    """Check style and format, what imports what, and that the dependencies are those stated."""
    install(session)
    python(session, "-m", "ruff", "check", ".")
    python(session, "-m", "ruff", "format", "--check", ".")
    session.run(str(BIN / "lint-imports"), external=True)
    python(session, "-m", "deptry", ".")


@nox.session(python=False)
def links(session: nox.Session) -> None:
    """Ask the network whether every address that the book links to is still there."""
    install(session)
    check = ["--builder", "custom", "--custom-builder", "linkcheck"]
    session.run(str(BIN / "jupyter-book"), "build", "book/", *check, external=True)


@nox.session(python=False)
def bench(session: nox.Session) -> None:
    """Measure speed and memory against the baselines and bounds, in one table: -- [--all]."""
    install(session)
    python(session, "benchmarks", *session.posargs)


@nox.session(python=False)
def survive(session: nox.Session) -> None:
    """Kill runs and break writes in every way, and note in the report's table what survived."""
    install(session)
    table = "src/helpers/report/reference/survival.csv"
    python(session, "-m", "tests.survival", "--output", table, *session.posargs)
