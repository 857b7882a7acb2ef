"""The book, built once from small made-up records as a reader would build it."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from bs4 import BeautifulSoup

import made_up
from helpers import ROOT


def run_build(folder: Path, *words: str, **variables: str) -> SimpleNamespace:
    """Build the copy of the book in a folder from the records beside it, warnings as errors."""
    kept = {name: text for name, text in os.environ.items() if not name.startswith("REPORT_")}
    environment = kept | {
        "REPORT_RESULTS": str(folder / "results"),
        "PYTHONPATH": str(ROOT / "src"),
        # Of the user: nothing here may reach a page.
        "MATPLOTLIBRC": str(folder / "matplotlibrc"),
        "IPYTHONDIR": str(folder / "ipython"),
        "JUPYTER_PATH": str(folder / "jupyter"),
    }
    command = [Path(sys.executable).with_name("jupyter-book"), "build", "-W", *words]
    done = subprocess.run(
        [*command, folder / "book"], env=environment | variables, capture_output=True, text=True
    )
    log = done.stdout + done.stderr
    executed = set(re.findall(r"book/(\S+)\.(?:md|ipynb): Executed", log))
    return SimpleNamespace(code=done.returncode, log=log, errors=done.stderr, executed=executed)


def copy_book(folder: Path) -> None:
    leave = shutil.ignore_patterns("_build", "runs", "further", "experiments")
    shutil.copytree(ROOT / "book", folder / "book", ignore=leave)
    reference = "src/helpers/report/reference"
    shutil.copytree(ROOT / reference, folder / reference)


@pytest.fixture(scope="session")
def build():
    """The function that builds again in a folder."""
    return run_build


@pytest.fixture(scope="session")
def book(tmp_path_factory) -> SimpleNamespace:
    """A first build: its folder, the log, the pages that executed, and its HTML set aside.

    A user's matplotlibrc, IPython profile and kernel would break every page if they were used.
    """
    folder = tmp_path_factory.mktemp("report")
    copy_book(folder)
    made_up.write_records(folder / "results", "made_up", seeds=(0, 1))
    made_up.write_run(folder / "results", "made_up", "fog_basic", 0)
    made_up.make_hostile(folder / "results", "/home/zaphod")
    (folder / "matplotlibrc").write_text("text.usetex: True\naxes.facecolor: red\n")
    startup = folder / "ipython/profile_default/startup"
    startup.mkdir(parents=True)
    (startup / "break.py").write_text("import sys; sys.modules['helpers'] = None\n")
    kernel = folder / "jupyter/kernels/python3"
    kernel.mkdir(parents=True)
    (kernel / "kernel.json").write_text('{"argv": ["false"], "display_name": "x"}')
    first = run_build(folder)
    assert first.code == 0, first.log
    html = folder / "first"
    shutil.copytree(folder / "book/_build/html", html)
    return SimpleNamespace(folder=folder, html=html, executed=first.executed, log=first.log)


@pytest.fixture(scope="session")
def single(book) -> SimpleNamespace:
    """The same book as one page, from which `nox -s pdf` prints: how it was built, and the file."""
    done = run_build(book.folder, "--builder", "singlehtml")
    done.page = book.folder / "book/_build/singlehtml/index.html"
    return done


def parse_pages(html: Path) -> dict[str, BeautifulSoup]:
    return {
        path.relative_to(html).with_suffix("").as_posix(): BeautifulSoup(
            path.read_text(encoding="utf-8"), "html.parser"
        )
        for path in html.rglob("*.html")
        if "_static" not in path.parts
    }


@pytest.fixture(scope="session")
def pages(book) -> dict[str, BeautifulSoup]:
    """The parsed pages of the first build by name."""
    return parse_pages(book.html)
