"""Calibration error: how far confidence lies from accuracy."""

import numpy as np

from .scores import confidence, correct


def rms_calibration_error(logits: np.ndarray, labels: np.ndarray, bins: int = 10) -> float:
    r"""Return the root-mean-square calibration error over equal-width bins of the confidence.

    .. math:: \sqrt{\sum_{i=1}^{M} b_i \, (p_i - c_i)^2}

    with :math:`b_i` the fraction of the images in bin i, :math:`p_i` their accuracy and
    :math:`c_i` their mean confidence. Bin i of M is :math:`((i-1)/M, i/M]`: a confidence of
    exactly 1 falls into the last one. An empty bin adds nothing.

    Parameters
    ----------
    logits : float (N, C)
    labels : int (N,)
    bins : number of bins M

    Returns
    -------
    float in [0, 1], a fraction

    Raises
    ------
    ValueError : for no images at all

    Source: equation 1 of the paper. Ten equal-width bins are its authors' choice, taken with
    torchmetrics' ``CalibrationError(norm="l2", n_bins=10)``.
    """
    if len(labels) == 0:
        raise ValueError("the calibration error of no images is not defined")
    certain, right = confidence(logits), correct(logits, labels)
    index = np.searchsorted(np.linspace(0, 1, bins + 1)[1:-1], certain, side="left")
    gap = np.bincount(index, weights=right - certain, minlength=bins)
    count = np.bincount(index, minlength=bins)
    filled = count > 0
    return float(np.sqrt((gap[filled] ** 2 / count[filled]).sum() / len(labels)))
