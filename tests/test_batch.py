"""Real batches, with real kernels, on the embedded data: the command line from outside."""

import json
import os
import subprocess
import sys
from pathlib import Path

import jupytext
import numpy as np
import pytest
from distributed import LocalCluster

from helpers import ROOT
from helpers.runs.checkpoint import Checkpoint
from helpers.runs.parameters import NOTEBOOKS
from helpers.runs.record import read_record, read_records


def helpers(*arguments: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "helpers", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT)


def short(results: Path) -> list[str]:
    """Parameters of one epoch, with all files below a folder of the test's own."""
    return ["-p", f"results={results}", "-p", "epochs=1"]


ALL = ["--only", "pathmnist_*", "--seeds", "0", "-p", "pretraining_epochs=1"]


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> Path:
    """A batch of three experiments and the pretraining that one of them starts from."""
    results = tmp_path_factory.mktemp("a bätch, smoke") / "smoke"
    done = helpers("run", *ALL, *short(results))
    assert done.returncode == 0, done.stderr
    assert "all 4 runs are there" in done.stdout
    return results


def test_each_run_left_a_record_and_its_notebook(results):
    records = read_records(results)
    assert [record.experiment for record in records] == [
        "pathmnist_basic",
        "pathmnist_mixup",
        "pathmnist_pretrained",
        "pretrain_supervised",
    ]
    for record in records:
        executed = json.loads(record.notebook.read_text())
        assert executed["metadata"]["papermill"]["exception"] is None
        assert record.run["data"]["official"] is False
        assert record.run["environment"]["torch"]
        assert record.run["peak_memory_bytes"] > 1e8
        assert record.run["train_seconds"] > 0
    for record in records[:3]:
        assert record.metrics.shape == (9, 6)
        assert record.predictions["logits"].shape[0] == 9
        assert len(record.history) == 1
    pretrained = records[2].run["weights"]
    assert pretrained["sha256"] == records[3].run["files"]["weights.pt"]
    assert pretrained["official"] is False


@pytest.mark.parametrize("year", [0, 80], ids=["clock set back", "files from the future"])
def test_what_is_there_is_not_made_again(results, year):
    for path in results.rglob("*"):
        os.utime(path, (year * 3e7, year * 3e7 + 7 * (path.suffix == ".npz")))
    before = {path: path.stat().st_mtime_ns for path in results.rglob("*")}
    again = helpers("run", *ALL, *short(results))
    assert (again.returncode, again.stderr) == (0, "")
    assert {path: path.stat().st_mtime_ns for path in results.rglob("*")} == before


def test_papermill_by_hand_leaves_the_same_record_bit_by_bit(results, tmp_path):
    source = tmp_path / "pathmnist_basic.ipynb"
    jupytext.write(jupytext.read(NOTEBOOKS / "pathmnist_basic.py"), source)
    command = [sys.executable, "-m", "papermill", str(source), str(tmp_path / "out.ipynb")]
    parameters = ["-f", "profiles/smoke.yaml", "-p", "seed", "0", "-p", "epochs", "1"]
    place = ["-p", "results", str(tmp_path / "smoke")]
    subprocess.run([*command, *parameters, *place], cwd=ROOT, check=True)
    (mine,) = read_records(tmp_path / "smoke")
    theirs = read_record(results / "pathmnist_basic" / "seed-0")
    assert mine.run["parameters"]["epochs"] == 1
    files = {"history.csv", "metrics.csv", "predictions.npz", "examples.npz"}
    assert set(mine.run["files"]) == files
    assert theirs.run["environment"]["threads"] == mine.run["environment"]["threads"] == 1
    assert mine.run["files"] == theirs.run["files"]
    np.testing.assert_array_equal(mine.predictions["logits"], theirs.predictions["logits"])


def test_own_data_that_are_not_there_stop_all_before_the_first_run(tmp_path):
    asked = ("run", "--only", "pathmnist_*", "-p", f"results={tmp_path / 'mine'}")
    refused = helpers(*asked, "-p", f"data_source={tmp_path / 'typo.npz'}")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr == f"error: data_source: there is no {tmp_path / 'typo.npz'}\n"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("seed", ["0", "7"])  # one that is there, and one to stand beside it
def test_another_recipe_is_not_mixed_in(results, seed):
    other = helpers(
        "run", "--only", "pathmnist_b*", "--seeds", seed, *short(results), "-p", "weight_decay=0.1"
    )
    assert other.returncode == 2
    assert "seed-0 was made with another recipe (other weight_decay)" in other.stderr
    assert "delete" in other.stderr
    assert other.stderr.count("\n") == 1


