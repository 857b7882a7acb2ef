"""Example images for the book's galleries: of an evaluation, or without any training."""

import io
from pathlib import Path

import numpy as np
import torch

from helpers import metrics

from .corruptions import condition_arrays, corrupt, list_conditions
from .data import Data, Split, load_data
from .fetch import make_once
from .pathmnist import locate_pathmnist
from .pets import locate_pets

#: Data sets to what finds their published files.
PUBLISHED_FILES = {"pathmnist": locate_pathmnist, "pets": lambda folder, _: locate_pets(folder)}


def make_examples(data: Data, conditions: list, count: int = 4) -> dict[str, np.ndarray]:
    """Return images for the report's galleries.

    Returns
    -------
    images : uint8 (P, k, 3, H, W), the first test image of k classes under every condition
    labels : int64 (k,)
    corruption, strength : str (P,) and float64 (P,), the conditions
    mixup : uint8 (3, 3, H, W), two training images, of different classes if possible, and their
        mix at lambda = 0.5
    mixup_labels : int64 (2,)
    """
    present = data.test.labels.unique()
    classes = present[np.linspace(0, len(present) - 1, min(count, len(present))).astype(int)]
    chosen = [int((data.test.labels == label).nonzero()[0]) for label in classes]
    images = data.test.images[chosen]
    train = data.train
    # The first image of another class, or the second image if there is only one class.
    other = int((train.labels != train.labels[0]).int().argmax()) or 1
    first, second = train.images[0], train.images[other]
    mixed = (0.5 * first + 0.5 * second).to(torch.uint8)
    return {
        "images": torch.stack([corrupt(images, *condition) for condition in conditions]).numpy(),
        "labels": data.test.labels[chosen].numpy(),
        "mixup": torch.stack([first, second, mixed]).numpy(),
        "mixup_labels": train.labels[[0, other]].numpy(),
    } | condition_arrays(conditions)


def find_confident_errors(
    split: Split, logits: np.ndarray, conditions: list, count: int = 4
) -> dict[str, np.ndarray]:
    """Return the most confident errors under each corruption, each image once, at its worst.

    Parameters
    ----------
    logits : float16 (P, N, C), as stored, of the N images under P conditions
    count : errors per corruption; fewer if the network makes fewer

    Returns
    -------
    mistakes : uint8 (M, 3, H, W), as the network saw them, by corruption and then by confidence
    mistakes_index : int64 (M,), index of each in the split
    mistakes_condition : int64 (M,), index of each among the conditions
    """
    labels = split.labels.numpy()
    # Confidence in a wrong answer, which is positive; 0 for a right answer.
    wrong = [np.where(metrics.is_correct(z, labels), 0, metrics.confidence(z)) for z in logits]
    wrong = np.stack(wrong)
    chosen = []
    for corruption in dict.fromkeys(name for name, _ in conditions):
        rows = [row for row, (name, _) in enumerate(conditions) if name == corruption]
        worst, highest = wrong[rows].argmax(axis=0), wrong[rows].max(axis=0)
        first = np.argsort(-highest, kind="stable")[:count]
        chosen += [(index, rows[worst[index]]) for index in first if highest[index] > 0]
    images = [corrupt(split.images[[index]], *conditions[row])[0] for index, row in chosen]
    index, row = np.array(chosen, dtype=np.int64).reshape(-1, 2).T
    return {
        "mistakes": torch.stack(images).numpy() if images else split.images[:0].numpy(),
        "mistakes_index": index,
        "mistakes_condition": row,
    }


def write_examples(
    target: Path, name: str, corruptions: dict[str, list[float]], data_dir: str, image_size: int
) -> str:
    """Write the example images of a published data set to a ``.npz``; return a line about it.

    The arrays are those of `make_examples`, the names of the ``classes``, and the ``sha256`` of
    the data. A file with other content is replaced, whole or not at all. Nothing is downloaded:
    where the published files are missing, nothing is written.
    """
    files = PUBLISHED_FILES[name](data_dir, image_size)
    if (state := files.state) != "as published":
        remedy = "`python -m helpers doctor --profile paper` says what to do"
        return f"{name}: no example images, as {files.path} is {state}; {remedy}"
    data = load_data(name, "official", data_dir, image_size)
    examples = make_examples(data, list_conditions(corruptions))
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **examples, classes=np.array(data.classes), sha256=data.sha256)
    content = buffer.getvalue()
    make_once(
        target,
        lambda path: path.write_bytes(content),
        f"free space in {target.parent} or make it writable",
        is_whole=lambda path: path.exists() and path.read_bytes() == content,
    )
    return f"{name}: example images in {target}"
