"""Training of a classifier by the paper's protocol, and its state, which outlives the process."""

import functools
import hashlib
import io
import json
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO, Protocol

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.nn import functional
from tqdm import tqdm

from .augmentation import Augmentation, mixup
from .data import Data
from .device import GraphedForward, autocast, iter_batches
from .evaluation import score
from .models import Classifier

#: Part of a checkpoint's fingerprint: raise it if the state's layout or the steps change.
CHECKPOINT_FORMAT = 1


@dataclass(frozen=True)
class Training:
    """The result of a training.

    Attributes
    ----------
    history : one row per epoch: epoch, losses in nats, accuracies as fractions
    best_epoch : the epoch whose weights were kept
    seconds : duration, including that of earlier processes that were interrupted
    """

    history: pd.DataFrame
    best_epoch: int
    seconds: float


class Checkpoint(Protocol):
    """Storage for the state of a training, such as a file."""

    def load(self) -> bytes | memoryview | None:
        """Return what was saved last, or None."""

    def save(self, write: Callable[[BinaryIO], object]) -> None:
        """Replace what was saved by what this function writes into a file."""

    def report(
        self,
        epoch: int,
        epochs: int,
        validation_accuracy: float | None,
        best_validation_accuracy: float | None,
        seconds_per_epoch: float | None,
    ) -> None:
        """Publish the progress: epochs done, of how many, and how well."""


