"""Records: written whole, never replaced, checked, and readable after the code has changed."""

import hashlib
import json
import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from helpers import InputError, metrics
from helpers.runs import files
from helpers.runs.config import make_config
from helpers.runs.record import (
    DEFAULTS,
    CorruptRecord,
    keep_notebook,
    read_record,
    read_records,
    run_folder,
    write_record,
)
from helpers.runs.verify import compare, plan_repetition

#: Records of commit 75e5ada, profile smoke, without the images and weights that they list.
OLD = Path(__file__).parent / "old_format"
RUN = {"experiment": "pathmnist_basic", "seed": 3, "parameters": {"epochs": 1}}
CONTENTS = {"history.csv": b"epoch,train_loss\n1,0.25\n", "metrics.csv": b"corruption\nclean\n"}


@pytest.fixture
def folder(tmp_path):
    folder = run_folder(tmp_path, "pathmnist_basic", 3)
    write_record(folder, RUN, CONTENTS)
    return folder


def rewrite(folder, change):
    """Apply a change to run.json as somebody would who writes its checksum too."""
    run = json.loads((folder / "run.json").read_text())
    run.pop("checksum")
    change(run)
    text = json.dumps(run, sort_keys=True)
    run["checksum"] = hashlib.sha256(text.encode()).hexdigest()
    (folder / "run.json").write_text(json.dumps(run))


@pytest.fixture
def old(tmp_path):
    shutil.copytree(OLD, tmp_path / "old")
    pretraining = tmp_path / "old" / "pretrain_supervised" / "seed-0"
    rewrite(pretraining, lambda run: run.update(left_out=["weights.pt"]))
    return tmp_path / "old"


def test_a_record_reads_back(folder, tmp_path):
    (record,) = read_records(tmp_path)
    assert (record.experiment, record.variant, record.seed) == ("pathmnist_basic", "", 3)
    assert record.history.to_dict("list") == {"epoch": [1], "train_loss": [0.25]}
    assert record.predictions is record.examples is record.notebook is None
    assert [path.name for path in folder.parent.iterdir()] == ["seed-3"]


def test_a_record_is_never_replaced(folder):
    before = (folder / "run.json").read_bytes()
    with pytest.raises(InputError, match="seed-3 exists; delete it, or give another folder"):
        write_record(folder, RUN, {"history.csv": b"other\n"})
    assert (folder / "run.json").read_bytes() == before


def test_records_of_the_older_format_are_read_ablations_by_variant(old):
    found = {(r.experiment, r.variant): r for r in read_records(old)}
    base = found.pop(("pathmnist_mixup", ""))
    assert found.pop(("pretrain_supervised", "")).history.shape == (4, 5)
    assert base.config_hash == base.run["recipe_hash"]
    for (experiment, variant), record in found.items():
        assert variant
        assert record.predictions["logits"].shape == base.predictions["logits"].shape
        assert list(record.history.columns) == list(base.history.columns)
        if experiment == "pathmnist_mixup":
            changed = {n for n, v in record.parameters.items() if v != base.parameters[n]}
            assert changed in ({"second_forward"}, {"backbone_lr", "head_lr"})
    assert len(found) == 4


def test_older_records_keep_their_hash_and_can_be_repeated(old, tmp_path):
    (pretraining,) = read_records(old, "pretrain_*")
    with pytest.raises(InputError, match="unknown experiment .*check out the commit of the run"):
        plan_repetition(pretraining, tmp_path / "new")
    for record in read_records(old, "pathmnist_*"):
        config = make_config(record.experiment, record.parameters)
        assert config.hash == record.config_hash == record.run["recipe_hash"]
        job = plan_repetition(record, tmp_path / "new")
        assert (job.config.hash, job.folder.parents[1]) == (config.hash, tmp_path / "new")
        assert not any(compare(record, record)[0].values())


def test_scores_of_older_records_are_those_that_they_stored(old):
    for record in (r for r in read_records(old) if r.metrics is not None):
        arrays = record.predictions
        for row, logits in zip(record.metrics.itertuples(), arrays["logits"], strict=True):
            outcome = metrics.Outcome(logits, arrays["labels"])
            assert outcome.correct.mean() == pytest.approx(row.accuracy, abs=1e-6)
            error = metrics.rms_calibration_error(outcome.confidence, outcome.correct)
            assert error == pytest.approx(row.rms_calibration_error, abs=1e-6)


@pytest.mark.parametrize("field", [*DEFAULTS, "recipe_hash", "variants"])
def test_a_field_that_a_record_lacks_has_its_default(old, field):
    folder = old / "pathmnist_mixup" / "seed-0"
    rewrite(folder, lambda run: run.pop(field, None))
    record = read_record(folder).check()
    if field in DEFAULTS and field not in ("config_hash", "left_out"):
        assert record.run[field] == DEFAULTS[field]
    assert set(DEFAULTS["environment"]) <= set(record.environment)
    assert set(DEFAULTS["data"]) <= set(record.data)


@pytest.mark.parametrize("name", ["history", "metrics", "predictions", "examples"])
def test_a_file_that_a_record_lacks_reads_as_none(old, name):
    folder = old / "pathmnist_mixup" / "seed-0"
    (path,) = [*folder.glob(f"{name}.*")] or [folder / f"{name}.npz"]
    path.unlink(missing_ok=True)
    rewrite(folder, lambda run: run["files"].pop(path.name))
    record = read_record(folder).check()
    assert getattr(record, name) is None
    others = {"history", "metrics", "predictions"} - {name}
    assert all(getattr(record, other) is not None for other in others)


