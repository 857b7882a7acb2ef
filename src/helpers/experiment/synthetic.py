"""Generated data sets, drawn by code from a seed: the same arrays on every machine.

*tissue* stands in for PathMNIST (its test images come from a second centre with other stains),
*creatures* for Oxford-IIIT Pets.

Coordinates span 0 to 1 (y downwards), so that a seed gives the same picture at every size. Uniform
draws and elementwise float64 arithmetic differ between processors by far less than 8 bits show.
"""

import numpy as np
from numpy.typing import NDArray

#: Broadcastable to (images, height, width).
Field = NDArray[np.float64]

#: Class to (nuclei: frequency, length, level, width, share present), (fibres: frequency, bend,
#: amount), (walls: frequency, width, amount), eosin everywhere. Frequencies are in cycles per
#: image; nuclei and walls are bands about a level of a field of waves, see `_paint_tissue`.
TISSUE = {
    "adipose": ((6, 2, 2, 0.3, 0.1), (1, 0.02, 0.0), (1.7, 0.16, 0.9), 0.05),
    "background": ((3, 1, 2, 0.1, 0.1), (1, 0.05, 0.03), (1, 0.03, 0.15), 0.04),
    "debris": ((9, 1, 2, 0.8, 0.4), (2, 0.05, 0.1), (4, 0.5, 0.8), 0.1),
    "lymphocytes": ((7, 1, 2, 1.4, 0.9), (4, 0.05, 0.1), (1, 0.0, 0.0), 0.35),
    "mucus": ((5, 3, 2, 0.4, 0.2), (3.5, 0.09, 0.35), (1.2, 0.08, 0.4), 0.2),
    "smooth muscle": ((5, 4, 2, 0.7, 0.5), (5, 0.012, 0.45), (1, 0.0, 0.0), 0.55),
    "normal colon mucosa": ((2, 1, 0.5, 0.4, 1.0), (4, 0.03, 0.15), (6, 0.2, 0.2), 0.35),
    "cancer-associated stroma": ((6, 2, 2, 0.7, 0.5), (3.5, 0.08, 0.5), (5, 0.15, 0.3), 0.35),
    "colorectal adenocarcinoma epithelium":
        ((3.8, 1.3, 2, 1.5, 0.9), (9, 0.03, 0.15), (1.2, 0.12, -0.4), 0.4),
}  # fmt: skip

CLASSES = {
    "tissue": tuple(TISSUE),
    "creatures": (*(f"cat {i}" for i in range(1, 13)), *(f"dog {i}" for i in range(1, 26))),
}

#: Images per split, as many as the smoke profile can afford on two cores.
SIZES = {
    "tissue": {"train": 720, "validation": 216, "test": 405},
    "creatures": {"train": 1332, "validation": 222, "test": 444},
}

#: Optical density of red, green and blue per amount of haematoxylin and eosin (Ruifrok & Johnston,
#: 2001), and of the second centre.
STAINS = np.array([[0.65, 0.70, 0.29], [0.07, 0.99, 0.11]])
OTHER_STAINS = np.array([[0.60, 0.72, 0.36], [0.09, 0.96, 0.19]])

#: Ears: offset (x, y) from the centre of the head, radii, angle.
EARS = np.array([
    (0.17, -0.24, 0.07, 0.15, 0.4), (0.15, -0.32, 0.06, 0.22, 0.2),  # pointed, tall
    (0.20, -0.19, 0.12, 0.06, 0.5), (0.24, -0.20, 0.10, 0.10, 0.0),  # folded, round
    (0.28, -0.06, 0.08, 0.15, -0.2), (0.28, 0.09, 0.08, 0.25, -0.2),  # drop, long
])  # fmt: skip

#: Red, green and blue of coat and marking.
PALETTES = np.array([
    ((0.93, 0.84, 0.68), (0.45, 0.29, 0.18)), ((0.70, 0.71, 0.74), (0.22, 0.23, 0.27)),
    ((0.86, 0.53, 0.24), (0.98, 0.93, 0.85)), ((0.19, 0.17, 0.18), (0.78, 0.50, 0.25)),
    ((0.94, 0.93, 0.90), (0.15, 0.14, 0.15)), ((0.46, 0.30, 0.19), (0.90, 0.79, 0.62)),
    ((0.42, 0.47, 0.56), (0.92, 0.93, 0.95)), ((0.87, 0.68, 0.37), (0.56, 0.32, 0.13)),
])  # fmt: skip


