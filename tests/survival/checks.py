"""What must hold after every fault, and the table of how often it did."""

import hashlib
import json
import os
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path

import psutil

from helpers import ROOT, InputError
from helpers.runs.record import read_record

#: The files whose bits a run decides; run.json and the pictures of the notebook tell times too.
DECIDED = ("history.csv", "metrics.csv", "predictions.npz")

#: Marks the processes of a batch, also those that it no longer knows.
MARK = "SURVIVAL_BATCH"


class Tally:
    """How often each fault was tried and survived, and what was wrong where it was not."""

    def __init__(self):
        self.tried: dict[str, int] = defaultdict(int)
        self.survived: dict[str, int] = defaultdict(int)
        self.wrong: list[str] = []

    def count(self, fault: str, problems: list[str], where: str = "") -> None:
        """Count a fault as survived if it led to no problem."""
        self.tried[fault] += 1
        self.survived[fault] += not problems
        for problem in problems:
            self.wrong.append(f"{fault}{where and f' ({where})'}: {problem}")
            print(f"NOT SURVIVED  {self.wrong[-1]}", flush=True)

    def rows(self) -> list[tuple[str, int, int]]:
        """A row a fault: its name, how often it was tried, how often survived."""
        return [(fault, tried, self.survived[fault]) for fault, tried in self.tried.items()]


class Results:
    """A folder of results under attack, and all that was ever finished in it."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.finished: dict[str, str] = {}

    def problems(self) -> list[str]:
        """What is wrong with the records now: in part, lost, changed, made twice."""
        found, problems = {}, []
        for folder in sorted(self.folder.glob("*/seed-*")):
            if folder.suffix or not folder.is_dir():
                continue
            try:
                if (record := read_record(folder)) is not None:
                    record.check()
                    found[f"{folder.parent.name}/{folder.name}"] = digest(folder)
            except InputError as error:
                problems.append(str(error))
        for name, before in self.finished.items():
            if found.get(name) != before:
                problems.append(f"{name} was done and is {'other' if name in found else 'gone'}")
        self.finished |= found
        return problems

    def bits(self) -> dict[str, dict[str, str]]:
        """The checksums of the files whose bits each finished run decides."""
        bits = {}
        for name in self.finished:
            files = read_record(self.folder / name).run["files"]
            bits[name] = {file: files[file] for file in DECIDED}
        return bits

    def without_notebook(self) -> list[str]:
        """The finished runs whose executed notebook is not there or not whole."""
        lost = []
        for name in self.finished:
            try:
                json.loads((self.folder / f"{name}.ipynb").read_bytes())["cells"]
            except (OSError, ValueError, KeyError):
                lost.append(name)
        return lost

    def litter(self) -> list[str]:
        """What lies there besides finished records, their notebooks and lock files."""
        named = {part for name in self.finished for part in (name, f"{name}.ipynb")}
        inside = (path.relative_to(self.folder).as_posix() for path in self.folder.glob("*/*"))
        return sorted(name for name in inside if name not in named and not name.endswith(".lock"))


def digest(folder: Path) -> str:
    """One checksum of all names and contents of a record."""
    parts = (f"{path.name}\0".encode() + path.read_bytes() for path in sorted(folder.iterdir()))
    return hashlib.sha256(b"".join(parts)).hexdigest()


def helpers(*words: str) -> subprocess.CompletedProcess:
    """Run the command line to its end."""
    command = [sys.executable, "-m", "helpers", *words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


def status_problems(words: list[str], expected: int) -> list[str]:
    """What is wrong with the answer of ``status``, which knows all runs in any state."""
    answer = helpers("status", *words)
    lines = answer.stdout.splitlines()
    code = 0 if f"{expected} done" in answer.stdout else 1
    if answer.returncode != code or len(lines) < expected + 1 or "Traceback" in answer.stderr:
        return [f"status ended with {answer.returncode}: {(answer.stdout + answer.stderr)[-300:]}"]
    return []


def marked(mark: str) -> list[psutil.Process]:
    """All living processes that a batch with this mark has started, itself among them."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARK) == mark and process.status() != "zombie":
                found.append(process)
        except psutil.Error:
            continue
    return found


def orphans(mark: str, seconds: float = 20) -> list[str]:
    """End what outlives its batch by some seconds, and name it."""
    deadline = time.monotonic() + seconds
    while (alive := marked(mark)) and time.monotonic() < deadline:
        time.sleep(0.1)
    for process in alive:
        os.kill(process.pid, 9)
    return [f"an orphan: {' '.join(process_name(p))}" for p in alive]


def process_name(process: psutil.Process) -> list[str]:
    """The command line of a process, as far as it is still there."""
    try:
        return process.cmdline()[:4]
    except psutil.Error:
        return ["?"]