@pytest.mark.parametrize("name", ["history.csv", "metrics.csv", "run.json"])
def test_every_flipped_bit_is_found_and_named(folder, tmp_path, name):
    content = (folder / name).read_bytes()
    for place in range(0, len(content), 7):
        changed = bytearray(content)
        changed[place] ^= 1
        (folder / name).write_bytes(changed)
        found = []
        assert read_records(tmp_path, corrupt=found) == []
        (error,) = found
        assert "\n" not in str(error)
        assert name in error.why or error.why.startswith("it belongs to")


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"null", b'{"seed": 3}', b"\xff", b"[" * 100_000]
)
def test_a_run_json_that_describes_no_run_is_named(folder, content):
    (folder / "run.json").write_bytes(content)
    with pytest.raises(CorruptRecord, match="run.json"):
        read_record(folder)


def test_a_missing_file_and_a_moved_record_are_named(folder, tmp_path):
    moved = folder.with_name("seed-4")
    shutil.copytree(folder, moved)
    with pytest.raises(CorruptRecord, match="it belongs to pathmnist_basic seed 3"):
        read_record(moved)
    (folder / "metrics.csv").unlink()
    with pytest.raises(CorruptRecord, match="metrics.csv cannot be read"):
        read_record(folder).check()
    (folder / "run.json").unlink()
    with pytest.raises(CorruptRecord, match="run.json cannot be read"):
        read_record(folder)


def test_examples_may_be_left_out_but_not_get_lost(tmp_path):
    folder = run_folder(tmp_path, "pathmnist_basic", 3)
    run = RUN | {"config_hash": "0123456789ab"}
    write_record(folder, run, CONTENTS | {"examples.npz": b"pixels"})
    (folder / "examples.npz").unlink()
    with pytest.raises(CorruptRecord, match="examples.npz cannot be read"):
        read_record(folder).check()
    rewrite(folder, lambda run: run.update(left_out=["examples.npz"]))
    assert read_record(folder).check().examples is None


def test_arrays_hold_no_pickle(tmp_path):
    np.savez(tmp_path / "a.npz", logits=np.array([{}], dtype=object))
    content = (tmp_path / "a.npz").read_bytes()
    folder = run_folder(tmp_path, "pathmnist_basic", 3)
    record = write_record(folder, RUN, {"predictions.npz": content})
    with pytest.raises(ValueError, match="allow_pickle"):
        _ = record.predictions


def test_an_edited_notebook_is_no_evidence(folder):
    path = folder.with_suffix(".ipynb")
    notebook = {"cells": [], "metadata": {"papermill": {"input_path": "/tmp/x"}}}
    keep_notebook(folder, json.dumps(notebook).encode())
    assert read_record(folder).check().notebook == path
    assert b"/tmp/x" not in path.read_bytes()
    path.write_text(path.read_text().replace("cells", "Cells"))
    assert read_record(folder).notebook is None


class Killed(BaseException):
    """An end of the process between two steps."""


ENDING = {}  # the folder in which a call ends the process, the calls before, and the error


def end_process(event, args):
    """Raise at a call to the file system, as an audit hook of Python."""
    writes = event in ("open", "os.fsync", "os.mkdir", "os.rename", "shutil.copyfile")
    ours = ENDING and writes and str(args[0]).startswith(ENDING["folder"])
    if ours and next(ENDING["calls"], None) is None:
        raise ENDING["error"]


sys.addaudithook(end_process)


@pytest.mark.parametrize("error", [Killed, OSError(28, "No space left on device")])
def test_an_end_at_any_step_leaves_a_whole_record_or_none(tmp_path, monkeypatch, error):
    """Each call to the file system fails once; Killed also skips the clean-up."""
    ended = 0
    fsync = os.fsync
    monkeypatch.setattr(os, "fsync", lambda d: (sys.audit("os.fsync", str(tmp_path)), fsync(d)))
    if error is Killed:
        monkeypatch.setattr(files, "_discard", lambda path: None)
    for step in range(40):
        results = tmp_path / f"{step}"
        folder = run_folder(results, "pathmnist_basic", 3)
        ENDING.update(folder=str(tmp_path), calls=iter(range(step)), error=error)
        try:
            write_record(folder, RUN, CONTENTS)
        except (Killed, InputError):
            ended += 1
        finally:
            ENDING.clear()
        records = read_records(results)
        assert len(records) <= 1
        if not records:
            write_record(folder, RUN, CONTENTS)
            assert len(read_records(results)) == 1
    assert 10 <= ended < 40


def test_an_error_names_the_file_that_it_happened_to(tmp_path):
    (tmp_path / "results").write_text("a file")
    with pytest.raises(InputError, match=r"cannot write .*results.*: .*; .*-p results=FOLDER"):
        write_record(run_folder(tmp_path / "results", "pathmnist_basic", 0), RUN, CONTENTS)
    foreign = OSError(13, "Permission denied", "/etc/other")
    with (
        pytest.raises(InputError, match="cannot write /etc/other: Permission denied; fix it there"),
        files.writing(tmp_path / "results"),
    ):
        raise foreign


@pytest.mark.parametrize("harm", ["cut", "flip", "empty"])
def test_a_damaged_checkpoint_is_discarded_with_a_line(tmp_path, capsys, harm):
    checkpoint = files.Checkpoint(tmp_path / "seed-0")
    assert checkpoint.load() is None
    checkpoint.save(lambda file: file.write(b"state"))
    assert bytes(checkpoint.load()) == b"state"
    content = checkpoint.path.read_bytes()
    harmed = {"cut": content[:-1], "flip": b"S" + content[1:], "empty": b""}[harm]
    checkpoint.path.write_bytes(harmed)
    assert checkpoint.load() is None
    assert capsys.readouterr().out.endswith("is damaged: training restarts\n")
