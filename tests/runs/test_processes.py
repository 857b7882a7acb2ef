"""Locks, GPUs and the environment of kernels."""

import errno
import multiprocessing
import os
import re
import signal
import stat
from types import SimpleNamespace

import pytest

from helpers import InputError
from helpers.runs import batch, cluster
from helpers.runs.files import is_locked, lock_run
from helpers.runs.worker import make_environment


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


def test_workers_share_the_gpus_evenly(tmp_path, monkeypatch):
    (tmp_path / "nvidia-smi").write_text(f'#!/bin/sh\necho "{WHOLE}"\n')
    (tmp_path / "nvidia-smi").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    with cluster.open_cluster(3, 3, None) as (client, _):
        given = client.run(lambda: os.environ.get("CUDA_VISIBLE_DEVICES")).values()
        assert sorted(given) == ["GPU-a", "GPU-a", "GPU-b"]
    for name, gpu in ((7, "GPU-b"), ("SLURMCluster-2", "GPU-a"), ("mine", "GPU-a")):
        cluster.choose_gpu(SimpleNamespace(name=name))
        assert os.environ.pop("CUDA_VISIBLE_DEVICES") == gpu


def test_the_environment_of_a_kernel(tmp_path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "MIG-x")
    made = make_environment(tmp_path, threads=2)
    assert made["OMP_NUM_THREADS"] == made["MKL_NUM_THREADS"] == "2"
    assert made["CUDA_VISIBLE_DEVICES"] == "MIG-x"
    assert made["MALLOC_MMAP_THRESHOLD_"] == "33554432"
    assert made["MALLOC_TRIM_THRESHOLD_"] == "2147483647"
    assert make_environment(tmp_path, threads=None)["OMP_NUM_THREADS"] == "5"


def test_an_epoch_is_printed_once_with_its_accuracies_and_the_expected_end():
    progress = {"epoch": 7, "epochs": 9, "updated": 0, "seconds_per_epoch": 1.23}
    progress |= {"validation_accuracy": 0.5, "best_validation_accuracy": 0.625}
    text = r"epoch 7 of 9, validation accuracy 0.500 \(best 0.625\), 1.2 s per epoch, training ends"
    assert re.match(text, batch.describe_progress(progress))
    progress |= {"epoch": 0, "seconds_per_epoch": None}
    assert batch.describe_progress(progress) == "epoch 0 of 9"
