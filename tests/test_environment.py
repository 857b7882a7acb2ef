"""The environment of real users: a command works in it, or says what to do in one line."""

import io
import os
import resource
import shutil
import socket
import subprocess
import sys
import tracemalloc
import zipfile
from pathlib import Path
from types import SimpleNamespace

import distributed
import numpy as np
import pytest
from PIL import Image

from helpers import ROOT, InputError
from helpers.experiment.data import load_data
from helpers.report.escape import redact_paths
from helpers.runs import cluster, run
from helpers.runs.cluster import BatchError
from runs.batches import Batch

POSIX = {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}

#: Files of a user whose settings would end or change a run.
SETTINGS = {
    ".config/dask/a.yaml": "scheduler-address: tcp://127.0.0.1:9",
    ".config/matplotlib/matplotlibrc": "backend: QtAgg",
    ".ipython/profile_default/startup/00.py": "raise SystemExit('profile')",
    ".ipython/profile_default/ipython_kernel_config.py": "raise SystemExit('configuration')",
    "jupyter/kernels/python3/kernel.json": '{"argv": ["false"], "display_name": "foreign"}',
    "startup.py": "raise SystemExit('startup')",
}

#: What reaches a run from its environment; `HERE` is the folder of the settings.
VARIABLES = POSIX | {
    **{"HOME": "HERE", "XDG_CONFIG_HOME": "HERE/.config", "IPYTHONDIR": "HERE/.ipython"},
    **{"JUPYTER_PATH": "HERE/jupyter", "JUPYTER_DATA_DIR": "HERE/jupyter"},
    **{"JUPYTER_CONFIG_DIR": "HERE/.jupyter", "PYTHONSTARTUP": "HERE/startup.py"},
    **{"MPLBACKEND": "TkAgg", "PYTHONWARNINGS": "error", "PYTHONOPTIMIZE": "2"},
    **{"PYTHONIOENCODING": "ascii", "CUDA_VISIBLE_DEVICES": "-1", "GIT_DIR": "HERE"},
    **{"DASK_DISTRIBUTED__WORKER__RESOURCES__GPU": "1", "OMP_NUM_THREADS": "3"},
}


def make_data(place: Path) -> Path:
    """Folders of images of two classes, one of which the validation set lacks, and other files."""
    rng = np.random.default_rng(0)
    for split, count in (("train", 12), ("val", 4), ("test", 4)):
        for level, name in enumerate(("dark", "light")):
            (place / split / name).mkdir(parents=True)
            for number in range(count if (split, level) != ("val", 0) else 0):
                image = (rng.integers(0, 60, (28, 28, 3)) + 180 * level).astype(np.uint8)
                Image.fromarray(image).save(place / split / name / f"{number}.png")
    (place / "train/dark/Thumbs.db").touch()
    return place


@pytest.fixture(scope="module")
def plain(tmp_path_factory) -> Batch:
    """A batch of one run in this process's environment."""
    folder = tmp_path_factory.mktemp("plain")
    batch = Batch(folder, make_data(folder / "mine"), epochs=1)
    assert batch.run()[-1] == "run complete"
    return batch


def test_a_batch_says_which_files_it_ignored_and_which_class_a_split_lacks(plain):
    notes = [line for line in plain.log.read_text().splitlines() if str(plain.data) in line]
    assert notes == [
        f"{plain.data}: not images of a class, and ignored: 1 .db",
        f"{plain.data}: val holds no image of 'dark'",
    ]
    with np.load(plain.place() / "examples.npz") as examples:
        means = examples["images"][0].mean((1, 2, 3))
        assert ((means > 128) == examples["labels"]).all()


def test_a_users_settings_and_the_path_of_the_checkout_change_nothing(plain, tmp_path):
    checkout = tmp_path / "a #1 50%25 'q\" [x] {y} $HOME"
    for name in ("src/helpers", "book/experiments", "profiles"):
        shutil.copytree(ROOT / name, checkout / name, ignore=shutil.ignore_patterns("__pyc*"))
    for name, text in SETTINGS.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    variables = {name: value.replace("HERE", str(tmp_path)) for name, value in VARIABLES.items()}
    variables["PYTHONPATH"] = str(checkout / "src")
    batch = Batch(tmp_path, plain.data, epochs=1, **variables)
    assert "Exception" not in " ".join(batch.run())
    assert batch.files() == plain.files()
    assert '"git_commit": null' in (batch.place() / "run.json").read_text()  # no clone


def test_a_run_of_other_data_under_the_same_path_is_not_done(plain):
    victim = plain.data / "test/light/0.png"
    victim.touch()
    assert plain.status()[0].split()[-1] == "done"
    Image.new("RGB", (28, 28)).save(victim)
    for line, *_ in (plain.status(), plain.run(code=2)):
        assert f"was made with a different content of {plain.data}" in line


