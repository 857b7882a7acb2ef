import itertools

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import InterpolationMode, functional as pil_functional

from helpers.experiment import augmentation
from helpers.experiment.augmentation import Augmentation, flip_and_rotate, mixup


@pytest.fixture
def images() -> torch.Tensor:
    generator = torch.Generator().manual_seed(3)
    return torch.randint(0, 256, (64, 3, 28, 28), generator=generator, dtype=torch.uint8)


def test_flips_move_pixels_exactly(images):
    horizontal = torch.arange(64) % 2 == 0
    vertical = torch.arange(64) % 3 == 0
    ours = flip_and_rotate(images, horizontal, vertical, torch.zeros(64))
    for index in range(64):
        expected = images[index]
        expected = expected.flip(2) if horizontal[index] else expected
        expected = expected.flip(1) if vertical[index] else expected
        assert torch.equal(ours[index], expected)


def test_rotation_is_pils_after_the_flip(images):
    """Nearest neighbour is ambiguous half-way between pixels: nearly all pixels must agree."""
    angle = torch.linspace(-20, 20, 64)
    flipped = torch.arange(64) % 2 == 0
    ours = flip_and_rotate(images, flipped, torch.zeros(64, dtype=torch.bool), angle)
    agreeing = []
    for index in range(64):
        source = images[index].flip(2) if flipped[index] else images[index]
        picture = Image.fromarray(source.permute(1, 2, 0).numpy())
        turned = pil_functional.rotate(picture, angle[index].item(), InterpolationMode.NEAREST)
        theirs = torch.from_numpy(np.array(turned)).permute(2, 0, 1)
        agreeing.append((ours[index] == theirs).all(0).float().mean())
    assert min(agreeing) > 0.97


def test_each_image_has_its_own_draw_with_the_stated_frequency():
    images = torch.zeros(4000, 3, 16, 16, dtype=torch.uint8)
    images[:, :, :, :8] = 255  # left half white: a horizontal flip alone makes it black
    augmented = Augmentation(0.4, 0.0, 0.0)(images, torch.Generator().manual_seed(0))
    flipped = (augmented[:, 0, 8, 0] == 0).float().mean().item()
    assert flipped == pytest.approx(0.4, abs=0.03)


def test_no_augmentation_leaves_the_images(images):
    assert Augmentation(0.0, 20, 0.3)(images, torch.Generator()) is images


def test_same_generator_same_augmentation(images):
    augment = Augmentation(0.4, 20, 0.3)
    first, second = (augment(images, torch.Generator().manual_seed(5)) for _ in range(2))
    assert torch.equal(first, second)
    assert not torch.equal(first, augment(images, torch.Generator().manual_seed(6)))


def test_mixup_is_the_weighted_mean():
    first, second = torch.rand(2, 5, 3, 8, 8)
    torch.testing.assert_close(mixup(first, second, 0.3), 0.3 * first + 0.7 * second)


def test_lambda_follows_the_beta_distribution():
    draws = Augmentation(0, 0, 0.3).draw_lambdas(20_000, np.random.default_rng(0))
    assert np.mean(draws) == pytest.approx(0.5, abs=0.01)
    # The variance of Beta(a, a) is 1 / (4 (2 a + 1)).
    assert np.var(draws) == pytest.approx(1 / 6.4, abs=0.005)
    assert Augmentation(0, 0, 0.0).draw_lambdas(3, np.random.default_rng(0)) == [1, 1, 1]


def test_flips_and_rotation_are_drawn_apart(images, monkeypatch):
    seen = []
    monkeypatch.setattr(
        augmentation, "flip_and_rotate", lambda images, *draws: seen.append(draws) or images
    )
    many = images[:1].expand(20_000, -1, -1, -1)
    Augmentation(0.4, 20.0, 0.0)(many, torch.Generator().manual_seed(0))
    ((horizontal, vertical, angle),) = seen
    rotated = angle != 0
    for one, other in itertools.combinations([horizontal, vertical, rotated], 2):
        assert one.float().mean().item() == pytest.approx(0.4, abs=0.015)
        assert (one & other).float().mean().item() == pytest.approx(0.16, abs=0.015)
    turned = angle[rotated]
    assert turned.min() < -19.9
    assert turned.max() > 19.9
    assert turned.std().item() == pytest.approx(20 / 3**0.5, rel=0.03)
