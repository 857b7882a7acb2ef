"""Bins of the confidence, and how a definition of the calibration error joins their gaps."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np


@dataclass(frozen=True)
class Definition:
    """One definition of the calibration error, a function of confidence and correct.

    Attributes
    ----------
    assign : float (N,) confidences -> int (N,), the bin of each image
    join : count (M,), accuracy (..., M), gap (..., M) of the bins -> score (...,). A gap is mean
        confidence minus accuracy. An empty bin has a count and a gap of 0.
    """

    assign: Callable[[np.ndarray], np.ndarray]
    join: Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]

    def __call__(self, confidence: np.ndarray, correct: np.ndarray) -> float:
        """Return the score of float (N,) confidences and bool (N,) outcomes."""
        if len(confidence) == 0:
            raise ValueError("the calibration error of no images is not defined")
        index = self.assign(confidence)
        return float(self.score_bins(confidence, index, np.bincount(index, weights=correct)))

    def score_bins(
        self, confidence: np.ndarray, index: np.ndarray, right: np.ndarray
    ) -> np.ndarray:
        """Return the scores (...,) for `right` (..., M) correct images in each bin."""
        count = np.bincount(index)
        divisor = np.maximum(count, 1)
        accuracy = right / divisor
        gap = np.bincount(index, weights=confidence) / divisor - accuracy
        return self.join(count, accuracy, gap)


def assign_equal_width(confidence: np.ndarray, bins: int) -> np.ndarray:
    """Return the bin of each confidence, int (N,): bin i of M is ((i-1)/M, i/M].

    A confidence of exactly 0 falls into the first bin, one of exactly 1 into the last.
    """
    return np.searchsorted(np.arange(1, bins) / bins, confidence, side="left")


def assign_equal_count(confidence: np.ndarray, size: int) -> np.ndarray:
    """Return the bin of each confidence, int (N,): by rank, `size` images a bin.

    The last bin also takes what is left over, so that it holds up to 2 * size - 1 images; fewer
    than `size` images make one bin. Images of equal confidence keep their order in the data.
    """
    rank = np.empty(len(confidence), dtype=np.int64)
    rank[np.argsort(confidence, kind="stable")] = np.arange(len(confidence))
    return np.minimum(rank // size, max(len(confidence) // size, 1) - 1)


def equal_width(bins: int, join: Callable) -> Definition:
    """Return the definition with this many bins of equal width."""
    return Definition(partial(assign_equal_width, bins=bins), join)


def equal_count(size: int, join: Callable) -> Definition:
    """Return the definition with bins of this many images."""
    return Definition(partial(assign_equal_count, size=size), join)


def join_squares(count, accuracy, gap):
    """Return the root of the mean squared gap, weighted by the images of each bin."""
    return np.sqrt((count * gap**2).sum(axis=-1) / count.sum())


def join_squares_without_last(count, accuracy, gap):
    """Return the same without the last bin's square; its images still count in N."""
    return np.sqrt((count * gap**2)[..., :-1].sum(axis=-1) / count.sum())


def join_absolutes(count, accuracy, gap):
    """Return the mean absolute gap, weighted by the images of each bin."""
    return (count * np.abs(gap)).sum(axis=-1) / count.sum()


def join_maximum(count, accuracy, gap):
    """Return the largest absolute gap."""
    return np.abs(gap).max(axis=-1)


def join_debiased(count, accuracy, gap):
    """Return the root of the mean squared gap less its variance; 0 where that is negative."""
    variance = accuracy * (1 - accuracy) / np.maximum(count - 1, 1)
    square = (np.where(count > 1, count, 0) * (gap**2 - variance)).sum(axis=-1) / count.sum()
    return np.sqrt(np.maximum(square, 0))


def join_signed(count, accuracy, gap):
    """Return the mean gap, weighted by the images of each bin."""
    return (count * gap).sum(axis=-1) / count.sum()
