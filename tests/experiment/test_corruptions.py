"""Corruptions of batches against torchvision's on PIL images."""

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import functional as pil_functional

from helpers import InputError
from helpers.experiment.corruptions import corrupt, list_conditions


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


@pytest.mark.parametrize("factor", [0.6, 0.9, 1.1, 1.4])
def test_brightness_equals_pil_to_the_bit(pictures, factor):
    theirs = as_batch([pil_functional.adjust_brightness(image, factor) for image in pictures])
    assert torch.equal(corrupt(as_batch(pictures), "brightness", factor), theirs)
    assert not torch.equal(as_batch(pictures), theirs)


@pytest.mark.parametrize("sigma", [0.3, 0.5, 0.7, 0.9])
def test_blur_equals_pil_within_one_grey_level_in_few_pixels(pictures, sigma):
    theirs = as_batch([pil_functional.gaussian_blur(i, [5, 5], [sigma] * 2) for i in pictures])
    difference = (corrupt(as_batch(pictures), "blur", sigma).int() - theirs.int()).abs()
    assert difference.max() <= 1
    assert (difference > 0).float().mean() <= 5e-5
    assert not torch.equal(as_batch(pictures), theirs)


def test_conditions_begin_with_the_clean_images_and_name_unknown_corruptions(pictures):
    conditions = list_conditions({"brightness": [0.8], "blur": [0.3, 0.9]})
    assert conditions == [("clean", None), ("brightness", 0.8), ("blur", 0.3), ("blur", 0.9)]
    batch = as_batch(pictures)
    assert corrupt(batch, *conditions[0]) is batch
    with pytest.raises(InputError, match="unknown corruption 'snow'; choose from .*brightness"):
        list_conditions({"snow": [1.0]})
