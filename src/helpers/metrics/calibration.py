"""Calibration errors: the distance of confidence from accuracy, in all common definitions.

Each definition sorts the images into bins by their confidence and combines the gaps of the bins,
where a gap is mean confidence minus accuracy. The functions share these arguments:

    confidence, correct : float (N,) top-1 probabilities and bool (N,)
    count, accuracy, gap : int (M,), float (..., M), float (..., M), per bin; 0 for an empty bin
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np


@dataclass(frozen=True)
class Definition:
    """One definition of the calibration error, callable with confidence and correct."""

    #: confidence (N,) -> int (N,), the bin of each image
    assign: Callable[[np.ndarray], np.ndarray]
    #: count, accuracy, gap -> score (...,)
    combine: Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
    #: gap of each image's bin (N,), confidence minus correct (N,), score -> float (N,), the
    #: influence of each image on the score; None if the score has no useful derivative
    slope: Callable[[np.ndarray, np.ndarray, float], np.ndarray] | None = None

    def __call__(self, confidence: np.ndarray, correct: np.ndarray) -> float:
        """Return the score of one test set; ValueError if it holds no images."""
        if len(confidence) == 0:
            raise ValueError("the calibration error of no images is not defined")
        index = self.assign(confidence)
        return float(self.score_bins(confidence, index, np.bincount(index, weights=correct)))

    def score_bins(
        self, confidence: np.ndarray, index: np.ndarray, right: np.ndarray
    ) -> np.ndarray:
        """Return the scores (...,) for `right` (..., M) correct images per bin."""
        count = np.bincount(index)
        divisor = np.maximum(count, 1)
        accuracy = right / divisor
        gap = np.bincount(index, weights=confidence) / divisor - accuracy
        return self.combine(count, accuracy, gap)

    def measure(
        self, confidence: np.ndarray, correct: np.ndarray
    ) -> tuple[float, np.ndarray | None]:
        """Return the score, and the influence of each image on it (0 at score 0)."""
        score, index = self(confidence, correct), self.assign(confidence)
        if self.slope is None:
            return score, None
        if score == 0:
            return score, np.zeros(len(index), np.float32)
        difference = confidence - correct
        gap = np.bincount(index, weights=difference) / np.maximum(np.bincount(index), 1)
        return score, self.slope(gap[index], difference, score).astype(np.float32)


def assign_equal_width(confidence: np.ndarray, bins: int) -> np.ndarray:
    """Return the bins, int (N,), of confidences; bin i of M is ((i-1)/M, i/M], the first has 0."""
    return np.searchsorted(np.arange(1, bins) / bins, confidence, side="left")


def assign_equal_count(confidence: np.ndarray, size: int) -> np.ndarray:
    """Return the bin of each confidence, int (N,), by rank, with `size` images per bin.

    The last bin takes the remainder, up to 2 * size - 1 images in all; fewer than `size` images are
    one bin. Images of equal confidence keep their order.
    """
    rank = np.empty(len(confidence), dtype=np.int64)
    rank[np.argsort(confidence, kind="stable")] = np.arange(len(confidence))
    return np.minimum(rank // size, max(len(confidence) // size, 1) - 1)


def rms(count, accuracy, gap):
    """Return the root of the mean squared gap, weighted by the images in each bin."""
    return np.sqrt((count * gap**2).sum(axis=-1) / count.sum())


def debiased_rms(count, accuracy, gap):
    """Return `rms` with the variance of each accuracy subtracted; 0 if the sum is negative.

    Source: Kumar, Liang and Ma 2019, Verified uncertainty calibration: p (1 - p) / (n - 1) removes
    the bias of the square. Bins of one image, which have no variance, and negative sums are treated
    as in their code, p-lambda/verified_calibration, ``unbiased_l2_ce``.
    """
    variance = accuracy * (1 - accuracy) / np.maximum(count - 1, 1)
    square = (np.where(count > 1, count, 0) * (gap**2 - variance)).sum(axis=-1) / count.sum()
    return np.sqrt(np.maximum(square, 0))


def mean_absolute(count, accuracy, gap):
    """Return the mean absolute gap, weighted by the images in each bin."""
    return (count * np.abs(gap)).sum(axis=-1) / count.sum()


def maximum(count, accuracy, gap):
    """Return the largest absolute gap, however few images its bin holds."""
    return np.abs(gap).max(axis=-1)


def mean_signed(count, accuracy, gap):
    """Return the mean gap: above 0 if overconfident, below 0 if underconfident."""
    return (count * gap).sum(axis=-1) / count.sum()


#: Derivatives of the scores; see `Definition`.
SLOPES = {
    rms: lambda gap, difference, score: (2 * gap * difference - gap**2 - score**2) / (2 * score),
    mean_absolute: lambda gap, difference, score: np.sign(gap) * difference - score,
    mean_signed: lambda gap, difference, score: difference - score,
}


def equal_width(bins: int, combine: Callable) -> Definition:
    """Return the definition with this many bins of equal width."""
    return Definition(partial(assign_equal_width, bins=bins), combine, SLOPES.get(combine))


def equal_count(size: int, combine: Callable) -> Definition:
    """Return the definition with this many images per bin, which has no influence function."""
    return Definition(partial(assign_equal_count, size=size), combine)


def rms_calibration_error(confidence: np.ndarray, correct: np.ndarray, bins: int = 10) -> float:
    r"""Return the root-mean-square calibration error over equal-width bins of the confidence.

    .. math:: \sqrt{\sum_{i=1}^{M} b_i \, (p_i - c_i)^2}

    with :math:`b_i` the fraction of the images in bin i, :math:`p_i` their accuracy and
    :math:`c_i` their mean confidence; bin i of M is :math:`((i-1)/M, i/M]`. The result is in
    [0, 1]. Raises ValueError for no images.

    Source: equation 1 of the paper. Ten equal-width bins are the authors' choice, computed with
    torchmetrics' ``CalibrationError(norm="l2", n_bins=10)``. Up to torchmetrics 0.11, current when
    the paper was written, the bins were these. Since 1.0 they are :math:`[(i-1)/M, i/M)`, with an
    extra bin for a confidence of exactly 1; the multiclass form rounds to float32 first.
    """
    return equal_width(bins, rms)(confidence, correct)
