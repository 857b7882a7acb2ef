"""Repetition of a run: the same bits, other bits, and runs that cannot be repeated."""

import shutil

import numpy as np
import pytest

from helpers import InputError
from helpers.runs import verify as module
from helpers.runs.plan import plan
from helpers.runs.record import read_record, write_record
from helpers.runs.verify import list_differences, plan_repetition, verify
from helpers.runs.worker import Outcome, make_run


def write(job, predictions=None, **changes):
    path = job.folder.with_suffix(".npz")
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, logits=np.zeros((1, 4, 2)) if predictions is None else predictions)
    described = {
        "experiment": job.experiment,
        "seed": job.config.seed,
        "parameters": job.config.model_dump(mode="json"),
        "environment": {"device": "cpu", "threads": 1, "torch": "2", "git_commit": "c0ffee"},
        "data": {"sha256": "d"},
        "weights": {"sha256": None},
    }
    contents = {"history.csv": b"epoch,loss\n1,0.5\n", "predictions.npz": path.read_bytes()}
    path.unlink()
    return write_record(job.folder, described | changes, contents)


@pytest.fixture
def job(tmp_path):
    (job,) = plan("smoke", [3], "pathmnist_basic", {"results": str(tmp_path / "results")})
    return job


@pytest.fixture
def repeat_with(monkeypatch):
    """Let the repeated run leave a record with given changes instead of training."""

    def use(**changes):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")

        def make(job, threads):
            write(job, **changes)
            return Outcome(job, 1.0)

        monkeypatch.setattr(module, "make_run", make)

    return use


def test_the_same_seed_in_a_new_process_gives_the_same_bits(tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    small = {"epochs": 1, "image_size": 16, "batch_size": 512, "corruptions": {"blur": [0.5]}}
    overrides = small | {"results": str(tmp_path / "results")}
    (job,) = plan("smoke", [3], "pathmnist_basic", overrides)
    assert make_run(job, 1).kind is None
    files, _ = verify(job.folder)
    assert set(files.values()) == {""}
    assert list(files) == ["history.csv", "metrics.csv", "predictions.npz"]


def test_a_changed_logit_is_found_and_differences_of_the_environment_are_listed(job, repeat_with):
    write(job)
    changed = np.zeros((1, 4, 2))
    changed[0, 0, 0] = 0.5
    environment = {"device": "cpu", "threads": 2, "torch": "2", "git_commit": "c0ffee"}
    repeat_with(predictions=changed, environment=environment)
    expected = "logits: 1 of 8 values differ"
    files = {"history.csv": "", "predictions.npz": expected}
    assert verify(job.folder) == (files, {"threads": (1, 2)})


def test_files_left_out_on_purpose_and_images_are_not_compared(job, repeat_with):
    run = write(job).run
    shutil.rmtree(job.folder)
    run |= {"left_out": ["predictions.npz"]}
    contents = {"history.csv": b"epoch,loss\n1,0.5\n", "examples.npz": b"pixels"}
    write_record(job.folder, run, contents)
    repeat_with()
    assert verify(job.folder)[0] == {"history.csv": ""}


@pytest.mark.parametrize("kind", ["data", "weights"])
def test_other_data_or_weights_end_without_a_verdict(job, repeat_with, kind):
    write(job, **{kind: {"sha256": "d"}})
    repeat_with(**{kind: {"sha256": "e"}})
    with pytest.raises(InputError, match=f"its {kind} differed .*; restore the {kind}"):
        verify(job.folder)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"experiment": "pathmnist_gone"}, "unknown experiment .*commit of the run .c0ffee"),
        ({"parameters": {"epochs": 1}}, "field required"),
        ({"environment": {"device": "H100"}}, "made on H100, and this machine has no GPU"),
    ],
)
def test_runs_that_cannot_be_repeated_are_refused_first(job, tmp_path, changes, message):
    record = write(job)
    environment = record.run["environment"] | changes.pop("environment", {})
    run = record.run | changes | {"environment": environment}
    with pytest.raises(InputError, match=message):
        plan_repetition(type(record)(record.folder, run), tmp_path)
    old = record.run | {"parameters": record.parameters | {"old_name": 1}}
    with pytest.raises(InputError, match="no longer has old_name"):
        plan_repetition(type(record)(record.folder, old), tmp_path)


def test_stand_in_weights_are_those_of_the_results_folder(tmp_path):
    start, job = plan("smoke", [0], "pathmnist_pretrained", {"results": str(tmp_path)})
    repeated = plan_repetition(write(job), tmp_path / "new")
    assert repeated.config.start == str(start.folder / "weights.pt")


def test_a_folder_without_record_says_what_to_give(tmp_path):
    with pytest.raises(InputError, match="give the folder of a run"):
        verify(tmp_path)
    assert read_record(tmp_path / "seed-0") is None


def test_arrays_are_compared_by_value_shape_and_name():
    then = {"a": np.array([1.0, np.nan]), "b": np.zeros(2), "c": np.zeros(1)}
    now = {"a": np.array([1.0, np.nan]), "b": np.zeros(3), "d": np.zeros(1)}
    expected = [f"{name} is missing, new or of another shape" for name in "bcd"]
    assert list_differences(then, now) == expected
    assert module.NUMERIC[0] == "history.csv"
