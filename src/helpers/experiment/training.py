"""Training of a classifier by the paper's protocol; it can resume after an interruption."""

import copy
import functools
import hashlib
import io
import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.nn import functional
from tqdm import tqdm

from .augmentation import Augmentation
from .data import Data
from .device import GraphedForward, autocast, iter_batches
from .evaluation import score
from .models import Classifier

#: Part of a checkpoint's fingerprint: raise it if the state's layout or the steps change.
CHECKPOINT_FORMAT = 1


@dataclass(frozen=True)
class Training:
    """The result of a training."""

    history: pd.DataFrame  # one row per epoch; losses in nats, accuracies as fractions
    best_epoch: int  # epoch whose weights were kept
    seconds: float  # including interrupted processes


class TrainingState:
    """A training in progress: history, best weights and checkpoint.

    It resumes from a checkpoint with the same `fingerprint` (``guard``) and ends in the same bits:
    all random draws come from ``generator`` and ``lambdas``.
    """

    def __init__(self, model, groups, weight_decay, seed, epochs, keep_epoch, checkpoint, guard):
        self.model, self.epochs, self.keep_epoch = model, epochs, keep_epoch
        self.checkpoint, self.guard = checkpoint, guard
        self.optimizer = torch.optim.AdamW(groups, weight_decay=weight_decay, fused=True)
        self.generator = torch.Generator(model.device).manual_seed(seed)
        self.lambdas = np.random.default_rng(seed)
        self.history, self.best, self.best_epoch, self.best_weights = [], -1.0, 0, {}
        self._started = time.perf_counter()
        if checkpoint and (content := checkpoint.load()) is not None:
            self._load(content)
        self._report()

    @property
    def seconds(self) -> float:
        """Duration so far, including interrupted processes."""
        return time.perf_counter() - self._started

    def finish_epoch(self, **scores: float) -> None:
        """Record the scores of an epoch, keep the best weights, save and report."""
        epoch = len(self.history) + 1
        for name, value in scores.items():
            if not math.isfinite(value):
                text = f"the {name.replace('_', ' ')} is {value:.0f} in epoch {epoch}"
                raise FloatingPointError(f"{text}; lower the learning rate")
        self.history.append({"epoch": epoch} | scores)
        if self.keep_epoch == "last" or scores["validation_accuracy"] > self.best:
            self.best, self.best_epoch = scores["validation_accuracy"], epoch
            self.best_weights = copy.deepcopy(self.model.state_dict())
        if self.checkpoint:
            self.checkpoint.save(functools.partial(torch.save, self._pack()))
        self._report()

    def _report(self) -> None:
        if self.checkpoint:
            done = len(self.history)
            self.checkpoint.report(
                epoch=done,
                epochs=self.epochs,
                validation_accuracy=self.history[-1]["validation_accuracy"] if done else None,
                best_validation_accuracy=self.best if done else None,
                seconds_per_epoch=self.seconds / done if done else None,
            )

    def _pack(self) -> dict:
        return {
            "guard": self.guard,
            "history": self.history,
            "best": (self.best, self.best_epoch),
            "seconds": self.seconds,
            "model": self.model.state_dict(),
            "best_weights": self.best_weights,
            "optimizer": self.optimizer.state_dict(),
            "generator": self.generator.get_state(),
            "lambdas": json.dumps(self.lambdas.bit_generator.state),
        }

    def _load(self, content: bytes | memoryview) -> None:
        try:
            state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
            if state["guard"] != self.guard:
                raise ValueError("it belongs to another training")
        except Exception as error:  # torch raises almost anything for a corrupt file
            reason = error if type(error) is ValueError else f"corrupt, {type(error).__name__}"
            print(f"checkpoint discarded ({reason}); training restarts")
            return
        self.history, (self.best, self.best_epoch) = state["history"], state["best"]
        self._started -= state["seconds"]
        self.model.load_state_dict(state["model"])
        # Of a finished training, older versions saved the best weights only.
        self.best_weights = state["best_weights"] or state["model"]
        if state["optimizer"]:
            self.optimizer.load_state_dict(state["optimizer"])
        self.generator.set_state(state["generator"])
        self.lambdas.bit_generator.state = json.loads(state["lambdas"])
        print(f"training resumes after epoch {len(self.history)}")


