import errno
import itertools
import json
import multiprocessing
import os
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from helpers import InputError
from helpers.runs.integrity import DamagedRecord
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
    (record,) = read_records(tmp_path)
    assert (record.experiment, record.seed) == ("pathmnist_basic", 3)
    expected = pd.DataFrame({"epoch": [1], "train_loss": [0.25]})
    pd.testing.assert_frame_equal(record.history, expected)
    assert record.notebook == folder.parent / "seed-3.ipynb"
    assert sorted(path.name for path in folder.parent.iterdir()) == ["seed-3"]


def test_a_reader_never_meets_a_record_in_its_replacement(folder, tmp_path):
    """Neither damage nor another's files, while another process writes it again and again."""
    writer = multiprocessing.get_context("fork").Process(target=write_forever, args=(folder,))
    writer.start()
    try:
        found = [record for _ in range(1000) for record in read_records(tmp_path)]
    finally:
        writer.kill()
        writer.join()
    assert len(found) > 500  # between two renames there is none for a moment
    assert len({record.run["checksum"] for record in found}) > 5


def write_forever(folder):
    for number in itertools.count():
        contents = CONTENTS | {"metrics.csv": f"corruption\n{number}\n".encode()}
        write_record(folder, ABOUT, contents)


def test_what_is_named_like_no_experiment_is_none(folder, tmp_path):
    for name in ("a` <img src=x onerror=alert(9)>", ".hidden", "a b"):
        shutil.copytree(folder.parent, tmp_path / name)
    assert [record.experiment for record in read_records(tmp_path)] == ["pathmnist_basic"]


def test_a_folder_that_may_not_be_looked_into_is_told(folder, tmp_path, monkeypatch):
    def refuse(path):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(InputError, match="cannot read .*: Permission denied; mend its"):
        read_records(tmp_path)


def test_records_come_by_experiment_and_by_number(tmp_path):
    for name, seed in [("b", 2), ("a", 10), ("a", 9)]:
        about = ABOUT | {"experiment": name, "seed": seed}
        write_record(run_folder(tmp_path, name, seed), about, CONTENTS)
    found = [(record.experiment, record.seed) for record in read_records(tmp_path)]
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


def test_a_folder_that_cannot_be_looked_into_is_named(tmp_path):
    with pytest.raises(InputError, match="cannot read .*: File name too long; mend"):
        read_record(tmp_path / ("long" * 100) / "pathmnist_basic" / "seed-3")


def test_what_a_killed_writer_leaves_is_no_record(folder, tmp_path):
    folder.rename(folder.with_name(".seed-3-0123"))
    assert read_records(tmp_path) == []
    (tmp_path / "pathmnist_basic" / "seed-3").mkdir()
    assert read_record(folder) is None
    assert read_records(tmp_path) == []


@pytest.mark.parametrize("name", ["run.json", "history.csv"])
def test_every_flipped_bit_is_found(folder, name):
    whole = (folder / name).read_bytes()
    for place in range(0, len(whole) * 8, 7):
        content = bytearray(whole)
        content[place // 8] ^= 1 << place % 8
        (folder / name).write_bytes(content)
        try:
            record = read_record(folder).check()
        except DamagedRecord:
            continue
        # Only another kind of white space between the same words is none.
        (folder / name).write_bytes(whole)
        assert record.run == read_record(folder).run


@pytest.mark.parametrize(
    "change",
    [
        {"parameters": {"epochs": 2}},
        {"recipe_hash": "0"},
        {"seed": 4},
        {"train_seconds": 1},
        {"checksum": "0"},
    ],
)
def test_an_edit_by_hand_is_found(folder, change):
    path = folder / "run.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(DamagedRecord, match="run.json differs from its checksum"):
        read_record(folder)


def test_another_layout_of_run_json_is_no_damage(folder):
    path = folder / "run.json"
    path.write_text(json.dumps(json.loads(path.read_text())))
    assert read_record(folder).check().seed == 3


def test_a_record_without_a_checksum_of_its_own_is_damaged(folder):
    path = folder / "run.json"
    run = json.loads(path.read_text())
    del run["checksum"]
    path.write_text(json.dumps(run | {"files": {}}))
    with pytest.raises(DamagedRecord, match="run.json is not the description of a run"):
        read_record(folder)


def test_a_record_in_the_place_of_another_is_found(folder):
    folder.rename(folder.with_name("seed-4"))
    with pytest.raises(DamagedRecord, match="seed-4 is damaged: it is that of pathmnist_basic s"):
        read_record(folder.with_name("seed-4"))


def test_a_record_that_lost_its_run_json_is_damaged(folder):
    (folder / "run.json").unlink()
    with pytest.raises(DamagedRecord, match="run.json cannot be read .No such file"):
        read_record(folder)


def test_damaged_records_are_left_out_only_where_someone_takes_them(folder, tmp_path):
    write_record(run_folder(tmp_path, "pathmnist_basic", 4), ABOUT | {"seed": 4}, CONTENTS)
    (folder / "metrics.csv").write_bytes(b"")
    damaged = []
    assert [record.seed for record in read_records(tmp_path, damaged=damaged)] == [4]
    assert [error.folder for error in damaged] == [folder]
    with pytest.raises(DamagedRecord):
        read_records(tmp_path)


def test_arrays_hold_no_pickle(folder):
    path = folder / "predictions.npz"
    np.savez(path, logits=np.array([{}], dtype=object))
    about = json.loads((folder / "run.json").read_text())
    contents = CONTENTS | {"predictions.npz": path.read_bytes()}
    record = write_record(folder, about, contents)
    with pytest.raises(ValueError, match="allow_pickle=False"):
        _ = record.predictions
