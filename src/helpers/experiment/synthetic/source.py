"""Source: 24 classes to pretrain on, eight patterns and sixteen beasts.

The strokes are those of tissue and creatures, the classes are not: no pattern is a tissue, and
no beast shares colours with a breed. Half of the patterns have the colours of stained tissue, the
others any.
"""

import numpy as np

from .creatures import Breed, Colour, portray
from .primitives import Draws, Field, cells, edge, fibres, mix, plane, scatter, turn, waves
from .tissue import EOSIN, HAEMATOXYLIN


def _dots(draws: Draws, x: Field, y: Field) -> Field:
    frequency = 2 * np.pi * draws(3.0, 6.5)
    across, along = turn(x + draws(0.0, 1.0), y + draws(0.0, 1.0), draws(0.0, np.pi))
    return edge(np.cos(frequency * across) + np.cos(frequency * along) - draws(0.3, 0.9), 0.6)


def _tiles(draws: Draws, x: Field, y: Field) -> Field:
    near, far = cells(draws, x, y, 5)
    return edge(far - near - draws(0.01, 0.05), 0.05)


def _bubbles(draws: Draws, x: Field, y: Field) -> Field:
    near, _ = cells(draws, x, y, 4)
    return edge(0.03 - np.abs(near - draws(0.06, 0.13)), 0.04)


def _pinstripes(draws: Draws, x: Field, y: Field) -> Field:
    return edge(fibres(draws, x, y, 8.0, draws(0.0, np.pi), 0.0, 1.0), 0.8)


def _wood(draws: Draws, x: Field, y: Field) -> Field:
    return edge(fibres(draws, x, y, 4.5, draws(0.0, np.pi), 0.07, 0.9), 1.2)


def _weave(draws: Draws, x: Field, y: Field) -> Field:
    angle = draws(0.0, np.pi)
    warp = fibres(draws, x, y, 5.0, angle, 0.02, 1.5)
    return edge(np.maximum(warp, fibres(draws, x, y, 5.0, angle + np.pi / 2, 0.02, 1.5)) - 0.3, 0.8)


def _pebbles(draws: Draws, x: Field, y: Field) -> Field:
    return scatter(draws, x, y, 4, (0.07, 0.12), (1.0, 1.4), present=0.85, jitter=0.3)


def _needles(draws: Draws, x: Field, y: Field) -> Field:
    return scatter(draws, x, y, 6, (0.015, 0.025), (4.0, 8.0), present=draws(0.4, 0.9))


_PATTERNS = (_dots, _tiles, _bubbles, _pinstripes, _wood, _weave, _pebbles, _needles)

_BLACK: Colour = (0.1, 0.1, 0.12)
_BONE: Colour = (0.95, 0.92, 0.86)
_RUST: Colour = (0.78, 0.36, 0.16)
_SAND: Colour = (0.82, 0.7, 0.5)
_SLATE: Colour = (0.48, 0.5, 0.52)
_EARTH: Colour = (0.36, 0.25, 0.17)
_YELLOW: Colour = (0.95, 0.8, 0.2)

_BEASTS = (
    Breed("fox", "tall", "masked", (_RUST, _BONE), 0.95, 0.7, _YELLOW),
    Breed("panda", "round", "masked", (_BONE, _BLACK), 1.15, 0.6, _EARTH),
    Breed("bear", "round", "plain", (_EARTH, _SAND), 1.1, 1.2, _BLACK),
    Breed("tiger", "round", "striped", (_RUST, _BLACK), 1.1, 0.9, _YELLOW),
    Breed("leopard", "folded", "spotted", (_SAND, _EARTH), 1.0, 0.5, _YELLOW),
    Breed("badger", "round", "blazed", (_BLACK, _BONE), 0.9, 0.9, _BLACK),
    Breed("hare", "tall", "plain", (_SAND, _BONE), 0.8, 0.3, _EARTH),
    Breed("lop rabbit", "long", "split", (_SLATE, _BONE), 0.9, 0.2, _BLACK),
    Breed("calf", "drop", "patched", (_BONE, _EARTH), 0.85, 1.3, _BLACK),
    Breed("hyena", "pointed", "brindled", (_SLATE, _BLACK), 1.0, 1.1, _EARTH),
    Breed("marten", "pointed", "capped", (_YELLOW, _EARTH), 0.9, 0.6, _BLACK),
    Breed("fawn", "drop", "spotted", (_RUST, _BONE), 0.85, 0.7, _EARTH),
    Breed("wolf", "pointed", "masked", (_SLATE, _BONE), 0.95, 1.1, _YELLOW),
    Breed("lemur", "round", "split", (_SLATE, _BLACK), 0.9, 0.5, _RUST),
    Breed("raccoon", "folded", "capped", (_SLATE, _BLACK), 1.1, 0.7, _BLACK),
    Breed("goat", "long", "brindled", (_BONE, _RUST), 0.85, 0.9, _YELLOW),
)

CLASSES = (
    *(pattern.__name__.removeprefix("_") for pattern in _PATTERNS),
    *(beast.name for beast in _BEASTS),
)


def _dye(draws: Draws, figure: Field, ground: Field) -> np.ndarray:
    """Colour a figure and the ground below it: half with the tissue's dyes, half with any."""
    swap = draws.chance(0.35)
    figure = figure + (1 - 2 * figure) * swap
    strong, weak = draws(0.5, 1.4), draws(0.0, 0.6)
    light = draws(0.85, 1.0)
    blue = draws.chance(0.5)  # whether haematoxylin is the figure's dye
    free = draws.chance(0.5)
    planes = []
    for one, other in zip(HAEMATOXYLIN, EOSIN, strict=True):
        above = mix(mix(other, one, blue), draws(0.1, 1.0), free)
        below = mix(mix(one, other, blue), draws(0.1, 1.0), free)
        density = figure * (strong * above) + ground * (weak * below)
        planes.append(light * np.exp(-1.5 * density))
    return np.stack(planes, axis=1)


def paint(draws: Draws, label: int, image_size: int) -> np.ndarray:
    """Draw images of one class; float64 (N, 3, H, W)."""
    if label >= len(_PATTERNS):
        # Quiet backdrops: what two views of an image share is then the beast, not the place.
        beast = _BEASTS[label - len(_PATTERNS)]
        return portray(beast, draws, image_size, spread=0.2, contrast=0.25)
    x, y = plane(image_size)
    ground = np.clip(1 + 0.35 * waves(draws, x, y, 2.5), 0.0, 2.0)
    return _dye(draws, _PATTERNS[label](draws, x, y), ground)
