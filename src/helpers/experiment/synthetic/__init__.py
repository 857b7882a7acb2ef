"""Embedded data: three deterministic sets of drawn images, the same arrays on every machine.

*tissue* stands in for PathMNIST (nine classes; the test split comes from another centre with
other stains), *creatures* for Oxford-IIIT Pets (12 cats, 25 dogs), and *source* is what the
pretraining notebooks learn from. They show that the study runs; they say nothing about tissue or
pets.
"""

from collections.abc import Callable
from functools import partial

import numpy as np

from helpers import InputError

from . import creatures, source, tissue
from .primitives import Draws, chunks, generator

CLASSES: dict[str, tuple[str, ...]] = {
    "tissue": tissue.CLASSES,
    "creatures": creatures.CLASSES,
    "source": source.CLASSES,
}

# Images of each split: what the smoke profile can afford on two cores.
SIZES: dict[str, dict[str, int]] = {
    "tissue": {"train": 720, "validation": 216, "test": 405},
    "creatures": {"train": 1332, "validation": 222, "test": 444},
    "source": {"train": 1600, "validation": 240, "test": 240},
}

_PAINTERS: dict[str, Callable[[Draws, int, int], np.ndarray]] = {
    "tissue": tissue.paint,
    "creatures": creatures.paint,
    "source": source.paint,
}
_SPLITS = ("train", "validation", "test")


def generate(name: str, image_size: int = 28) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Draw one of the embedded data sets.

    Parameters
    ----------
    name : {"tissue", "creatures", "source"}
    image_size : int
        Height and width in pixels, at least 16. The draws do not depend on it.

    Returns
    -------
    dict of str to (images, labels)
        For "train", "validation" and "test": uint8 (N, 3, H, W) and int64 (N,), shuffled.

    Raises
    ------
    InputError
        If the name is unknown or the size too small.
    """
    if name not in CLASSES:
        raise InputError(f"no embedded data set {name!r}: take one of {', '.join(CLASSES)}")
    if image_size < 16:
        raise InputError(f"image_size {image_size} is too small to draw: take 16 or more")
    return {split: _draw_split(name, split, image_size) for split in _SPLITS}


def _draw_split(name: str, split: str, image_size: int) -> tuple[np.ndarray, np.ndarray]:
    number = (list(CLASSES).index(name), _SPLITS.index(split))
    count = SIZES[name][split]
    classes = len(CLASSES[name])
    # Four in five labels go round the classes and one in five is drawn: nearly balanced.
    rng = generator(*number)
    labels = np.arange(count) % classes
    labels = np.where(rng.random(count) < 0.2, rng.integers(0, classes, count), labels)
    labels = labels[np.argsort(rng.random(count), kind="stable")].astype(np.int64)

    paint = _PAINTERS[name]
    if name == "tissue" and split == "test":
        paint = partial(paint, shifted=True)  # the test images come from another centre
    images = np.empty((count, 3, image_size, image_size), dtype=np.uint8)
    for label in range(classes):
        places = np.flatnonzero(labels == label)
        rng = generator(*number, label)
        for part in chunks(len(places)):
            chosen = places[part]
            picture = paint(Draws(rng, len(chosen)), label, image_size)
            images[chosen] = np.rint(np.clip(picture, 0.0, 1.0) * 255.0).astype(np.uint8)
    return images, labels
