"""Barlow Twins: a backbone learned from images alone.

Source of all that is here: Zbontar et al. (2021), Barlow Twins: Self-Supervised Learning via
Redundancy Reduction, section 2 (loss, projector) and appendix A (augmentations).
"""

import itertools

import pandas as pd
import torch
from torch import Tensor, nn

from .batches import place
from .data import Data
from .device import autocast
from .models import Classifier
from .resuming import Checkpoint, Session, identify
from .training import Progress, Training, iterate_batches
from .views import draw_view

#: Smallest variance that an embedding's dimension is divided by.
EPSILON = 1e-5


def barlow_twins_loss(first: Tensor, second: Tensor, off_diagonal_weight: float) -> Tensor:
    r"""Return the distance of two views' cross-correlation from the identity.

    .. math:: \sum_i (1 - C_{ii})^2 + \gamma \sum_i \sum_{j \ne i} C_{ij}^2

    Parameters
    ----------
    first, second : float (N, D), the embeddings of two views of the same N images
    off_diagonal_weight : gamma, the lambda of the source

    Source: equations 1 and 2 of Zbontar et al. (2021).
    """
    first, second = (
        (z - z.mean(0)) / (z.var(0, correction=0) + EPSILON).sqrt() for z in (first, second)
    )
    correlation = first.T @ second / len(first)
    diagonal = correlation.diagonal()
    off_diagonal = correlation.square().sum() - diagonal.square().sum()
    return (1 - diagonal).square().sum() + off_diagonal_weight * off_diagonal


def make_projector(features: int, widths: list[int]) -> nn.Sequential:
    """Return linear layers of these widths, with batch norm and ReLU between them."""
    layers: list[nn.Module] = []
    for inputs, outputs in itertools.pairwise([features, *widths]):
        layers += [nn.Linear(inputs, outputs, bias=False), nn.BatchNorm1d(outputs), nn.ReLU()]
    return nn.Sequential(*layers[:-2])


def fit_barlow_twins(
    model: Classifier,
    data: Data,
    projector: list[int],
    off_diagonal_weight: float,
    epochs: int,
    batch_size: int,
    lr: float,
    weight_decay: float,
    precision: str,
    seed: int,
    checkpoint: Checkpoint | None = None,
) -> Training:
    """Train a backbone by Barlow Twins with AdamW; the labels are not looked at.

    The projector takes the head's place. The loss of the validation images is measured in
    evaluation mode on one fixed pair of views.

    Parameters
    ----------
    model : trained in place; the weights of the last epoch are kept
    data : its train and validation images are used
    projector : widths of the projector's layers (8192, 8192, 8192 in the paper)
    off_diagonal_weight : of the loss (0.0051 for the published checkpoint)
    epochs, batch_size : the last batch of an epoch may be smaller
    lr, weight_decay : of AdamW
    precision, checkpoint : as for `fit`
    seed : of the projector, the order and the views

    Returns
    -------
    Training : with the columns epoch, train_loss, validation_loss

    Raises
    ------
    FloatingPointError : where the loss is no longer finite
    """
    identity = identify(locals()) if checkpoint else None
    device = model.device
    generator = torch.Generator(device).manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model.network.fc = make_projector(model.head.in_features, projector).to(device)
    images = place(data.train.images, device)
    fixed = torch.Generator(device).manual_seed(0)
    twins = _draw_twins(data.validation.images.to(device), fixed)
    optimizer = torch.optim.AdamW(
        model.parameter_groups(lr, lr), weight_decay=weight_decay, fused=True
    )
    session = Session(checkpoint, identity, model, optimizer, generator)
    progress = Progress(len(images), epochs, "pretrain", done=len(session.rows))
    for epoch in range(len(session.rows) + 1, epochs + 1):
        model.train(epoch=epoch)
        losses = torch.empty(-(-len(images) // batch_size), device=device)  # see `fit`
        batches = iterate_batches(images, batch_size, generator, progress)
        for step, (_, batch) in enumerate(batches):
            views = _draw_twins(batch, generator)
            with autocast(device, precision):
                # One after the other, so that batch norm sees each by itself, as in the paper.
                first, second = (model(view).float() for view in views)
            loss = barlow_twins_loss(first, second, off_diagonal_weight)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            losses[step] = loss.detach()
        model.eval()
        with torch.inference_mode():
            first, second = (torch.cat([model(x) for x in z.split(batch_size)]) for z in twins)
            validation_loss = barlow_twins_loss(first, second, off_diagonal_weight).item()
        losses = losses[: step + 1]
        session.rows.append(
            progress.finish_epoch(
                epoch,
                losses,
                train_loss=losses.mean().item(),
                validation_loss=validation_loss,
            )
        )
        session.save(last=epoch == epochs)
    progress.bar.close()
    return Training(pd.DataFrame(session.rows), epochs, session.seconds)


def _draw_twins(images: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    return draw_view(images, generator), draw_view(images, generator)
