"""Calibration error: how far confidence lies from accuracy, in every definition in use.

All definitions put the images into bins by their confidence and join the gaps of the bins. They
differ in the bins (of equal width or of equal count) and in how they join the gaps.
"""

import numpy as np

from .bins import (
    equal_count,
    equal_width,
    join_absolutes,
    join_debiased,
    join_maximum,
    join_signed,
    join_squares,
    join_squares_without_last,
)


def rms_calibration_error(confidence: np.ndarray, correct: np.ndarray, bins: int = 10) -> float:
    r"""Return the root-mean-square calibration error over equal-width bins of the confidence.

    .. math:: \sqrt{\sum_{i=1}^{M} b_i \, (p_i - c_i)^2}

    with :math:`b_i` the fraction of the images in bin i, :math:`p_i` their accuracy and
    :math:`c_i` their mean confidence. Bin i of M is :math:`((i-1)/M, i/M]`: a confidence of
    exactly 0 falls into the first one, one of exactly 1 into the last. An empty bin adds nothing.

    Parameters
    ----------
    confidence : float (N,), the top-1 probabilities
    correct : bool (N,), whether the top-1 class is the label
    bins : number of bins M

    Returns
    -------
    float in [0, 1], a fraction

    Raises
    ------
    ValueError : for no images at all

    Source: equation 1 of the paper. Ten equal-width bins are its authors' choice, taken with
    torchmetrics' ``CalibrationError(norm="l2", n_bins=10)``. At the time of the paper (up to 0.11)
    its bins were these. Since 1.0 they are :math:`[(i-1)/M, i/M)`, and a confidence of exactly 1
    has a bin of its own; its multiclass form rounds to float32 before, so that .99999999 is 1.
    """
    return equal_width(bins, join_squares)(confidence, correct)


def expected_calibration_error(
    confidence: np.ndarray, correct: np.ndarray, bins: int = 15
) -> float:
    """Return the mean absolute gap over equal-width bins, weighted by the images in each (ECE).

    Parameters, Returns and Raises as for `rms_calibration_error`, which it never
    exceeds in the same bins.

    Source: Naeini, Cooper and Hauskrecht 2015; 15 bins as in Guo et al. 2017.
    """
    return equal_width(bins, join_absolutes)(confidence, correct)


def maximum_calibration_error(confidence: np.ndarray, correct: np.ndarray, bins: int = 15) -> float:
    """Return the largest absolute gap of any equal-width bin (MCE), however few images it holds.

    Parameters, Returns and Raises as for `rms_calibration_error`, which never
    exceeds it in the same bins.

    Source: Naeini, Cooper and Hauskrecht 2015; 15 bins as in Guo et al. 2017.
    """
    return equal_width(bins, join_maximum)(confidence, correct)


def debiased_calibration_error(
    confidence: np.ndarray, correct: np.ndarray, bins: int = 10
) -> float:
    """Return the RMS calibration error over equal-width bins, less what chance adds to its square.

    From each squared gap it takes p (1 - p) / (n - 1), the estimated variance of the accuracy p
    of the bin's n images, so that the square is unbiased. A bin of one image has no such estimate
    and adds nothing, but its image counts in N. A negative sum gives 0.

    Parameters, Returns and Raises as for `rms_calibration_error`, which it never
    exceeds in the same bins.

    Source: Kumar, Liang and Ma 2019, Verified uncertainty calibration; single images and negative
    sums as in their code (p-lambda/verified_calibration, ``unbiased_l2_ce``). Their bins are of
    equal count by default; here they are the paper's, so that the bias alone differs.
    """
    return equal_width(bins, join_debiased)(confidence, correct)


def equal_count_calibration_error(
    confidence: np.ndarray, correct: np.ndarray, size: int = 100, last: bool = True
) -> float:
    """Return the root-mean-square calibration error over bins of equal count.

    Parameters
    ----------
    confidence, correct : as for `rms_calibration_error`
    size : images a bin, in the order of confidence; the last bin also takes what is left over.
        Images of equal confidence keep their order in the data.
    last : whether the last bin, of the highest confidences, counts

    Returns
    -------
    float in [0, 1], a fraction. Without the last bin the weights of the others still are fractions
    of all N images; where there is one bin only (N < 2 * size) the error is then 0.

    Raises
    ------
    ValueError : for no images at all

    Source: Hendrycks, Mazeika and Dietterich 2019, Deep anomaly detection with outlier exposure.
    Their code (hendrycks/outlier-exposure, ``utils/calibration_tools.py``) leaves the last bin
    out, orders ties by an unstable sort, and fails below 100 images.
    """
    join = join_squares if last else join_squares_without_last
    return equal_count(size, join)(confidence, correct)


def signed_calibration_gap(confidence: np.ndarray, correct: np.ndarray) -> float:
    """Return mean confidence minus accuracy, in [-1, 1]: above 0 over-, below 0 under-confident.

    Parameters and Raises as for `rms_calibration_error`, which is at least its absolute value.
    """
    return equal_width(1, join_signed)(confidence, correct)


#: The definitions that the report shows side by side, each a function of confidence and correct.
CALIBRATION_SCORES = {
    "rms_calibration_error_10": equal_width(10, join_squares),
    "rms_calibration_error_15": equal_width(15, join_squares),
    "rms_calibration_error_equal_count_100": equal_count(100, join_squares),
    "rms_calibration_error_equal_count_100_without_last": equal_count(
        100, join_squares_without_last
    ),
    "debiased_rms_calibration_error_10": equal_width(10, join_debiased),
    "expected_calibration_error_15": equal_width(15, join_absolutes),
    "maximum_calibration_error_15": equal_width(15, join_maximum),
    "signed_calibration_gap": equal_width(1, join_signed),
}
