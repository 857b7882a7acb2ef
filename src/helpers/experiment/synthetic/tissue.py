"""Tissue: nine classes of stained colorectal tissue, after PathMNIST (Kather et al., 2019).

Each class is drawn as two densities, haematoxylin (blue: nuclei, mucin) and eosin (pink:
fibres, cytoplasm), which Beer-Lambert's law turns into colour.
"""

import numpy as np

from .primitives import Draws, Field, cells, edge, fibres, mix, plane, scatter, turn, waves

CLASSES = (
    "adipose",
    "background",
    "debris",
    "lymphocytes",
    "mucus",
    "smooth muscle",
    "normal colon mucosa",
    "cancer-associated stroma",
    "colorectal adenocarcinoma epithelium",
)

# Optical density of red, green and blue an amount of stain (Ruifrok & Johnston, 2001).
HAEMATOXYLIN = (0.65, 0.70, 0.29)
EOSIN = (0.07, 0.99, 0.11)
LAMP = (0.985, 0.98, 0.985)
# The second centre: a redder haematoxylin, an eosin that takes more blue out, more of the one
# and less of the other, and a lamp that is a little yellow.
SHIFTED_HAEMATOXYLIN = (0.625, 0.715, 0.31)
SHIFTED_EOSIN = (0.085, 0.975, 0.14)
SHIFTED_GAINS = (1.06, 0.96)
SHIFTED_LAMP = (0.985, 0.979, 0.974)

Stains = tuple[Field, Field]  # haematoxylin, eosin


def _adipose(draws: Draws, x: Field, y: Field) -> Stains:
    near, far = cells(draws, x, y, 3)
    wall = edge(draws(0.03, 0.075) - (far - near), 0.07)
    ragged = np.clip(0.7 + 0.4 * waves(draws, x, y, 3.0), 0.15, 1.3)
    nuclei = scatter(draws, x, y, 4, (0.025, 0.05), (1.2, 2.4), present=0.5) * wall
    return 0.18 * wall * ragged + 0.9 * nuclei, 0.03 + draws(0.35, 0.8) * wall * ragged


def _background(draws: Draws, x: Field, y: Field) -> Stains:
    haze = np.clip(draws(0.0, 0.05) + 0.02 * waves(draws, x, y, 1.5, count=3), 0.0, 1.0)
    # Now and then a thread of tissue, so that emptiness is not told by one pale pixel.
    lane = turn(x - 0.5, y - 0.5, draws(0.0, np.pi))[1] + 0.05 * waves(draws, x, y, 1.5, count=2)
    thread = edge(draws(0.015, 0.05) - np.abs(lane - draws(-0.6, 0.6)), 0.05)
    thread = thread * draws.chance(0.45) * draws(0.2, 0.6)
    dust = scatter(draws, x, y, 3, (0.02, 0.035), present=0.12)
    return haze * 0.6 + 0.15 * thread + 0.35 * dust, haze + 0.55 * thread + 0.2 * dust


def _debris(draws: Draws, x: Field, y: Field) -> Stains:
    grain = np.clip(1 + 0.35 * waves(draws, x, y, 8.0, count=5), 0.2, 2.0)
    islands = waves(draws, x, y, 2.2, count=5) + 0.5 * waves(draws, x, y, 7.0, count=4)
    islands = edge(islands + draws(-0.2, 0.7), draws(0.4, 1.2))
    dust = scatter(draws, x, y, 7, (0.014, 0.03), (1.0, 1.8), present=draws(0.25, 0.6))
    haematoxylin = draws(0.1, 0.3) * grain * islands + draws(0.4, 0.7) * dust
    return haematoxylin, draws(0.06, 0.3) + draws(0.5, 0.9) * grain * islands


def _lymphocytes(draws: Draws, x: Field, y: Field) -> Stains:
    present = np.clip(draws(0.55, 1.0) + 0.12 * waves(draws, x, y, 1.0, count=2), 0.0, 1.0)
    nuclei = scatter(draws, x, y, 9, (0.034, 0.05), (1.0, 1.15), present=0.93, hardness=2.5)
    eosin = draws(0.15, 0.45) * np.clip(1 + 0.3 * waves(draws, x, y, 4.0), 0.2, 2.0)
    return 0.1 + draws(0.65, 0.9) * nuclei * edge(present - 0.45, 0.3), eosin


def _mucus(draws: Draws, x: Field, y: Field) -> Stains:
    angle = draws(0.0, np.pi)
    strands = fibres(draws, x, y, 4.0, angle, 0.09, 1.3)
    lines = np.clip(strands - 0.15, 0.0, 1.0)
    clouds = np.clip(1 + 0.45 * waves(draws, x, y, 1.5, count=3), 0.2, 2.0)
    nuclei = scatter(draws, x, y, 4, (0.018, 0.03), (1.5, 4.0), angle, 0.8, draws(0.0, 0.35))
    haematoxylin = draws(0.12, 0.3) * clouds + 0.2 * lines + 0.6 * nuclei
    return haematoxylin, draws(0.04, 0.4) * clouds + 0.22 * lines + 0.2 * nuclei


def _muscle(draws: Draws, x: Field, y: Field) -> Stains:
    angle = draws(0.0, np.pi)
    strands = fibres(draws, x, y, 4.0, angle, 0.012, 1.0)
    gaps = edge(strands - draws(0.75, 1.0), 0.3) * draws(0.0, 1.0)
    nuclei = scatter(draws, x, y, 5, (0.016, 0.026), (3.0, 5.5), angle, 0.12, draws(0.35, 0.9))
    eosin = draws(0.6, 0.95) + draws(0.2, 0.4) * strands
    return 0.12 + draws(0.45, 0.75) * nuclei, np.clip(mix(eosin, 0.15, gaps), 0.05, 2.0)


