"""Noise floor: the calibration error that a perfectly calibrated model shows by chance."""

from collections.abc import Iterable
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from .calibration import CALIBRATION_SCORES

#: Images compared at a time: their draws stay in the processor's cache, and a count of the right
#: ones fits into a byte.
BLOCK = 255


class Floor(NamedTuple):
    """What chance alone gives: mean and 95 % quantile of a score's size, as a fraction."""

    mean: float
    high: float

    def covers(self, score: float) -> bool:
        """Return whether the score cannot be told from that of a calibrated model (5 % level)."""
        return abs(score) <= self.high


def simulate_calibrated(
    confidence: np.ndarray,
    definition: str = "rms_calibration_error_10",
    draws: int = 500,
    seed: int = 0,
) -> np.ndarray:
    """Return the scores of a model that is right exactly as often as its confidence says.

    Each image is right where a uniform number lies below its confidence. In a draw all K
    predictions of an image share that number: an image that is hard under one condition or seed is
    hard under another. This is the strongest dependence there can be between them, so that
    averages over the K spread widely rather than too little.

    Parameters
    ----------
    confidence : float (K, N), the top-1 probabilities of the same N images under K conditions and
        seeds; or (N,) for K = 1
    definition : name in `CALIBRATION_SCORES`
    draws : number of simulated outcomes of the N images
    seed : of the generator; the same seed and N give the same uniform numbers

    Returns
    -------
    float64 (K, draws). Memory: 4 bytes an image and draw, 14 MB for 7,180 images and 500 draws.
    A confidence counts to 2**-24.

    Raises
    ------
    ValueError : for no images at all

    Source: consistency resampling, Bröcker and Smith 2007, Increasing the reliability of
    reliability diagrams.
    """
    return simulate_each(confidence, [definition], draws, seed)[definition]


def simulate_each(
    confidence: np.ndarray, definitions: Iterable[str], draws: int = 500, seed: int = 0
) -> dict[str, np.ndarray]:
    """Return what `simulate_calibrated` does for several definitions, in the time of one."""
    confidence = np.atleast_2d(confidence)
    if confidence.size == 0:
        raise ValueError("the noise floor of no images is not defined")
    uniform = _draw(draws, confidence.shape[1], seed)
    found = {name: np.empty((len(confidence), draws)) for name in definitions}
    for place, row in enumerate(confidence):
        # In the order of their confidence, the images of a bin are neighbours in every definition.
        order = np.argsort(row, kind="stable")
        bins = {name: CALIBRATION_SCORES[name].assign(row) for name in found}
        starts = {name: _find_starts(index[order]) for name, index in bins.items()}
        cuts = np.unique(np.concatenate([np.arange(0, len(row), BLOCK), *starts.values()]))
        below = np.zeros((len(cuts) + 1, draws), dtype=np.int32)  # right ones before each cut
        _count_right(uniform, order, row[order].astype(np.float32), cuts, below[1:])
        np.cumsum(below, axis=0, out=below)
        for name, index in bins.items():
            edges = np.append(np.searchsorted(cuts, starts[name]), len(cuts))
            right = np.zeros((draws, index.max() + 1))
            right[:, index[order[starts[name]]]] = np.diff(below[edges], axis=0).T
            found[name][place] = CALIBRATION_SCORES[name].score_bins(row, index, right)
    return found


@lru_cache(maxsize=2)  # data sets
def _draw(draws: int, images: int, seed: int) -> np.ndarray:
    """Return the uniform numbers, float32 (images, draws)."""
    uniform = np.random.default_rng(seed).random((draws, images), dtype=np.float32)
    return np.ascontiguousarray(uniform.T)


def _find_starts(index: np.ndarray) -> np.ndarray:
    """Return where each run of equal numbers begins."""
    return np.flatnonzero(np.diff(index, prepend=-1))


def _count_right(uniform, order, limit, cuts, counts) -> None:
    """Write how many images between two cuts are right in each draw, int (len(cuts), draws)."""
    for place, (start, end) in enumerate(pairwise([*cuts, len(order)])):
        right = uniform[order[start:end]] < limit[start:end, None]
        counts[place] = right.view(np.uint8).sum(axis=0, dtype=np.uint8)


def noise_floor(
    confidence: np.ndarray,
    definition: str = "rms_calibration_error_10",
    draws: int = 500,
    seed: int = 0,
) -> Floor:
    """Return what a calibrated model with these confidences scores by chance.

    The score is that of a table's cell: the mean over the K conditions and seeds.

    Parameters
    ----------
    confidence, definition, draws, seed : as for `simulate_calibrated`

    Returns
    -------
    Floor : mean and 95 % quantile over the draws; of the absolute value, since the signed gap has
        either sign

    Raises
    ------
    ValueError : for no images at all
    """
    return find_floor(simulate_calibrated(confidence, definition, draws, seed).mean(axis=0))


def find_floor(scores: np.ndarray) -> Floor:
    """Return the floor that simulated scores (draws,) give."""
    sizes = np.abs(scores)
    return Floor(float(sizes.mean()), float(np.quantile(sizes, 0.95)))
