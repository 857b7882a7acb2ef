"""Creatures: 37 invented breeds, 12 of cats and 25 of dogs, after Oxford-IIIT Pets.

A breed is a coat pattern, a kind of ears, a palette and the shape of head and muzzle; any two
differ in more than colour. Pose, light, fur colour and background vary from image to image.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from .primitives import Draws, Field, edge, ellipse, mix, plane, turn, waves

# Coat and marking, red, green and blue between 0 and 1.
PALETTES = {
    "cream": ((0.93, 0.84, 0.68), (0.45, 0.29, 0.18)),
    "silver": ((0.70, 0.71, 0.74), (0.22, 0.23, 0.27)),
    "ginger": ((0.86, 0.53, 0.24), (0.98, 0.93, 0.85)),
    "tan": ((0.19, 0.17, 0.18), (0.78, 0.50, 0.25)),
    "pied": ((0.94, 0.93, 0.90), (0.15, 0.14, 0.15)),
    "liver": ((0.46, 0.30, 0.19), (0.90, 0.79, 0.62)),
    "blue": ((0.42, 0.47, 0.56), (0.92, 0.93, 0.95)),
    "golden": ((0.87, 0.68, 0.37), (0.56, 0.32, 0.13)),
}

Colour = tuple[float, float, float]


class Breed(NamedTuple):
    """What the painter knows of a class."""

    name: str
    ears: str
    coat: str
    colours: tuple[Colour, Colour]  # of the coat and of its markings
    width: float  # of the head, relative
    muzzle: float  # size, relative; 0 for cats
    iris: Colour


_AMBER, _GREEN = (0.9, 0.65, 0.1), (0.45, 0.75, 0.3)
_ICE, _DARK = (0.5, 0.75, 0.95), (0.2, 0.12, 0.08)


def _cat(name: str, ears: str, coat: str, palette: str, width: float, iris: Colour) -> Breed:
    return Breed(name, ears, coat, PALETTES[palette], width, 0.0, iris)


def _dog(name: str, ears: str, coat: str, palette: str, width: float, muzzle: float) -> Breed:
    return Breed(name, ears, coat, PALETTES[palette], width, muzzle, _DARK)


BREEDS = (
    _cat("Aldermist", "pointed", "plain", "silver", 1.05, _AMBER),
    _cat("Brackentail", "pointed", "striped", "golden", 1.0, _GREEN),
    _cat("Cindercoat", "tall", "plain", "tan", 0.85, _GREEN),
    _cat("Duskpoint", "tall", "masked", "cream", 0.85, _ICE),
    _cat("Emberlin", "pointed", "split", "ginger", 1.0, _AMBER),
    _cat("Fernspot", "tall", "spotted", "golden", 0.9, _GREEN),
    _cat("Glasswhisker", "folded", "striped", "silver", 1.1, _AMBER),
    _cat("Harlequin Tom", "pointed", "patched", "pied", 1.05, _GREEN),
    _cat("Inkwell", "folded", "capped", "pied", 1.05, _AMBER),
    _cat("Jadefoot", "pointed", "blazed", "blue", 1.1, _GREEN),
    _cat("Kestrelpurr", "tall", "brindled", "liver", 0.9, _AMBER),
    _cat("Lanternpoint", "folded", "masked", "ginger", 1.1, _ICE),
    _dog("Marlhound", "long", "plain", "liver", 0.85, 1.1),
    _dog("Northspitz", "pointed", "plain", "pied", 1.0, 0.8),
    _dog("Oakshott", "drop", "plain", "golden", 0.95, 1.1),
    _dog("Pebbledrift", "drop", "spotted", "pied", 0.95, 1.0),
    _dog("Quarrydog", "tall", "capped", "tan", 0.95, 1.1),
    _dog("Rushmoor", "long", "blazed", "golden", 0.9, 1.0),
    _dog("Saltmarsh", "long", "patched", "ginger", 0.9, 1.1),
    _dog("Tarnwick", "folded", "split", "pied", 0.95, 0.9),
    _dog("Umberling", "round", "masked", "golden", 1.15, 1.1),
    _dog("Valebarker", "drop", "striped", "liver", 0.95, 1.0),
    _dog("Wharfdale Pug", "folded", "masked", "silver", 1.15, 1.2),
    _dog("Yarrowhound", "long", "capped", "cream", 0.85, 1.0),
    _dog("Zephyrling", "tall", "blazed", "pied", 0.9, 0.8),
    _dog("Ashgill", "pointed", "masked", "blue", 1.0, 0.9),
    _dog("Birkfell", "drop", "patched", "blue", 0.95, 1.0),
    _dog("Cobblestone", "round", "spotted", "silver", 1.1, 1.0),
    _dog("Dalespring", "drop", "blazed", "tan", 1.0, 1.1),
    _dog("Eskwater", "long", "split", "blue", 0.9, 1.0),
    _dog("Foxholme", "pointed", "capped", "ginger", 0.9, 0.8),
    _dog("Garthling", "round", "brindled", "tan", 1.1, 1.1),
    _dog("Howebeck", "folded", "brindled", "golden", 0.9, 1.0),
    _dog("Ironstone", "round", "plain", "blue", 1.15, 1.2),
    _dog("Keldpaw", "tall", "patched", "liver", 0.9, 0.9),
    _dog("Lingmoor", "long", "striped", "pied", 0.85, 1.0),
    _dog("Mossbank", "round", "split", "cream", 1.1, 1.0),
)

CLASSES = tuple(breed.name for breed in BREEDS)


def _ears(breed: Breed, draws: Draws, side: Field, down: Field) -> tuple[Field, Field]:
    """Cover of the ears and of their inner side; `side` is the distance from the midline."""
    tilt = draws(-0.12, 0.12)
    if breed.ears in ("pointed", "tall"):
        height = 0.29 if breed.ears == "tall" else 0.2
        right, rise = turn(side - 0.17, -0.13 - down, tilt + 0.25)
        sides = 0.115 * (1 - rise / height) - np.abs(right)
        outer = edge(np.minimum(sides, rise + 0.1), 0.03)
        inner = edge(np.minimum(sides - 0.045, rise + 0.02), 0.03)
        return outer, inner
    if breed.ears == "folded":
        return ellipse(side, down, (0.2, -0.19), (0.105, 0.06), 0.5 + tilt), np.zeros(())
    if breed.ears == "round":
        return tuple(ellipse(side, down, (0.22, -0.19), (r, r)) for r in (0.095, 0.05))
    reach, low = (0.15, -0.06) if breed.ears == "drop" else (0.23, 0.07)
    return ellipse(side, down, (0.275, low), (0.078, reach), -0.2 + tilt), np.zeros(())


def _marking(breed: Breed, draws: Draws, right: Field, down: Field) -> Field:
    """Where the second colour lies on the head, between 0 and 1."""
    if breed.coat == "striped":
        bend = 6 * right * right + 0.5 * np.abs(right)
        return edge(np.cos(2 * np.pi * ((down + bend) * 9.5 + draws(0.0, 1.0))), 1.2)
    if breed.coat == "brindled":
        slant = right * 8.0 + down * 8.0 + 0.25 * waves(draws, right, down, 3.0)
        return 0.85 * edge(np.cos(2 * np.pi * (slant + draws(0.0, 1.0))) - 0.2, 1.2)
    if breed.coat == "spotted":
        across, along = turn(right + draws(0.0, 0.2), down + draws(0.0, 0.2), draws(0.2, 1.4))
        dots = np.cos(2 * np.pi * 7.0 * across) + np.cos(2 * np.pi * 7.0 * along)
        return edge(dots - 0.55, 0.8)
    if breed.coat == "split":
        wavy = 0.02 * waves(draws, right, down, 3.0)
        return edge(right * np.sign(draws(-1.0, 1.0)) + wavy, 0.035)
    if breed.coat == "masked":
        return ellipse(right, down, (0.0, 0.1), (0.21, 0.2), 0.0, 2.0)
    if breed.coat == "patched":
        return edge(waves(draws, right, down, 2.4, count=5) - 0.15, 0.5)
    if breed.coat == "blazed":
        return edge(0.045 + 0.25 * np.maximum(down, 0.0) - np.abs(right), 0.04)
    if breed.coat == "capped":
        return edge(-0.03 - down + 0.4 * np.abs(right), 0.06)
    return np.zeros(())


def _colour(draws: Draws, colour: Sequence[float], spread: float) -> list[Field]:
    """A colour of the palette in this image's fur, each channel within `spread` of it."""
    shade = draws(0.85, 1.12)
    return [np.clip(part * shade + draws(-spread, spread), 0.03, 1.0) for part in colour]


