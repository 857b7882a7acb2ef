"""Sphinx extension that makes the book from the records and keeps it in step with them.

Copies the executed notebooks into the book, writes a results page for each further data set, sets
the banner of every page, and marks pages as outdated when records, code or reference data have
changed. A build never trains: what is missing is named with the command that makes it.
"""

import hashlib
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from ipykernel.kernelspec import get_kernel_dict
from sphinx.application import Sphinx

from helpers import ROOT, InputError
from helpers.runs.config import NOTEBOOKS, read_title

from . import accessibility
from .escape import escape_markdown, redact_paths
from .provenance import find_page, list_runs, name_notebook, write_banner
from .records import arms, dataset_title, datasets, missing_runs, warn_of_corrupt_records
from .tidy import differences, estimates

#: Folders of the book that this extension writes: executed notebooks, pages of further data sets.
RUNS, FURTHER = "runs", "further"


def setup(app: Sphinx) -> dict:
    """Connect the extension, before sphinx_external_toc looks for the pages."""
    accessibility.setup(app)
    app.connect("config-inited", prepare, priority=100)
    app.connect("config-inited", read_in_parallel)
    app.connect("env-get-outdated", list_outdated)
    app.connect("env-before-read-docs", compute_tables)
    app.connect("build-finished", remember_records)
    app.connect("html-page-context", set_banner)
    app.connect("html-page-context", offer_notebook)
    app.connect("linkcheck-process-uri", doi_api_url)
    # Another version number makes Sphinx read all pages again.
    return {"env_version": 2, "parallel_read_safe": True, "parallel_write_safe": True}


def prepare(app: Sphinx, config) -> None:
    """Write the pages that come from records; bad input ends the build in one line."""
    try:
        # To standard error, not as warnings of Sphinx: -W would fail a book that is complete.
        corrupt = [str(error) for error in warn_of_corrupt_records()]
        missing = [line for line in map(missing_runs, datasets()) if line]
        for line in missing:
            print(f"note: {line}", file=sys.stderr)
        book = Path(app.srcdir)
        write_files(book / RUNS, dict(_list_notebooks()), "*.ipynb")
        template = (book / "_further.md").read_text(encoding="utf-8")
        pages = {
            f"{name}.md": template.replace("TITLE", dataset_title(name))
            .replace("DATASET", name)
            .encode()
            for name in datasets()
            if not (book / f"results/{name}.md").exists()
        }
        write_files(book / FURTHER, pages, "*.md")
        config.html_theme_options["announcement"] = write_banner()
        app.report_fingerprint = fingerprint(corrupt + missing)
    except InputError as error:
        # SystemExit, because Sphinx and jupyter-book turn all other exceptions into a traceback.
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    use_own_kernel(Path(app.outdir).parent / "kernels")


def write_files(folder: Path, contents: dict[str, bytes], pattern: str) -> None:
    """Write the files that changed and delete those of a pattern that have no content."""
    folder.mkdir(exist_ok=True)
    for name, content in contents.items():
        path = folder / name
        if not path.exists() or path.read_bytes() != content:
            path.write_bytes(content)
    for path in folder.glob(pattern):
        if path.name not in contents:
            path.unlink()


def _list_notebooks() -> Iterator[tuple[str, bytes]]:
    """Yield name and content of each experiment's page and of all other executed notebooks."""
    runs = list_runs()
    for experiment in dict.fromkeys(e for dataset in datasets() for e in arms(dataset).values()):
        page = find_page(runs[experiment]) if experiment in runs else None
        yield f"{experiment}.ipynb", _read(page) if page else _explain_absence(experiment)
    for records in runs.values():
        page = find_page(records)
        for record in records:
            if record.notebook and record is not page:
                yield name_notebook(record), _read(record)


def _read(record) -> bytes:
    return redact_paths(record.notebook.read_text(encoding="utf-8")).encode()


