"""``nox -s book`` makes the report, ``pdf`` prints it; the other sessions check it."""

import argparse
import hashlib
import json
import os
import shutil
import sys
import sysconfig
from importlib.metadata import distributions
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

import nox

nox.needs_version = ">=2024.4.15"
nox.options.sessions = ["book"]

os.environ.pop("PYTHONWARNINGS", None)  # jupyter-book's own warnings would be errors
ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
BIN = VENV / ("Scripts" if os.name == "nt" else "bin")
STAMP = VENV / "made-by-nox.json"
MINOR_VERSION = f"{sys.version_info[0]}.{sys.version_info[1]}"


def install(session: nox.Session) -> None:
    """Make the environment that all sessions share, or update it if its requirements changed.

    torch takes several GB, so the sessions share ``.venv`` instead of using nox's environments.
    Once it is complete, no network is needed.
    """
    if not (3, 11) <= sys.version_info < (3, 14):
        session.error(f"Python 3.11 to 3.13 is needed, not {sys.version.split()[0]}")
    files = ("requirements.txt", "constraints.txt", "pyproject.toml")
    made_from = hashlib.sha256(b"".join((ROOT / name).read_bytes() for name in files)).hexdigest()
    stamp = json.loads(STAMP.read_text() or "{}") if STAMP.exists() else {}
    fault = find_fault(stamp)
    if not fault and stamp.get("made_from") == made_from:
        return
    if not fault and not may_install(session):
        session.warn("requirements changed since .venv was made; --no-install leaves it as it is")
        return
    if fault and VENV.exists():
        # Never delete the environment that nox itself runs in, or one that nox did not make.
        if not stamp or Path(sys.prefix).resolve() == VENV:
            session.error(f".venv {fault}: remove it, then run nox again")
        session.log(f".venv {fault}: making a new one")
    if fault:
        session.run_install(sys.executable, "-m", "venv", "--clear", str(VENV), external=True)
    stamp = {"folder": str(ROOT), "made_from": None}  # None: an interrupted install is repeated
    STAMP.write_text(json.dumps(stamp))
    pip = [str(BIN / "python"), "-m", "pip", "install", "-r", "requirements.txt"]
    session.run_install(*pip, external=True)
    STAMP.write_text(json.dumps(stamp | {"made_from": made_from}))


def find_fault(stamp: dict) -> str:
    """Return why ``.venv`` cannot serve this checkout and this Python, "" if it can."""
    config = VENV / "pyvenv.cfg"
    if not config.exists():
        return "is no virtual environment"
    if f"version = {MINOR_VERSION}." not in config.read_text():
        return f"was not made by Python {MINOR_VERSION}"
    if stamp.get("folder", str(ROOT)) != str(ROOT):
        return f"belongs to {stamp['folder']}"
    packages = sysconfig.get_path("purelib", scheme="venv", vars={"base": str(VENV)})
    for package in distributions(name="robustness-report", path=[packages]):
        url = json.loads(package.read_text("direct_url.json") or '{"url": ""}')["url"]
        folder = url2pathname(urlsplit(url).path)
        if Path(folder) != ROOT:
            return f"holds the code of {folder or 'a package index'}"
    return ""


def may_install(session: nox.Session) -> bool:
    """Return False under nox's options ``--no-install`` and ``-R``.

    In a session without an environment of nox's, ``session.install`` returns under these options
    and refuses otherwise: the only public way to ask.
    """
    try:
        session.install("-r", "requirements.txt")
    except ValueError:
        return True
    return False


def run(session: nox.Session, command: str, *arguments: str, **options) -> None:
    """Run a command of the environment."""
    session.run(str(BIN / command), *arguments, external=True, **options)


def build_book(session: nox.Session, *arguments: str, **options) -> None:
    """Build the book, in which every warning is an error."""
    run(session, "jupyter-book", "build", "book/", "-W", "--keep-going", *arguments, **options)


@nox.session(python=False)
def book(session: nox.Session) -> None:
    """Make the missing runs, then build the book: -- [--profile NAME] [--seeds 0-2] [...].

    Arguments after -- go to ``python -m helpers run``. A profile or seeds named there are also
    those that the book shows.
    """
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--profile")
    parser.add_argument("--seeds")
    shown, rest = parser.parse_known_args(session.posargs)
    if any(word.startswith(("-p", "--parameter")) for word in rest):
        session.error(
            "nox -s book takes no -p: run `python -m helpers run -p ...`, then build (README)"
        )
    install(session)
    run(session, "python", "-m", "helpers", "run", *session.posargs)
    run(session, "python", "-m", "helpers", "examples")
    environment = {"REPORT_PROFILE": shown.profile, "REPORT_SEEDS": shown.seeds}
    build_book(session, env={name: value for name, value in environment.items() if value})
    index = ROOT / "book/_build/html/index.html"
    if index.exists():  # not after --install-only
        session.log(f"The report is at {index.as_uri()}")


@nox.session(python=False)
def pdf(session: nox.Session) -> None:
    """Print the book to one PDF with Chromium or Chrome; trains nothing."""
    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    chromium = next(filter(None, map(shutil.which, names)), None)
    if chromium is None:
        session.error(f"printing needs a browser, one of: {', '.join(names)}")
    install(session)
    build_book(session, "--builder", "singlehtml")
    page, target = ROOT / "book/_build/singlehtml/index.html", ROOT / "book/_build/book.pdf"
    options = ["--no-sandbox", "--no-pdf-header-footer", "--generate-pdf-document-outline"]
    options += [f"--print-to-pdf={target}", page.as_uri()]
    # Chromium logs warnings of its own while it prints: shown only if it fails.
    session.run(chromium, "--headless", *options, external=True, silent=True)
    if target.exists():
        session.log(f"The book is at {target.as_uri()}")


@nox.session(python=False)
def tests(session: nox.Session) -> None:
    """Run the tests in two processes: -- [arguments of pytest]."""
    install(session)
    run(session, "python", "-m", "pytest", "-n", "2", "--dist", "loadfile", *session.posargs)


@nox.session(python=False)
def lint(session: nox.Session) -> None:
    """Check style, formatting, the layers of imports, and the stated dependencies."""
    install(session)
    run(session, "ruff", "check", ".")
    run(session, "ruff", "format", "--check", ".")
    run(session, "lint-imports")
    run(session, "deptry", ".")


@nox.session(python=False)
def links(session: nox.Session) -> None:
    """Check over the network that every address that the book links to still exists."""
    install(session)
    check = ["--builder", "custom", "--custom-builder", "linkcheck"]
    run(session, "jupyter-book", "build", "book/", *check)


@nox.session(python=False)
def bench(session: nox.Session) -> None:
    """Measure speed against baselines and bounds: -- [training evaluation batch book]."""
    install(session)
    run(session, "python", "benchmarks", *session.posargs)


@nox.session(python=False)
def survive(session: nox.Session) -> None:
    """Kill runs and break writes, and record in the report's table what survived."""
    install(session)
    table = "src/helpers/report/reference/survival.csv"
    run(session, "python", "-m", "tests.survival", "--output", table, *session.posargs)
