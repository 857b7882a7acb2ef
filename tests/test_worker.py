"""Claims on runs and GPUs, and what a worker does with what it finds."""

import errno
import json
import multiprocessing
import os
import signal

import distributed
import pytest

import made_up
from helpers import InputError
from helpers.runs import gpus, worker
from helpers.runs.batch import run_batch
from helpers.runs.claims import claim
from helpers.runs.cluster import BatchError
from helpers.runs.files import list_beside
from helpers.runs.integrity import DamagedRecord
from helpers.runs.parameters import resolve
from helpers.runs.plan import Job
from helpers.runs.worker import Outcome, make_run

fork = multiprocessing.get_context("fork")


@pytest.fixture
def job(tmp_path):
    recipe = resolve("pathmnist_basic", "smoke", 3, {"results": str(tmp_path / "smoke")})
    return Job("pathmnist_basic", recipe, {})


@pytest.fixture
def executed(monkeypatch, tmp_path):
    """Jobs whose notebooks were executed; in place of papermill a made-up record is written."""
    jobs = []

    def execute(job, threads):
        jobs.append(job)
        parameters = job.recipe.model_dump(mode="json")
        record = made_up.write_run(job.folder.parents[1], "smoke", job.experiment, 3)
        files = {name: (record.folder / name).read_bytes() for name in record.run["files"]}
        about = {"parameters": parameters, "recipe_hash": job.recipe.identity}
        made_up.write_record(record.folder, record.run | about, files)
        return None, ""

    monkeypatch.setattr(worker, "_execute", execute)
    return jobs


def hold(folder, ready):
    with claim(folder) as ours:
        ready.put(ours)
        signal.pause()


def test_a_claim_is_one_processs_until_that_dies(tmp_path):
    folder = tmp_path / "seed-0"
    ready = fork.SimpleQueue()
    other = fork.Process(target=hold, args=(folder, ready))
    other.start()
    assert ready.get() is True
    with claim(folder) as ours:
        assert not ours
    os.kill(other.pid, signal.SIGKILL)
    other.join()
    with claim(folder) as ours:
        assert ours
        with claim(folder) as again:  # by another thread of this process, say
            assert not again


def test_where_a_file_system_has_no_locks_nobody_pretends_to_have_one(tmp_path, monkeypatch):
    def refuse(descriptor, operation):
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr("fcntl.flock", refuse)
    lock = r"seed-0.lock: Function not implemented"
    with pytest.raises(InputError, match=lock), claim(tmp_path / "seed-0"):
        pass


def test_a_claim_on_a_run_that_is_made_leaves_nothing(job, executed):
    assert make_run(job, 1, []).kind is None
    assert executed == [job]
    assert {p.name for p in job.folder.parent.iterdir()} == {"seed-3", "seed-3.ipynb"}


def test_where_no_lock_can_be_had_a_line_says_so(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with (
        pytest.raises(InputError, match="cannot write .*seed-0.lock: "),
        claim(tmp_path / "file" / "seed-0"),
    ):
        pass


def test_a_claimed_run_is_left_to_its_process_and_so_is_what_needs_it(job, executed):
    with claim(job.folder):
        outcome = make_run(job, 1, [])
    assert outcome.elsewhere
    assert make_run(job, 1, [outcome]).elsewhere
    assert executed == []


def test_a_run_that_another_process_has_made_meanwhile_is_not_made_again(job, executed):
    make_run(job, 1, [])
    assert make_run(job, 1, []).kind is None
    assert executed == [job]


def test_a_damaged_record_is_set_aside_and_made_again(job, executed, capsys):
    make_run(job, 1, [])
    (job.folder / "metrics.csv").write_bytes(b"")
    with pytest.raises(DamagedRecord):
        job.is_done()
    make_run(job, 1, [])
    assert executed == [job, job]
    assert job.is_done()
    (aside,) = list_beside(job.folder, "damaged")
    assert (aside / "metrics.csv").read_bytes() == b""


def test_a_batch_names_a_damaged_record_and_removes_what_a_kill_left(
    job, executed, capsys, monkeypatch
):
    make_run(job, 1, [])
    for name in (".seed-3.checkpoint", ".seed-3.ab.old", ".seed-3.ipynb.ab.new"):
        (job.folder.parent / name).write_bytes(b"")
    run_batch([job])
    assert {p.name for p in job.folder.parent.iterdir()} == {"seed-3", "seed-3.ipynb"}
    (job.folder / "metrics.csv").write_bytes(b"")
    monkeypatch.setattr(
        "helpers.runs.batch._outcomes", lambda jobs, *_: [make_run(job, 1, []) for job in jobs]
    )
    run_batch([job])
    err = capsys.readouterr().err
    assert err.startswith(f"warning: {job.folder} is damaged: metrics.csv differs")
    assert job.is_done()


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EIO])
def test_a_notebook_that_cannot_be_written_gives_a_line(job, monkeypatch, code):
    def execute(source, target, *_, **__):
        target.write_text("{}")

    def fail(path, parts):
        with worker.writing(path):
            raise OSError(code, os.strerror(code))

    monkeypatch.setattr("papermill.execute_notebook", execute)
    monkeypatch.setattr(worker, "write_whole", fail)
    outcome = make_run(job, None, [])
    assert outcome.kind == "InputError"
    assert outcome.message.startswith(f"cannot write {job.notebook}: {os.strerror(code)}; free")


