"""Augmentation of batches on the device, with independent draws for each image."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional


class Augmentation(NamedTuple):
    """The augmentation of the paper: flips, rotations (nearest neighbour, zero fill) and MixUp."""

    probability: float  # of each of horizontal flip, vertical flip and rotation, per image
    degrees: float  # rotation angles are from U(-degrees, degrees)
    alpha: float  # MixUp's lambda is drawn from Beta(alpha, alpha) per batch; 0: no MixUp

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Flip and rotate each of the images uint8 (N, 3, S, S) at random."""
        if self.probability == 0:
            return images
        draws = torch.rand(4, len(images), generator=generator, device=images.device)
        horizontal, vertical, rotated = draws[:3] < self.probability
        angle = torch.where(rotated, (2 * draws[3] - 1) * self.degrees, 0.0)
        return flip_and_rotate(images, horizontal, vertical, angle)

    def draw_lambdas(self, count: int, generator: np.random.Generator) -> list[float]:
        """Draw MixUp's lambda for ``count`` batches; all 1 without MixUp."""
        if self.alpha == 0:
            return [1.0] * count
        return generator.beta(self.alpha, self.alpha, count).tolist()


def flip_and_rotate(images: Tensor, horizontal: Tensor, vertical: Tensor, angle: Tensor) -> Tensor:
    """Flip images, then rotate them about the centre, in one nearest-neighbour resampling.

    Images are uint8 (N, 3, S, S), flips bool (N,), angles float32 (N,) in degrees,
    counter-clockwise. Pixels from outside the image are 0.
    """
    radians = torch.deg2rad(angle)
    cosine, sine, zero = radians.cos(), radians.sin(), torch.zeros_like(radians)
    flip_x, flip_y = 1 - 2.0 * horizontal, 1 - 2.0 * vertical
    # From output to input coordinates: undo the rotation, then the flip. y points down.
    first = flip_x * cosine, -flip_x * sine, zero
    second = flip_y * sine, flip_y * cosine, zero
    matrix = torch.stack([torch.stack(row, dim=1) for row in (first, second)], dim=1)
    grid = functional.affine_grid(matrix, list(images.shape), align_corners=False)
    turned = functional.grid_sample(images.float(), grid, mode="nearest", align_corners=False)
    return turned.to(torch.uint8)
