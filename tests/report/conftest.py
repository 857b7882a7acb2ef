"""Fixtures of the report's tests: a cache folder of their own, and made-up records."""

import pytest

import made_up
from helpers.report import tidy as tables


@pytest.fixture(autouse=True)
def tidy(monkeypatch, tmp_path):
    """Keep the computed tables of a test in its own folder."""
    monkeypatch.setattr(tables, "CACHE", tmp_path / "tidy")
    for name in ("REPORT_PROFILE", "REPORT_RESULTS", "REPORT_SEEDS"):
        monkeypatch.delenv(name, raising=False)
    made_up.forget()
    yield tmp_path / "tidy"
    made_up.forget()


@pytest.fixture(scope="session")
def drawn(tmp_path_factory):
    """Three seeds of all six arms on stand-in data."""
    folder = tmp_path_factory.mktemp("drawn")
    made_up.write_records(folder, "made_up")
    return folder


@pytest.fixture(scope="session")
def study(tmp_path_factory):
    """Three seeds of all six arms that claim to repeat the study."""
    folder = tmp_path_factory.mktemp("study")
    made_up.write_records(folder, "paper", official=True)
    return folder


@pytest.fixture
def show(monkeypatch):
    """Function that lets the report show the records of a folder."""
    return lambda folder, profile="made_up": made_up.show(monkeypatch, folder, profile)
