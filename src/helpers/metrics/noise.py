"""Noise floor: the calibration error that a perfectly calibrated model shows by chance."""

from typing import NamedTuple

import numpy as np

from .calibration import CALIBRATION_SCORES

#: Draws compared at a time; a block of them stays in the processor's cache.
BLOCK = 64


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
    score = CALIBRATION_SCORES[definition]
    confidence = np.atleast_2d(confidence)
    if confidence.size == 0:
        raise ValueError("the noise floor of no images is not defined")
    uniform = np.random.default_rng(seed).random((draws, confidence.shape[1]), dtype=np.float32)
    blocks = [uniform[start : start + BLOCK] for start in range(0, draws, BLOCK)]
    scores = []
    for row in confidence:
        index, limit = score.assign(row), row.astype(np.float32)
        # A product with the bins' indicators counts faster than any sum over groups.
        member = np.eye(index.max() + 1, dtype=np.float32)[index]
        right = np.concatenate([(block < limit).astype(np.float32) @ member for block in blocks])
        scores.append(score.score_bins(row, index, right))
    return np.stack(scores)


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
    scores = np.abs(simulate_calibrated(confidence, definition, draws, seed).mean(axis=0))
    return Floor(float(scores.mean()), float(np.quantile(scores, 0.95)))