def test_a_kernel_that_dies_is_told_by_status(job, monkeypatch):
    def die(source, target, *_, **__):
        target.write_text('{"cells": [{"cell_type": "code", "outputs": []}]}')
        raise RuntimeError("Kernel died")

    monkeypatch.setattr("papermill.execute_notebook", die)
    outcome = make_run(job, None, [])
    assert (outcome.kind, outcome.message) == ("RuntimeError", "Kernel died")
    assert job.failure() == ["RuntimeError: Kernel died"]


def test_status_tells_an_error_and_the_innermost_places(job):
    traceback = [
        "\x1b[31m-----\x1b[39m",
        "\x1b[36mCell\x1b[39m In[5], line 1\n\x1b[32m----> 1\x1b[39m training = ex.fit(model)",
        "\x1b[36mFile\x1b[39m src/helpers/experiment/training.py:143, in fit(model)\n"
        "    142 some\n--> 143 raise",
        "\x1b[31mFloatingPointError\x1b[39m: the loss is nan",
    ]
    error = {"output_type": "error", "ename": "FloatingPointError", "evalue": "the loss is nan"}
    cell = {"cell_type": "code", "outputs": [error | {"traceback": traceback}]}
    job.notebook.parent.mkdir(parents=True)
    job.notebook.write_text(json.dumps({"cells": [{"cell_type": "markdown"}, cell]}))
    assert job.failure() == [
        "FloatingPointError: the loss is nan",
        "Cell In[5], line 1",
        "----> 1 training = ex.fit(model)",
        "File src/helpers/experiment/training.py:143, in fit(model)",
        "--> 143 raise",
    ]


@pytest.mark.parametrize(
    "content", [b"", b'{"cells": [', b"[]", b'{"cells": 3}', b'{"cells": [{"outputs": [{}]}]}']
)
def test_a_torn_notebook_tells_of_no_failure(job, content):
    job.notebook.parent.mkdir(parents=True)
    job.notebook.write_bytes(content)
    assert job.failure() == []


def take(ready):
    gpus.take_gpu.cache_clear()
    ready.put(gpus.take_gpu())
    signal.pause()


def test_each_worker_takes_one_gpu_and_gives_it_back_when_it_dies(monkeypatch, tmp_path):
    monkeypatch.setattr(gpus, "list_gpus", lambda: ["GPU-a", "GPU-b"])
    monkeypatch.setattr(gpus.tempfile, "gettempdir", lambda: str(tmp_path))
    ready = fork.SimpleQueue()
    workers = []
    for _ in range(3):
        workers.append(fork.Process(target=take, args=(ready,)))
        workers[-1].start()
        if len(workers) < 3:
            continue
    taken = sorted(ready.get() for _ in workers)
    assert set(taken) == {"GPU-a", "GPU-b"}  # the third shares one
    for process in workers:
        os.kill(process.pid, signal.SIGKILL)
        process.join()
    again = fork.Process(target=take, args=(ready,))
    again.start()
    assert ready.get() == "GPU-a"
    again.kill()
    again.join()


@pytest.mark.parametrize(
    ("given", "listed", "found"),
    [
        (None, "GPU 0: A (UUID: GPU-1)\nGPU 1: A (UUID: GPU-2)\n", ["GPU-1", "GPU-2"]),
        ("1", "GPU 0: A (UUID: GPU-1)\nGPU 1: A (UUID: GPU-2)\n", ["1"]),
        ("", "GPU 0: A (UUID: GPU-1)\n", []),
        (None, "GPU 0: A (UUID: GPU-1)\n  MIG 1g Device 0: (UUID: MIG-3)\n", ["MIG-3"]),
        (None, "No devices were found\n", []),
    ],
)
def test_gpus_are_those_that_the_driver_lists(monkeypatch, tmp_path, given, listed, found):
    program = tmp_path / "nvidia-smi"
    program.write_text(f"#!/bin/sh\ncat <<'END'\n{listed}END\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if given is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", given)
    assert gpus.list_gpus() == found


def test_a_run_sees_the_gpu_of_its_worker_alone(job, monkeypatch):
    seen = []
    job.folder.parent.mkdir(parents=True)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-a,GPU-b")
    monkeypatch.setattr(worker, "take_gpu", lambda: "GPU-b")
    monkeypatch.setattr(worker, "preload", lambda *_: None)
    monkeypatch.setattr(
        "papermill.execute_notebook", lambda *_, **__: seen.append(dict(os.environ))
    )
    assert worker._execute(job, None) == (None, "")
    assert seen[0]["CUDA_VISIBLE_DEVICES"] == "GPU-b"


def test_a_failed_need_is_told_without_a_try(job, executed):
    outcome = make_run(job, 1, [Outcome(job, 9.0, "InputError", "no such file")])
    assert (outcome.kind, outcome.message, outcome.seconds) == ("InputError", "no such file", 0)
    assert executed == []


def test_workers_that_cannot_start_are_told_in_a_line(job, monkeypatch):
    def fail(**arguments):
        raise RuntimeError("Nanny failed to start.")

    monkeypatch.setattr(distributed, "LocalCluster", fail)
    with pytest.raises(BatchError, match="^no workers: Nanny .* The same command tries again.$"):
        run_batch([job], 1)
