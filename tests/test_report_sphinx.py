"""The extension's parts, without a build."""

from types import SimpleNamespace

import pytest

import made_up
from helpers.report import sphinx
from helpers.report.source import Source, read_shown
from helpers.runs.batch import BatchError


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
    shown["pets_scratch"][0].notebook.write_text('{"other": 1}')
    sphinx.copy_notebooks(shown, pages)
    assert page.read_text() == '{"other": 1}'


def test_first_seed_with_a_notebook_is_shown(source, tmp_path):
    shown = read_shown(source)
    shown["pets_scratch"][0].notebook.unlink()
    for record in shown["pets_supervised"]:
        record.notebook.unlink()
    sphinx.copy_notebooks(shown, tmp_path / "runs")
    assert "output of seed 1" in (tmp_path / "runs/pets_scratch.ipynb").read_text()
    assert "No executed notebook" in (tmp_path / "runs/pets_supervised.ipynb").read_text()


def test_banner_names_what_stands_in(source):
    assert "tissue and creatures" in sphinx.write_banner(read_shown(source))
    made_up.write_records(source.results, "made_up", official=True)
    assert sphinx.write_banner(read_shown(source)) == ""
    made_up.write_run(source.results, "made_up", "pets_scratch", 0)
    banner = sphinx.write_banner(read_shown(source))
    assert "creatures" in banner
    assert "PathMNIST" not in banner


def test_fingerprint_follows_records_and_profile(source):
    before = sphinx.fingerprint(source, read_shown(source))
    assert sphinx.fingerprint(source, read_shown(source)) == before
    other = Source("other", source.results, "0-2")
    assert sphinx.fingerprint(other, read_shown(other)) != before
    made_up.write_run(source.results, "made_up", "pets_scratch", 0, salt=1)
    assert sphinx.fingerprint(source, read_shown(source)) != before


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


def test_the_banner_says_what_the_runs_were_made_from(tmp_path):
    made_up.write_records(tmp_path, "made_up", seeds=(0,), official=True)
    shown = read_shown(Source("made_up", tmp_path, "0"))
    assert sphinx.write_banner(shown) == ""
    (record,) = shown["pets_supervised"]
    record.run["weights"]["official"] = False
    assert sphinx.write_banner(shown) == sphinx.OTHER_WEIGHTS
    record.run["data"]["official"] = False  # named pets still: some of the real images
    assert "from a part of Oxford-IIIT Pets, not from Oxford" in sphinx.write_banner(shown)
    record.run["data"]["name"] = "creatures"
    assert "from generated stand-in images (creatures), not from" in sphinx.write_banner(shown)
