"""The code of a notebook without a kernel, in forked processes: many more kills a minute."""

import contextlib
import os
import random
import shutil
import signal
import sys
import time
import traceback
from pathlib import Path

import jupytext
import torch
import torchvision
from torchvision.models.resnet import BasicBlock

from helpers import experiment, report
from helpers.experiment.data import Data, Split
from helpers.runs.checkpoint import remove_checkpoints
from helpers.runs.claims import claim
from helpers.runs.files import clear_leftovers
from helpers.runs.parameters import NOTEBOOKS
from helpers.runs.record import read_record, run_folder

from .checks import Results, Tally
from .faults import Faults

RANDOM = "SIGKILL at a random moment of a notebook's code"
EACH = "SIGKILL at a file operation of a notebook's code, each in turn"

EXPERIMENT = "pathmnist_mixup"  # it draws the most: order, flips, partners, lambdas

TINY = {
    "data_source": "synthetic",
    "image_size": 16,
    "epochs": 3,
    "batch_size": 16,
    "corruptions": {"blur": [0.5]},
}


class Thin(torchvision.models.ResNet):
    """A ResNet of one block a stage, an eighth as wide: a checkpoint is written in an instant."""

    def __init__(self, name: str, num_classes: int):
        super().__init__(BasicBlock, [1, 1, 1, 1])
        self.fc = torch.nn.Linear(64, num_classes)

    def _make_layer(self, block, planes: int, *rest, **options):
        return super()._make_layer(block, planes // 8, *rest, **options)


def prepare() -> None:
    """Load a few images once, for all forks; take a small network, and leave out the pictures."""
    torch.set_num_threads(1)
    whole = experiment.load_data("pathmnist", "synthetic", "data", 16)
    splits = {
        name: Split(*(part[:: len(part) // 40][:40].clone() for part in (s.images, s.labels)))
        for name, s in (("train", whole.train), ("validation", whole.validation))
    }
    few = Data(whole.name, False, whole.classes, **splits, test=splits["validation"])
    experiment.load_data = lambda *_: few
    torchvision.models.get_model = Thin
    report.plot_history = report.plot_corruptions = lambda *_: None


def make(results: Path) -> None:
    """Make a run as a worker and its kernel do: claim it, and execute the notebook's cells."""
    folder = run_folder(results, EXPERIMENT, 0)
    cells = jupytext.read(NOTEBOOKS / f"{EXPERIMENT}.py").cells
    code = [cell for cell in cells if cell.cell_type == "code"]
    names: dict = {}
    with claim(folder) as ours:
        assert ours
        if record := read_record(folder):
            record.check()
            remove_checkpoints(folder)
            return
        clear_leftovers(folder, "new", "old")
        for cell in code:
            exec(cell.source, names)
            if "parameters" in cell.metadata.get("tags", []):
                names |= TINY | {"results": str(results)}


def fork(results: Path, at: int = 0) -> int:
    """Start making the run in a child process, to be killed at this file operation."""
    sys.stdout.flush()
    if child := os.fork():
        return child
    code = 1
    try:
        results.mkdir(exist_ok=True)
        log = os.open(results.with_suffix(".log"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(log, 1)
        os.dup2(log, 2)
        with Faults(results, at, "kill") if at else contextlib.nullcontext():
            make(results)
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(code)


def finish(results: Results) -> list[str]:
    """Make the run undisturbed; return what is wrong."""
    status = os.waitpid(fork(results.folder), 0)[1]
    problems = results.problems() + [f"left behind: {name}" for name in results.litter()]
    if status:
        log = results.folder.with_suffix(".log").read_text()
        problems.append(f"the next attempt ended with {status}: {log[-1500:]}")
    return problems


def measure(folder: Path) -> tuple[Results, float]:
    """Make a run undisturbed; return it and its seconds."""
    reference = Results(folder)
    started = time.monotonic()
    problems = finish(reference)
    assert not problems, problems
    return reference, time.monotonic() - started


def survive(
    tally: Tally, reference: Results, seconds: float, folder: Path, kills: int, seed: int
) -> int:
    """Kill at random moments, up to four times a life; return how many went on from an epoch."""
    draw, resumed = random.Random(seed), 0
    while tally.tried[RANDOM] < kills:
        results = Results(folder)
        for _ in range(draw.randint(1, 4)):
            child, delay = fork(folder), draw.uniform(0, seconds)
            time.sleep(delay)
            os.kill(child, signal.SIGKILL)
            if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL:
                tally.count(RANDOM, results.problems(), f"after {delay:.2f} s")
        resumed += end_life(tally, RANDOM, results, reference)
    return resumed


def survive_each(tally: Tally, reference: Results, folder: Path, step: int = 1) -> int:
    """Kill at every file operation in turn; return how many runs went on from an epoch."""
    resumed, at, killed = 0, 1, True
    while killed:
        results = Results(folder)
        status = os.waitpid(fork(folder, at), 0)[1]
        if killed := os.waitstatus_to_exitcode(status) == -signal.SIGKILL:
            tally.count(EACH, results.problems(), f"operation {at}")
        resumed += end_life(tally, EACH, results, reference)
        at += step
    return resumed


def end_life(tally: Tally, fault: str, results: Results, reference: Results) -> bool:
    """Finish what was killed, compare it, and clear; return whether it went on from an epoch."""
    problems = finish(results)
    if results.bits() != reference.bits():
        problems.append("other bits than an undisturbed run")
    if problems:  # the last kill of this life was not survived after all
        tally.survived[fault] -= 1
        tally.wrong += [f"{fault}: {problem}" for problem in problems]
        print("NOT SURVIVED ", *problems, sep="\n", flush=True)
    log = results.folder.with_suffix(".log").read_text()
    shutil.rmtree(results.folder)
    return "goes on after epoch" in log
