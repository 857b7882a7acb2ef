"""Flips and rotations against cases worked by hand, PIL, and the stated distributions."""

import itertools

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import InterpolationMode, functional as pil_functional

from helpers.experiment import augmentation
from helpers.experiment.augmentation import Augmentation, flip_and_rotate


def test_flips_and_a_quarter_turn_by_hand():
    image = torch.tensor([[1, 2], [3, 4]], dtype=torch.uint8).expand(4, 3, 2, 2)
    horizontal = torch.tensor([True, False, True, False])
    vertical = torch.tensor([False, True, True, False])
    turned = flip_and_rotate(image, horizontal, vertical, torch.tensor([0.0, 0.0, 0.0, 90.0]))
    expected = [[[2, 1], [4, 3]], [[3, 4], [1, 2]], [[4, 3], [2, 1]], [[2, 4], [1, 3]]]
    assert turned.dtype == torch.uint8
    assert turned[:, 1].tolist() == expected  # the last one counter-clockwise


def test_rotation_equals_pil_after_the_flip():
    """Nearest neighbour is ambiguous half-way between pixels: nearly all pixels must agree."""
    generator = torch.Generator().manual_seed(3)
    images = torch.randint(0, 256, (64, 3, 28, 28), generator=generator, dtype=torch.uint8)
    angle, flipped = torch.linspace(-20, 20, 64), torch.arange(64) % 2 == 0
    ours = flip_and_rotate(images, flipped, torch.zeros(64, dtype=torch.bool), angle)
    agreeing = []
    for index in range(64):
        source = images[index].flip(2) if flipped[index] else images[index]
        picture = Image.fromarray(source.permute(1, 2, 0).numpy())
        turned = pil_functional.rotate(picture, angle[index].item(), InterpolationMode.NEAREST)
        theirs = torch.from_numpy(np.array(turned)).permute(2, 0, 1)
        agreeing.append((ours[index] == theirs).all(0).float().mean())
    assert min(agreeing) > 0.97


def test_each_image_has_its_own_independent_draws_of_the_generator(monkeypatch):
    seen, images = [], torch.zeros(20_000, 3, 2, 2, dtype=torch.uint8)
    monkeypatch.setattr(augmentation, "flip_and_rotate", lambda _, *draws: seen.append(draws))
    for seed in (0, 0, 1):
        Augmentation(0.4, 20.0, 0.0)(images, torch.Generator().manual_seed(seed))
    horizontal, vertical, angle = seen[0]
    assert torch.equal(angle, seen[1][2])
    assert not torch.equal(angle, seen[2][2])
    rotated = angle != 0
    for one, other in itertools.combinations([horizontal, vertical, rotated], 2):
        assert one.float().mean().item() == pytest.approx(0.4, abs=0.015)
        assert (one & other).float().mean().item() == pytest.approx(0.16, abs=0.015)
    assert (angle[rotated].min() < -19.9, angle[rotated].max() > 19.9) == (True, True)
    assert angle[rotated].std().item() == pytest.approx(20 / 3**0.5, rel=0.03)
    assert Augmentation(0.0, 20, 0.3)(images, torch.Generator()) is images


def test_lambda_follows_the_beta_distribution():
    draws = Augmentation(0, 0, 0.3).draw_lambdas(20_000, np.random.default_rng(0))
    assert np.mean(draws) == pytest.approx(0.5, abs=0.01)
    # The variance of Beta(a, a) is 1 / (4 (2 a + 1)).
    assert np.var(draws) == pytest.approx(1 / 6.4, abs=0.005)
    assert Augmentation(0, 0, 0.0).draw_lambdas(3, np.random.default_rng(0)) == [1, 1, 1]
