"""Accuracy and confidence of logits."""

import numpy as np


def softmax(logits: np.ndarray) -> np.ndarray:
    """Return the class probabilities of logits.

    Parameters
    ----------
    logits : float (..., C), of any precision

    Returns
    -------
    float64 (..., C), each row summing to 1. Computed in float64 with the row's maximum taken off
    first, so that no finite float16 overflows.
    """
    shifted = np.asarray(logits, dtype=np.float64)
    exponential = np.exp(shifted - shifted.max(axis=-1, keepdims=True))
    return exponential / exponential.sum(axis=-1, keepdims=True)


def confidence(logits: np.ndarray) -> np.ndarray:
    """Return the top-1 probability of each row of logits: float64 (...,) in [1/C, 1]."""
    return softmax(logits).max(axis=-1)


def correct(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return whether the top-1 class is the label: bool (..., N); a tie goes to the lower class.

    Parameters
    ----------
    logits : float (..., N, C)
    labels : int (N,)
    """
    return np.asarray(logits).argmax(axis=-1) == np.asarray(labels)


def accuracy(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return the fraction of images whose top-1 class is the label: float64 (...,).

    Parameters
    ----------
    logits : float (..., N, C)
    labels : int (N,)
    """
    return correct(logits, labels).mean(axis=-1)
