"""Training of a classifier by the paper's protocol."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.nn import functional
from tqdm import tqdm

from .augmentation import Augmentation, mixup
from .batches import gather, place
from .cuda_graph import GraphedForward
from .data import Data
from .device import autocast
from .evaluation import score
from .models import Classifier
from .resuming import Checkpoint, Session, identify


@dataclass(frozen=True)
class Training:
    """What a training was.

    Attributes
    ----------
    history : a row an epoch: epoch, losses in nats, accuracies as fractions
    best_epoch : the epoch whose weights were kept
    seconds : duration, over all processes that had a part in it
    """

    history: pd.DataFrame
    best_epoch: int
    seconds: float


class Progress:
    """A progress bar over all images of all epochs, and a check that the loss stays finite."""

    def __init__(self, images: int, epochs: int, description: str, done: int = 0):
        self.epochs = epochs
        self.bar = tqdm(
            total=images * epochs,
            initial=images * done,
            desc=description,
            ncols=180,  # all scores, however narrow the terminal of whoever started the kernel
            unit="image",
            mininterval=1,
            smoothing=0.1,
        )

    def finish_epoch(self, epoch: int, losses: Tensor, **scores: float) -> dict:
        """Close an epoch: the one place where the host waits for the device.

        Raises
        ------
        FloatingPointError : naming the epoch, and the step or score, that is not finite
        """
        bad = (~losses.isfinite()).nonzero()
        if len(bad):
            raise FloatingPointError(
                f"the loss is {losses[bad[0, 0]]:.0f} in epoch {epoch}, step {int(bad[0, 0]) + 1};"
                " lower the learning rate"
            )
        for name, value in scores.items():
            if not math.isfinite(value):
                raise FloatingPointError(
                    f"the {name.replace('_', ' ')} is {value:.0f} after epoch {epoch};"
                    " lower the learning rate"
                )
        shown = {name: f"{value:.3f}" for name, value in scores.items()}
        self.bar.set_postfix({"epoch": f"{epoch}/{self.epochs}"} | shown)
        return {"epoch": epoch} | scores


def iterate_batches(
    images: Tensor, batch_size: int, generator: torch.Generator, progress: Progress
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield indices and images of each batch of one epoch in a fresh random order, on the device.

    The last batch may be smaller; one of a single image is left out, since batch norm is not
    defined on it.
    """
    order = torch.randperm(len(images), generator=generator, device=generator.device)
    for index, batch in gather(images, order, batch_size):
        if len(index) > 1:
            yield index, batch
        progress.bar.update(len(index))


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

    Training loss and accuracy of the history are measured like the validation's, in evaluation
    mode, on a fixed clean subset of the training set that is as large as the validation set.

    Parameters
    ----------
    model : trained in place
    data : its train and validation splits are used
    augmentation : of each training batch
    epochs, batch_size : the last batch of an epoch may be smaller, see `iterate_batches`
    second_forward : whether each batch passes through the network once more before MixUp, without
        gradients, so that the statistics of batch norm see it unmixed too
    backbone_lr, head_lr, weight_decay : of AdamW
    precision : "float32", or "bfloat16" for mixed precision; weights and tests stay in float32
    seed : of the order, the augmentation and MixUp
    checkpoint : keeps the state after each epoch; a training that it holds goes on from there,
        and ends with the same bits as one that nothing interrupted

    Raises
    ------
    FloatingPointError : where the loss is no longer finite
    """
    identity = identify(locals()) if checkpoint else None
    device = model.device
    generator = torch.Generator(device).manual_seed(seed)
    lambdas = np.random.default_rng(seed)
    images, labels = place(data.train.images, device), data.train.labels.to(device)
    count = len(labels)
    subset = torch.randperm(count, generator=torch.Generator().manual_seed(0))
    subset = subset[: len(data.validation.labels)]
    optimizer = torch.optim.AdamW(
        model.parameter_groups(backbone_lr, head_lr), weight_decay=weight_decay, fused=True
    )
    shape = (min(batch_size, count), *images.shape[1:])
    network = GraphedForward(model, shape, precision)
    observe = second_forward and augmentation.mixup_alpha > 0
    session = Session(checkpoint, identity, model, optimizer, generator, lambdas)
    progress = Progress(count, epochs, "train", done=len(session.rows))
    for epoch in range(len(session.rows) + 1, epochs + 1):
        model.train(epoch=epoch)
        network.prepare()
        # One tensor: one more a step would keep the freed batches between them from being reused.
        losses = torch.empty(-(-count // batch_size), device=device)
        weights = augmentation.draw_lambdas(len(losses), lambdas)
        batches = iterate_batches(images, batch_size, generator, progress)
        for step, ((index, batch), weight) in enumerate(zip(batches, weights, strict=False)):
            batch = augmentation(batch, generator) / 255
            if observe:
                with torch.no_grad(), autocast(device, precision):
                    network(batch)
            with autocast(device, precision):
                loss = mixed_loss(network, batch, labels[index], weight, generator)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            losses[step] = loss.detach()
        train_loss, train_accuracy = score(model, data.train, subset)
        loss, accuracy = score(model, data.validation)
        session.rows.append(
            progress.finish_epoch(
                epoch,
                losses[: step + 1],
                train_loss=train_loss,
                train_accuracy=train_accuracy,
                validation_loss=loss,
                validation_accuracy=accuracy,
            )
        )
        session.keep_best(accuracy)
        session.save(last=epoch == epochs)
    progress.bar.close()
    model.load_state_dict(session.best_state)
    return Training(pd.DataFrame(session.rows), session.best_epoch, session.seconds)


def mixed_loss(
    model: Callable[[Tensor], Tensor],
    images: Tensor,
    labels: Tensor,
    weight: float,
    generator: torch.Generator,
) -> Tensor:
    """Return MixUp's loss, the mean cross-entropy against both sources' labels.

    Parameters
    ----------
    images : float (N, 3, H, W) in [0, 1]
    labels : int64 (N,)
    weight : lambda of the batch; with 1 this is the plain cross-entropy
    generator : draws the permutation that gives each image its partner

    Source: Zhang et al. (2018); one lambda a batch, the partners a permutation of the batch.
    """
    if weight == 1:
        return functional.cross_entropy(model(images), labels)
    partner = torch.randperm(len(labels), generator=generator, device=images.device)
    logits = model(mixup(images, images[partner], weight))
    own = functional.cross_entropy(logits, labels)
    return weight * own + (1 - weight) * functional.cross_entropy(logits, labels[partner])