def generate(name: str, image_size: int = 28) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return the images uint8 (N, 3, S, S) and labels int64 (N,) of each split of a data set."""
    return {split: _draw_split(name, split, image_size) for split in SIZES[name]}


def _draw_split(name: str, split: str, image_size: int) -> tuple[np.ndarray, np.ndarray]:
    count, classes = SIZES[name][split], len(CLASSES[name])
    key = [list(CLASSES).index(name), list(SIZES[name]).index(split)]
    rng = np.random.Generator(np.random.PCG64(key))
    # Four in five labels cycle through the classes, the others are random: nearly balanced.
    drawn, turns = rng.random(count) < 0.2, np.arange(count) % classes
    labels = np.where(drawn, rng.integers(0, classes, count), turns)
    labels = labels[np.argsort(rng.random(count), kind="stable")].astype(np.int64)
    images = np.empty((count, 3, image_size, image_size), np.uint8)
    for start in range(0, count, 96):  # so that the fields of a chunk fit the CPU cache
        part = slice(start, start + 96)
        brush = _Brush(rng, len(labels[part]), image_size)
        if name == "tissue":
            stains = OTHER_STAINS if split == "test" else STAINS
            picture = _paint_tissue(labels[part], brush, stains)
        else:
            picture = _paint_creatures(labels[part], brush)
        images[part] = np.rint(np.clip(picture, 0, 1) * 255).astype(np.uint8)
    return images, labels


class _Brush:
    """Coordinates, random draws and strokes for a chunk of images."""

    def __init__(self, rng: np.random.Generator, count: int, image_size: int):
        self.rng, self.count = rng, count
        centres = (np.arange(image_size) + 0.5) / image_size
        self.x, self.y = centres[None, None, :], centres[None, :, None]

    def draw(self, low: float, high: float) -> Field:
        """Return uniform draws (N, 1, 1), one per image."""
        return low + (high - low) * self.rng.random((self.count, 1, 1))

    def waves(self, frequency: Field | float, count: int = 4) -> Field:
        """Return a sum of cosines in random directions, of mean 0 and variance 1."""
        total = 0.0
        for _ in range(count):
            omega = 2 * np.pi * frequency * self.draw(0.6, 1.4)
            along, _ = _turn(self.x, self.y, self.draw(0, np.pi))
            total = total + np.cos(omega * along + self.draw(0, 2 * np.pi))
        return total * np.sqrt(2 / count)


def _turn(x: Field, y: Field, angle: Field) -> tuple[Field, Field]:
    return x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)


def _edge(distance: Field, softness: float) -> Field:
    """Return a soft step from 0 to 1 where a signed distance crosses 0."""
    return np.clip(distance / softness + 0.5, 0, 1)


def _ellipse(x: Field, y: Field, radii: tuple, angle: Field | float = 0.0) -> Field:
    right, down = _turn(x, y, angle)
    return _edge(1 - np.sqrt((right / radii[0]) ** 2 + (down / radii[1]) ** 2), 0.25)


def _paint_tissue(labels: np.ndarray, brush: _Brush, stains: np.ndarray) -> Field:
    """Return tissue (N, 3, H, W): nuclei, fibres and walls in two stains, by Beer and Lambert."""
    rows = np.array([np.hstack(row) for row in TISSUE.values()])[labels]
    density, length, level, width, present, fibres, bend, strands, walls, thick, wall, base = (
        column[:, None, None] for column in rows.T
    )
    along, across = _turn(brush.x, brush.y, brush.draw(0, np.pi))
    across = across + bend * brush.waves(1.3, 3)
    density = 2 * np.pi * density * brush.draw(0.9, 1.1)
    lattice = np.cos(density * along / length + brush.waves(2))
    lattice = lattice + np.cos(density * across + brush.waves(2) + brush.draw(0, 6))
    nuclei = _edge(2 * present - 1 - brush.waves(3), 0.8)
    nuclei = nuclei * _edge(width - np.abs(lattice - level), 0.5)
    fibre = np.cos(2 * np.pi * fibres * brush.draw(0.85, 1.15) * across + brush.draw(0, 6))
    membrane = _edge(thick - np.abs(brush.waves(walls)), 0.25)
    grain = 1 + 0.1 * brush.waves(7)
    amounts = (
        (0.12 + brush.draw(0.6, 0.9) * nuclei + 0.1 * wall * membrane) * grain,
        np.clip(base + strands * (1 + fibre) / 2 + wall * membrane, 0.02, 2) * grain,
    )
    # A laboratory stains pale slides longer, so that mean colours do not reveal the class.
    optical = 0.0
    for stain, (amount, usual) in enumerate(zip(amounts, (0.45, 0.5), strict=True)):
        mean = amount.mean((1, 2), keepdims=True)
        amount = amount * brush.draw(0.75, 1.35) * np.minimum((usual / (mean + 0.05)) ** 0.85, 1.6)
        batch = brush.rng.uniform(-0.04, 0.04, (brush.count, 3, 1, 1))
        optical = optical + amount[:, None] * (stains[stain, :, None, None] + batch)
    return 0.985 * brush.draw(0.82, 1.02)[:, None] * np.exp(-1.2 * optical)


def _paint_creatures(labels: np.ndarray, brush: _Brush) -> Field:
    """Return portraits (N, 3, H, W) of breeds, of varied colours on a backdrop."""
    cats, shape = labels < 12, (brush.count, 3)
    cat = cats[:, None, None]

    def tint(colours: np.ndarray, width: float) -> Field:
        return (colours + brush.rng.uniform(-width, width, shape))[..., None, None]

    def mix(below: Field, above: Field | float, cover: Field) -> Field:
        return below + (above - below) * cover[:, None]

    backdrop = np.clip(0.5 + 0.4 * brush.waves(brush.draw(1, 5), 3), 0, 1)
    ground = [tint(np.full(shape, 0.475), 0.24) for _ in range(2)]
    zoom = brush.draw(0.85, 1.08)
    right, down = _turn(
        brush.x - brush.draw(0.45, 0.55), brush.y - brush.draw(0.44, 0.52), brush.draw(-0.25, 0.25)
    )
    right, down = right * zoom, down * zoom
    face = right - brush.draw(-0.05, 0.05)  # the face is turned relative to the head
    side = np.abs(face)
    lattice = _turn(face + brush.draw(0, 0.2), down + brush.draw(0, 0.2), brush.draw(0.2, 1.4))
    markings = (
        np.zeros_like(right),  # plain
        _edge(np.cos(60 * (down + 6 * face * face) + brush.draw(0, 6)), 1.2),  # striped
        _edge(np.cos(44 * lattice[0]) + np.cos(44 * lattice[1]) - 0.55, 0.8),  # spotted
        _edge(face * np.sign(brush.draw(-1, 1)), 0.035),  # split
        _ellipse(face, down - 0.1, (0.21, 0.2)),  # masked
        _edge(brush.waves(2.4, 5) - 0.15, 0.5),  # patched
        _edge(0.045 + 0.25 * np.maximum(down, 0) - side, 0.04),  # blazed
    )
    coats = (labels % len(markings))[:, None, None]
    marking = sum(field * (coats == coat) for coat, field in enumerate(markings))
    # Ears repeat after 6 (cats 3), coats after 7, palettes after 8: breeds differ beyond colour.
    palette = PALETTES[labels % len(PALETTES)] * brush.draw(0.85, 1.12)
    coat, mark = tint(palette[:, 0], 0.04), tint(palette[:, 1], 0.04)
    ears = EARS[np.where(cats, labels % 3, labels % len(EARS))].T[..., None, None]
    fur = mix(coat, mark, marking)
    iris, pupil = (_ellipse(side - 0.115, down + 0.035, r) for r in ((0.05, 0.042), (0.02, 0.036)))
    nose = _ellipse(face, down - 0.1, (np.where(cat, 0.03, 0.05), 0.03))
    picture = ground[0]
    for colour, cover in (
        (ground[1], backdrop),
        (0.75 * fur, _ellipse(right, down - 0.48, (0.3, 0.32))),  # body
        (0.8 * coat, _ellipse(np.abs(right) - ears[0], down - ears[1], ears[2:4], -ears[4])),
        (fur, _ellipse(right, down, (0.28, 0.27))),  # head
        (0.45 * coat + 0.5, _ellipse(face, down - 0.14, (0.13, 0.11)) * np.where(cat, 0.15, 0.6)),
        (np.where(cats[:, None], (0.6, 0.75, 0.2), 0.2)[..., None, None], iris),
        (0.04, pupil),
        (np.where(cats[:, None], (0.75, 0.42, 0.42), 0.06)[..., None, None], nose),
    ):
        picture = mix(picture, colour, cover)
    return picture * brush.draw(0.6, 1.15)[:, None]
