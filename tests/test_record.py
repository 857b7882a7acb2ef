import json

import numpy as np
import pandas as pd
import pytest

from helpers import InputError
from helpers.runs.record import read_record, read_records, run_folder, write_record

ABOUT = {
    "experiment": "pathmnist_basic",
    "seed": 3,
    "parameters": {"epochs": 1},
    "recipe_hash": "0123456789ab",
    "data": {"name": "tissue", "official": False},
}
CONTENTS = {"history.csv": b"epoch,train_loss\n1,0.25\n", "metrics.csv": b"corruption\nclean\n"}


@pytest.fixture
def folder(tmp_path):
    folder = run_folder(tmp_path, "pathmnist_basic", 3)
    write_record(folder, ABOUT, CONTENTS)
    return folder


def test_a_record_reads_back(folder, tmp_path):
    (record,), _ = read_records(tmp_path)
    assert (record.experiment, record.seed) == ("pathmnist_basic", 3)
    expected = pd.DataFrame({"epoch": [1], "train_loss": [0.25]})
    pd.testing.assert_frame_equal(record.history, expected)
    assert record.notebook == folder.parent / "seed-3.ipynb"
    assert sorted(path.name for path in folder.parent.iterdir()) == ["seed-3"]


def test_records_come_by_experiment_and_by_number(tmp_path):
    for name, seed in [("b", 2), ("a", 10), ("a", 9)]:
        about = ABOUT | {"experiment": name, "seed": seed}
        write_record(run_folder(tmp_path, name, seed), about, CONTENTS)
    found = [(record.experiment, record.seed) for record in read_records(tmp_path)[0]]
    assert found == [("a", 9), ("a", 10), ("b", 2)]


def test_writing_again_replaces_the_record(folder, tmp_path):
    write_record(folder, ABOUT | {"seed": 3, "profile": "new"}, CONTENTS)
    assert read_record(folder).run["profile"] == "new"
    assert sorted(path.name for path in folder.parent.iterdir()) == ["seed-3"]


@pytest.mark.parametrize("name", ["history.csv", "metrics.csv"])
def test_a_flipped_bit_is_found_and_named(folder, tmp_path, name):
    content = bytearray((folder / name).read_bytes())
    content[5] ^= 1
    (folder / name).write_bytes(content)
    with pytest.raises(InputError, match=f"seed-3 is damaged: {name} differs"):
        read_records(tmp_path)


def test_a_missing_file_is_named(folder, tmp_path):
    (folder / "metrics.csv").unlink()
    with pytest.raises(InputError, match=r"metrics.csv cannot be read \(No such file"):
        read_records(tmp_path)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"seed": 1}', b"\xff\xfe\x00"])
def test_a_run_json_that_is_none_is_named(folder, content):
    (folder / "run.json").write_bytes(content)
    with pytest.raises(InputError, match="seed-3 is damaged: run.json"):
        read_record(folder)


def test_what_a_killed_writer_leaves_is_no_record(folder, tmp_path):
    folder.rename(folder.with_name(".seed-3-0123"))
    assert read_records(tmp_path) == ([], [])
    (tmp_path / "pathmnist_basic" / "seed-3").mkdir()
    assert read_record(folder) is None
    assert read_records(tmp_path) == ([], [])


@pytest.mark.parametrize("step", ["open", "fsync", "rename"])
def test_a_write_that_fails_leaves_the_old_record_and_nothing_else(
    folder, tmp_path, monkeypatch, step
):
    def fail(*_):
        raise OSError(28, "No space left on device")

    renames = iter([False, True])
    if step == "rename":  # the second rename: the old record is out of the way already
        real = type(folder).rename
        monkeypatch.setattr(
            type(folder), "rename", lambda *a: fail() if next(renames, False) else real(*a)
        )
    elif step == "open":
        monkeypatch.setattr(type(folder), "open", fail)
    else:
        monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(InputError, match="cannot write the record .*No space left"):
        write_record(folder, ABOUT | {"profile": "new"}, CONTENTS)
    monkeypatch.undo()
    (record,), _ = read_records(tmp_path)
    assert "profile" not in record.run
    assert sorted(path.name for path in folder.parent.iterdir()) == ["seed-3"]


def test_arrays_hold_no_pickle(folder):
    path = folder / "predictions.npz"
    np.savez(path, logits=np.array([{}], dtype=object))
    about = json.loads((folder / "run.json").read_text())
    contents = CONTENTS | {"predictions.npz": path.read_bytes()}
    record = write_record(folder, about, contents)
    with pytest.raises(ValueError, match="allow_pickle=False"):
        _ = record.predictions