class TrainingState:
    """A training in progress: history, best weights, progress bar and checkpoint.

    It continues from the checkpoint if that holds the same training, with the same bits.

    Parameters
    ----------
    checkpoint : saved after each epoch; None for a training that cannot be resumed
    fingerprint : of `fingerprint`; a checkpoint with another one is discarded
    epochs, images : total number of epochs, and of images per epoch
    model, optimizer : as they are before the first epoch
    generator, lambdas : sources of all random draws

    Attributes
    ----------
    losses : float (steps,), of the current epoch, on the device
    history : one dict per epoch
    best, best_epoch, best_weights : accuracy, number and weights of the best epoch
    """

    def __init__(
        self,
        checkpoint: Checkpoint | None,
        fingerprint: str | None,
        epochs: int,
        images: int,
        model: Classifier,
        optimizer: torch.optim.Optimizer,
        generator: torch.Generator,
        lambdas: np.random.Generator | None = None,
    ):
        self.checkpoint, self.fingerprint, self.epochs = checkpoint, fingerprint, epochs
        self.model, self.optimizer = model, optimizer
        self.generator, self.lambdas = generator, lambdas
        self.history, self.best, self.best_epoch, self.best_weights = [], -1.0, 0, {}
        self._started = time.perf_counter()
        if checkpoint and (content := checkpoint.load()) is not None:
            self._load(content)
        self.bar = tqdm(
            total=images * epochs,
            initial=images * len(self.history),
            desc="train",
            ncols=180,  # room for all scores, however narrow the terminal of the kernel's parent
            unit="image",
            mininterval=1,
            smoothing=0.1,
        )
        self._report()

    @property
    def seconds(self) -> float:
        """Duration of the training so far, including earlier processes."""
        return time.perf_counter() - self._started

    @property
    def remaining_epochs(self) -> range:
        """The epochs still to do, numbered from 1."""
        return range(len(self.history) + 1, self.epochs + 1)

    def batches(self, images: Tensor, batch_size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield indices and images of each batch of one epoch, in a new random order.

        The last batch may be smaller; a single image is left out, since batch norm needs two.
        """
        device = self.generator.device
        order = torch.randperm(len(images), generator=self.generator, device=device)
        order = order[: len(order) - (len(order) % batch_size == 1)]
        # One tensor per epoch: a new one per step would fragment the memory of freed batches.
        self.losses, self._step = torch.empty(-(-len(order) // batch_size), device=device), 0
        for index, batch in iter_batches(images, order, batch_size):
            yield index, batch
            self.bar.update(len(index))

    def step(self, loss: Tensor) -> None:
        """Take one optimiser step; the host does not wait for the device."""
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        self.losses[self._step] = loss.detach()
        self._step += 1

    def finish_epoch(self, **scores: float) -> None:
        """Record the scores of an epoch, keep the best weights, save and report.

        Raises
        ------
        FloatingPointError : naming the epoch, and the step or score, that is not finite
        """
        epoch, bad = len(self.history) + 1, (~self.losses.isfinite()).nonzero()
        if len(bad):
            raise FloatingPointError(
                f"the loss is {self.losses[bad[0, 0]]:.0f} in epoch {epoch},"
                f" step {int(bad[0, 0]) + 1}; lower the learning rate"
            )
        for name, value in scores.items():
            if not math.isfinite(value):
                raise FloatingPointError(
                    f"the {name.replace('_', ' ')} is {value:.0f} after epoch {epoch};"
                    " lower the learning rate"
                )
        self.history.append({"epoch": epoch} | scores)
        if scores.get("validation_accuracy", -1.0) > self.best:
            self.best, self.best_epoch = scores["validation_accuracy"], epoch
            self._keep_weights()
        self._save()
        self._report()
        shown = {name: f"{value:.3f}" for name, value in scores.items()}
        self.bar.set_postfix({"epoch": f"{epoch}/{self.epochs}"} | shown)
        if epoch == self.epochs:
            self.bar.close()

    def _keep_weights(self) -> None:
        weights = self.model.state_dict()
        self.best_weights = {name: value.clone() for name, value in weights.items()}

    def _report(self) -> None:
        # Until the second house is done: a checkpoint without `report`.
        if self.checkpoint is None or not hasattr(self.checkpoint, "report"):
            return
        done = len(self.history)
        self.checkpoint.report(
            epoch=done,
            epochs=self.epochs,
            validation_accuracy=self.history[-1].get("validation_accuracy") if done else None,
            best_validation_accuracy=self.best if self.best_epoch else None,
            seconds_per_epoch=self.seconds / done if done else None,
        )

    def _save(self) -> None:
        """Save the state after an epoch; after the last one only the result."""
        if self.checkpoint is None:
            return
        last = len(self.history) == self.epochs
        best = self.best_weights if self.best_epoch < len(self.history) else {}
        state = {
            "fingerprint": self.fingerprint,
            "history": self.history,
            "best": self.best,
            "best_epoch": self.best_epoch,
            "seconds": self.seconds,
            "model": best if last and best else self.model.state_dict(),
            "best_weights": {} if last else best,
            "optimizer": None if last else self.optimizer.state_dict(),
            "generator": self.generator.get_state(),
            "lambdas": self.lambdas and json.dumps(self.lambdas.bit_generator.state),
        }
        self.checkpoint.save(functools.partial(torch.save, state))

    def _load(self, content: bytes | memoryview) -> None:
        try:
            state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
        except Exception as error:  # torch raises almost anything for a damaged file
            print(f"checkpoint discarded: unreadable ({type(error).__name__}); training restarts")
            return
        if not isinstance(state, dict) or state.get("fingerprint") != self.fingerprint:
            print("checkpoint discarded: it belongs to another training; training restarts")
            return
        self.history, self.best, self.best_epoch = (
            state[name] for name in ("history", "best", "best_epoch")
        )
        self._started -= state["seconds"]
        self.model.load_state_dict(state["model"])
        self.best_weights = state["best_weights"]
        if self.best_epoch and not self.best_weights:
            self._keep_weights()
        if state["optimizer"]:
            self.optimizer.load_state_dict(state["optimizer"])
        self.generator.set_state(state["generator"])
        if self.lambdas:
            self.lambdas.bit_generator.state = json.loads(state["lambdas"])
        print(f"training resumes after epoch {len(self.history)}")


def fingerprint(model: Classifier, data: Data, checkpoint: Checkpoint | None, **config) -> str:
    """Return a hash of all that decides a training's course, except the source code.

    Parameters
    ----------
    model : with the weights that it starts from
    data : of which the checksum counts
    checkpoint : ignored, so that a function can pass its ``locals()``
    config : values with a stable ``repr``
    """
    weights = hashlib.sha256()
    for tensor in [*model.parameters(), *model.buffers()]:
        weights.update(tensor.detach().cpu().contiguous().numpy())
    parts = {name: repr(value) for name, value in config.items()} | {
        "format": CHECKPOINT_FORMAT,
        "torch": torch.__version__,
        "data": data.sha256,
        "weights": weights.hexdigest(),
        "batch_norm": model.batch_norm,
        "machine": model.machine,
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def fit(
    model: Classifier,
    data: Data,
    augmentation: Augmentation,
    epochs: int,
    batch_size: int,
    second_forward: bool,
    backbone_lr: float,
    head_lr: float,
    weight_decay: float,
    precision: str,
    seed: int,
    checkpoint: Checkpoint | None = None,
) -> Training:
    """Train with AdamW and cross-entropy, and keep the weights of best validation accuracy.

    Training loss and accuracy in the history are measured like those of the validation set, in
    evaluation mode, on a fixed clean subset of the training set, as large as the validation set.

    Parameters
    ----------
    model : trained in place
    data : its train and validation splits are used
    augmentation : of each training batch
    epochs, batch_size : see `TrainingState.batches`
    second_forward : whether each batch passes through the network once more before MixUp, without
        gradients, so that batch norm's statistics see it unmixed too
    backbone_lr, head_lr, weight_decay : of AdamW
    precision : "float32", or "bfloat16" for mixed precision; weights and tests stay in float32
    seed : of the order, the augmentation and MixUp
    checkpoint : stores the state after each epoch, from which the same training resumes

    Raises
    ------
    FloatingPointError : when the loss is no longer finite
    """
    guard = fingerprint(**locals()) if checkpoint else None
    device = model.device
    generator = torch.Generator(device).manual_seed(seed)
    lambdas = np.random.default_rng(seed)
    train = data.train.on(device)
    labels, count = train.labels.to(device), len(train.labels)
    subset = torch.randperm(count, generator=torch.Generator().manual_seed(0))
    subset = subset[: len(data.validation.labels)]
    groups = model.parameter_groups(backbone_lr, head_lr)
    optimizer = torch.optim.AdamW(groups, weight_decay=weight_decay, fused=True)
    shape = (min(batch_size, count), *train.images.shape[1:])
    network = GraphedForward(model, shape, precision)
    observe = second_forward and augmentation.alpha > 0
    state = TrainingState(checkpoint, guard, epochs, count, model, optimizer, generator, lambdas)
    for epoch in state.remaining_epochs:
        model.train(epoch=epoch)
        network.prepare()
        weights = augmentation.draw_lambdas(-(-count // batch_size), lambdas)
        batches = state.batches(train.images, batch_size)
        for (index, batch), weight in zip(batches, weights, strict=False):
            batch = augmentation(batch, generator) / 255
            if observe:
                with torch.no_grad(), autocast(device, precision):
                    network(batch)
            with autocast(device, precision):
                loss = mixed_loss(network, batch, labels[index], weight, generator)
            state.step(loss)
        train_loss, train_accuracy = score(model, data.train, subset)
        validation_loss, validation_accuracy = score(model, data.validation)
        state.finish_epoch(
            train_loss=train_loss,
            train_accuracy=train_accuracy,
            validation_loss=validation_loss,
            validation_accuracy=validation_accuracy,
        )
    model.load_state_dict(state.best_weights)
    return Training(pd.DataFrame(state.history), state.best_epoch, state.seconds)


def mixed_loss(
    model: Callable[[Tensor], Tensor],
    images: Tensor,
    labels: Tensor,
    weight: float,
    generator: torch.Generator,
) -> Tensor:
    """Return MixUp's loss, the weighted mean cross-entropy against the labels of both sources.

    Parameters
    ----------
    images : float (N, 3, H, W) in [0, 1]
    labels : int64 (N,)
    weight : lambda of the batch; 1 gives the plain cross-entropy
    generator : draws the permutation that assigns the partners

    Source: Zhang et al. (2018); one lambda per batch, the partners a permutation of the batch.
    """
    if weight == 1:
        return functional.cross_entropy(model(images), labels)
    partner = torch.randperm(len(labels), generator=generator, device=images.device)
    logits = model(mixup(images, images[partner], weight))
    own = functional.cross_entropy(logits, labels)
    return weight * own + (1 - weight) * functional.cross_entropy(logits, labels[partner])
