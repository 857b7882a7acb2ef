"""Locks, GPUs and the environment of kernels."""

import errno
import io
import multiprocessing
import os
import signal
import stat
import sys
from types import SimpleNamespace

import pytest

from helpers import InputError
from helpers.runs import batch, cluster
from helpers.runs.locks import is_locked, lock_run
from helpers.runs.worker import Outcome, make_environment


def hold(folder, ready):
    with lock_run(folder) as ours:
        ready.put(ours)
        signal.pause()


def test_a_lock_is_one_processs_until_that_dies(tmp_path):
    folder = tmp_path / "seed-0"
    assert not is_locked(folder)
    context = multiprocessing.get_context("spawn")
    ready = context.SimpleQueue()
    other = context.Process(target=hold, args=(folder, ready))
    other.start()
    assert ready.get() is True
    assert is_locked(folder)
    with lock_run(folder) as ours:
        assert not ours
    other.kill()
    other.join()
    assert not is_locked(folder)
    with lock_run(folder) as ours, lock_run(folder) as again:
        assert (ours, again) == (True, False)
    folder.mkdir()
    (folder / "run.json").touch()
    with lock_run(folder):
        pass
    assert {path.name for path in tmp_path.iterdir()} == {"seed-0"}


def test_a_file_system_without_locks_or_room_is_named(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot write "), lock_run(tmp_path / "file" / "seed-0"):
        pass

    def refuse(descriptor, operation):
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr("fcntl.flock", refuse)
    with (
        pytest.raises(InputError, match=r"Function not implemented"),
        lock_run(tmp_path / "seed-0"),
    ):
        pass
    assert not is_locked(tmp_path / "seed-0")


WHOLE = "GPU 0: NVIDIA (UUID: GPU-a)\nGPU 1: NVIDIA (UUID: GPU-b)\n"
DIVIDED = "GPU 0: NVIDIA (UUID: GPU-a)\n  MIG 1g.10gb (UUID: MIG-x)\n  MIG (UUID: MIG-y)\n"


@pytest.mark.parametrize(
    ("printed", "visible", "found"),
    [
        (WHOLE, None, ["GPU-a", "GPU-b"]),
        (WHOLE, "1", ["1"]),
        (WHOLE, "0,1", ["0", "1"]),
        (WHOLE, "0,-1,1", ["0"]),
        (WHOLE, "-1", []),
        (WHOLE, "", []),
        (DIVIDED, None, ["MIG-x", "MIG-y"]),
        ("no devices", "0", []),
        ("$(sleep 60)", None, []),
        (None, "0", []),
    ],
)
def test_gpus_are_those_that_the_process_may_use(tmp_path, monkeypatch, printed, visible, found):
    if printed is not None:
        tool = tmp_path / "nvidia-smi"
        tool.write_text(f'#!/bin/sh\necho "{printed}"\n')
        tool.chmod(tool.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    monkeypatch.setattr(cluster, "PATIENCE", 1)
    if visible is None:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    else:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert cluster.list_gpus() == found


def acquire(answers, done):
    cluster.list_gpus = lambda: ["GPU-a", "GPU-b"]
    answers.put(cluster.acquire_gpu())
    done.wait()


def test_workers_share_the_gpus_evenly(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    context = multiprocessing.get_context("spawn")
    answers, done = context.SimpleQueue(), context.Event()
    workers = [context.Process(target=acquire, args=(answers, done)) for _ in range(3)]
    for worker in workers:
        worker.start()
    given = sorted(answers.get() for _ in workers)
    done.set()
    for worker in workers:
        worker.join()
    assert set(given) == {"GPU-a", "GPU-b"}


def test_the_environment_of_a_kernel(tmp_path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    made = make_environment(tmp_path, threads=2, gpu="MIG-x")
    assert made["OMP_NUM_THREADS"] == made["MKL_NUM_THREADS"] == "2"
    assert made["CUDA_VISIBLE_DEVICES"] == "MIG-x"
    assert made["MALLOC_MMAP_THRESHOLD_"] == "33554432"
    assert made["MALLOC_TRIM_THRESHOLD_"] == "2147483647"
    kept = make_environment(tmp_path, threads=None, gpu=None)
    assert kept["OMP_NUM_THREADS"] == "5"
    assert kept.get("CUDA_VISIBLE_DEVICES") == os.environ.get("CUDA_VISIBLE_DEVICES")


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_terminal_gets_a_bar_per_run_and_a_log_a_line_per_epoch(monkeypatch, tmp_path):
    job = SimpleNamespace(name="pets_scratch seed 0", folder=tmp_path)
    state = {"epoch": 7, "epochs": 9, "updated": 0, "seconds_per_epoch": None}
    files = [state, state, state | {"epoch": 8}, state | {"epoch": 8}]
    for kind, lines in ((io.StringIO, 1), (Terminal, 0)):
        out, err = kind(), kind()
        monkeypatch.setattr(sys, "stdout", out)
        monkeypatch.setattr(sys, "stderr", err)
        reads = iter(files)
        monkeypatch.setattr(batch, "read_progress", lambda folder, reads=reads: next(reads))
        monitor = batch.Monitor([job])
        for _ in files[1:]:
            monitor.update()
        monitor.close(Outcome(job, 1.0))
        assert out.getvalue().count("epoch 8 of 9") == lines
        assert ("epoch 8 of 9" in err.getvalue()) is (kind is Terminal)
        assert "epoch 7" not in out.getvalue() + err.getvalue()