def test_a_scheduler_elsewhere_makes_the_runs(tmp_path):
    results = tmp_path / "smoke"
    with LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None) as cluster:
        where = ["--scheduler", cluster.scheduler_address]
        done = helpers("run", "--only", "pathmnist_b*", "--seeds", "5", *where, *short(results))
    assert done.returncode == 0, done.stderr
    assert read_record(results / "pathmnist_basic" / "seed-5") is not None


@pytest.fixture(scope="module")
def failed(tmp_path_factory):
    """A batch whose data set is a truncated file."""
    folder = tmp_path_factory.mktemp("failed")
    (folder / "pathmnist.npz").write_bytes(b"PK cut short")
    place = ["-p", f"results={folder}/mine", "-p", f"data_dir={folder}"]
    words = ["--only", "pathmnist_basic", "--seeds", "0-1", *place, "-p", "data_source=official"]
    return folder, words, helpers("run", *words)


def test_bad_data_gives_one_line_exit_code_2_and_no_record(failed):
    folder, _, done = failed
    assert done.returncode == 2
    errors = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    assert len(errors) == 1
    assert "pathmnist.npz is not PathMNIST as published" in errors[0]
    assert "Traceback" not in done.stdout + done.stderr
    assert read_records(folder / "mine") == []
    dotted = {p.name for p in (folder / "mine").rglob("*") if p.name.startswith(".")}
    assert dotted == {".seed-0.lock", ".seed-1.lock"}


def test_status_tells_what_failed_and_why(failed):
    _, words, _ = failed
    lines = helpers("status", *words).stdout.splitlines()
    assert lines[0].split()[:4] == ["pathmnist_basic", "seed", "0", "failed"]
    assert "InputError: " in lines[0]
    assert "is not PathMNIST as published" in lines[0]
    assert lines[1].startswith(("    Cell In[", "    File "))
    assert any("pathmnist.py" in line for line in lines[1:5])
    assert "\x1b" not in "".join(lines)
    assert lines[-1] == "0 done, 0 missing, 2 failed, 0 damaged"


def test_status_tells_what_is_done_missing_and_damaged(results, tmp_path):
    words = ["status", "--only", "pathmnist_b*", "--seeds", "0-1", *short(results)]
    assert helpers(*words).stdout.splitlines()[-1] == "1 done, 1 missing, 0 failed, 0 damaged"
    damaged = results / "pathmnist_mixup" / "seed-0" / "metrics.csv"
    whole = damaged.read_bytes()
    damaged.write_bytes(whole[:-3])
    answer = helpers("status", "--only", "pathmnist_m*", "--seeds", "0", *short(results)).stdout
    damaged.write_bytes(whole)
    assert "is damaged: metrics.csv differs from its checksum" in answer
    assert answer.splitlines()[-1] == "0 done, 0 missing, 0 failed, 1 damaged"


def test_status_tells_what_has_begun(tmp_path):
    words = ["status", "--only", "pathmnist_b*", "--seeds", "0-1", *short(tmp_path)]
    checkpoint = Checkpoint(tmp_path / "pathmnist_basic" / "seed-1")
    checkpoint.path.parent.mkdir()
    checkpoint.save(lambda file: file.write(b"state"))
    missing, begun, counts = helpers(*words).stdout.splitlines()
    assert missing.endswith("seed 0           missing")
    assert begun.endswith("missing  begun; the same `run` goes on from its last saved epoch")
    assert counts == "0 done, 2 missing, 0 failed, 0 damaged"


SWITCH = "switches=[{'experiment': 'pets_scratch', 'lr': 1.0}]"
ONE = ["--only", "pathmnist_basic", "--seeds", "98"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["run", "--profile", "smok"], "no profile 'smok'; did you mean smoke?"),
        (["run", "--only", "cats"], "no experiment 'cats'"),
        (["run", "--seeds", "3-1"], "'3-1' is no seed or range"),
        (["run", "-p", "epochs=0"], "epochs: "),
        (["run", "-p", "results=/dev/null/x"], "cannot write /dev/null/x"),
        (["status", "-p", "epoch=1"], "no parameter 'epoch'; did you mean epochs?"),
        (["run", *ONE, "--scheduler", "tcp://127.0.0.1:9"], "cannot reach the scheduler"),
        (["run", *ONE, "--scheduler", "foo://x:1"], "cannot reach the scheduler foo://x:1"),
        (["run", "-p", "corruptions={[]:1}"], "corruptions: "),
        (["run", "-p", "seed=9"], "seed: give seeds as --seeds"),
        (["run", *ONE, "-p", "pretraining_epochs=9"], "no parameter of these runs"),
        (["run", "--only", "ablation_pe*", "-p", SWITCH], "no parameter to switch 'lr'; there are"),
        (["run", "--jobs", "0"], "Invalid value for '--jobs'"),
        (["rum"], "No such command 'rum'"),
    ],
)
def test_bad_input_gives_one_line_and_exit_code_2(words, message):
    done = helpers(*words)
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("error: ")
