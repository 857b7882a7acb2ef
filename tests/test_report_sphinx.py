"""The extension's parts, and a build that they stop."""

import os
import shutil
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from types import SimpleNamespace

import pytest

import made_up
from helpers import ROOT
from helpers.report import sphinx
from helpers.report.banner import OTHER_WEIGHTS, write_banner
from helpers.report.provenance import list_runs
from helpers.report.source import Source, read_shown
from helpers.runs.cluster import BatchError
from helpers.runs.notebooks import seal
from helpers.runs.record import run_folder, write_record


@pytest.fixture
def source(tmp_path):
    made_up.write_records(tmp_path / "results", "made_up")
    return Source("made_up", tmp_path / "results", "0-2")


def test_notebooks_are_copied_only_when_they_differ(source, tmp_path):
    shown, pages = read_shown(source), tmp_path / "runs"
    sphinx.copy_notebooks(shown, pages)
    page = pages / "pets_scratch.ipynb"
    before = page.stat().st_mtime_ns
    sphinx.copy_notebooks(shown, pages)
    assert page.stat().st_mtime_ns == before
    record = shown["pets_scratch"][0]
    record.notebook.write_bytes(seal(b'{"cells": ["other"], "metadata": {}}', record))
    sphinx.copy_notebooks(shown, pages)
    assert '"other"' in page.read_text()
    record.notebook.write_text("edited")
    sphinx.copy_notebooks(shown, pages)
    assert "output of seed 1" in page.read_text()


def test_first_seed_with_a_notebook_is_shown(source, tmp_path):
    shown = read_shown(source)
    shown["pets_scratch"][0].notebook.unlink()
    for record in shown["pets_supervised"]:
        record.notebook.unlink()
    sphinx.copy_notebooks(shown, tmp_path / "runs")
    assert "output of seed 1" in (tmp_path / "runs/pets_scratch.ipynb").read_text()
    assert "No notebook lies" in (tmp_path / "runs/pets_supervised.ipynb").read_text()


def test_all_other_notebooks_are_there_to_download(source, tmp_path):
    shown, pages = read_shown(source), tmp_path / "runs"
    shown["pets_scratch"][0].notebook.unlink()  # seed 1 is the page
    sphinx.copy_notebooks(shown, pages)
    assert len(list(pages.iterdir())) == 6 * 3 - 1
    for experiment, seed, page in [("pets_scratch", 2, 1), ("pets_supervised", 1, 0)]:
        copied = (pages / f"{experiment}-seed-{seed}.ipynb").read_text()
        assert f"output of seed {seed}" in copied
        assert f"output of seed {page}" in (pages / f"{experiment}.ipynb").read_text()
    shown["pets_scratch"].pop()
    sphinx.copy_notebooks(shown, pages)
    assert len(list(pages.iterdir())) == 6 * 3 - 2
    assert not (pages / "pets_scratch-seed-2.ipynb").exists()


def test_banner_names_what_stands_in(source):
    assert "tissue and creatures" in write_banner(read_shown(source))
    made_up.write_records(source.results, "made_up", official=True)
    assert write_banner(read_shown(source)) == ""
    made_up.write_run(source.results, "made_up", "pets_scratch", 0)
    banner = write_banner(read_shown(source))
    assert "creatures" in banner
    assert "PathMNIST" not in banner


def test_fingerprint_follows_records_and_profile(source):
    before = sphinx.fingerprint(source, read_shown(source))
    assert sphinx.fingerprint(source, read_shown(source)) == before
    other = Source("other", source.results, "0-2")
    assert sphinx.fingerprint(other, read_shown(other)) != before
    made_up.write_run(source.results, "made_up", "pets_scratch", 0, salt=1)
    assert sphinx.fingerprint(source, read_shown(source)) != before


