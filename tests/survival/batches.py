"""Real batches, killed: the command line, its Dask workers, its kernels, or all of them at once."""

import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

import psutil

from helpers import ROOT

from .checks import MARK, Results, Tally, marked, orphans, status_problems

#: Who is killed, and how the table calls it.
TARGETS = {
    "group": "SIGKILL to a batch and all its processes",
    "batch": "SIGKILL to the batch's main process",
    "worker": "SIGKILL to a worker of the batch",
    "kernel": "SIGKILL to a run's kernel",
    "ctrl-c": "Ctrl-C (SIGINT to the batch and all its processes)",
}
TWO = "SIGKILL to one of two batches that share the results"
LOST = "SIGKILL to one of two workers of a Dask scheduler"

SEEDS = 2


def words(results: Path) -> list[str]:
    """The smallest batch that is a real one: two runs of two epochs."""
    tiny = {
        "results": results,
        "image_size": 16,
        "epochs": 2,
        "batch_size": 360,
        "corruptions": "{'blur': [0.5]}",
    }
    parameters = [word for name, value in tiny.items() for word in ("-p", f"{name}={value}")]
    return ["--only", "pathmnist_basic", "--seeds", f"0-{SEEDS - 1}", *parameters]


class Batch:
    """A running batch, in a session of its own so that Ctrl-C can reach all of it."""

    def __init__(self, results: Path, *more: str):
        self.mark = uuid.uuid4().hex
        command = [sys.executable, "-m", "helpers", "run", *words(results), *more]
        self.process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=os.environ | {MARK: self.mark},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    @property
    def alive(self) -> bool:
        """Whether the main process runs."""
        return self.process.poll() is None

    def end(self, seconds: float = 300) -> tuple[int, str]:
        """Wait for the end; return exit code and output."""
        output = self.process.communicate(timeout=seconds)[0]
        return self.process.returncode, output

    def find(self, target: str) -> psutil.Process | None:
        """A process of this kind, if there is one now."""
        processes = marked(self.mark)
        if target == "kernel":  # not the process that kernels are forked from, if there is one
            parents = {parent(p) for p in processes}
            kernels = [p for p in processes if "kernel" in " ".join(command(p))]
            return next((p for p in kernels if p.pid not in parents), None)
        if target == "worker":
            workers = [p for p in processes if "spawn_main" in " ".join(command(p))]
            return workers[-1] if workers else None
        return psutil.Process(self.process.pid)

    def strike(self, target: str) -> bool:
        """Kill the target; return whether there was one to kill."""
        if not self.alive or (victim := self.find(target)) is None:
            return False
        if target == "group":
            for process in marked(self.mark):
                kill(process)
        elif target == "ctrl-c":
            os.killpg(self.process.pid, signal.SIGINT)
        else:
            kill(victim)
        return True


def command(process: psutil.Process) -> list[str]:
    """The command line of a process that may have ended."""
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def parent(process: psutil.Process) -> int | None:
    """The number of the parent of a process that may have ended."""
    try:
        return process.ppid()
    except psutil.Error:
        return None


def kill(process: psutil.Process) -> None:
    """SIGKILL, to a process that may have ended."""
    try:
        process.kill()
    except psutil.NoSuchProcess:
        return


def wait_for_moment(batch: Batch, results: Path, seconds: float, draw: random.Random) -> str:
    """Wait until a random moment of the batch's life; return which.

    Half of the moments are spread evenly over the time that a batch takes; the others follow a
    random one of the changes to its files by an instant, to fall into epochs' ends and records.
    """
    if draw.random() < 0.5:
        delay = draw.uniform(0.3, seconds)
        moment, changes = f"after {delay:.1f} s", None
    else:
        delay, changes = seconds, draw.randint(1, 12)
        moment = f"at change {changes} of the files"
    deadline, before = time.monotonic() + delay, listing(results)
    while batch.alive and time.monotonic() < deadline and changes != 0:
        time.sleep(0.003)
        if changes and (now := listing(results)) != before:
            before, changes = now, changes - 1
    if changes is not None:
        time.sleep(draw.choice([0, 0, 0.001, 0.01]))
    return moment


def listing(folder: Path) -> list[tuple]:
    """Names, sizes and times of all files below a folder."""
    found = []
    for path, _, names in os.walk(folder):
        for name in names:
            try:
                about = os.stat(f"{path}/{name}")  # noqa: PTH116
                found.append((path, name, about.st_size, about.st_mtime_ns))
            except OSError:
                continue
    return sorted(found)


def check_end(target: str, code: int, output: str) -> list[str]:
    """What is wrong with how a struck batch ended."""
    problems = []
    if target == "ctrl-c" and code not in (130, 0):
        problems.append(f"exit code {code} after Ctrl-C: {output[-300:]}")
    if target == "ctrl-c" and code == 130 and "the same command goes on" not in output:
        problems.append(f"no word on how to go on: {output[-300:]}")
    if target in ("worker", "kernel") and code not in (0, 1):
        problems.append(f"exit code {code}: {output[-300:]}")
    if "Traceback" in output and target not in ("group", "batch"):
        problems.append(f"a traceback: {output[-1500:]}")
    return problems


