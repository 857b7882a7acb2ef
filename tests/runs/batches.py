"""Real batches on a tiny data set of one's own, started and watched from outside."""

import functools
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil

from helpers import ROOT
from helpers.runs.record import read_record

#: Longer than any wait that ends well, on a busy machine too.
PATIENCE = 300


def write_data(path: Path) -> Path:
    """Write 64 images of 28 px whose brightness is their class, and return the path."""
    generator, arrays = np.random.default_rng(0), {}
    for part, count in (("train", 36), ("val", 14), ("test", 14)):
        labels = np.arange(count) % 3
        images = generator.integers(0, 60, (count, 28, 28, 3)) + 90 * labels[:, None, None, None]
        arrays |= {f"{part}_images": images.astype(np.uint8), f"{part}_labels": labels}
    np.savez(path, **arrays)
    return path


class Batch:
    """A batch of ``pathmnist_basic`` on the tiny data set, in a process group of its own."""

    def __init__(
        self, folder: Path, data: Path, *words: str, seeds: str = "0", epochs: int = 12, **variables
    ):
        self.folder, self.results, self.data = folder, folder / "results", data
        values = {"results": self.results, "data_source": data, "epochs": epochs}
        self.words = ["--only", "pathmnist_basic", "--seeds", seeds, *words]
        self.words += [w for name, value in values.items() for w in ("-p", f"{name}={value}")]
        self.environment = {k: v for k, v in (os.environ | variables).items() if v is not None}
        self.log = folder / "batch.log"

    def start(self) -> "Batch":
        """Start the batch, with its output in a file as a queue has it."""
        command = [sys.executable, "-m", "helpers", "run", *self.words]
        # A shell in the background lets its jobs ignore Ctrl-C.
        listen = functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
        how = {"cwd": ROOT, "env": self.environment, "start_new_session": True}
        how["preexec_fn"] = listen
        with self.log.open("w") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, **how)
        return self

    def finish(self, code: int = 0) -> list[str]:
        """Wait for the end, and return the lines of the log."""
        assert self.process.wait(PATIENCE) == code, self.log.read_text()
        return self.log.read_text().splitlines()

    def run(self, code: int = 0) -> list[str]:
        """Run the batch to its end, and return the lines of the log."""
        return self.start().finish(code)

    def status(self) -> list[str]:
        """Return what ``status`` prints."""
        command = [sys.executable, "-m", "helpers", "status", *self.words]
        done = subprocess.run(
            command, capture_output=True, text=True, cwd=ROOT, env=self.environment
        )
        assert done.stderr == ""
        return done.stdout.splitlines()

    def place(self, seed: int = 0) -> Path:
        """Return the folder of a record."""
        return self.results / "pathmnist_basic" / f"seed-{seed}"

    def wait_for_epoch(self, seed: int = 0) -> None:
        """Wait until a run has saved the state of an epoch."""
        checkpoint = self.place(seed).with_name(f".seed-{seed}.checkpoint")
        self.wait_for(checkpoint.exists)

    def wait_for(self, condition) -> None:
        """Wait for a condition that must become true before the batch ends."""
        wait_for(lambda: condition() or self.process.poll() is not None)
        assert self.process.poll() is None, self.log.read_text()

    def processes(self, name: str = "") -> list[psutil.Process]:
        """Return the processes that the batch started and whose command holds a word."""
        family = psutil.Process(self.process.pid).children(recursive=True)
        return [process for process in family if name in " ".join(process.cmdline())]

    def stop(self, number: int) -> list[psutil.Process]:
        """Send a signal to the batch, and return the processes left after 15 seconds."""
        family = self.processes()
        self.process.send_signal(number)
        self.process.wait(PATIENCE)
        return psutil.wait_procs(family, timeout=15)[1]

    def files(self, seed: int = 0) -> dict[str, str] | None:
        """Return the checksums of a record's files, all of them checked; None without a record."""
        record = read_record(self.place(seed))
        return record and record.check().run["files"]

    def left(self) -> set[str]:
        """Return the names beside the records."""
        return {path.name for path in (self.results / "pathmnist_basic").iterdir()}


def wait_for(condition, seconds: float = PATIENCE):
    """Return the first true value of a condition."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return found
