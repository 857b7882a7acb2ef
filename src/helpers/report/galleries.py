"""Example images: every corruption at every strength, and MixUp."""

import numpy as np

from .pictures import Picture, image_panel
from .source import ARMS, shown_records

#: A mosaic is at most this many pixels wide, so that a page stays light.
MOSAIC = 256


def plot_corruptions(examples: dict[str, np.ndarray], class_names: list[str]) -> Picture:
    """Return the same test images under every corruption and strength.

    Parameters
    ----------
    examples : images uint8 (P, k, 3, H, W), labels (k,), corruption str (P,), strength (P,)
    class_names : by label
    """
    side = 2 if 2 * examples["images"].shape[-1] <= MOSAIC else 1
    images = examples["images"][:, : side**2]
    names = ", ".join(str(class_names[label]) for label in examples["labels"][: side**2])
    corruption = [str(name) for name in examples["corruption"]]
    clean = images[corruption.index("clean")]
    panels = []
    for shift in dict.fromkeys(name for name in corruption if name != "clean"):
        panels.append(_panel(clean, "clean", names))
        for place in np.flatnonzero(np.array(corruption) == shift):
            text = f"{shift} {examples['strength'][place]:g}"
            panels.append(_panel(images[place], text, names))
        panels.append('<div style="flex-basis:100%"></div>')
    many = (
        ("The same test images", "from the top left") if side > 1 else ("A test image", "it is of")
    )
    caption = (
        f"{many[0]}, clean and at every strength of a corruption ({many[1]}: {names}). How much is"
        " left of what tells the classes apart?"
    )
    return Picture(panels[:-1], caption)


def _panel(images: np.ndarray, text: str, names: str) -> str:
    return image_panel(images, text, f"{text}: {names}", "min(8rem, 30%)")


def show_corruptions(dataset: str) -> Picture:
    """Return the gallery of a data set, from the first run of its first arm."""
    record = shown_records()[next(iter(ARMS[dataset]))][0]
    return plot_corruptions(record.examples, record.run["data"]["classes"])


def show_mixup() -> Picture:
    """Return two training images and their mix at lambda = 0.5."""
    record = shown_records()["pathmnist_mixup"][0]
    names = [record.run["data"]["classes"][label] for label in record.examples["mixup_labels"]]
    captions = [*names, f"½ {names[0]} + ½ {names[1]}"]
    return Picture(
        [
            image_panel(image[None], caption, caption, "min(12rem, 100%)")
            for image, caption in zip(record.examples["mixup"], captions, strict=True)
        ]
    )
