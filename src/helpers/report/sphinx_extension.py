"""Sphinx extension that builds the book from the records.

It copies the executed notebooks into the book, writes a results page for each further data set,
sets the banner, and has Sphinx reread all pages if records, code or reference data
have changed. A build never trains: missing runs are named with the command that makes them.
"""

import hashlib
import json
import os
import socket
import sys
from pathlib import Path

from ipykernel.kernelspec import get_kernel_dict
from sphinx.application import Sphinx

from helpers import ROOT, InputError
from helpers.runs.config import NOTEBOOKS
from helpers.runs.shipping import CHECKSUMS

from . import accessibility
from .escape import escape_markdown, redact_paths
from .provenance import list_runs, name_notebooks, results_folder, write_banner
from .records import (
    arms,
    dataset_of,
    dataset_title,
    datasets,
    list_evidence,
    missing_runs,
    warn_of_corrupt_records,
)
from .tidy import differences, estimates


def setup(app: Sphinx) -> dict:
    """Connect the extension, before sphinx_external_toc looks for the pages."""
    accessibility.setup(app)
    # If this value differs from that of the last complete reading, Sphinx rereads all pages.
    # Modification times would not do: a copied record may be older than a page.
    app.add_config_value("report_fingerprint", "", "env")
    app.connect("config-inited", prepare, priority=100)
    app.connect("config-inited", read_in_parallel)
    app.connect("env-before-read-docs", compute_tables)
    app.connect("html-page-context", set_banner)
    app.connect("linkcheck-process-uri", doi_api_url)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def prepare(app: Sphinx, config) -> None:
    """Write the pages that come from records; bad input ends the build in one line."""
    book = Path(app.srcdir)
    try:
        require_loopback()
        # Not as warnings of Sphinx: -W would fail a book that is complete.
        corrupt = [str(error) for error in warn_of_corrupt_records()]
        missing = [line for line in map(missing_runs, datasets()) if line]
        for line in missing:
            print(f"note: {line}", file=sys.stderr)
        write_files(book / "runs", list_notebooks(), "*.ipynb")
        write_files(book / "further", list_further_pages(book), "*.md")
        config.html_theme_options["announcement"] = write_banner()
        config.report_fingerprint = fingerprint(corrupt + missing)
    except InputError as error:
        # SystemExit, because Sphinx and jupyter-book turn other exceptions into tracebacks.
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    use_own_kernel(Path(app.outdir).parent / "kernels")


def require_loopback() -> None:
    """Raise InputError if this machine cannot reach itself, as the pages' kernels must."""
    try:
        with socket.create_server(("127.0.0.1", 0)) as server:
            socket.create_connection(server.getsockname(), timeout=5).close()
    except OSError as error:
        why = "pages need the loopback interface (127.0.0.1), which does not answer"
        raise InputError(f"{why}: {error}; bring it up") from None


def write_files(folder: Path, contents: dict[str, str], pattern: str) -> None:
    """Write the files that changed, and delete files of a pattern that are not in `contents`."""
    folder.mkdir(exist_ok=True)
    for path in folder.glob(pattern):
        if path.name not in contents:
            path.unlink()
    for name, text in contents.items():
        path = folder / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def list_notebooks() -> dict[str, str]:
    """Map names to content: each experiment's page and all other executed notebooks."""
    texts = {name: r.notebook.read_text(encoding="utf-8") for name, r in name_notebooks().items()}
    for dataset in datasets():
        for label, experiment in arms(dataset).items():
            absent = _explain_absence(experiment, f"{dataset_title(dataset)}: {label}")
            texts.setdefault(experiment, absent)
    return {f"{name}.ipynb": redact_paths(text) for name, text in texts.items()}


def list_further_pages(book: Path) -> dict[str, str]:
    """Map names to content: a results page for each data set that has none in the book."""
    template = (book / "_further.md").read_text(encoding="utf-8")
    return {
        f"{name}.md": template.replace("TITLE", dataset_title(name)).replace("DATASET", name)
        for name in datasets()
        if not (book / f"results/{name}.md").exists()
    }


def _explain_absence(experiment: str, title: str) -> str:
    text = (
        f"# {escape_markdown(title)}\n\nThis book has no executed notebook of `{experiment}`:"
        " either it has not been run yet, or its records came without their notebook.\n\n"
        f"{missing_runs(dataset_of(experiment)) or ''}"
    )
    cell = {"cell_type": "markdown", "metadata": {}, "source": text}
    return json.dumps({"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 4})


def use_own_kernel(folder: Path) -> None:
    """Execute pages with this Python, whatever the user's kernels and IPython profiles."""
    spec = get_kernel_dict(["--log-level=40"])  # errors only
    ipython = str(folder / "ipython").replace("$", "$$")  # jupyter_client replaces variables
    spec["env"] = {"IPYTHONDIR": ipython, "PYTHONSTARTUP": ""}
    path = folder / "kernels/python3/kernel.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(spec), encoding="utf-8")
    os.environ["JUPYTER_PATH"] = str(folder)


def read_in_parallel(app: Sphinx, config) -> None:
    """Let Sphinx read pages in parallel where a fork is safe."""
    if sys.platform == "linux":
        app.parallel = len(os.sched_getaffinity(0))
        # It acts only after all pages are read, but does not say so.
        app.extensions["sphinx_multitoc_numbering"].parallel_read_safe = True


def fingerprint(lines: list[str]) -> str:
    """Return a hash of what pages depend on: records, images, code, static files and `lines`."""
    folders = ROOT / "src/helpers", NOTEBOOKS, ROOT / "book/_static"
    paths = [path for folder in folders for path in folder.rglob("[!.]*.*")]
    results = results_folder()  # its example images, and the runs whose images stand in for them
    paths += [*results.glob("examples/*.npz"), *results.glob("smoke/*/*/run.json")]
    # Page "Reproduce" compares the quick check with checksums, whichever results are shown.
    paths += [*ROOT.glob("results/smoke/*/*/run.json"), ROOT / CHECKSUMS]
    digest = hashlib.sha256()
    for path in sorted(path for path in paths if path.is_file() and path.suffix != ".pyc"):
        digest.update(path.read_bytes())
    # A run's checksum does not cover its notebook, which may have been edited or deleted.
    runs = [(record.checksum, bool(record.notebook)) for record in list_runs()]
    shown = [found for dataset in datasets() for found in list_evidence(dataset)]
    profiles = [(evidence.profile, evidence.warnings) for evidence in shown]
    digest.update(json.dumps([runs, profiles, lines]).encode())
    return digest.hexdigest()


def compute_tables(app: Sphinx, env, pages: list[str]) -> None:
    """Compute the tidy tables once, for all kernels, and spread the pages over the processes."""
    if pages:
        estimates(), differences()
    # Sphinx gives each process a block of this list, and the pages of a folder take equally long.
    count = max(app.parallel, 1)
    pages[:] = [page for start in range(count) for page in pages[start::count]]


def set_banner(app: Sphinx, page, template, context: dict, doctree) -> None:
    """Set the banner of a page: that of its data set, if it has one."""
    context["theme_announcement"] = write_banner(page)


def doi_api_url(app: Sphinx, address: str) -> str:
    """Return a DOI's address at the registry for the link check: publishers reject programs."""
    return address.replace("https://doi.org/", "https://doi.org/api/handles/")
