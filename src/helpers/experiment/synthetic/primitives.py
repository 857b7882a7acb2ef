"""The strokes that all synthetic images are drawn with.

Everything is in unit coordinates (the image spans 0 to 1, y downwards), so that the same draws
give the same picture at any size. Only uniform draws of PCG64 and elementwise float64 arithmetic
are used: their results do not depend on the number of threads, and differ between machines by
less than what rounding to 8 bits can show.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.float64]  # broadcastable to (images, height, width)

CHUNK = 96  # images drawn at once: one field of 28x28 px then fits a core's cache


class Draws:
    """Random parameters of `count` images, one value an image.

    Parameters
    ----------
    rng : numpy.random.Generator
    count : int
    """

    def __init__(self, rng: np.random.Generator, count: int) -> None:
        self.rng = rng
        self.count = count

    def __call__(self, low: float, high: float) -> Field:
        """Draw uniformly between `low` and `high`; shape (count, 1, 1)."""
        return low + (high - low) * self.rng.random((self.count, 1, 1))

    def chance(self, probability: float) -> Field:
        """Draw 1 with the given probability, else 0; shape (count, 1, 1)."""
        return (self.rng.random((self.count, 1, 1)) < probability).astype(np.float64)


def generator(*key: int) -> np.random.Generator:
    """Make the random stream that belongs to a key of small integers."""
    return np.random.Generator(np.random.PCG64(list(key)))


def chunks(count: int) -> Iterator[slice]:
    """Cut `count` images into slices of at most `CHUNK`."""
    for start in range(0, count, CHUNK):
        yield slice(start, min(start + CHUNK, count))


def plane(image_size: int) -> tuple[Field, Field]:
    """Centres of the pixels: x of shape (1, 1, size) and y of shape (1, size, 1)."""
    centres = (np.arange(image_size) + 0.5) / image_size
    return centres[None, None, :], centres[None, :, None]


def turn(x: Field, y: Field, angle: Field) -> tuple[Field, Field]:
    """Coordinates in axes turned by `angle` (radians) about the origin."""
    cosine, sine = np.cos(angle), np.sin(angle)
    return x * cosine + y * sine, y * cosine - x * sine


def edge(distance: Field, softness: float | Field) -> Field:
    """Soft step from 0 to 1 where the signed `distance` crosses 0, `softness` wide."""
    return np.clip(distance / softness + 0.5, 0.0, 1.0)


def mix(below: Field, above: Field | float, cover: Field) -> Field:
    """Paint `above` over `below` where `cover` is 1."""
    return below + (above - below) * cover


def waves(
    draws: Draws,
    x: Field,
    y: Field,
    frequency: float,
    angle: Field | float = 0.0,
    spread: float = np.pi,
    count: int = 4,
) -> Field:
    """Noise: a sum of `count` cosines with directions within `spread` of `angle`.

    Frequencies (cycles an image side) lie within 40% of `frequency`; mean 0, variance 1.
    """
    total: Field = np.zeros(())
    for _ in range(count):
        direction = angle + draws(-spread, spread)
        omega = 2 * np.pi * frequency * draws(0.6, 1.4)
        phase = draws(0.0, 2 * np.pi)
        along = x * (omega * np.cos(direction)) + (y * (omega * np.sin(direction)) + phase)
        total = total + np.cos(along)
    return total * np.sqrt(2.0 / count)


def ellipse(
    x: Field,
    y: Field,
    centre: tuple[Field | float, Field | float],
    radii: tuple[Field | float, Field | float],
    angle: Field | float = 0.0,
    hardness: Field | float = 4.0,
) -> Field:
    """Soft ellipse: 1 inside, 0 outside, the rim steeper with `hardness`."""
    cosine, sine = np.cos(angle), np.sin(angle)
    first, second = radii[0] ** -2, radii[1] ** -2
    right, down = x - centre[0], y - centre[1]
    form = right * right * (cosine**2 * first + sine**2 * second)
    form = form + down * down * (sine**2 * first + cosine**2 * second)
    form = form + (right * (2 * cosine * sine * (first - second))) * down
    return np.clip((1.0 - form) * hardness, 0.0, 1.0)


def scatter(
    draws: Draws,
    x: Field,
    y: Field,
    rows: int,
    radius: tuple[float, float],
    stretch: tuple[float, float] = (1.0, 1.3),
    angle: Field | float = 0.0,
    spread: float = np.pi,
    present: Field | float = 1.0,
    jitter: float = 0.5,
    hardness: float = 2.0,
) -> Field:
    """Soft ellipses (nuclei) on a jittered lattice of `rows` x `rows` cells.

    `radius` is the range of the short half axis, `stretch` that of long over short axis; each
    stands with probability `present`, and is darker or paler than its neighbours.
    """
    field: Field = np.zeros((draws.count, y.shape[-2], x.shape[-1]))
    for cell in range(rows * rows):
        row, column = divmod(cell, rows)
        across = (column + 0.5 + 0.5 * (row % 2) - 0.25 + draws(-jitter, jitter)) / rows
        down = (row + 0.5 + draws(-jitter, jitter)) / rows
        short = draws(*radius)
        radii = (short * draws(*stretch), short)
        strength = draws(0.6, 1.0) * (draws(0.0, 1.0) < present)
        direction = angle + draws(-spread, spread)
        stroke = ellipse(x, y, (across, down), radii, direction, hardness)
        np.maximum(field, strength * stroke, out=field)
    return field


def cells(draws: Draws, x: Field, y: Field, rows: int) -> tuple[Field, Field]:
    """Distances to the nearest and second nearest of rows x rows random points (Worley, 1996).

    Their difference is 0 on the walls of the Voronoi cells and grows inwards.
    """
    shape = (draws.count, y.shape[-2], x.shape[-1])
    first, second = np.full(shape, 9.0), np.full(shape, 9.0)
    left, top = draws(-0.4, 0.1), draws(-0.4, 0.1)
    for point in range(rows * rows):
        row, column = divmod(point, rows)
        right = x - (left + 1.4 * (column + draws(0.05, 0.95)) / rows)
        down = y - (top + 1.4 * (row + draws(0.05, 0.95)) / rows)
        square = right * right + down * down
        np.minimum(second, np.maximum(first, square), out=second)
        np.minimum(first, square, out=first)
    return np.sqrt(first), np.sqrt(second)


def fibres(
    draws: Draws, x: Field, y: Field, frequency: float, angle: Field, bend: float, wave: float
) -> Field:
    """Fibres along `angle`: cosines of the domain warped by `bend` (in image sides).

    `wave` is the frequency of the warp; the field has mean 0 and lies within -1 and 1.
    """
    along, across = turn(x, y, angle)
    across = across + bend * waves(draws, x, y, wave, count=3)
    total: Field = np.zeros(())
    for factor, weight in ((1.0, 0.6), (1.7, 0.4)):
        omega = 2 * np.pi * frequency * factor * draws(0.85, 1.15)
        total = total + weight * np.cos(across * omega + (draws(0.0, 2 * np.pi) + 1.5 * along))
    return total
