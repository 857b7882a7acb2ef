"""Records that ship: the numbers of a run without an image of its data."""

import json

import pytest

from helpers import InputError
from helpers.runs import shipping
from helpers.runs.record import keep_notebook, read_records, run_folder, write_record
from helpers.runs.shipping import ship


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setattr(shipping, "ROOT", tmp_path)
    return tmp_path


def write(root, contents, seed=0):
    folder = run_folder(root / "results" / "short", "pathmnist_basic", seed)
    return write_record(folder, {"experiment": "pathmnist_basic", "seed": seed}, contents)


def test_a_shipped_record_keeps_its_numbers_and_no_image(root):
    contents = {"history.csv": b"epoch\n1\n", "examples.npz": b"pixels"}
    record = write(root, contents)
    cells = [
        {"metadata": {"tags": ["images"]}, "outputs": ["pixels"], "cell_type": "code"},
        {"metadata": {}, "outputs": ["a curve"], "cell_type": "code"},
    ]
    keep_notebook(record.folder, json.dumps({"cells": cells, "metadata": {}}).encode())
    ((original, copy),) = ship("short")
    assert (original.folder, copy.run["left_out"]) == (record.folder, ["examples.npz"])
    assert copy.check().examples is None
    assert copy.run["files"].keys() == {"history.csv"}
    text = copy.notebook.read_text()
    assert "a curve" in text
    assert not any(b"pixels" in path.read_bytes() for path in copy.folder.parent.rglob("*.*"))
    assert list(ship("short")) == []  # it ships already


def test_a_record_that_is_too_large_is_refused(root):
    write(root, {"predictions.npz": bytes(1_600_000)})
    with pytest.raises(InputError, match="1,600,000 bytes; at most 1,500,000"):
        list(ship("short"))
    with pytest.raises(InputError, match="did you mean short?"):
        list(ship("shor"))
    assert read_records(root / "records" / "short") == []