def _explain_absence(experiment: str) -> bytes:
    title = ": ".join(filter(None, read_title(experiment)))
    text = (
        f"# {escape_markdown(title)}\n\nThis book holds no executed notebook of `{experiment}`:"
        " either it has not been run yet, or its records came without their notebook. To run it:"
        f"\n\n    python -m helpers run --only {experiment}"
    )
    cell = {"cell_type": "markdown", "metadata": {}, "source": text}
    page = {"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 4}
    return json.dumps(page).encode()


def use_own_kernel(folder: Path) -> None:
    """Execute pages with this Python, whatever kernels and IPython profiles the user has."""
    spec = get_kernel_dict(["--log-level=40"])  # errors only
    spec["env"] = {"IPYTHONDIR": str(folder / "ipython"), "PYTHONSTARTUP": ""}
    path = folder / "kernels/python3/kernel.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(spec), encoding="utf-8")
    os.environ["JUPYTER_PATH"] = str(folder)


def read_in_parallel(app: Sphinx, config) -> None:
    """Let Sphinx read as many pages at once as it may use cores, where a fork is safe."""
    if sys.platform == "linux":
        app.parallel = len(os.sched_getaffinity(0))
        # It works on the table of contents, after all pages are read, and does not say so.
        app.extensions["sphinx_multitoc_numbering"].parallel_read_safe = True


def fingerprint(lines: list[str]) -> str:
    """Return a hash of what executed pages depend on: records, code, reference, static files.

    lines : what is missing or corrupt
    """
    package = ROOT / "src/helpers"
    folders = [*(package / name for name in ("metrics", "report", "runs")), NOTEBOOKS]
    paths = [package / "catalogue.py"]
    paths += [path for folder in folders for path in sorted(folder.glob("*.py"))]
    for folder in (package / "report/reference", ROOT / "book/_static"):
        paths += sorted(path for path in folder.rglob("[!.]*") if path.is_file())
    digest = hashlib.sha256()
    for path in paths:
        digest.update(path.read_bytes())
    # A checksum of a run covers all its files; its notebook may have been edited or deleted.
    runs = [(r.checksum, bool(r.notebook)) for group in list_runs().values() for r in group]
    digest.update(json.dumps([runs, lines]).encode())
    return digest.hexdigest()


def list_outdated(app: Sphinx, env, added, changed, removed) -> list[str]:
    """Return the pages that come from records, if these changed since the last complete build.

    Modification times do not tell: a copied record may be older than the page.
    """
    stamp = _stamp(app)
    if stamp.exists() and stamp.read_text() == app.report_fingerprint:
        return []
    stamp.unlink(missing_ok=True)
    return [page for page in env.found_docs if page.startswith("runs/") or _executes(env, page)]


def _executes(env, page: str) -> bool:
    path = Path(env.doc2path(page))
    return path.suffix == ".md" and "{code-cell}" in path.read_text(encoding="utf-8")


def compute_tables(app: Sphinx, env, pages: list[str]) -> None:
    """Compute the tidy tables once, for all kernels; spread pages that take long evenly."""
    slow = [page for page in pages if _executes(env, page)]
    if slow:
        estimates(), differences()
    # Sphinx hands each process a block of this list: take pages from it in turns.
    count = max(app.parallel, 1)
    ordered = slow + [page for page in pages if page not in slow]
    pages[:] = [page for start in range(count) for page in ordered[start::count]]


def remember_records(app: Sphinx, exception) -> None:
    """Note the state of a build that succeeded; after a failed one pages are read again."""
    if exception is None and app.statuscode == 0:
        _stamp(app).write_text(app.report_fingerprint)


def _stamp(app: Sphinx) -> Path:
    return Path(app.doctreedir) / "records.sha256"


def set_banner(app: Sphinx, page, template, context: dict, doctree) -> None:
    """Set the banner of a page: which data made its numbers."""
    context["theme_announcement"] = write_banner(page)


def offer_notebook(app: Sphinx, page, template, context: dict, doctree) -> None:
    """Let the theme offer an executed page as a notebook beside its source."""
    executed = Path(app.outdir).parent / "jupyter_execute" / f"{page}.ipynb"
    if doctree is None or not executed.exists() or context.get("page_source_suffix") != ".md":
        return
    offered = Path(app.outdir) / "_sources" / f"{page}.ipynb"
    offered.parent.mkdir(parents=True, exist_ok=True)
    offered.write_text(redact_paths(executed.read_text(encoding="utf-8")), encoding="utf-8")
    context["ipynb_source"] = f"{page}.ipynb"


def doi_api_url(app: Sphinx, address: str) -> str:
    """Return the registry's address of a DOI for the link check: publishers reject programs."""
    return address.replace("https://doi.org/", "https://doi.org/api/handles/")
