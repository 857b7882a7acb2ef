"""How each test image moves a score: its derivative with respect to the weight of the image.

The square of the influence, averaged over the images and divided by their number, is the variance
that the choice of the test images gives to the score: the infinitesimal jackknife.

Source: Efron 2014, Estimation and accuracy after model selection.
"""

import numpy as np

from .bins import assign_equal_width


def accuracy_influence(correct: np.ndarray) -> np.ndarray:
    """Return how each image moves the accuracy: float32 (N,), for bool (N,), as a fraction."""
    return (correct - np.mean(correct)).astype(np.float32)


def rms_influence(confidence: np.ndarray, correct: np.ndarray, bins: int = 10) -> np.ndarray:
    r"""Return how each image moves the RMS calibration error R, float32 (N,).

    For image n in a bin with the gap g (accuracy minus mean confidence)

    .. math:: \psi_n = \frac{2 g (y_n - c_n) - g^2 - R^2}{2 R},

    N times the derivative with respect to the weight of the image. Where R = 0 there is no
    derivative; it returns zeros.

    Parameters
    ----------
    confidence, correct, bins : as for `rms_calibration_error`
    """
    index = assign_equal_width(confidence, bins)
    difference = correct - confidence
    count = np.bincount(index, minlength=bins)
    gap = np.bincount(index, difference, bins) / np.maximum(count, 1)
    square = (count * gap**2).sum() / len(index)
    if square == 0:
        return np.zeros(len(index), np.float32)
    psi = 2 * gap[index] * difference - gap[index] ** 2 - square
    return (psi / (2 * np.sqrt(square))).astype(np.float32)
