"""Writing whole or not at all, when the disk is full and when the process is killed."""

import itertools
import multiprocessing
import os
import signal
import types

import pytest

from helpers import InputError
from helpers.runs import files
from helpers.runs.checkpoint import Checkpoint, remove_checkpoints
from helpers.runs.files import clear_leftovers, list_beside, replace_folder, write_whole
from helpers.runs.record import read_record, read_records, run_folder, write_record

ABOUT = {
    "experiment": "pathmnist_basic",
    "seed": 3,
    "parameters": {"epochs": 1},
    "recipe_hash": "0123456789ab",
    "data": {"name": "tissue", "official": False},
}
OLD, NEW = {"history.csv": b"old", "metrics.csv": b"old"}, {"history.csv": b"new"}

#: What a process does with files, one after the other.
STEPS = ["_write", "_flush", "_rename", "_remove", "Path.mkdir", "Path.rename", "Path.replace"]


def put(content):
    return lambda file: file.write(content)


ACTS = {
    "record": lambda folder: write_record(folder, ABOUT, NEW),
    "file": lambda folder: write_whole(folder / "a file", put(b"new")),
}


def patch_steps(before):
    """Let a function be called before each file operation."""

    def wrap(function):
        def wrapped(*arguments, **options):
            before(*arguments)
            return function(*arguments, **options)

        return wrapped

    for name in STEPS:
        owner = files.Path if name.startswith("Path.") else files
        name = name.removeprefix("Path.")
        setattr(owner, name, wrap(getattr(owner, name)))
    files.os = types.ModuleType("os")  # fsync and unlink of this module alone
    vars(files.os).update(vars(os), fsync=wrap(os.fsync))


@pytest.fixture
def folder(tmp_path):
    folder = run_folder(tmp_path, "pathmnist_basic", 3)
    write_record(folder, ABOUT, OLD)
    return folder


def kill(what, folder, number):
    """Return whether a process that writes was killed before its so-manieth file operation."""

    def write():
        count = itertools.count()
        patch_steps(lambda *_: next(count) == number and os.kill(os.getpid(), signal.SIGKILL))
        ACTS[what](folder)

    process = multiprocessing.get_context("fork").Process(target=write)
    process.start()
    process.join()
    assert process.exitcode in (0, -signal.SIGKILL)
    return process.exitcode != 0


def test_a_kill_between_any_two_steps_leaves_one_whole_record(folder):
    number = 0
    while kill("record", folder, number):
        (record,) = read_records(folder.parents[1])
        assert (record.folder / "history.csv").read_bytes() in (b"old", b"new")
        assert read_record(folder).check().run == record.run
        clear_leftovers(folder, "new", "old")
        assert [path.name for path in folder.parent.iterdir()] == ["seed-3"]
        write_record(folder, ABOUT, OLD)
        number += 1
    assert number > 10
    assert (folder / "history.csv").read_bytes() == b"new"


def test_a_kill_between_any_two_steps_leaves_one_whole_file(tmp_path):
    (tmp_path / "a file").write_bytes(b"old")
    number = 0
    while kill("file", tmp_path, number):
        assert (tmp_path / "a file").read_bytes() in (b"old", b"new")
        number += 1
    assert number >= 4
    assert (tmp_path / "a file").read_bytes() == b"new"


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), OSError(5, "I/O error")])
def test_an_error_at_any_step_leaves_the_old_record_or_the_new_one(folder, monkeypatch, error):
    def fail(*_):
        nonlocal left
        left -= 1
        if left == 0:
            raise error

    for name in STEPS:  # to be put back
        owner = files.Path if name.startswith("Path.") else files
        name = name.removeprefix("Path.")
        monkeypatch.setattr(owner, name, getattr(owner, name))
    monkeypatch.setattr(files, "os", os)
    left, told = 0, []
    patch_steps(fail)
    for number in range(1, 100):
        left = number
        try:
            write_record(folder, ABOUT, NEW)
        except InputError as found:
            line = str(found)
            told.append(line.startswith(f"cannot write {folder}: {error.strerror}; free space"))
        if left > 0:
            break
        left = 0
        (record,) = read_records(folder.parents[1])
        assert record.check()
    assert number > 10
    assert told
    assert all(told)


def test_a_short_write_is_no_record(folder, monkeypatch):
    class Short:
        def __init__(self, file):
            self.file = file

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self.file.close()

        def write(self, content):
            self.file.write(content[: len(content) // 2])
            raise OSError(28, "No space left on device")

    opened = type(folder).open
    monkeypatch.setattr(type(folder), "open", lambda path, mode: Short(opened(path, mode)))
    with pytest.raises(InputError, match="No space left"):
        write_record(folder, ABOUT, NEW)
    monkeypatch.undo()
    assert (folder / "history.csv").read_bytes() == b"old"
    assert [path.name for path in folder.parent.iterdir()] == ["seed-3"]


def test_leftovers_of_another_run_stay(folder):
    for name in (".seed-3.ab.new", ".seed-3.ipynb.ab.new", ".seed-30.ab.new", ".seed-3.lock"):
        (folder.parent / name).write_bytes(b"")
    clear_leftovers(folder, "new", "old")
    left = {path.name for path in folder.parent.iterdir()}
    assert left == {"seed-3", ".seed-30.ab.new", ".seed-3.lock"}


def test_a_checkpoint_reads_back_and_goes_with_its_run(tmp_path):
    folder = tmp_path / "seed-1"
    checkpoint, part = Checkpoint(folder), Checkpoint(folder, 2)
    assert checkpoint.load() is None
    for content in (b"first", b"second"):
        checkpoint.save(put(content))
    part.save(put(b"of a part"))
    assert bytes(checkpoint.load()) == b"second"
    assert bytes(part.load()) == b"of a part"
    remove_checkpoints(tmp_path / "seed-11")
    assert len(list_beside(folder, "checkpoint")) == 1 + 1
    remove_checkpoints(folder)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "harm", [lambda c: c[:-1], lambda c: c[:10], lambda c: b"", lambda c: b"x" + c]
)
def test_a_damaged_checkpoint_is_dropped_with_a_line(tmp_path, capsys, harm):
    checkpoint = Checkpoint(tmp_path / "seed-1")
    checkpoint.save(put(b"a state"))
    checkpoint.path.write_bytes(harm(checkpoint.path.read_bytes()))
    assert checkpoint.load() is None
    assert capsys.readouterr().out == f"{checkpoint.path} is damaged: training starts anew\n"


def test_a_folder_that_is_no_folder_gives_a_line(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(InputError, match="cannot write .*: Not a directory; "):
        replace_folder(tmp_path / "file" / "seed-1", OLD)
    with pytest.raises(InputError, match="cannot write .*; "):
        write_whole(tmp_path / "file" / "x", put(b""))
