"""Arrays in files: whole or not there, and compared with their digest before they are used."""

import os
import shutil
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from filelock import FileLock

from helpers import ROOT, InputError
from helpers.experiment import downloads
from helpers.experiment.caching import cache_array

IMAGES = np.arange(96, dtype=np.uint8).reshape(2, 3, 4, 4)


def refuse():
    """Parts that nobody may ask for."""
    pytest.fail("made again")
    yield


@pytest.fixture
def cache(tmp_path):
    """A whole cache of `IMAGES`."""
    cache_array(tmp_path / "images.npy", IMAGES.shape, [IMAGES[:1], IMAGES[1:]])
    return tmp_path / "images.npy"


def test_it_is_made_once_and_mapped(cache):
    array = cache_array(cache, IMAGES.shape, refuse())
    assert isinstance(array, np.memmap)
    assert not array.flags.writeable
    np.testing.assert_array_equal(array, IMAGES)


@pytest.mark.parametrize("parts", [[IMAGES], [IMAGES, IMAGES], [IMAGES[:, :2]], [IMAGES + 0.5]])
def test_other_rows_than_there_shall_be_leave_no_cache(tmp_path, parts):
    with pytest.raises(ValueError, match="instead of"):
        cache_array(tmp_path / "images.npy", (3, 3, 4, 4), parts)
    assert not list(tmp_path.glob("*.npy"))


DAMAGES = {
    "empty": lambda content: b"",
    "a digest's length": lambda content: bytes(32),
    "cut short": lambda content: content[:-10],
    "cut to its header": lambda content: content[:128],
    "without its digest": lambda content: content[:-32],
    "a page that never reached the disk": lambda content: content[:140] + bytes(60) + content[200:],
    "all zero": lambda content: bytes(len(content)),
    "one bit": lambda content: content[:150] + bytes([content[150] ^ 1]) + content[151:],
    "text": lambda content: b"\x93NUMPY\x01\x00v\x00'''" + content,
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_one_is_made_again(cache, name):
    cache.write_bytes(DAMAGES[name](cache.read_bytes()))
    np.testing.assert_array_equal(cache_array(cache, IMAGES.shape, [IMAGES]), IMAGES)
    np.testing.assert_array_equal(cache_array(cache, IMAGES.shape, refuse()), IMAGES)


def test_one_of_another_shape_is_made_again(cache):
    longer = np.concatenate([IMAGES, IMAGES])
    np.testing.assert_array_equal(cache_array(cache, longer.shape, [longer]), longer)


def test_where_nothing_can_be_written_a_damaged_one_is_left_alone(cache, monkeypatch):
    whole = cache.read_bytes()
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert isinstance(cache_array(cache, IMAGES.shape, refuse()), np.memmap)
    cache.write_bytes(whole[:-1])
    array = cache_array(cache, IMAGES.shape, [IMAGES[:1], IMAGES[1:]])
    assert not isinstance(array, np.memmap)
    np.testing.assert_array_equal(array, IMAGES)
    assert cache.read_bytes() == whole[:-1]


def test_a_damaged_one_is_touched_by_who_holds_the_lock_alone(cache):
    """Whoever was slower takes what the other made, and removes nothing."""
    whole = cache.read_bytes()
    cache.write_bytes(whole[:-1])
    found = []
    slower = threading.Thread(
        target=lambda: found.append(cache_array(cache, IMAGES.shape, [IMAGES]))
    )
    with FileLock(cache.with_name(f".{cache.name}.lock")):
        slower.start()
        time.sleep(1)
        assert cache.exists()
        beside = cache.with_name("made by the faster")
        beside.write_bytes(whole)
        beside.rename(cache)
        made = cache.stat().st_ino
    slower.join(60)
    np.testing.assert_array_equal(found, [IMAGES])
    assert cache.stat().st_ino == made


@pytest.mark.skipif(os.name == "nt", reason="Windows flushes no folder")
@pytest.mark.parametrize("folder", [False, True])
def test_content_is_flushed_before_its_name(tmp_path, monkeypatch, folder):
    """After a power cut there is a whole file or none."""
    target, flushed = tmp_path / "target", []

    def flush(descriptor):
        flushed.append((os.fstat(descriptor).st_ino, target.exists()))

    monkeypatch.setattr(os, "fsync", flush)
    with downloads.fetching(target, "try again") as temporary:
        place = temporary / "target"
        if folder:
            place.mkdir()
            (place / "link").symlink_to("nowhere")
            place /= "file"
        place.write_bytes(b"content")
    inside = [target, target / "file"] if folder else [target]
    before = [path.stat().st_ino for path in inside]
    assert flushed == [*((inode, False) for inode in before), (tmp_path.stat().st_ino, True)]


FULL = """
import sys
from pathlib import Path

import numpy as np

from helpers import InputError
from helpers.experiment.caching import cache_array

part = np.ones((1, 2**20), np.uint8)
try:
    cache_array(Path(sys.argv[1]) / "cache" / "images.npy", (64, 2**20), (part for _ in range(64)))
except InputError as error:
    print(error)
"""


def test_a_full_disk_is_told_in_a_line(tmp_path):
    """Not by a signal that kills the process, as where pages of a sparse file are written."""
    if not shutil.which("unshare"):
        pytest.skip("no small disk can be made here")
    disk = "mount -t tmpfs -o size=8m none"
    command = ["unshare", "-rm", "sh", "-c", f'{disk} "$1" && touch "$1/there" && shift && "$@"']
    command += ["sh", str(tmp_path)]
    if subprocess.run([*command, "true"], capture_output=True).returncode:
        pytest.skip("no small disk can be made here")
    done = subprocess.run(
        [*command, sys.executable, "-c", FULL, str(tmp_path)],
        env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "images.npy ([Errno 28] No space left on device); free space in" in done.stdout


def test_a_folder_that_is_a_file_is_told_in_a_line(tmp_path):
    (tmp_path / "cache").write_text("mine")
    with pytest.raises(InputError, match=r"cannot get .*images.npy .*; free space in"):
        cache_array(tmp_path / "cache" / "images.npy", IMAGES.shape, [IMAGES])