def test_a_user_needs_neither_name_nor_home():
    code = "import os, pwd; del os.environ['HOME']; pwd.getpwuid = {}.__getitem__; "
    code += "from helpers.__main__ import main; main()"
    done = subprocess.run([sys.executable, "-c", code, "tables", "1"], capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize(("words", "code"), [("tables 1", 0), ("run --only n\u00f6pe", 2)])
@pytest.mark.parametrize("variables", [POSIX, {"PYTHONIOENCODING": "ascii:strict"}])
def test_output_never_fails_for_a_locale(words, code, variables):
    command = [sys.executable, "-m", "helpers", *words.split()]
    done = subprocess.run(command, capture_output=True, cwd=ROOT, env=os.environ | variables)
    assert done.returncode == code
    assert b"Traceback" not in done.stderr
    (done.stdout + done.stderr).decode("ascii")


#: Folder of the project, variables, and whether its record has a commit.
PLACES = {
    "a clone": ("", {}, True),
    "unpacked inside another repository": ("unpacked", {}, False),
    "another repository in the environment": ("", {"GIT_DIR": "/", "GIT_INDEX_FILE": "/"}, True),
    "a repository that is broken": ("broken", {}, False),
    "untracked files not shown": ("", {"HOME": "HERE"}, True),
    "no git": ("", {"PATH": ""}, False),
}


@pytest.mark.parametrize("name", PLACES)
def test_a_record_has_the_commit_of_the_project_or_none(tmp_path, monkeypatch, capsys, name):
    folder, variables, found = PLACES[name]
    who = "git init -q; git -c user.name=a -c user.email=a@b"
    subprocess.run(f"{who} commit -q --allow-empty -m a", shell=True, check=True, cwd=tmp_path)
    (tmp_path / ".gitconfig").write_text("[status]\nshowUntrackedFiles = no\n")
    for new in ("src", "broken/.git", "unpacked"):
        (tmp_path / new).mkdir(parents=True)
    (tmp_path / "src/new.py").touch()
    for variable, value in variables.items():
        monkeypatch.setenv(variable, value.replace("HERE", str(tmp_path)))
    monkeypatch.setattr(run, "ROOT", tmp_path / folder)
    commit, dirty = run.describe_commit().values()
    assert (bool(commit), dirty) == (found, True if found else None)
    assert ("the record has no commit: fatal: " in capsys.readouterr().out) is (folder == "broken")


def refuse(*_, **__):
    raise type("Timeout", (OSError, RuntimeError), {})("out of reach")


@pytest.mark.parametrize(
    ("place", "name", "message"),
    [
        (cluster, "get_context", "they need the loopback interface (127.0.0.1), shared memory"),
        (distributed, "LocalCluster", "they need the loopback interface (127.0.0.1)"),
    ],
)
def test_a_batch_that_cannot_start_names_the_reason(monkeypatch, place, name, message):
    monkeypatch.setattr(place, name, refuse)
    with pytest.raises(BatchError) as error, cluster.open_cluster(1, 1, None):
        pass
    assert message in str(error.value)


def test_a_bad_file_of_dask_is_named(tmp_path):
    (tmp_path / "bad.yaml").write_text("a: [")
    code = "from helpers.runs import cluster; cluster.open_cluster(1, 1, None).__enter__()"
    command, env = [sys.executable, "-c", code], os.environ | {"DASK_CONFIG": str(tmp_path)}
    errors = subprocess.run(command, env=env, capture_output=True, text=True).stderr
    assert f"InputError: A dask config file at '{tmp_path}/bad.yaml' is malformed" in errors


def test_a_hanging_nvidia_smi_is_no_gpu(tmp_path, monkeypatch):
    (tmp_path / "nvidia-smi").write_text("#!/bin/sh\nexec /bin/sleep 100\n")
    (tmp_path / "nvidia-smi").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    monkeypatch.setattr(cluster, "PATIENCE", 0.1)
    assert cluster.list_gpus() == []


def test_too_few_file_descriptors_are_named(tmp_path):
    np.savez(tmp_path / "mine.npz", train_images=np.zeros(3))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        with pytest.raises(InputError, match="cannot read .*mine.npz: Too many open files"):
            load_data("pathmnist", str(tmp_path / "mine.npz"), str(tmp_path), 28)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_host_named_like_a_word_of_an_address_leaves_links_whole(monkeypatch):
    monkeypatch.setattr(socket, "gethostname", lambda: "doi")
    assert redact_paths("https://doi.org/10.1/x") == "https://doi.org/10.1/x"
    assert redact_paths("tcp://doi:8786 http://doi/ me@doi") == "tcp://host:8786 http://host/ host"


@pytest.mark.parametrize(
    ("count", "message"), [(10**12, "for 30000 labels"), (30_000, "it needs 0.0 GB, but 0.0 GB")]
)
def test_what_does_not_fit_is_refused_first(tmp_path, monkeypatch, count, message):
    free = 10**9 if count > 30_000 else 30_000_000
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=free))
    arrays = {f"{s}_images": np.zeros((3, 20, 20, 3), np.uint8) for s in ("val", "test")}
    arrays |= {f"{s}_labels": np.arange(3) for s in ("val", "test")}
    np.savez_compressed(tmp_path / "mine.npz", **arrays, train_labels=np.arange(30_000) % 3)
    content = io.BytesIO()
    header = {"descr": "|u1", "fortran_order": False, "shape": (count, 20, 20, 3)}
    with zipfile.ZipFile(tmp_path / "mine.npz", "a", zipfile.ZIP_DEFLATED) as archive:
        np.lib.format.write_array_header_1_0(content, header)
        archive.writestr("train_images.npy", content.getvalue() + bytes(36_000_000))
    tracemalloc.start()
    with pytest.raises(InputError, match=message):
        load_data("pathmnist", str(tmp_path / "mine.npz"), str(tmp_path), 20)
    assert tracemalloc.get_traced_memory()[1] < 2**22
    tracemalloc.stop()
