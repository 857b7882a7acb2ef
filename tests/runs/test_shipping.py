"""What ships: the numbers of a run without an image of its data, and the checksums of `smoke`."""

import io
import json

import numpy as np
import pytest

from helpers import InputError
from helpers.runs import shipping
from helpers.runs.record import keep_notebook, read_record, read_records, run_folder, write_record
from helpers.runs.shipping import compare_checksums, ship


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setattr(shipping, "ROOT", tmp_path)
    return tmp_path


def write(root, contents, profile="short", seed=0, **fields):
    folder = run_folder(root / "results" / profile, "pathmnist_basic", seed)
    run = {"experiment": "pathmnist_basic", "seed": seed, "parameters": {}}
    return write_record(folder, run | fields, contents)


@pytest.mark.parametrize("profile", ["short", "paper"])
def test_a_shipped_record_keeps_its_numbers_and_no_image(root, profile):
    contents = {"history.csv": b"epoch\n1\n", "examples.npz": b"pixels"}
    record = write(root, contents | {"weights.pt": bytes(2_000_000)}, profile)
    cells = [
        {"metadata": {"tags": ["images"]}, "outputs": ["pixels"], "cell_type": "code"},
        {"metadata": {}, "outputs": ["a curve"], "cell_type": "code"},
    ]
    keep_notebook(record.folder, json.dumps({"cells": cells, "metadata": {}}).encode())
    left_out = ["examples.npz", *["weights.pt"] * (profile == "short")]
    ((place, text),) = ship(profile)
    assert text == ", ".join(left_out)
    copy = read_record(root / place).check()
    assert copy.run["left_out"] == left_out
    assert copy.examples is None
    assert copy.has("weights.pt") is (profile == "paper")
    assert "a curve" in copy.notebook.read_text()
    assert not any(b"pixels" in path.read_bytes() for path in copy.folder.parent.rglob("*.*"))
    assert list(ship(profile)) == []  # it ships already


def test_a_record_that_is_too_large_is_refused(root):
    write(root, {"predictions.npz": bytes(1_600_000)})
    with pytest.raises(InputError, match="1,600,000 bytes; at most 1,500,000"):
        list(ship("short"))
    with pytest.raises(InputError, match="did you mean short?"):
        list(ship("shor"))
    assert read_records(root / "records" / "short") == []


def test_the_quick_check_compares_numbers_not_compression(root):
    def write_smoke(seed, save, epoch=b"1"):
        save(buffer := io.BytesIO(), logits=np.zeros((1, 4, 2)), labels=np.zeros(4))
        contents = {"history.csv": b"epoch\n" + epoch, "predictions.npz": buffer.getvalue()}
        environment = {"processor": "CPU", "vectors": "AVX2", "device": "cpu", "torch": "2"}
        write(root, contents, "smoke", seed, environment=environment)

    with pytest.raises(InputError, match="make them with `python -m helpers run`"):
        list(ship("smoke"))
    for seed in (0, 1, 2):
        write_smoke(seed, np.savez)
    assert len(list(ship("smoke"))) == 1
    (root / "results" / "smoke").rename(root / "results" / "first")
    write_smoke(0, np.savez_compressed)
    write_smoke(1, np.savez, epoch=b"2")
    own = read_records(root / "results" / "smoke")
    assert compare_checksums(own) == (3, 4, "CPU, AVX2, cpu, torch 2")