def fingerprint(model: Classifier, data: Data, checkpoint: object = None, **config) -> str:
    """Return a hash of all that determines a training except the code; ignores `checkpoint`."""
    weights = hashlib.sha256()
    for tensor in [*model.parameters(), *model.buffers()]:
        weights.update(tensor.detach().cpu().contiguous().numpy())
    versions = CHECKPOINT_FORMAT, torch.__version__, sorted(model.machine.items())
    start = data.sha256, weights.hexdigest(), model.batch_norm
    parts = repr((versions, start, sorted((name, repr(value)) for name, value in config.items())))
    return hashlib.sha256(parts.encode()).hexdigest()


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
    keep_epoch: str = "best",
    checkpoint=None,
) -> Training:
    """Train with AdamW and cross-entropy, and keep the weights of the best validation accuracy.

    The history's training loss and accuracy are measured in evaluation mode, like those of the
    validation set, on a fixed clean subset of the training set of the same size. A loss that is not
    finite raises FloatingPointError, naming the epoch.

    Parameters
    ----------
    model : trained in place
    augmentation : for the training batches, an `Augmentation` or its three numbers
    second_forward : whether each batch also passes through the network before MixUp, without
        gradients, so that the statistics of batch norm include unmixed images
    precision : "float32", or "bfloat16" for mixed precision; weights and evaluation stay float32
    seed : for the order, the augmentation and MixUp
    keep_epoch : "best", or "last" to keep the weights of the last epoch
    checkpoint : a `helpers.runs.Checkpoint`, saved after each epoch, to resume from
    """
    guard = fingerprint(**locals()) if checkpoint else None
    augmentation, device = Augmentation(*augmentation), model.device
    train, count = data.train.on(device), len(data.train.labels)
    subset = torch.randperm(count, generator=torch.Generator().manual_seed(0))
    subset = subset[: len(data.validation.labels)]
    shape = (min(batch_size, count), *train.images.shape[1:])
    network = GraphedForward(model, shape, precision)
    observe = second_forward and augmentation.alpha > 0
    groups = model.parameter_groups(backbone_lr, head_lr)
    state = TrainingState(model, groups, weight_decay, seed, epochs, keep_epoch, checkpoint, guard)
    done = len(state.history)
    bar = {"desc": "train", "unit": "epoch", "initial": done, "total": epochs}
    for epoch in tqdm(range(done + 1, epochs + 1), **bar):
        model.train(epoch=epoch)
        network.prepare()
        weights = augmentation.draw_lambdas(-(-count // batch_size), state.lambdas)
        order = torch.randperm(count, generator=state.generator, device=device)
        # A last batch of one image is left out, since batch norm needs two.
        order = order[: count - (count % batch_size == 1)]
        batches = iter_batches(train.images, order, batch_size)
        for (index, batch), weight in zip(batches, weights, strict=False):
            batch = augmentation(batch, state.generator) / 255
            if observe:
                with torch.no_grad(), autocast(device, precision):
                    network(batch)
            with autocast(device, precision):
                loss = mixed_loss(network, batch, train.labels[index], weight, state.generator)
            state.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            state.optimizer.step()
        scores = {}
        for name, used in (("train", (data.train, subset)), ("validation", (data.validation,))):
            scores[f"{name}_loss"], scores[f"{name}_accuracy"] = score(model, *used)
        state.finish_epoch(**scores)
    model.load_state_dict(state.best_weights)
    return Training(pd.DataFrame(state.history), state.best_epoch, state.seconds)


def mixed_loss(
    model: Callable, images: Tensor, labels: Tensor, weight: float, generator: torch.Generator
) -> Tensor:
    """Return MixUp's loss: the mean cross-entropy against the labels of both sources.

    Images float (N, 3, H, W) in [0, 1] are mixed with a permutation of the batch by one weight, the
    lambda of Zhang et al. (2018), section 2; weight 1 gives plain cross-entropy.
    """
    if weight == 1:
        return functional.cross_entropy(model(images), labels)
    partner = torch.randperm(len(labels), generator=generator, device=images.device)
    logits = model(torch.lerp(images[partner], images, weight))
    own = functional.cross_entropy(logits, labels)
    return weight * own + (1 - weight) * functional.cross_entropy(logits, labels[partner])
