"""Sphinx extension: makes the book out of the records, and keeps it in step with them.

Sphinx does not know that a page depends on ``results/``. This extension makes or asks for the
missing runs, copies the executed notebooks into the book, sets the banner over pages made from
stand-in data, and marks the pages that execute as outdated when a record has changed.
"""

import hashlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

from myst_nb.sphinx_ import NbMetadataCollector
from sphinx.application import Sphinx

from helpers import ROOT, InputError
from helpers.runs.kernels import preload, wait_until_loaded
from helpers.runs.parameters import NOTEBOOKS
from helpers.runs.record import Record

from . import mathml
from .provenance import find_page, list_runs, name_notebook
from .source import ARMS, DATASETS, EXPERIMENTS, Source, read_shown

BANNER = (
    "Made from {made_from}, not from {titles} as published: the numbers of this book show that the"
    " software works and say nothing about the paper."
)

OTHER_WEIGHTS = (
    "Some runs started from other weights than the paper's; the overview names them, and their"
    " numbers are not a repetition of the study."
)


def setup(app: Sphinx) -> dict:
    """Connect the extension; before sphinx_external_toc looks for the pages."""
    preload("helpers.report.preload")
    mathml.add_renderer(app)
    app.connect("config-inited", prepare, priority=100)
    app.connect("env-get-outdated", list_outdated)
    app.connect("env-before-read-docs", read_records)
    app.connect("build-finished", remember_records)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def prepare(app: Sphinx, config) -> None:
    """Make what the pages need, or stop the build with one line that says what is missing."""
    source = Source.from_environment()
    try:
        if source.profile == "smoke":
            make_runs(source)
        shown = read_shown(source)
        runs = list_runs(source, shown)
    except InputError as error:
        _stop(f"error: {error}", 2)
    copy_notebooks(runs, Path(app.srcdir) / "runs")
    config.html_theme_options["announcement"] = write_banner(shown)
    app.report_fingerprint = fingerprint(source, runs)


def make_runs(source: Source) -> None:
    """Make the runs of the smoke profile that are missing; other profiles may take hours."""
    from helpers.runs.batch import BatchError, run_batch
    from helpers.runs.parameters import parse_seeds
    from helpers.runs.plan import plan

    elsewhere = source.results != ROOT / "results" / source.profile
    overrides = {"results": str(source.results)} if elsewhere else {}
    try:
        run_batch(plan(source.profile, parse_seeds(source.seeds), overrides=overrides))
    except BatchError as error:
        _stop(str(error), 1)


def _stop(message: str, code: int) -> NoReturn:
    # SystemExit, since Sphinx and jupyter-book turn every other exception into a traceback.
    print(message, file=sys.stderr)
    raise SystemExit(code)


def copy_notebooks(runs: dict[str, list[Record]], folder: Path) -> None:
    """Copy the executed notebooks into the book: one of each experiment as a page, all else to
    download. A file that has not changed is not written; what the book no longer has is removed.
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
        if experiment in EXPERIMENTS:
            content = page.notebook.read_bytes() if page else _explain_absence(experiment)
            yield f"{experiment}.ipynb", content
        for record in records:
            if record is not page and record.notebook.exists():
                yield name_notebook(record), record.notebook.read_bytes()


def _explain_absence(name: str) -> bytes:
    text = f"# {name}\n\nNo executed notebook lies beside the records of this experiment."
    cell = {"cell_type": "markdown", "metadata": {}, "source": text}
    page = {"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 4}
    return json.dumps(page).encode()


def write_banner(shown: dict[str, list[Record]]) -> str:
    """Return the text over all pages: empty if every run was made from the real data."""
    used = {
        dataset: record.run["data"]["name"]
        for dataset, arms in ARMS.items()
        for name in arms
        for record in shown[name]
        if not record.run["data"]["official"]
    }
    if not used:
        starts = [record.run["weights"] for records in shown.values() for record in records]
        return "" if all(weights["official"] for weights in starts) else OTHER_WEIGHTS
    drawn = [name for dataset, name in used.items() if name != dataset]
    sources = [f"generated stand-in images ({' and '.join(drawn)})"] if drawn else []
    sources += [f"a part of {DATASETS[name]}" for name in used.values() if name in DATASETS]
    titles = " or ".join(DATASETS[dataset] for dataset in used)
    return BANNER.format(made_from=" and ".join(sources), titles=titles)


def fingerprint(source: Source, runs: dict[str, list[Record]]) -> str:
    """Return a hash of all that the executed pages are made from: records, code, reference data."""
    package = ROOT / "src" / "helpers"
    # The notebooks hold the study's values, which the pages compare with those of the runs.
    folders = [*(package / name for name in ("metrics", "report", "runs")), NOTEBOOKS]
    code = [path for folder in folders for path in sorted(folder.glob("*.py"))]
    reference = sorted((package / "report" / "reference").iterdir())
    records = [record for group in runs.values() for record in group]
    there = [record.notebook.exists() for record in records]  # else there is nothing to link to
    digest = hashlib.sha256(f"{source.profile} {source.results} {there}".encode())
    for path in [*code, *reference, *(record.folder / "run.json" for record in records)]:
        digest.update(path.read_bytes())  # run.json holds the checksums of the other files
    return digest.hexdigest()


def list_outdated(app: Sphinx, env, added, changed, removed) -> list[str]:
    """Return the pages that execute, if the records are not those of the last whole build."""
    stamp = _stamp(app)
    if stamp.exists() and stamp.read_text() == app.report_fingerprint:
        return []
    stamp.unlink(missing_ok=True)
    return [page for page in env.found_docs if NbMetadataCollector.get_exec_data(env, page)]


def read_records(app: Sphinx, env, names: list[str]) -> None:
    """Let the pages' kernels begin with what all of them need; not where none executes."""
    if any(Path(env.doc2path(name)).suffix == ".md" for name in names):
        preload("helpers.report.preload:read_all")
        wait_until_loaded()


def remember_records(app: Sphinx, exception) -> None:
    """Note the records of a build that succeeded; one that failed is read again."""
    if exception is None and app.statuscode == 0:
        _stamp(app).write_text(app.report_fingerprint)


def _stamp(app: Sphinx) -> Path:
    return Path(app.doctreedir) / "records.sha256"
