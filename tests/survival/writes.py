"""Every file operation of `helpers.runs` fails once in every way, or is the last before death."""

import itertools
import os
import shutil
import signal
import tempfile
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from operator import methodcaller
from pathlib import Path

from helpers import InputError
from helpers.runs.checkpoint import Checkpoint, remove_checkpoints
from helpers.runs.claims import claim
from helpers.runs.files import clear_leftovers, set_aside, write_whole
from helpers.runs.record import read_record, run_folder, write_record

from .checks import Tally
from .faults import FAULTS, Faults

ABOUT = {
    "experiment": "pathmnist_basic",
    "seed": 0,
    "parameters": {},
    "recipe_hash": "0123456789ab",
    "data": {},
}

#: Larger than a buffer, so that a file is written in several operations.
CONTENTS = {"history.csv": b"epoch\n1\n" * 4000, "predictions.npz": bytes(range(256)) * 100}

#: Faults that end the process.
DEADLY = ("kill", "power", "names")

#: How what met a fault ended.
PASSED, REFUSED, CRASHED = 0, 3, 4


@dataclass(frozen=True)
class Sequence:
    """Something that writes, and how to see what it has left.

    Attributes
    ----------
    name : in the table's words
    prepare : makes what is there before
    act : is attacked; one argument, the run's folder
    look : what a reader sees: "old", "new" or None; it raises for anything in between
    allowed : what it may see after a fault
    """

    name: str
    prepare: Callable[[Path], None]
    act: Callable[[Path], None]
    look: Callable[[Path], str | None]
    allowed: tuple[str | None, ...]


def write(folder: Path, version: str) -> None:
    """Write a record of this version."""
    contents = {name: version.encode() + content for name, content in CONTENTS.items()}
    write_record(folder, ABOUT | {"version": version}, contents)


def write_claimed(folder: Path) -> None:
    """What a worker does: claim the run, clear what the dead left, write, tidy up."""
    with claim(folder) as ours:
        assert ours
        clear_leftovers(folder, "new", "old")
        write(folder, "new")
        remove_checkpoints(folder)


def look_at_record(folder: Path) -> str | None:
    """The version of the record that a reader finds."""
    record = read_record(folder)
    return record and record.check().run["version"]


def save(folder: Path, version: str) -> None:
    """Save a checkpoint, in a run that is claimed and cleared as a worker does."""
    with claim(folder) as ours:
        assert ours
        clear_leftovers(folder, "new", "old")
        content = version.encode() * 5000
        Checkpoint(folder).save(
            lambda file: [file.write(content[:7000]), file.write(content[7000:])]
        )


def look_at_checkpoint(folder: Path) -> str | None:
    """The version of the checkpoint that a training finds."""
    content = Checkpoint(folder).load()
    if content is None:
        return None
    version = bytes(content[:3]).decode()
    assert bytes(content) == version.encode() * 5000
    return version


def keep_notebook(folder: Path, version: str) -> None:
    """Put an executed notebook beside the run's place, as a worker does."""
    with claim(folder) as ours:
        assert ours
        clear_leftovers(folder, "new", "old")
        write_whole(folder.with_suffix(".ipynb"), methodcaller("write", version.encode() * 5000))


def look_at_notebook(folder: Path) -> str | None:
    """The version of the notebook that a reader finds."""
    path = folder.with_suffix(".ipynb")
    content = path.read_bytes() if path.exists() else b""
    version = content[:3].decode()
    assert content == version.encode() * 5000
    return version or None


def damage(folder: Path) -> None:
    """Leave a record of which a file is cut short."""
    write(folder, "old")
    with (folder / "history.csv").open("r+b") as file:
        file.truncate(10)


def make_anew(folder: Path) -> None:
    """Set a damaged record aside and write another."""
    with claim(folder) as ours:
        assert ours
        clear_leftovers(folder, "new", "old")
        if look_at_record_or_damage(folder) == "damaged":
            set_aside(folder)
        write(folder, "new")


def look_at_record_or_damage(folder: Path) -> str | None:
    """The version of the record, or that it is damaged."""
    try:
        return look_at_record(folder)
    except InputError:
        return "damaged"


def nothing(folder: Path) -> None:
    """Leave nothing there before."""


