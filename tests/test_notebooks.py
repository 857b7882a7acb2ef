"""Executed notebooks are bound to the records that they made."""

import json

import pytest

import made_up
from helpers.runs.notebooks import has_notebook, seal
from helpers.runs.record import read_record, write_record


@pytest.fixture
def record(tmp_path):
    record = made_up.write_run(tmp_path, "made_up", "pets_scratch", 0)
    assert has_notebook(record)
    return record


def test_an_edited_notebook_is_none(record):
    content = record.notebook.read_bytes()
    for edited in (
        content.replace(b"stored output of seed 0", b"stored output of seed 9"),
        content[:-20],
        content.replace(b'"seal"', b'"other"'),
        b"",
    ):
        assert edited != content
        record.notebook.write_bytes(edited)
        assert not has_notebook(record)
    record.notebook.write_bytes(content)
    assert has_notebook(record)


def test_the_notebook_of_a_record_that_was_made_anew_is_none(record):
    contents = {name: (record.folder / name).read_bytes() for name in record.run["files"]}
    write_record(record.folder, record.run | {"started": "later"}, contents)
    assert not has_notebook(read_record(record.folder))


def test_a_seal_takes_nothing_away_but_temporary_paths(record):
    papermill = {"input_path": "/tmp/a", "output_path": "/tmp/b", "exception": None}
    notebook = {"cells": [], "metadata": {"papermill": papermill, "kernelspec": {}}, "nbformat": 4}
    sealed = json.loads(seal(json.dumps(notebook).encode(), record))
    assert len(sealed["metadata"].pop("seal")) == 64
    assert sealed["metadata"].pop("papermill") == {"exception": None}
    assert sealed == {"cells": [], "metadata": {"kernelspec": {}}, "nbformat": 4}


def test_sealing_again_gives_the_same(record):
    once = record.notebook.read_bytes()
    assert seal(once, record) == once
