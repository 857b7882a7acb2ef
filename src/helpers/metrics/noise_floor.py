"""Noise floor: the calibration error that a perfectly calibrated network has by chance."""

from collections.abc import Iterable
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from .scores import METRICS

#: Images compared at a time: their draws fit the CPU cache, and a count of correct
#: images fits into one byte.
BLOCK = 255


class Floor(NamedTuple):
    """Mean and 95 % quantile of the absolute score by chance alone, as fractions."""

    mean: float
    high: float


def simulate_calibrated(
    confidence: np.ndarray,
    metrics: Iterable[str] = ("rms_calibration_error_10",),
    draws: int = 500,
    seed: int = 0,
) -> dict[str, np.ndarray]:
    """Return scores of a network that is correct exactly as often as its confidence says.

    Each image is correct if a uniform number is below its confidence (in float32). In one draw, all
    K predictions of an image share that number: an image that is hard under one condition or seed
    is hard under another. This is the strongest possible dependence, so averages over the K spread
    too widely rather than too little.

    Parameters
    ----------
    confidence : float (K, N), top-1 probabilities of the same N images under K conditions and
        seeds; or (N,) for K = 1. ValueError for no images.
    metrics : names of calibration errors in `METRICS`, the keys of the result, float64 (K, draws)
    draws : number of simulated outcomes of the N images
    seed : of the generator; the same seed and N give the same uniform numbers

    Source: consistency resampling, Bröcker and Smith 2007, Increasing the reliability of
    reliability diagrams.
    """
    confidence = np.atleast_2d(confidence)
    if confidence.size == 0:
        raise ValueError("the noise floor of no images is not defined")
    definitions = {name: METRICS[name].definition for name in metrics}
    uniform = _draw(draws, confidence.shape[1], seed)
    scores = {name: np.empty((len(confidence), draws)) for name in definitions}
    for condition, row in enumerate(confidence):
        # In order of confidence, the images of a bin are neighbours in every definition.
        order = np.argsort(row, kind="stable")
        bins = {name: definition.assign(row) for name, definition in definitions.items()}
        starts = {
            name: np.flatnonzero(np.diff(index[order], prepend=-1)) for name, index in bins.items()
        }
        cuts = np.unique(np.concatenate([np.arange(0, len(row), BLOCK), *starts.values()]))
        below = np.zeros((len(cuts) + 1, draws), dtype=np.int32)  # correct images before each cut
        limit = row[order].astype(np.float32)
        for block, (start, end) in enumerate(pairwise([*cuts, len(row)])):
            right = uniform[order[start:end]] < limit[start:end, None]
            below[block + 1] = right.view(np.uint8).sum(axis=0, dtype=np.uint8)
        np.cumsum(below, axis=0, out=below)
        for name, index in bins.items():
            edges = np.append(np.searchsorted(cuts, starts[name]), len(cuts))
            right = np.zeros((draws, index.max() + 1))
            right[:, index[order[starts[name]]]] = np.diff(below[edges], axis=0).T
            scores[name][condition] = definitions[name].score_bins(row, index, right)
    return scores


@lru_cache(maxsize=2)  # data sets
def _draw(draws: int, images: int, seed: int) -> np.ndarray:
    """Return the uniform numbers, float32 (images, draws)."""
    uniform = np.random.default_rng(seed).random((draws, images), dtype=np.float32)
    return np.ascontiguousarray(uniform.T)


def noise_floor(
    confidence: np.ndarray, metric: str = "rms_calibration_error_10", **options: int
) -> Floor:
    """Return the noise floor of a calibration error's mean over the K conditions and seeds."""
    return find_floor(simulate_calibrated(confidence, [metric], **options)[metric].mean(axis=0))


def find_floor(scores: np.ndarray) -> Floor:
    """Return the floor of simulated scores (draws,), by their absolute values."""
    sizes = np.abs(scores)
    return Floor(float(sizes.mean()), float(np.quantile(sizes, 0.95)))