def _backdrop(draws: Draws, x: Field, y: Field, contrast: float) -> list[Field]:
    """Two random colours, blurred together or striped; of mid grey without `contrast`."""
    rough = draws.chance(0.5)
    field = waves(draws, x, y, 1.2, count=3) * (1 - rough) + rough * waves(draws, x, y, 5.0)
    cover = np.clip(0.5 + 0.4 * field, 0.0, 1.0)
    light = 0.475 + contrast * draws(-0.325, 0.325)
    tints = [(contrast * draws(-0.2, 0.2), contrast * draws(-0.25, 0.25)) for _ in range(3)]
    return [mix(light + one, light + other, cover) for one, other in tints]


def portray(
    breed: Breed, draws: Draws, image_size: int, spread: float = 0.04, contrast: float = 0.6
) -> np.ndarray:
    """Draw portraits of one breed; float64 (N, 3, H, W). See `_colour` and `_backdrop`."""
    x, y = plane(image_size)
    canvas = _backdrop(draws, x, y, contrast)
    zoom = draws(0.85, 1.08)
    right, down = turn(x - draws(0.45, 0.55), y - draws(0.44, 0.52), draws(-0.25, 0.25))
    right, down = right * zoom, down * zoom
    face = right - draws(-0.05, 0.05)  # it turns: its features move against the head
    coat, mark = (_colour(draws, colour, spread) for colour in breed.colours)
    head = ellipse(right, down, (0.0, 0.0), (0.28 * breed.width, 0.27))
    body = ellipse(right, down, (draws(-0.08, 0.08), 0.48), (0.3, 0.32))
    marking = _marking(breed, draws, face, down)
    ears, inner = _ears(breed, draws, np.abs(right), down)
    shade = 0.72 + 0.28 * edge(0.35 - down, 0.9)
    dark_ears = float(breed.coat in ("masked", "capped", "spotted"))
    side = np.abs(face)
    eyes = ellipse(side, down, (0.115, -0.035), (0.05, 0.042 if breed.muzzle == 0 else 0.036))
    pupils = ellipse(side, down, (0.115, -0.035), (0.02, 0.036))
    snout = breed.muzzle
    cheeks = ellipse(face, down, (0.0, 0.13), (0.08 + 0.05 * snout, 0.07 + 0.04 * snout))
    nose = ellipse(face, down, (0.0, 0.08 + 0.03 * snout), (0.028 + 0.02 * snout, 0.026))
    mouth = edge(0.012 - np.abs(down - 0.19 - 0.25 * side), 0.03) * edge(0.09 - side, 0.03)

    planes = []
    for c in range(3):
        fur = mix(coat[c], mark[c], marking)
        layer = mix(canvas[c], fur * 0.8 * shade, body)
        ear = mix(coat[c], mark[c], dark_ears)
        layer = mix(layer, ear * 0.86, ears)
        layer = mix(layer, (0.85, 0.55, 0.55)[c] * 0.8, inner * 0.8)
        layer = mix(layer, fur * shade, head)
        layer = mix(layer, np.clip(0.45 * coat[c] + 0.5, 0, 1), cheeks * 0.55)
        layer = mix(layer, breed.iris[c], eyes)
        layer = mix(layer, 0.04, pupils)
        layer = mix(layer, (0.75, 0.42, 0.42)[c] if breed.muzzle == 0 else 0.06, nose)
        planes.append(mix(layer, 0.15, mouth * 0.7))
    light = draws(0.6, 1.15)
    return np.stack(np.broadcast_arrays(*planes), axis=1) * light[..., None]


def paint(draws: Draws, label: int, image_size: int) -> np.ndarray:
    """Draw images of one class; float64 (N, 3, H, W)."""
    return portray(BREEDS[label], draws, image_size)
