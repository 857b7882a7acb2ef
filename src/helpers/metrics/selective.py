"""Selective prediction: the error rate when a network may abstain on its least sure images."""

import numpy as np


def risk_coverage(confidence: np.ndarray, correct: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the error rate among the k most confident images, for every k.

    Within a group of equal confidence the errors rise evenly, their mean over all orders, so the
    curve does not depend on the order of the data. Raises ValueError for no images at all.

    Parameters
    ----------
    confidence : float (N,), or another score that is high where the network is sure
    correct : bool (N,)

    Returns
    -------
    coverage : float64 (N,), k/N for k = 1 ... N
    risk : float64 (N,), fraction of errors among the k most confident images

    Source: El-Yaniv and Wiener 2010, On the foundations of noise-free selective classification;
    Geifman and El-Yaniv 2017, Selective classification for deep neural networks.
    """
    if len(confidence) == 0:
        raise ValueError("the risk of no images is not defined")
    # The minus sign sorts the most confident images first.
    _, group, count = np.unique(-np.asarray(confidence), return_inverse=True, return_counts=True)
    error_rate = np.bincount(group, weights=1 - np.asarray(correct)) / count
    kept = np.arange(1, len(group) + 1)
    return kept / len(group), np.cumsum(np.repeat(error_rate, count)) / kept
