import numpy as np
import pytest
import torch
from torchvision.transforms import functional as pil_functional

from helpers import InputError
from helpers.experiment.corruptions import corrupt, list_conditions


@pytest.fixture(scope="module")
def batch(real_images) -> torch.Tensor:
    return torch.stack([torch.from_numpy(np.array(i)).permute(2, 0, 1) for i in real_images])


def as_batch(pictures) -> torch.Tensor:
    return torch.stack([torch.from_numpy(np.array(p)).permute(2, 0, 1) for p in pictures])


@pytest.mark.parametrize("factor", [0.6, 0.8, 0.9, 1.1, 1.2, 1.4])
def test_brightness_equals_pil_to_the_bit(real_images, batch, factor):
    theirs = as_batch([pil_functional.adjust_brightness(image, factor) for image in real_images])
    assert torch.equal(corrupt(batch, "brightness", factor), theirs)
    assert not torch.equal(batch, theirs)


@pytest.mark.parametrize("sigma", [0.3, 0.5, 0.7, 0.9])
def test_blur_equals_pil_within_one_grey_level_in_few_pixels(real_images, batch, sigma):
    theirs = as_batch([pil_functional.gaussian_blur(i, [5, 5], [sigma] * 2) for i in real_images])
    difference = (corrupt(batch, "blur", sigma).int() - theirs.int()).abs()
    assert difference.max() <= 1
    assert (difference > 0).float().mean() <= 5e-5
    assert not torch.equal(batch, theirs)


def test_clean_comes_first_and_unchanged(batch):
    conditions = list_conditions({"brightness": [0.8], "blur": [0.3, 0.9]})
    assert conditions == [("clean", None), ("brightness", 0.8), ("blur", 0.3), ("blur", 0.9)]
    assert torch.equal(corrupt(batch, *conditions[0]), batch)


def test_unknown_corruption_is_named():
    with pytest.raises(InputError, match="'snow'; there are .*brightness, blur"):
        list_conditions({"snow": [1.0]})
