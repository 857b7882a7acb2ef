"""Barlow Twins: self-supervised pretraining of a backbone.

Source: Zbontar et al. (2021), Barlow Twins: Self-Supervised Learning via Redundancy Reduction,
section 2 (loss, projector) and appendix A (augmentations).
"""

import itertools

import pandas as pd
import torch
from torch import Tensor, nn
from torchvision.transforms.v2 import functional as transforms

from .augmentation import resample
from .data import Data
from .device import autocast
from .models import Classifier
from .training import Training, TrainingState, fingerprint

#: Added to the variance when an embedding dimension is standardised.
EPSILON = 1e-5
#: Range of the crop's side as a fraction of the image's, and of the logarithm of its aspect ratio.
CROP, LOG_ASPECT = (0.5, 1.0), 0.29
#: Strengths of the jitter in brightness, contrast and saturation.
JITTER = 0.6, 0.6, 0.9
#: Probabilities of flip, greyscale and blur, and the blur's standard deviation in pixels.
P_FLIP, P_GREY, P_BLUR, BLUR_SIGMA = 0.5, 0.3, 0.3, 0.8


def barlow_twins_loss(first: Tensor, second: Tensor, off_diagonal_weight: float) -> Tensor:
    r"""Return the distance of two views' cross-correlation from the identity.

    .. math:: \sum_i (1 - C_{ii})^2 + \gamma \sum_i \sum_{j \ne i} C_{ij}^2

    The views are embeddings, float (N, D), of the same N images; gamma is the source's lambda.
    """
    first, second = (
        (z - z.mean(0)) / (z.var(0, correction=0) + EPSILON).sqrt() for z in (first, second)
    )
    correlation = first.T @ second / len(first)
    diagonal = correlation.diagonal()
    off_diagonal = correlation.square().sum() - diagonal.square().sum()
    return (1 - diagonal).square().sum() + off_diagonal_weight * off_diagonal


def make_projector(features: int, widths: list[int]) -> nn.Sequential:
    """Return linear layers of the given widths, with batch norm and ReLU in between."""
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
    checkpoint=None,
) -> Training:
    """Train a backbone by Barlow Twins with AdamW; labels are not used.

    A projector with layers of the given widths replaces the head. The weights of the last epoch are
    kept. The history's validation_loss is measured in evaluation mode on one fixed pair of views.
    Other parameters and errors are those of `fit`.
    """
    guard = fingerprint(**locals()) if checkpoint else None
    device = model.device
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model.network.fc = make_projector(model.head.in_features, projector).to(device)
    images = data.train.on(device).images
    fixed = torch.Generator(device).manual_seed(0)
    validation = data.validation.on(device).images.to(device)
    twins = [random_view(validation, fixed) for _ in range(2)]
    groups, count = model.parameter_groups(lr, lr), len(images)
    state = TrainingState(model, groups, weight_decay, seed, epochs, count, checkpoint, guard)
    for epoch in range(len(state.history) + 1, epochs + 1):
        model.train(epoch=epoch)
        for _, batch in state.batches(images, batch_size):
            views = [random_view(batch, state.generator) for _ in range(2)]
            with autocast(device, precision):
                # One view at a time: batch norm uses the statistics of each, as in the paper.
                first, second = (model(view).float() for view in views)
            state.step(barlow_twins_loss(first, second, off_diagonal_weight))
        model.eval()
        with torch.inference_mode():
            first, second = (torch.cat([model(x) for x in z.split(batch_size)]) for z in twins)
            validation_loss = barlow_twins_loss(first, second, off_diagonal_weight).item()
        state.finish_epoch(train_loss=state.losses.mean().item(), validation_loss=validation_loss)
    return Training(pd.DataFrame(state.history), epochs, state.seconds)


def random_view(images: Tensor, generator: torch.Generator) -> Tensor:
    """Crop, flip, jitter, grey and blur each image at random: uint8 -> float32 in [0, 1].

    As in appendix A of Zbontar et al. (2021), but without hue and solarisation, and with milder
    crops and stronger colour jitter: at 28 px two views share their objects and mean colour.
    """
    view = _crop(images / 255, generator)
    view = _jitter(view, generator)
    blurred = _draw(view, generator) < P_BLUR
    return torch.where(blurred, transforms.gaussian_blur(view, [3, 3], [BLUR_SIGMA] * 2), view)


def _crop(images: Tensor, generator: torch.Generator) -> Tensor:
    draws = torch.rand(5, len(images), generator=generator, device=images.device)
    side = CROP[0] + (CROP[1] - CROP[0]) * draws[0]
    stretch = torch.exp((draws[1] - 0.5) * LOG_ASPECT)
    width, height = (side * stretch).clamp(max=1), (side / stretch).clamp(max=1)
    flip = 1 - 2.0 * (draws[2] < P_FLIP)
    zero = torch.zeros_like(side)
    # In affine_grid's coordinates the image spans -1 to 1: a crop of half-width w moves by 1 - w.
    first = flip * width, zero, (2 * draws[3] - 1) * (1 - width)
    second = zero, height, (2 * draws[4] - 1) * (1 - height)
    return resample(images, first, second, padding_mode="border")


def _jitter(images: Tensor, generator: torch.Generator) -> Tensor:
    brightness, contrast, saturation = (
        1 + strength * (2 * _draw(images, generator) - 1) for strength in JITTER
    )
    view = images * brightness
    mean = transforms.rgb_to_grayscale(view).mean((2, 3), keepdim=True)
    view = mean + contrast * (view - mean)
    view = torch.lerp(transforms.rgb_to_grayscale(view), view, saturation).clamp(0, 1)
    grey = transforms.rgb_to_grayscale(view, num_output_channels=3)
    return torch.where(_draw(images, generator) < P_GREY, grey, view)


def _draw(images: Tensor, generator: torch.Generator) -> Tensor:
    return torch.rand(len(images), 1, 1, 1, generator=generator, device=images.device)