def test_fingerprint_follows_what_pages_are_computed_by(source, monkeypatch, tmp_path):
    for folder in ("src/helpers", "book/experiments", "book/_static"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    monkeypatch.setattr(sphinx, "ROOT", tmp_path)
    monkeypatch.setattr(sphinx, "NOTEBOOKS", tmp_path / "book/experiments")
    shown = read_shown(source)
    found = [sphinx.fingerprint(source, shown)]
    assert sphinx.fingerprint(source, shown) == found[0]
    for name in [
        "src/helpers/metrics/scores.py",
        "src/helpers/report/tables.py",
        "src/helpers/report/reference/claims.yaml",
        "src/helpers/report/reference/tables.csv",
        "src/helpers/runs/record.py",
        "book/experiments/pets_scratch.py",
        "book/_static/explorer.js",
    ]:
        with (tmp_path / name).open("a") as file:
            file.write("\n")
        found.append(sphinx.fingerprint(source, shown))
    assert len(set(found)) == 8


def test_fingerprint_follows_ablations_and_notebooks(source):
    shown = read_shown(source)
    before = sphinx.fingerprint(source, list_runs(source, shown))
    run = shown["pets_scratch"][0].run | {"experiment": "ablation_pets"}
    write_record(run_folder(source.results, "ablation_pets", 0), run, {"history.csv": b"epoch\n"})
    after = sphinx.fingerprint(source, list_runs(source, shown))
    assert after != before
    shown["pets_scratch"][2].notebook.unlink()  # a link less
    assert sphinx.fingerprint(source, list_runs(source, shown)) != after


def test_runs_of_two_recipes_stop_the_build_and_both_are_named(source, tmp_path):
    """A real build, of a book of one page: it ends before it reads that."""
    record = read_shown(source)["pets_scratch"][1]
    contents = {name: (record.folder / name).read_bytes() for name in record.run["files"]}
    parameters = record.run["parameters"]
    other = {"recipe_hash": "0123456789ab", "parameters": parameters | {"weight_decay": 0.25}}
    write_record(record.folder, record.run | other, contents)
    book = tmp_path / "book"
    book.mkdir()
    shutil.copy(ROOT / "book/_config.yml", book)
    (book / "_toc.yml").write_text("format: jb-book\nroot: index\n")
    (book / "index.md").write_text("# A page\n")
    command = [Path(sys.executable).with_name("jupyter-book"), "build", book]
    environment = os.environ | {"REPORT_PROFILE": "made_up", "REPORT_RESULTS": str(source.results)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 2
    assert "Traceback" not in done.stdout + done.stderr
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert "recipe pets_scratch has 2 seeds (0, 2), recipe 0123456789ab has 1 seed (1)" in line
    assert f"weight_decay {parameters['weight_decay']} against 0.25" in line
    assert not list(book.rglob("*.html"))


def test_only_smoke_makes_runs(source, monkeypatch, tmp_path):
    asked = []
    monkeypatch.setattr("helpers.runs.batch.run_batch", asked.extend)
    monkeypatch.setenv("REPORT_RESULTS", str(source.results))
    monkeypatch.setenv("REPORT_SEEDS", "0,2")
    for profile, count in [("made_up", 0), ("smoke", 12)]:
        monkeypatch.setenv("REPORT_PROFILE", profile)
        sphinx.prepare(SimpleNamespace(srcdir=tmp_path), SimpleNamespace(html_theme_options={}))
        names = [job.experiment for job in asked if job.experiment in made_up.EXPERIMENTS]
        assert len(names) == count
    assert {job.folder.parents[1] for job in asked} == {source.results}


def test_what_is_damaged_is_named_and_neither_shown_nor_made(source, monkeypatch, tmp_path, capsys):
    asked = []
    monkeypatch.setattr("helpers.runs.batch.run_batch", asked.extend)
    monkeypatch.setenv("REPORT_RESULTS", str(source.results))
    monkeypatch.setenv("REPORT_PROFILE", "smoke")
    (source.results / "pets_scratch/seed-1/metrics.csv").write_text("")
    (source.results / "pretrain_supervised/seed-0").mkdir(parents=True)
    (source.results / "pretrain_supervised/seed-0/run.json").write_text("{")
    app = SimpleNamespace(srcdir=tmp_path)
    sphinx.prepare(app, SimpleNamespace(html_theme_options={}))
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("warning: pets_scratch seed 1 is left out: metrics.csv differs")
    assert f"run --profile smoke -p results={source.results} --only pets_scratch" in lines[0]
    made = {(job.experiment, job.recipe.seed) for job in asked}
    assert {("pets_scratch", 0), ("pets_scratch", 2), ("pets_barlow_twins", 1)} <= made
    assert not made & {("pets_scratch", 1), ("pretrain_supervised", 0), ("pets_supervised", 1)}
    assert not (tmp_path / "runs/pets_scratch-seed-1.ipynb").exists()
    before = app.report_fingerprint
    shutil.rmtree(source.results / "pretrain_supervised")  # no number changes, but the warning
    sphinx.prepare(app, SimpleNamespace(html_theme_options={}))
    assert app.report_fingerprint != before


def test_failed_runs_end_the_build_without_a_traceback(source, monkeypatch, tmp_path, capsys):
    def fail(jobs):
        raise BatchError("pets_scratch seed 0: died")

    monkeypatch.setattr("helpers.runs.batch.run_batch", fail)
    monkeypatch.setenv("REPORT_RESULTS", str(source.results))
    monkeypatch.setenv("REPORT_PROFILE", "smoke")
    with pytest.raises(SystemExit) as stop:
        sphinx.prepare(SimpleNamespace(srcdir=tmp_path), SimpleNamespace(html_theme_options={}))
    assert stop.value.code == 1
    assert capsys.readouterr().err == "pets_scratch seed 0: died\n"


def test_a_doi_is_asked_of_its_registry():
    asked = sphinx.ask_for(None, "https://doi.org/10.1000/182")
    assert asked == "https://doi.org/api/handles/10.1000/182"
    assert sphinx.ask_for(None, "https://example.org/doi") == "https://example.org/doi"


def test_the_banner_says_what_the_runs_were_made_from(tmp_path):
    made_up.write_records(tmp_path, "made_up", seeds=(0,), official=True)
    shown = read_shown(Source("made_up", tmp_path, "0"))
    assert write_banner(shown) == ""
    (record,) = shown["pets_supervised"]
    record.run["weights"]["official"] = False
    assert write_banner(shown) == OTHER_WEIGHTS
    record.run["data"]["official"] = False  # named pets still: some of the real images
    assert "from a part of Oxford-IIIT Pets, not from Oxford" in write_banner(shown)
    record.run["data"]["name"] = "creatures"
    assert "from generated stand-in images (creatures), not from" in write_banner(shown)


def test_with_other_records_pages_of_notebooks_are_read_again_whatever_the_clock_says(tmp_path):
    """Sphinx compares times, and a clock that was set back makes the new file the older one."""
    pages = {"index", "runs/pets_scratch", "reproduce"}
    kept = {"index": {"mtime": 1}}
    metadata = defaultdict(dict, index={"exec_data": kept})
    env = SimpleNamespace(found_docs=pages, nb_metadata=metadata)
    app = SimpleNamespace(doctreedir=tmp_path, report_fingerprint="new", env=env)
    (tmp_path / "records.sha256").write_text("old")
    outdated = sphinx.list_outdated(app, env, set(), set(), set())
    assert sorted(outdated) == ["index", "runs/pets_scratch"]
    (tmp_path / "records.sha256").write_text("new")
    assert sphinx.list_outdated(app, env, set(), set(), set()) == []
