"""Downloads: once, verified, whole or not at all, and with the remedy where they fail."""

import hashlib
import http.server
import io
import os
import re
import shutil
import socket
import subprocess
import sys
import tarfile
import threading
import time
from http.client import BadStatusLine, IncompleteRead

import medmnist
import numpy as np
import pytest
from PIL import Image

from helpers import ROOT, InputError
from helpers.catalogue import PUBLISHED, Published
from helpers.data_files import digest_file
from helpers.experiment import fetch, published_data
from helpers.experiment.data import load_data
from helpers.experiment.fetch import locate_weights, make_once
from helpers.experiment.published_data import locate_pathmnist

#: Gets a file from an address into a folder; without torch, which helpers.experiment needs.
CHILD = """
import runpy, shutil, sys, urllib.request
from pathlib import Path

def download(path):
    with urllib.request.urlopen(sys.argv[1]) as page, path.open("wb") as file:
        shutil.copyfileobj(page, file, 1000)

target = Path(sys.argv[2]) / "file.bin"
print("ready", flush=True)
runpy.run_path(sys.argv[3])["make_once"](target, download, "put it there")
print(target.stat().st_size)
"""


@pytest.fixture
def slow():
    """Address of a server of one file that sends its second half when the event is set."""
    content = b"x" * 300_000
    state = threading.Event()
    state.requests = 0

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            state.requests += 1
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content[: len(content) // 2])
            self.wfile.flush()
            state.wait(60)
            self.wfile.write(content[len(content) // 2 :])

        def log_message(self, *arguments):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/file.bin", state
        state.set()
        server.shutdown()


def start(address, folder):
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    command = [sys.executable, "-c", CHILD, address, str(folder), fetch.__file__]
    return subprocess.Popen(command, env=environment, text=True, stdout=subprocess.PIPE)


def test_processes_that_want_a_file_download_it_once_after_one_was_killed(slow, tmp_path):
    address, state = slow
    killed = start(address, tmp_path)
    while not (left := list(tmp_path.glob(".file.bin.download/*"))):
        assert killed.poll() is None
        time.sleep(0.05)
    assert not (tmp_path / "file.bin").exists()
    killed.kill()
    killed.communicate()
    assert left[0].exists()
    children = [start(address, tmp_path) for _ in range(2)]
    assert [child.stdout.readline() for child in children] == ["ready\n"] * 2
    time.sleep(1)  # the second one has had its chance to ask too
    state.set()
    assert [child.communicate(timeout=100)[0] for child in children] == ["300000\n"] * 2
    assert state.requests == 2  # the killed one's, and one for both
    assert sorted(path.name for path in tmp_path.iterdir()) == [".file.bin.lock", "file.bin"]


def test_a_server_that_falls_silent_gives_a_line(slow, tmp_path, monkeypatch):
    address, _ = slow
    monkeypatch.setattr(fetch, "PATIENCE", 0.3)
    monkeypatch.setitem(PUBLISHED, ("imagenet", "resnet18"), Published(address, "00"))
    with pytest.raises(InputError, match=r"cannot make .*\.pth \(.*timed out\); download http"):
        locate_weights("imagenet", "resnet18", str(tmp_path)).fetch()
    assert [path.name[-5:] for path in (tmp_path / "weights").iterdir()] == [".lock"]
    assert socket.getdefaulttimeout() is None


@pytest.mark.parametrize("error", [IncompleteRead(b"half"), BadStatusLine("x"), OSError("full")])
def test_a_broken_download_leaves_nothing_but_a_line(tmp_path, error):
    def break_off(path):
        path.write_bytes(b"half")
        raise error

    with pytest.raises(InputError, match=r"cannot make .*file \(.+\); put it there"):
        make_once(tmp_path / "file", break_off, "put it there")
    assert [path.name for path in tmp_path.iterdir()] == [".file.lock"]


@pytest.fixture
def published(served, tmp_path, monkeypatch):
    """Name to a file that is published here, what gets it, and the path that it is kept at."""
    folder, address = served
    arrays = {}
    for split in ("train", "val", "test"):
        arrays[f"{split}_images"] = np.arange(9 * 28 * 28 * 3, dtype=np.uint8).reshape(9, 28, 28, 3)
        arrays[f"{split}_labels"] = np.arange(9, dtype=np.uint8)[:, None]
    np.savez_compressed(folder / "pathmnist.npz", **arrays)
    info = medmnist.INFO["pathmnist"]
    monkeypatch.setitem(info, "MD5", digest_file(folder / "pathmnist.npz", "md5"))
    monkeypatch.setitem(info, "url", f"{address}/pathmnist.npz")

    image, archives = io.BytesIO(), {}
    Image.effect_noise((40, 40), 50).save(image, "jpeg")
    names = [f"cat_{label}_{number}" for label in (1, 2) for number in range(10)]
    lists = "".join(f"{name} {name[4]} 1 1\n" for name in names).encode()
    contents = {
        "images": {f"{name}.jpg": image.getvalue() for name in names},
        "annotations": {"trainval.txt": lists, "test.txt": lists},
    }
    for name, files in contents.items():
        with tarfile.open(folder / f"{name}.tar.gz", "w:gz") as archive:
            for file, content in files.items():
                member = tarfile.TarInfo(f"{name}/{file}")
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
        archives[f"{address}/{name}.tar.gz"] = digest_file(folder / f"{name}.tar.gz", "md5")
    monkeypatch.setattr(published_data, "ARCHIVES", archives)

    (folder / "weights.pth").write_bytes(b"weights")
    prefix = hashlib.sha256(b"weights").hexdigest()[:10]
    weights = Published(f"{address}/weights.pth", prefix)
    monkeypatch.setitem(PUBLISHED, ("barlow_twins", "resnet50"), weights)
    data_dir = str(tmp_path / "a folder")
    return {
        "pathmnist": (
            folder / "pathmnist.npz",
            lambda: load_data("pathmnist", "official", data_dir, 28),
            lambda: locate_pathmnist(data_dir, 28)[0],
        ),
        "pets": (
            folder / "images.tar.gz",
            lambda: load_data("pets", "official", data_dir, 32),
            lambda: published_data.locate_pets(data_dir, 32)[0],
        ),
        "weights": (
            folder / "weights.pth",
            lambda: locate_weights("barlow_twins", "resnet50", data_dir).fetch(),
            lambda: locate_weights("barlow_twins", "resnet50", data_dir),
        ),
    }


@pytest.mark.parametrize("name", ["pathmnist", "pets", "weights"])
def test_a_published_file_is_downloaded_once(published, name):
    source, get, look_up = published[name]
    assert look_up().state == "missing"
    get()
    assert look_up().state == "as published"
    shutil.rmtree(source.parent)  # the addresses are dead now, and not needed
    get()
    visible = {path.name for path in look_up().path.parent.glob("[!.]*")}
    assert visible - {"cache", "annotations.tar.gz"} == {look_up().path.name}


def test_without_network_the_line_says_what_to_put_where(published):
    for source, get, look_up in published.values():
        source.unlink()
        with pytest.raises(InputError, match="cannot make .*404") as error:
            get()
        line, item = str(error.value), look_up()
        assert str(item.path) in line
        assert item.source in line
        assert "\n" not in line


def test_a_download_with_a_wrong_checksum_is_refused(published):
    for source, get, look_up in published.values():
        source.write_bytes(source.read_bytes() + b"!")
        with pytest.raises(InputError, match="cannot make .*corrupted"):
            get()
        assert look_up().state == "missing"


def test_files_that_were_changed_later_are_noticed(published):
    for name, (_, get, look_up) in published.items():
        get()
        look_up().path.write_bytes(b"changed")
        assert look_up().state == "damaged"
        if name != "pets":  # whose images are read from the cache
            with pytest.raises(InputError, match="delete it to have it downloaded again, or"):
                get()


#: Code that would run what a foreign file says.
UNSAFE = re.compile(
    r"import (pickle|dill|joblib|shelve|marshal)|(?<![\w.])(eval|exec|compile)\("
    r"|os\.system|shell=True|hub\.load\(|unsafe_load|yaml\.(Unsafe)?Loader|allow_pickle=True"
    r"|torch\.load\((?!.*weights_only=True)"
)


def test_no_module_runs_what_a_file_says():
    for path in (ROOT / "src").rglob("*.py"):
        assert not UNSAFE.search(path.read_text(encoding="utf-8")), path
    for source in ("eval(x)", "import pickle", "torch.load(p)", "np.load(p, allow_pickle=True)"):
        assert UNSAFE.search(source)
