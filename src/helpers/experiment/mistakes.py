"""The most confident mistakes: the images that a network got most surely wrong."""

import numpy as np
import torch

from helpers import metrics

from .corruptions import corrupt
from .data import Split


def find_mistakes(
    split: Split, logits: np.ndarray, conditions: list[tuple[str, float | None]], count: int = 4
) -> dict[str, np.ndarray]:
    """Return the most confident mistakes under each shift, an image once at its worst strength.

    Only the images are kept that a report shows: it has no test set to look others up in.

    Parameters
    ----------
    split : N images and their labels
    logits : float16 (P, N, C), as stored
    conditions : P pairs of a corruption and its strength; those of one corruption are a shift
    count : mistakes a shift; fewer where a network makes fewer

    Returns
    -------
    mistakes : uint8 (M, 3, H, W), as the network saw them, by shift and then by confidence
    mistakes_index : int64 (M,), place of each in the split
    mistakes_condition : int64 (M,), place of each among the conditions
    """
    labels = split.labels.numpy()
    # 0 for a right answer; the confidence in a wrong one is more.
    confidence = np.stack(
        [np.where(metrics.correct(z, labels), 0, metrics.confidence(z)) for z in logits]
    )
    chosen = []
    for shift in dict.fromkeys(name for name, _ in conditions):
        places = [place for place, (name, _) in enumerate(conditions) if name == shift]
        worst, highest = confidence[places].argmax(axis=0), confidence[places].max(axis=0)
        first = np.argsort(-highest, kind="stable")[:count]
        chosen += [(index, places[worst[index]]) for index in first if highest[index] > 0]
    images = [
        corrupt(split.images[[index]].cpu(), *conditions[place])[0] for index, place in chosen
    ]
    index, place = np.array(chosen, dtype=np.int64).reshape(-1, 2).T
    shape = (0, *split.images.shape[1:])
    return {
        "mistakes": torch.stack(images).numpy() if images else np.zeros(shape, dtype=np.uint8),
        "mistakes_index": index,
        "mistakes_condition": place,
    }
