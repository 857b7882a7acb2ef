"""A training that was killed goes on from its last epoch, and ends with the same bits."""

import functools
import hashlib
import io
import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import BinaryIO, Protocol

import numpy as np
import torch
from torch import Tensor

from .data import Data
from .models import Classifier


class Checkpoint(Protocol):
    """What keeps the state of a training over the death of its process, such as a file."""

    def load(self) -> bytes | memoryview | None:
        """Return what was saved last, None if nothing was."""

    def save(self, fill: Callable[[BinaryIO], object]) -> None:
        """Keep what this function writes into a file, in place of what was saved before."""


class Session:
    """A training from the first epoch or from where an earlier process left it.

    Parameters
    ----------
    checkpoint : keeps the state after each epoch; None if nothing shall
    identity : of `identify`; the state of another training is not taken up
    model, optimizer : as they are before the first epoch
    generator, lambdas : all draws of the training come from these

    Attributes
    ----------
    rows : of the history, an epoch each
    best, best_epoch, best_state : accuracy, epoch and weights of the best epoch, if any is best
    """

    def __init__(
        self,
        checkpoint: Checkpoint | None,
        identity: str | None,
        model: Classifier,
        optimizer: torch.optim.Optimizer,
        generator: torch.Generator,
        lambdas: np.random.Generator | None = None,
    ):
        self.checkpoint, self.identity = checkpoint, identity
        self.model, self.optimizer = model, optimizer
        self.generator, self.lambdas = generator, lambdas
        self.rows, self.best, self.best_epoch, self.best_state = [], -1.0, 0, {}
        self._before, self._started = 0.0, time.perf_counter()
        if checkpoint and (content := checkpoint.load()) is not None:
            self._load(content)

    @property
    def seconds(self) -> float:
        """Duration of the training so far, that of earlier processes included."""
        return self._before + time.perf_counter() - self._started

    def keep_best(self, accuracy: float) -> None:
        """Keep the weights of the last epoch if it is the best so far."""
        if accuracy > self.best:
            self.best, self.best_epoch = accuracy, len(self.rows)
            self._keep_state()

    def save(self, last: bool) -> None:
        """Save the state after an epoch; after the last one only what comes of the training."""
        if self.checkpoint is None:
            return
        best = self.best_state if self.best_epoch < len(self.rows) else {}
        # What nothing trains on any more needs no optimizer, and only the weights that are kept.
        state = {
            "identity": self.identity,
            "rows": self.rows,
            "best": self.best,
            "best_epoch": self.best_epoch,
            "seconds": self.seconds,
            "model": best if last and best else self.model.state_dict(),
            "best_state": {} if last else best,
            "optimizer": None if last else self.optimizer.state_dict(),
            "generator": self.generator.get_state(),
            "lambdas": self.lambdas and json.dumps(self.lambdas.bit_generator.state),
        }
        self.checkpoint.save(functools.partial(torch.save, state))

    def _load(self, content: bytes | memoryview) -> None:
        try:
            state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
        except Exception as error:  # a damaged file makes torch raise what it likes
            print(f"the checkpoint is not one ({error}): training starts anew")
            return
        if not isinstance(state, dict) or state.get("identity") != self.identity:
            print("the checkpoint is of another training: training starts anew")
            return
        self.rows, self._before = state["rows"], state["seconds"]
        self.best, self.best_epoch = state["best"], state["best_epoch"]
        self.model.load_state_dict(state["model"])
        self.best_state = state["best_state"]
        if self.best_epoch and not self.best_state:
            self._keep_state()
        if state["optimizer"]:
            self.optimizer.load_state_dict(state["optimizer"])
        self.generator.set_state(state["generator"])
        if self.lambdas:
            self.lambdas.bit_generator.state = json.loads(state["lambdas"])
        print(f"training goes on after epoch {len(self.rows)}")

    def _keep_state(self) -> None:
        state = self.model.state_dict()
        self.best_state = {name: value.clone() for name, value in state.items()}


def identify(arguments: Mapping) -> str:
    """Return a hash of all that the course of a training depends on.

    Parameters
    ----------
    arguments : of the function that trains; a model is taken with its weights, a data set with
        its images. The code of this package, the version of torch and the machine count too.
    """
    parts = {name: _describe(value) for name, value in arguments.items() if name != "checkpoint"}
    code = hashlib.sha256()
    for path in sorted(Path(__file__).parent.rglob("*.py")):
        code.update(path.read_bytes())
    parts |= {"code": code.hexdigest(), "torch": torch.__version__}
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _describe(value: object) -> str:
    if isinstance(value, Data):
        return value.summary["sha256"]
    if isinstance(value, Classifier):
        tensors = [*value.parameters(), *value.buffers()]
        return f"{value.machine} {value.batch_norm} {value} {_digest(tensors)}"
    return repr(value)


def _digest(tensors: list[Tensor]) -> str:
    digest = hashlib.sha256()
    for tensor in tensors:
        digest.update(tensor.detach().cpu().contiguous().numpy())
    return digest.hexdigest()
