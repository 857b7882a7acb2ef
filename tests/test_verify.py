"""A run made again from its record: the same bits, other bits, and what cannot be repeated."""

import hashlib
import shutil
import sys

import numpy as np
import pandas as pd
import pytest

import made_up
from helpers import ROOT, __main__
from helpers.runs import verify
from helpers.runs.comparison import list_differences
from helpers.runs.parameters import resolve
from helpers.runs.plan import Job
from helpers.runs.record import read_record, run_folder, write_record
from helpers.runs.worker import Outcome, make_run


def plan_job(results, experiment="pathmnist_basic", **overrides):
    recipe = resolve(experiment, "smoke", 3, {"results": str(results), **overrides})
    return Job(experiment, recipe, recipe.model_dump())


def write(job, **changes):
    """Write a made-up record with the recipe of a job, and return it."""
    record = made_up.write_run(job.folder.parents[1], "smoke", job.experiment, job.recipe.seed)
    parameters = job.recipe.model_dump(mode="json")
    about = {"parameters": parameters, "recipe_hash": job.recipe.identity}
    return edit(record, **(about | changes))


def edit(record, contents=None, **changes):
    """Write a record anew with other files or facts, its checksums in order, and return it."""
    files = {name: (record.folder / name).read_bytes() for name in record.run["files"]}
    return write_record(record.folder, record.run | changes, files | (contents or {}))


@pytest.fixture
def record(tmp_path):
    return write(plan_job(tmp_path / "then"))


@pytest.fixture
def changes(monkeypatch):
    """What a repeated run records otherwise; it writes a made-up record and trains nothing."""
    changes = {}

    def make(job, threads, first):
        write(job, **changes)
        return Outcome(job, 1.0)

    monkeypatch.setattr(verify, "make_run", make)
    return changes


@pytest.fixture
def ask(monkeypatch, capsys):
    """Return exit code and output of ``python -m helpers verify FOLDER``, one line a list item."""

    def ask(folder):
        monkeypatch.setattr(sys, "argv", ["helpers", "verify", str(folder)])
        code = __main__.main()
        out, err = capsys.readouterr()
        if code == 2:
            assert err.startswith("error: ")
            assert err.count("\n") == 1
        return code, (err if code == 2 else out).splitlines()

    return ask


def test_the_same_seed_in_a_new_process_gives_the_same_bits(tmp_path, monkeypatch, ask):
    """Two kernels, two folders: the second trains again all by the record of the first."""
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):  # make_run sets them: only for this test
        monkeypatch.setenv(name, "1")
    small = {"epochs": 1, "image_size": 16, "batch_size": 512, "corruptions": {"blur": [0.5]}}
    job = plan_job(tmp_path / "results", **small)
    assert make_run(job, 1, []).kind is None
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    code, (first, *files, last) = ask(job.folder)
    assert code == 0
    assert first.startswith("repeating pathmnist_basic seed 3, ")
    assert [line.split(maxsplit=1)[1] for line in files] == ["same bits"] * 4
    assert last == f"verified: {job.folder} repeats bit by bit"
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_a_changed_logit_is_found(record, changes, ask):
    arrays = dict(record.predictions)
    arrays["logits"] = arrays["logits"].copy()
    arrays["logits"][2, 5, 0] += 4
    edit(record, {"predictions.npz": made_up._pack(arrays)})
    code, lines = ask(record.folder)
    assert code == 1
    (line,) = [line for line in lines if line.startswith("predictions.npz")]
    assert line.split(maxsplit=1)[1] == "logits differs in 1 of 24,300 values, by up to 4"
    assert "history.csv      same bits" in lines
    assert lines[-1] == "nothing that the record knows"


def test_what_differs_of_the_environment_is_told(record, changes, ask):
    environment = record.run["environment"]
    changes["environment"] = environment | {"torch": "3", "git_dirty": True}
    changes["contents"] = {"history.csv": b"epoch,train_loss\n1,0.25\n", "new.csv": b""}
    code, lines = ask(record.folder)
    assert code == 1
    assert lines[1].startswith("history.csv      epoch is int64 (1,), not int64 (5,); train_loss")
    assert "validation_loss is not there" in lines[1]
    assert "new.csv          is new" in lines
    assert "torch            then 2, now 3" in lines
    assert "git_dirty        then False, now True" in lines
    assert "not verified: " in lines[-3]


def test_uncommitted_changes_then_and_now_may_be_others(record, changes, ask):
    environment = record.run["environment"] | {"git_dirty": True}
    edit(record, {"metrics.csv": b"corruption\nclean\n"}, environment=environment)
    changes["environment"] = environment
    code, lines = ask(record.folder)
    assert code == 1
    assert lines[-1] == "git_dirty        then True, now True"


def test_the_same_values_in_other_bytes_are_called_so(record, changes, ask):
    changes["contents"] = {"metrics.csv": record.metrics.to_csv(index=False).encode() + b"\n"}
    code, lines = ask(record.folder)
    assert code == 1
    assert "metrics.csv      other bytes, the same values" in lines


@pytest.mark.parametrize("harm", ["none", "file", "elsewhere"])
def test_weights_that_it_started_from_must_be_there(tmp_path, monkeypatch, ask, harm):
    job = plan_job(tmp_path / "then", "pathmnist_pretrained")
    checksum = hashlib.sha256(b"a checkpoint").hexdigest()
    weights = {"initialisation": "imagenet", "sha256": checksum, "official": False}
    record = write(job, weights=weights)
    start = tmp_path / "then" / job.recipe.stand_in_weights["imagenet"]
    start.parent.mkdir(parents=True)
    if harm != "file":
        start.write_bytes(b"a checkpoint" if harm == "none" else b"another one")

    def make(repeated, threads, first):
        assert (ROOT / repeated.recipe.start).read_bytes() == b"a checkpoint"
        write(repeated, weights=weights)
        return Outcome(repeated, 1.0)

    monkeypatch.setattr(verify, "make_run", make)
    code, lines = ask(record.folder)
    assert code == (0 if harm == "none" else 2)
    if harm != "none":
        assert f"{start} does not hold the weights that it started from" in lines[0]


