"""Sphinx extension: makes the book out of the records, and keeps it in step with them.

Sphinx does not know that a page depends on ``results/``. This extension makes or asks for the
missing runs, copies the executed notebooks into the book, sets the banner over pages made from
stand-in data, and marks the pages that execute as outdated when a record has changed.
"""

import hashlib
import json
import os
import sys
from collections.abc import Iterable, Iterator, Set
from pathlib import Path
from typing import NoReturn

from myst_nb.sphinx_ import NbMetadataCollector
from sphinx.application import Sphinx

from helpers import ROOT, InputError
from helpers.runs.kernels import preload, wait_until_loaded
from helpers.runs.notebooks import has_notebook
from helpers.runs.parameters import NOTEBOOKS
from helpers.runs.recipe import MODELS
from helpers.runs.record import Record

from . import mathml, mends
from .banner import write_banner
from .damage import warn_of_damaged
from .foreign import hide_places
from .provenance import find_page, list_runs, name_notebook
from .source import Source, read_shown


def setup(app: Sphinx) -> dict:
    """Connect the extension; before sphinx_external_toc looks for the pages."""
    preload("helpers.report.preload")
    mathml.add_renderer(app)
    app.connect("config-inited", prepare, priority=100)
    app.connect("config-inited", read_in_parallel)
    app.connect("env-get-outdated", list_outdated)
    app.connect("doctree-read", mends.name_rows)
    app.connect("doctree-resolved", mends.drop_downloads)
    app.connect("html-page-context", mends.mend_page)
    app.connect("linkcheck-process-uri", ask_for)
    app.connect("html-page-context", offer_notebook)
    app.connect("env-before-read-docs", read_records)
    app.connect("build-finished", remember_records)
    # Another number reads pages again that do not execute.
    return {"env_version": 1, "parallel_read_safe": True, "parallel_write_safe": True}


def prepare(app: Sphinx, config) -> None:
    """Make what the pages need, or stop the build with one line that says what is missing."""
    source = Source.from_environment()
    try:
        # No warnings of Sphinx: with -W, the rest of the book would count as failed.
        damaged = warn_of_damaged(source)
        if source.profile == "smoke":
            make_runs(source, {error.folder for error in damaged})
        shown = read_shown(source)
        runs = list_runs(source, shown)
    except InputError as error:
        _stop(f"error: {error}", 2)
    copy_notebooks(runs, Path(app.srcdir) / "runs")
    config.html_theme_options["announcement"] = write_banner(shown)
    app.report_fingerprint = fingerprint(source, runs, damaged)


def read_in_parallel(app: Sphinx, config) -> None:
    """Let Sphinx read, execute and write several pages at once, where a fork is safe."""
    if sys.platform == "linux":
        # More processes than cores: each takes a few pages, and some pages are long.
        app.parallel = max(app.parallel, 4 * len(os.sched_getaffinity(0)))
        # It works on the table of contents, after all pages are read, and does not say so.
        app.extensions["sphinx_multitoc_numbering"].parallel_read_safe = True


def make_runs(source: Source, damaged: Set[Path]) -> None:
    """Make the runs of the smoke profile that are missing; other profiles may take hours.

    What is damaged stays as it is, and what needs it is not made.
    """
    from helpers.runs.batch import run_batch
    from helpers.runs.cluster import BatchError
    from helpers.runs.parameters import parse_seeds
    from helpers.runs.plan import plan

    elsewhere = source.results != ROOT / "results" / source.profile
    overrides = {"results": str(source.results)} if elsewhere else {}
    jobs = plan(source.profile, parse_seeds(source.seeds), overrides=overrides)
    try:
        run_batch([job for job in jobs if not damaged & {job.folder, *job.needs}])
    except BatchError as error:
        _stop(str(error), 1)


def _stop(message: str, code: int) -> NoReturn:
    # SystemExit, since Sphinx and jupyter-book turn every other exception into a traceback.
    print(message, file=sys.stderr)
    raise SystemExit(code)


def copy_notebooks(runs: dict[str, list[Record]], folder: Path) -> None:
    """Copy the executed notebooks into the book: one of each experiment as a page, all else to
    download, without homes' paths. A file that has not changed is not written; what the book no
    longer has is removed.
    """
    folder.mkdir(exist_ok=True)
    kept = set()
    for name, content in _name_notebooks(runs):
        path = folder / name
        if not path.exists() or path.read_bytes() != content:
            path.write_bytes(content)
        kept.add(path)
    for path in set(folder.glob("*.ipynb")) - kept:
        path.unlink()


