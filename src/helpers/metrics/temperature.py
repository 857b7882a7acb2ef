"""Temperature scaling: one number that makes probabilities softer or sharper."""

import numpy as np
from scipy.optimize import brentq

from .scores import shift_logits

#: Range of the search.
BOUNDS = (0.05, 20.0)


def fit_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """Return the temperature T that minimises the negative log-likelihood of logits / T.

    The loss is convex in 1/T, so the root of its slope is the only minimum. No class changes rank,
    so accuracy stays the same. Apply it as ``logits.astype(float) / T``: a float16 array divided by
    T would be rounded to float16 again.

    Logits float (V, C) and labels int (V,) are of the validation set, never of the test set. The
    result is in `BOUNDS`: the lower bound if sharper is always better (every image correct) or T
    has no effect (one class), the upper bound if softer is always better. Raises ValueError for no
    images.

    Source: Guo et al. 2017, On calibration of modern neural networks.
    """
    if len(labels) == 0:
        raise ValueError("a temperature cannot be fitted to no images")
    logit = shift_logits(logits)
    logit_of_label = logit[labels, np.arange(len(labels))]

    def slope(log_temperature: float) -> float:
        """Return the derivative of the negative log-likelihood with respect to 1/T."""
        weight = np.exp(logit / np.exp(log_temperature))
        expected = np.einsum("cv,cv->v", weight, logit) / weight.sum(axis=0)
        return (expected - logit_of_label).mean()

    coldest, hottest = np.log(BOUNDS)
    if slope(coldest) <= 0:
        return BOUNDS[0]
    if slope(hottest) >= 0:
        return BOUNDS[1]
    return float(np.exp(brentq(slope, coldest, hottest)))
