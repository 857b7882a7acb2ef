"""Accuracy, confidence and proper scores of logits; and all scores of a table at once."""

import numpy as np
from scipy import special

from .calibration import CALIBRATION_SCORES


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
    return special.softmax(np.asarray(logits, dtype=np.float64), axis=-1)


def centre(logits: np.ndarray) -> np.ndarray:
    """Return the logits less each image's largest one, a row a class.

    Parameters
    ----------
    logits : float (..., C)

    Returns
    -------
    float64 (C, ...): numpy goes over a few long rows several times faster than over many short ones
    """
    logit = np.array(np.moveaxis(logits, -1, 0), dtype=np.float64, order="C")
    return logit - logit.max(axis=0)


def confidence(logits: np.ndarray) -> np.ndarray:
    """Return the top-1 probability of each row of logits: float64 (...,) in [1/C, 1]."""
    return 1 / np.exp(centre(logits)).sum(axis=0)


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


def balanced_accuracy(logits: np.ndarray, labels: np.ndarray) -> float:
    """Return the mean, over the classes that occur in the labels, of the fraction found.

    Parameters
    ----------
    logits : float (N, C)
    labels : int (N,)

    Returns
    -------
    float in [0, 1], a fraction

    Source: Brodersen et al. 2010, The balanced accuracy and its posterior distribution. A class
    without an image counts for nothing, as in scikit-learn.
    """
    return _balance(correct(logits, labels), labels)


def _balance(right: np.ndarray, labels: np.ndarray) -> float:
    count = np.bincount(labels)
    occurs = count > 0
    return float((np.bincount(labels, weights=right)[occurs] / count[occurs]).mean())


def negative_log_likelihood(logits: np.ndarray, labels: np.ndarray) -> float:
    """Return the mean of -ln(probability of the label).

    Parameters
    ----------
    logits : float (N, C)
    labels : int (N,)

    Returns
    -------
    float, at least 0, in nats. Taken from the log-softmax in float64: finite for every finite
    float16 logit, also where the probability itself rounds to 0.

    Source: Good 1952, Rational decisions.
    """
    return judge(logits, labels)[2]["negative_log_likelihood"]


def brier_score(logits: np.ndarray, labels: np.ndarray) -> float:
    """Return the mean squared distance between the class probabilities and the label.

    Parameters
    ----------
    logits : float (N, C)
    labels : int (N,)

    Returns
    -------
    float in [0, 2]: summed over all classes, not halved and not averaged over them

    Source: Brier 1950, Verification of forecasts expressed in terms of probability.
    """
    return judge(logits, labels)[2]["brier_score"]


def describe(logits: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Return every score of one test set under one condition.

    Parameters
    ----------
    logits : float (N, C)
    labels : int (N,)

    Returns
    -------
    accuracy, balanced_accuracy, negative_log_likelihood, brier_score, and the names of
    `CALIBRATION_SCORES`, in this order

    Raises
    ------
    ValueError : for no images at all
    """
    if len(labels) == 0:
        raise ValueError("the scores of no images are not defined")
    top, right, proper = judge(logits, labels)
    calibration = {name: score(top, right) for name, score in CALIBRATION_SCORES.items()}
    return proper | calibration


def judge(
    logits: np.ndarray, labels: np.ndarray
) -> tuple[np.ndarray, np.ndarray, dict[str, float]]:
    """Return confidence, correct, and the scores that are not of them alone, for one softmax.

    Parameters
    ----------
    logits : float (N, C)
    labels : int (N,)

    Returns
    -------
    confidence : float64 (N,)
    correct : bool (N,)
    accuracy, balanced_accuracy, negative_log_likelihood, brier_score
    """
    logit = centre(logits)
    weight = np.exp(logit)
    total = weight.sum(axis=0)
    logit_of_label = logit[labels, np.arange(len(labels))]
    probability_of_label = np.exp(logit_of_label) / total
    brier = (weight**2).sum(axis=0) / total**2 - 2 * probability_of_label + 1
    right = logit.argmax(axis=0) == labels
    scores = {
        "accuracy": float(right.mean()),
        "balanced_accuracy": _balance(right, labels),
        "negative_log_likelihood": float((np.log(total) - logit_of_label).mean()),
        "brier_score": float(brier.mean()),
    }
    return 1 / total, right, scores