def _name_notebooks(runs: dict[str, list[Record]]) -> Iterator[tuple[str, bytes]]:
    for experiment, records in runs.items():
        page = find_page(records)
        if experiment not in MODELS:
            content = _read_notebook(page) if page else _explain_absence(experiment)
            yield f"{experiment}.ipynb", content
        for record in records:
            if record is not page and has_notebook(record):
                yield name_notebook(record), _read_notebook(record)


def _read_notebook(record: Record) -> bytes:
    return hide_places(record.notebook.read_text(encoding="utf-8")).encode()


def _explain_absence(name: str) -> bytes:
    text = f"# {name}\n\nNo notebook lies beside the records of this experiment as it made them."
    cell = {"cell_type": "markdown", "metadata": {}, "source": text}
    page = {"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 4}
    return json.dumps(page).encode()


def fingerprint(
    source: Source, runs: dict[str, list[Record]], damaged: Iterable[InputError] = ()
) -> str:
    """Return a hash of all that the executed pages are made from: records, code, reference data."""
    package = ROOT / "src" / "helpers"
    # The notebooks hold the study's values, which the pages compare with those of the runs.
    folders = [*(package / name for name in ("metrics", "report", "runs")), NOTEBOOKS]
    code = [path for folder in folders for path in sorted(folder.glob("*.py"))]
    reference = sorted((package / "report" / "reference").iterdir())
    # Sphinx copies these with a page, or not at all.
    reference += sorted(p for p in (ROOT / "book" / "_static").rglob("[!.]*") if p.is_file())
    records = [record for group in runs.values() for record in group]
    there = [has_notebook(record) for record in records]  # else there is nothing to link to
    told = [str(error) for error in damaged]
    digest = hashlib.sha256(f"{source.profile} {source.results} {there} {told}".encode())
    for path in [*code, *reference, *(record.folder / "run.json" for record in records)]:
        digest.update(path.read_bytes())  # run.json holds the checksums of the other files
    return digest.hexdigest()


def list_outdated(app: Sphinx, env, added, changed, removed) -> list[str]:
    """Return the pages made from records, if these are not those of the last whole build.

    Sphinx would tell a notebook that has changed by its time, which a clock may have set back.
    """
    stamp = _stamp(app)
    if stamp.exists() and stamp.read_text() == app.report_fingerprint:
        return []
    stamp.unlink(missing_ok=True)
    executes = NbMetadataCollector.get_exec_data
    return [page for page in env.found_docs if page.startswith("runs/") or executes(env, page)]


def read_records(app: Sphinx, env, names: list[str]) -> None:
    """Let the pages' kernels begin with what all of them need; not where none executes."""
    if any(Path(env.doc2path(name)).suffix == ".md" for name in names):
        preload("helpers.report.preload:read_all")
        wait_until_loaded()


def remember_records(app: Sphinx, exception) -> None:
    """Note the records of a build that succeeded; one that failed is read again."""
    if exception is None and app.statuscode == 0:
        _stamp(app).write_text(app.report_fingerprint)


def offer_notebook(app: Sphinx, page, template, context: dict, doctree) -> None:
    """Let the theme offer a page that executes as the notebook that it is, beside its source."""
    executed = Path(app.outdir).parent / "jupyter_execute" / f"{page}.ipynb"
    if doctree is None or not executed.exists() or context.get("page_source_suffix") != ".md":
        return
    offered = Path(app.outdir) / "_sources" / f"{page}.ipynb"
    offered.parent.mkdir(parents=True, exist_ok=True)
    offered.write_text(hide_places(executed.read_text(encoding="utf-8")), encoding="utf-8")
    context["ipynb_source"] = f"{page}.ipynb"


def ask_for(app: Sphinx, address: str) -> str:
    """Return what to ask whether an address is there: of a DOI its registry, since publishers turn
    programs away.
    """
    return address.replace("https://doi.org/", "https://doi.org/api/handles/")


def _stamp(app: Sphinx) -> Path:
    return Path(app.doctreedir) / "records.sha256"
