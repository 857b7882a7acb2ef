"""Augmentation of batches on the device, with one draw per image."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True)
class Augmentation:
    """The augmentation of the paper.

    Parameters
    ----------
    probability : of each of horizontal flip, vertical flip and rotation, per image
    degrees : rotations are by U(-degrees, degrees), nearest neighbour, filled with zeros
    alpha : MixUp's lambda is drawn from Beta(alpha, alpha), once per batch; 0 means no MixUp
    """

    probability: float
    degrees: float
    alpha: float

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Flip and rotate each image by its own draw: uint8 (N, 3, S, S) to the same."""
        if self.probability == 0:
            return images
        draws = torch.rand(4, len(images), generator=generator, device=images.device)
        horizontal, vertical, rotated = draws[:3] < self.probability
        angle = torch.where(rotated, (2 * draws[3] - 1) * self.degrees, 0.0)
        return flip_and_rotate(images, horizontal, vertical, angle)

    def draw_lambdas(self, count: int, generator: np.random.Generator) -> list[float]:
        """Draw MixUp's lambda for ``count`` batches; all 1 (nothing mixed) without MixUp."""
        if self.alpha == 0:
            return [1.0] * count
        return generator.beta(self.alpha, self.alpha, count).tolist()


def flip_and_rotate(images: Tensor, horizontal: Tensor, vertical: Tensor, angle: Tensor) -> Tensor:
    """Flip images, then rotate them about the centre, in one nearest-neighbour resampling.

    Parameters
    ----------
    images : uint8 (N, 3, S, S)
    horizontal, vertical : bool (N,)
    angle : float32 (N,), degrees, counter-clockwise; pixels from outside the image are 0

    Returns
    -------
    uint8 (N, 3, S, S); flips alone permute pixels exactly
    """
    radians = torch.deg2rad(angle)
    cosine, sine, zero = radians.cos(), radians.sin(), torch.zeros_like(radians)
    flip_x, flip_y = 1 - 2.0 * horizontal, 1 - 2.0 * vertical
    # The matrix maps an output point to the input point that it is read from: first back through
    # the rotation, then through the flip. y points down, as in an image.
    first = torch.stack([flip_x * cosine, -flip_x * sine, zero], dim=1)
    second = torch.stack([flip_y * sine, flip_y * cosine, zero], dim=1)
    matrix = torch.stack([first, second], dim=1)
    grid = functional.affine_grid(matrix, list(images.shape), align_corners=False)
    read = functional.grid_sample(images.float(), grid, mode="nearest", align_corners=False)
    return read.to(torch.uint8)


def mixup(images: Tensor, partners: Tensor, weight: float) -> Tensor:
    """Return ``weight * images + (1 - weight) * partners``, the inputs of MixUp.

    Source: Zhang et al. (2018), mixup: Beyond Empirical Risk Minimization, section 2.
    """
    return images if weight == 1 else torch.lerp(partners, images, weight)