def _mucosa(draws: Draws, x: Field, y: Field) -> Stains:
    small = scatter(draws, x, y, 7, (0.018, 0.03), (1.0, 2.0), present=draws(0.4, 0.8))
    haematoxylin = 0.1 + 0.7 * small
    eosin = draws(0.25, 0.6) * np.clip(1 + 0.3 * waves(draws, x, y, 4.0), 0.2, 2.0)
    pitch, left, top = draws(0.0, np.pi), draws(0.1, 0.9), draws(0.1, 0.9)
    side = draws(0.75, 0.95)
    for gland in range(4):
        shift_x, shift_y = turn(side * (gland % 2 - 0.5), side * (gland // 2 - 0.5), pitch)
        right = x - (left + shift_x + draws(-0.08, 0.08))
        down = y - (top + shift_y + draws(-0.08, 0.08))
        right, down = turn(right, down, draws(0.0, np.pi))
        down = down * draws(0.75, 1.0)
        distance = np.sqrt(right * right + down * down)
        around = np.cos(np.floor(draws(7.0, 12.0)) * np.arctan2(down, right) + draws(0.0, 6.0))
        radius = draws(0.3, 0.42)
        inside = edge(radius - distance, 0.05)
        ring = edge(0.045 - np.abs(distance - radius + 0.045), 0.05)
        goblet = edge(0.2 + around - 9 * np.abs(distance - 0.55 * radius), 0.6) * inside
        lumen = edge(draws(0.2, 0.4) * radius - distance, 0.06)
        pale = np.maximum(goblet * 0.8, lumen)
        haematoxylin = mix(haematoxylin, 0.2 + 0.6 * ring, inside)
        eosin = mix(eosin, 0.55, inside)
        haematoxylin, eosin = mix(haematoxylin, 0.1, pale), mix(eosin, 0.1, pale)
    return haematoxylin, eosin


def _stroma(draws: Draws, x: Field, y: Field) -> Stains:
    angle = draws(0.0, np.pi)
    strands = fibres(draws, x, y, 3.5, angle, 0.09, 1.6)
    gaps = edge(strands - draws(-0.1, 0.4), 0.5) * draws(0.6, 1.0)
    nuclei = scatter(draws, x, y, 5, (0.018, 0.034), (1.2, 3.0), angle, 0.7, draws(0.35, 0.9))
    eosin = draws(0.45, 0.85) + draws(0.15, 0.35) * strands
    return 0.14 + draws(0.45, 0.75) * nuclei, np.clip(mix(eosin, 0.1, gaps), 0.05, 2.0)


def _tumour(draws: Draws, x: Field, y: Field) -> Stains:
    nuclei = scatter(draws, x, y, 5, (0.06, 0.105), (1.1, 1.7), present=0.9, hardness=1.6)
    chromatin = np.clip(0.85 + 0.25 * waves(draws, x, y, 9.0), 0.3, 1.3)
    cleft = waves(draws, x, y, 1.6, count=3) - draws(0.7, 2.0)
    cleft = edge(cleft, 0.25)
    eosin = draws(0.4, 0.8) * np.clip(1 + 0.2 * waves(draws, x, y, 5.0), 0.2, 2.0)
    haematoxylin = 0.15 + draws(0.55, 0.85) * nuclei * chromatin
    return mix(haematoxylin, 0.02, cleft), mix(eosin, 0.06, cleft)


_PAINTERS = (
    _adipose, _background, _debris, _lymphocytes, _mucus, _muscle, _mucosa, _stroma, _tumour,
)  # fmt: skip


def _take_up(draws: Draws, amount: Field, usual: float) -> Field:
    """Gain of a stain: a laboratory stains pale slides longer, and no two slides alike.

    This evens out most of the mean colour of the classes, which must not give them away.
    """
    mean = amount.mean(axis=(1, 2), keepdims=True)
    return draws(0.7, 1.4) * np.minimum((usual / (mean + 0.05)) ** 0.85, 1.6)


def stain(draws: Draws, stains: Stains, shifted: bool) -> np.ndarray:
    """Turn amounts of stain into colour; float64 (N, 3, H, W) between 0 and 1.

    Transmittance is exp(-(H s_H + E s_E)), Beer-Lambert's law.
    """
    gains = SHIFTED_GAINS if shifted else (1.0, 1.0)
    haematoxylin = stains[0] * (1.5 * gains[0] * _take_up(draws, stains[0], 0.33))
    eosin = stains[1] * (1.1 * gains[1] * _take_up(draws, stains[1], 0.5))
    blue = SHIFTED_HAEMATOXYLIN if shifted else HAEMATOXYLIN
    pink = SHIFTED_EOSIN if shifted else EOSIN
    lamp = SHIFTED_LAMP if shifted else LAMP
    light = draws(0.82, 1.02)
    channels = []
    for c in range(3):
        batch = draws(-0.05, 0.05), draws(-0.05, 0.05)  # of the dyes
        density = haematoxylin * (blue[c] + batch[0]) + eosin * (pink[c] + batch[1])
        channels.append(lamp[c] * light * np.exp(-density))
    return np.stack(channels, axis=1)


def paint(draws: Draws, label: int, image_size: int, shifted: bool = False) -> np.ndarray:
    """Draw images of one class; float64 (N, 3, H, W) between 0 and 1."""
    x, y = plane(image_size)
    return stain(draws, _PAINTERS[label](draws, x, y), shifted)
