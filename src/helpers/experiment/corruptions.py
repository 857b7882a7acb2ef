"""Corruptions of 8-bit images: brightness and Gaussian Blur, as in torchvision."""

from pkgutil import resolve_name

import numpy as np
from torch import Tensor
from torchvision.transforms.v2 import functional

from helpers.catalogue import CORRUPTIONS


def brightness(images: Tensor, factor: float) -> Tensor:
    """Multiply images uint8 (N, 3, H, W) by a factor and clip.

    Equal to ``torchvision.transforms.functional.adjust_brightness`` on PIL images, bit for bit.
    """
    return functional.adjust_brightness(images, factor)


def blur(images: Tensor, sigma: float) -> Tensor:
    """Blur images uint8 (N, 3, H, W) with a 5x5 Gaussian; sigma is in pixels.

    Equal to ``torchvision.transforms.functional.gaussian_blur`` on PIL images, except that about 1
    in 100,000 pixels differs by one grey level (the same sum, rounded in another order).
    """
    # One image with N * 3 channels: depthwise convolution is five times faster on many channels.
    planes = functional.gaussian_blur(images.flatten(0, 1)[None], [5, 5], [sigma, sigma])
    return planes.view_as(images)


def list_conditions(corruptions: dict[str, list[float]]) -> list[tuple[str, float | None]]:
    """Return the conditions of an evaluation: clean first, then each corruption and strength."""
    shifts = [(name, strength) for name, values in corruptions.items() for strength in values]
    return [("clean", None), *shifts]


def corrupt(images: Tensor, name: str, strength: float | None) -> Tensor:
    """Return uint8 (N, 3, H, W) images under one condition of `list_conditions`."""
    return images if name == "clean" else resolve_name(CORRUPTIONS[name].function)(images, strength)


def condition_arrays(conditions: list[tuple[str, float | None]]) -> dict[str, np.ndarray]:
    """Return the conditions as arrays of P names and P strengths (NaN for clean)."""
    corruption, strength = zip(*conditions, strict=True)
    return {"corruption": np.array(corruption), "strength": np.array(strength, dtype=np.float64)}