def end_problems(results: Results, killed: set[str] = frozenset()) -> list[str]:
    """What is wrong with what lies there when all runs are finished.

    Those that a killed batch had finished may be without their notebook, as the page says.
    """
    left = [f"left behind: {name}" for name in results.litter()]
    lost = (name for name in results.without_notebook() if name not in killed)
    return left + [f"no executed notebook: {name}" for name in lost]


def measure(folder: Path, jobs: tuple[str, ...] = ("--jobs", "2")) -> tuple[Results, float]:
    """An undisturbed batch: its results and its seconds."""
    started = time.monotonic()
    code, output = Batch(folder, *jobs).end()
    assert code == 0, output
    reference = Results(folder)
    assert reference.problems() == []
    return reference, time.monotonic() - started


def survive(
    tally: Tally, reference: Results, seconds: float, folder: Path, plan: list[str], seed: int
) -> None:
    """Kill batches as planned, in lives of up to four kills and an undisturbed end each.

    One that ends before its moment is tried again.
    """
    draw, plan, most = random.Random(seed), list(plan), 3 * len(plan)
    results, kills = Results(folder), 0
    for number, target in enumerate(plan):
        batch = Batch(folder, "--jobs", "2")
        moment = wait_for_moment(batch, folder, seconds, draw)
        struck = batch.strike(target)
        while not struck and batch.alive:  # no kernel yet, say
            time.sleep(0.01)
            struck = batch.strike(target)
        code, output = batch.end()
        problems = orphans(batch.mark) + results.problems()
        problems += status_problems(words(folder), SEEDS)
        if struck:
            problems += check_end(target, code, output)
            kills += 1
        elif len(plan) < most:
            plan.append(target)
        last = number == len(plan) - 1
        if kills % 4 == 0 or last or len(results.finished) == SEEDS:
            killed = set(results.finished)
            code, output = Batch(folder, "--jobs", "2").end()
            problems += results.problems()
            if code:
                problems.append(f"the next batch ended with {code}: {output[-1500:]}")
            elif results.bits() != reference.bits():
                problems.append("other bits than an undisturbed batch")
            problems += end_problems(results, killed)
            shutil.rmtree(folder)
            results = Results(folder)
        if struck:
            tally.count(TARGETS[target], problems, moment)
            print(f"{TARGETS[target]}, {moment}: {len(results.finished)} finished", flush=True)


def survive_two(tally: Tally, reference: Results, seconds: float, folder: Path, seed: int) -> None:
    """Start two batches on the same results, and kill one of them."""
    draw, results = random.Random(seed), Results(folder)
    batches = [Batch(folder, "--jobs", "1") for _ in range(2)]
    moment = wait_for_moment(batches[0], folder, 1.5 * seconds, draw)
    struck = batches[0].strike("group")
    problems = results.problems()
    killed = set(results.finished)
    code, output = batches[1].end()
    batches[0].end()
    problems += orphans(batches[0].mark) + orphans(batches[1].mark) + results.problems()
    if code:
        problems.append(f"the other batch ended with {code}: {output[-1500:]}")
    elif results.bits() != reference.bits():
        problems.append("other bits than an undisturbed batch")
    problems += end_problems(results, killed)
    if struck:
        tally.count(TWO, problems, moment)
    shutil.rmtree(folder, ignore_errors=True)


def wait_for_address(file: Path, seconds: float = 120) -> str:
    """The address of a Dask scheduler, once it has written all of its file."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError, ValueError):
            return json.loads(file.read_text())["address"]
        time.sleep(0.1)
    raise TimeoutError(f"no scheduler after {seconds:.0f} s")


def survive_lost_worker(
    tally: Tally, reference: Results, seconds: float, folder: Path, seed: int
) -> None:
    """Make a batch on a Dask scheduler with two workers, and kill one of them."""
    draw, results, mark = random.Random(seed), Results(folder), uuid.uuid4().hex
    address = folder.with_name(f"{mark}.json")
    module = [sys.executable, "-m", "distributed.cli"]
    loopback = ["--host", "127.0.0.1", "--no-dashboard"]
    file = ["--scheduler-file", str(address)]
    started = []

    def start(name: str, *more: str) -> subprocess.Popen:
        arguments = [f"{module[-1]}.dask_{name}", *loopback, *file, *more]
        process = subprocess.Popen(
            [*module[:-1], *arguments],
            cwd=ROOT,
            env=os.environ | {MARK: mark},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        started.append(process)
        return process

    try:
        start("scheduler", "--port", "0")
        scheduler = wait_for_address(address)
        workers = [start("worker", "--nthreads", "1", "--name", str(n)) for n in range(2)]
        batch = Batch(folder, "--scheduler", scheduler)
        moment = wait_for_moment(batch, folder, seconds, draw)
        struck = batch.alive
        os.killpg(workers[0].pid, signal.SIGKILL)
        problems = results.problems()
        killed = set(results.finished)
        code, output = batch.end()
    finally:
        for process in started:
            kill(psutil.Process(process.pid))
            process.wait()
    problems += orphans(mark) + orphans(batch.mark) + results.problems()
    if code:
        problems.append(f"the batch ended with {code}: {output[-1500:]}")
    elif results.bits() != reference.bits():
        problems.append("other bits than an undisturbed batch")
    problems += end_problems(results, killed)
    if struck:
        tally.count(LOST, problems, moment)
    shutil.rmtree(folder, ignore_errors=True)