@pytest.mark.parametrize("harm", ["none", "other arm", "no arm", "damaged arm"])
def test_an_ablation_finds_its_arms_as_they_were(tmp_path, monkeypatch, ask, harm):
    results = tmp_path / "then"
    arm = write(plan_job(results, "pathmnist_mixup"))
    job = plan_job(results, "ablation_pathmnist", switches=[{"experiment": "pathmnist_mixup"}])

    def write_ablation(job):
        names = ("seed", "data", "environment", "train_seconds", "evaluate_seconds")
        run = {name: arm.run[name] for name in names} | {
            "experiment": "ablation_pathmnist",
            "parameters": job.recipe.model_dump(mode="json"),
            "recipe_hash": job.recipe.identity,
            "arms": {"pathmnist_mixup": arm.origin},
        }
        return write_record(job.folder, run, {"history.csv": b"epoch\n1\n"})

    def make(repeated, threads, first):
        copy = read_record(run_folder(repeated.folder.parents[1], "pathmnist_mixup", 3))
        assert copy.check().run == arm.run
        write_ablation(repeated)
        return Outcome(repeated, 1.0)

    monkeypatch.setattr(verify, "make_run", make)
    record = write_ablation(job)
    if harm == "other arm":
        edit(arm, recipe_hash="other")
    elif harm == "no arm":
        shutil.rmtree(arm.folder)
    elif harm == "damaged arm":
        (arm.folder / "metrics.csv").unlink()
    code, lines = ask(record.folder)
    if harm == "none":
        assert (code, lines[1]) == (0, "history.csv      same bits")
    else:
        assert code == 2
        says = "is damaged" if harm == "damaged arm" else "is not the run that it switches choices"
        assert f"{arm.folder} {says}" in lines[0]


def test_other_data_end_without_a_verdict(record, changes, ask):
    changes["data"] = record.run["data"] | {"sha256": "other"}
    code, (line,) = ask(record.folder)
    assert code == 2
    assert "other data than then (SHA-256 other, not pathmnist); look for the files" in line


def test_a_run_that_fails_is_told(record, monkeypatch, ask):
    for kind, code in [("InputError", 2), ("RuntimeError", 1)]:
        monkeypatch.setattr(
            verify, "make_run", lambda job, *_, kind=kind: Outcome(job, 1, kind, "x")
        )
        assert ask(record.folder)[0] == code


def test_a_folder_of_runs_is_no_damaged_record(record, ask):
    code, (line,) = ask(record.folder.parent)
    assert code == 2
    assert "there is no record in" in line


def change_parameter(record, **values):
    return edit(record, parameters=record.run["parameters"] | values)


def drop_parameter(record, name):
    rest = {key: value for key, value in record.run["parameters"].items() if key != name}
    return edit(record, parameters=rest)


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda r: shutil.rmtree(r.folder), "there is no record in"),
        (lambda r: (r.folder / "metrics.csv").write_text(""), "metrics.csv differs from its check"),
        (lambda r: (r.folder / "run.json").unlink(), "run.json cannot be read (No such file"),
        (lambda r: edit(r, experiment="pathmnist_basis"), "it is that of pathmnist_basis seed"),
        (lambda r: drop_parameter(r, "batch_norm"), "batch_norm: field required"),
        (lambda r: change_parameter(r, epochs=9), "its parameters are not those of recipe"),
        (lambda r: edit(r, recipe_hash="0" * 12), "not those of recipe 000000000000; check out"),
        (
            lambda r: change_parameter(edit(r, recipe_hash="0"), momentum=0.9),
            "pathmnist_basic has no momentum any more; check out the commit that made it (01234567",
        ),
        (
            lambda r: edit(r, environment=r.run["environment"] | {"device": "NVIDIA H100"}),
            "it was made on NVIDIA H100, and this machine has no GPU",
        ),
    ],
)
def test_what_cannot_be_repeated_is_refused_before_it_runs(record, ask, harm, message):
    harm(record)
    code, (line,) = ask(record.folder)
    assert code == 2
    assert message in line


def test_list_differences():
    nan = float("nan")
    then = {"a": [1.0, nan, 3.0], "b": ["x", "y"], "c": [1, 2], "d": [0]}
    assert list_differences(then, then) == []
    now = {"a": [1.0, nan, 2.5], "b": ["x", "z"], "c": [1.0, 2.0], "e": [0]}
    assert list_differences(then, now) == [
        "a differs in 1 of 3 values, by up to 0.5",
        "b differs in 1 of 2 values",
        "c is float64 (2,), not int64 (2,)",
        "d is not there",
        "e is new",
    ]
    assert list_differences({"a": [nan]}, {"a": [0.0]}) == [
        "a differs in 1 of 1 values, by up to nan"
    ]
    big = {"a": np.array([0, 255], dtype=np.uint8)}
    assert list_differences(big, {"a": big["a"][::-1]})[0].endswith("by up to 255")  # no overflow
    tables = pd.DataFrame({"a": [1, 2]}), pd.DataFrame({"a": [1, 4]})
    assert list_differences(*tables) == ["a differs in 1 of 2 values, by up to 2"]