SEQUENCES = [
    Sequence("a new record", nothing, write_claimed, look_at_record, (None, "new")),
    Sequence(
        "a record replaced",
        lambda folder: write(folder, "old"),
        write_claimed,
        look_at_record,
        ("old", "new"),
    ),
    Sequence(
        "a damaged record made anew",
        damage,
        make_anew,
        look_at_record_or_damage,
        ("damaged", None, "new"),
    ),
    Sequence(
        "a first checkpoint",
        nothing,
        lambda folder: save(folder, "new"),
        look_at_checkpoint,
        (None, "new"),
    ),
    Sequence(
        "a checkpoint replaced",
        lambda folder: save(folder, "old"),
        lambda folder: save(folder, "new"),
        look_at_checkpoint,
        ("old", "new"),
    ),
    Sequence(
        "an executed notebook replaced",
        lambda folder: keep_notebook(folder, "old"),
        lambda folder: keep_notebook(folder, "new"),
        look_at_notebook,
        ("old", "new"),
    ),
]


def attempt(sequence: Sequence, root: Path, at: int, fault: str) -> tuple[int, list[str], str]:
    """Act with a fault; return how it ended, the operations, and the last words."""
    words, ended = "", CRASHED
    with Faults(root, at, fault) as faults:
        try:
            sequence.act(run_folder(root, "pathmnist_basic", 0))
            ended = PASSED
        except InputError as error:
            words, ended = str(error), REFUSED
        except Exception:
            words = traceback.format_exc()
    return ended, faults.done, words


def die(sequence: Sequence, root: Path, at: int, fault: str) -> bool:
    """Act in a child process that dies of the fault; return whether it did."""
    if (child := os.fork()) == 0:
        attempt(sequence, root, at, fault)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


def outlast(sequence: Sequence) -> list[str]:
    """Cut the power right after an act that ended well; return what is wrong."""
    root = Path(tempfile.mkdtemp()).resolve()
    folder = run_folder(root, "pathmnist_basic", 0)
    try:
        sequence.prepare(folder)
        if (child := os.fork()) == 0:
            with Faults(root, 0, "names") as faults:
                sequence.act(folder)
                faults.die()
        os.waitpid(child, 0)
        seen = sequence.look(folder)
        return [] if seen == "new" else [f"a reader sees {seen}"]
    finally:
        _clear(root)


def break_at(sequence: Sequence, at: int, fault: str) -> list[str] | None:
    """Meet one fault and try again; return what is wrong, or None if there is no such operation."""
    root = Path(tempfile.mkdtemp()).resolve()
    folder = run_folder(root, "pathmnist_basic", 0)
    problems = []
    try:
        sequence.prepare(folder)
        if fault in DEADLY:
            ended, words = None, ""
            if not die(sequence, root, at, fault):
                return None
        else:
            ended, done, words = attempt(sequence, root, at, fault)
            if len(done) < at:
                return None
        if ended == CRASHED or "\n" in words:
            problems.append(f"no line but {words[-700:]}")
        seen = sequence.look(folder)
        if seen not in sequence.allowed:
            problems.append(f"a reader sees {seen}")
        if ended == PASSED and seen != "new":
            problems.append(f"ended well, and a reader sees {seen}")
        if fault == "kill":  # the same once more: what is left behind must not add up
            die(sequence, root, at, fault)
        ended, _, words = attempt(sequence, root, 0, fault)
        if ended != PASSED:
            problems.append(f"the next attempt ended with {ended}: {words[-700:]}")
        elif (seen := sequence.look(folder)) != "new":
            problems.append(f"after the next attempt a reader sees {seen}")
        left = [p.name for p in folder.parent.iterdir() if p != folder]
        litter = [n for n in left if not n.endswith((".damaged", ".checkpoint", ".lock", ".ipynb"))]
        problems += [f"left behind: {name}" for name in litter]
    except Exception as error:
        problems.append(f"{type(error).__name__}: {error}")
    finally:
        _clear(root)
    return problems


def _clear(root: Path) -> None:
    shutil.rmtree(root, ignore_errors=True)
    for spool in root.parent.glob(f"{root.name}.replaced-*"):
        spool.unlink()


def survive(tally: Tally) -> None:
    """Break every sequence at every operation in every way."""
    for sequence in SEQUENCES:
        for fault, name in FAULTS.items():
            for at in itertools.count(1):
                if (problems := break_at(sequence, at, fault)) is None:
                    break
                tally.count(f"{sequence.name}: {name}", problems, f"operation {at}")
        tally.count(f"{sequence.name}: power cut right after it", outlast(sequence), "the end")
