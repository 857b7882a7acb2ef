"""Random views of images for self-supervised learning, with one draw for each image."""

import torch
from torch import Tensor
from torch.nn import functional
from torchvision.transforms.v2 import functional as transforms

#: Side of the crop as a part of the image's, and the range of its aspect ratio's logarithm.
CROP, LOG_ASPECT = (0.5, 1.0), 0.29
#: Strengths of the colour jitter, and the probability of each other change.
BRIGHTNESS, CONTRAST, SATURATION = 0.6, 0.6, 0.9
P_FLIP, P_GREY, P_BLUR = 0.5, 0.3, 0.3
#: Standard deviation of the blur in pixels of a 3x3 kernel.
BLUR_SIGMA = 0.8


def draw_view(images: Tensor, generator: torch.Generator) -> Tensor:
    """Crop, flip, jitter, grey and blur each image by draws of its own.

    The kinds of change are those of Zbontar et al. (2021), appendix A, without hue and
    solarisation. The crops are milder, since an image of 28 px has no second object to find, and
    the colours change more, since there the mean colour is a shortcut that two views share.

    Parameters
    ----------
    images : uint8 (N, 3, S, S)

    Returns
    -------
    float32 (N, 3, S, S) in [0, 1]
    """
    view = _crop(images / 255, generator)
    view = _jitter(view, generator)
    blurred = _draw(view, generator) < P_BLUR
    return torch.where(blurred, transforms.gaussian_blur(view, [3, 3], [BLUR_SIGMA] * 2), view)


def _crop(images: Tensor, generator: torch.Generator) -> Tensor:
    """Resample a random upright part of each image, mirrored or not, to the whole."""
    draws = torch.rand(5, len(images), generator=generator, device=images.device)
    side = CROP[0] + (CROP[1] - CROP[0]) * draws[0]
    stretch = torch.exp((draws[1] - 0.5) * LOG_ASPECT)
    width, height = (side * stretch).clamp(max=1), (side / stretch).clamp(max=1)
    flip = 1 - 2.0 * (draws[2] < P_FLIP)
    zero = torch.zeros_like(side)
    # In affine_grid's coordinates the image spans -1 to 1: a part of half-width w can move by 1-w.
    first = torch.stack([flip * width, zero, (2 * draws[3] - 1) * (1 - width)], dim=1)
    second = torch.stack([zero, height, (2 * draws[4] - 1) * (1 - height)], dim=1)
    matrix = torch.stack([first, second], dim=1)
    grid = functional.affine_grid(matrix, list(images.shape), align_corners=False)
    return functional.grid_sample(images, grid, padding_mode="border", align_corners=False)


def _jitter(images: Tensor, generator: torch.Generator) -> Tensor:
    """Change brightness, contrast and saturation of all images, and make some grey."""
    brightness, contrast, saturation = (
        1 + strength * (2 * _draw(images, generator) - 1)
        for strength in (BRIGHTNESS, CONTRAST, SATURATION)
    )
    view = images * brightness
    mean = _grey(view).mean((2, 3), keepdim=True)
    view = mean + contrast * (view - mean)
    view = torch.lerp(_grey(view), view, saturation)
    view = view.clamp(0, 1)
    return torch.where(_draw(images, generator) < P_GREY, _grey(view).expand_as(view), view)


def _grey(images: Tensor) -> Tensor:
    return transforms.rgb_to_grayscale(images)


def _draw(images: Tensor, generator: torch.Generator) -> Tensor:
    """Draw U(0, 1) for each image, to broadcast over its pixels."""
    return torch.rand(len(images), 1, 1, 1, generator=generator, device=images.device)
