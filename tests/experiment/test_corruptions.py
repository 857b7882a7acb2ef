"""Corruptions of batches against torchvision's on PIL images."""

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import functional as pil_functional

from helpers.experiment.corruptions import corrupt


@pytest.fixture(scope="module")
def pictures() -> list[Image.Image]:
    """Twenty images with smooth areas, edges and noise."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (20, 8, 8, 3), dtype=np.uint8)
    smooth = [np.array(Image.fromarray(image).resize((64, 64))) for image in coarse]
    noise = rng.integers(-20, 21, (20, 64, 64, 3))
    return [Image.fromarray(image) for image in np.clip(smooth + noise, 0, 255).astype(np.uint8)]


def as_batch(pictures) -> torch.Tensor:
    return torch.stack([torch.from_numpy(np.array(p)).permute(2, 0, 1) for p in pictures])


@pytest.mark.parametrize("strength", [0.3, 0.6, 0.9, 1.4])
def test_brightness_equals_pil_and_blur_nearly(pictures, strength):
    batch = as_batch(pictures)
    theirs = as_batch([pil_functional.adjust_brightness(image, strength) for image in pictures])
    assert torch.equal(corrupt(batch, "brightness", strength), theirs)
    assert not torch.equal(batch, theirs)
    theirs = as_batch([pil_functional.gaussian_blur(i, [5, 5], [strength] * 2) for i in pictures])
    difference = (corrupt(batch, "blur", strength).int() - theirs.int()).abs()
    assert difference.max() <= 1
    assert (difference > 0).float().mean() <= 5e-5  # one grey level in few pixels
    assert not torch.equal(batch, theirs)
