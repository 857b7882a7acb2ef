"""Temperature scaling: one number that makes logits softer or sharper."""

import numpy as np
from scipy.optimize import brentq

from .scores import centre

#: The temperatures searched, lowest and highest.
BOUNDS = (0.05, 20.0)


def fit_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """Return the temperature T whose logits / T have the least negative log-likelihood.

    The likelihood is convex in 1/T, so that the root of its slope is the one minimum; no class
    changes rank, so accuracy stays. To apply it: ``softmax(logits.astype(float) / T)``; a float16
    array divided by T would be rounded to float16 once more.

    Parameters
    ----------
    logits : float (V, C), of the validation set: never of the test set
    labels : int (V,)

    Returns
    -------
    float in `BOUNDS`. The lowest where sharper always is better, above all where every image is
    right, and where all temperatures are alike (one class); the highest where no temperature is
    high enough.

    Raises
    ------
    ValueError : for no images at all

    Source: Guo et al. 2017, On calibration of modern neural networks.
    """
    if len(labels) == 0:
        raise ValueError("no temperature fits no images")
    logit = centre(logits)
    logit_of_label = logit[labels, np.arange(len(labels))]

    def slope(log_temperature: float) -> float:
        """Return the derivative of the negative log-likelihood by 1/T."""
        weight = np.exp(logit / np.exp(log_temperature))
        expected = np.einsum("cv,cv->v", weight, logit) / weight.sum(axis=0)
        return (expected - logit_of_label).mean()

    coldest, hottest = np.log(BOUNDS)
    if slope(coldest) <= 0:
        return BOUNDS[0]
    if slope(hottest) >= 0:
        return BOUNDS[1]
    return float(np.exp(brentq(slope, coldest, hottest)))
