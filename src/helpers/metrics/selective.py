"""Selective prediction: the error rate when a network may abstain on its least sure images."""

import numpy as np


def risk_coverage(confidence: np.ndarray, correct: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return coverage k/N and risk, the error rate among the k most confident images, for all k.

    Both are float64 (N,). Confidence, float (N,), may be any score that is high for likely correct
    images; correct is bool (N,). Errors rise evenly within a group of equal confidence (their mean
    over all orders), so the order of the data does not matter. Raises ValueError for no images.

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
