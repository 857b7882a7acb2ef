"""Scores of one network's predictions, and the registry of all metrics of the report."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from .calibration import (
    Definition,
    debiased_rms,
    equal_count,
    equal_width,
    maximum,
    mean_absolute,
    mean_signed,
    rms,
)
from .intervals import Sample


def shift_logits(logits: np.ndarray) -> np.ndarray:
    """Return the logits (N, C) minus each image's largest one, as float64 (C, N).

    No finite float16 overflows the exponential then. Classes come first because numpy reduces few
    long rows several times faster than many short ones.
    """
    logit = np.array(np.transpose(logits), dtype=np.float64, order="C")
    return logit - logit.max(axis=0)


class Outcome:
    """Predictions of one network for N labelled images under one condition, from one softmax.

    Takes logits, any float (N, C), and labels, int (N,). Has ``probabilities``, float64 (N, C);
    ``confidence``, float64 (N,), the top-1 probabilities; ``correct``, bool (N,), whether the top-1
    class (the lowest of tied ones) is the label; and ``log_loss``, float64 (N,), -ln(probability of
    the label) in nats, finite even if the probability rounds to 0. Raises ValueError for no images.
    """

    def __init__(self, logits: np.ndarray, labels: np.ndarray):
        if len(labels) == 0:
            raise ValueError("the scores of no images are not defined")
        shifted = shift_logits(logits)
        weight = np.exp(shifted)
        total = weight.sum(axis=0)
        self.labels = np.asarray(labels)
        self.probabilities = (weight / total).T
        self.confidence = 1 / total
        self.correct = shifted.argmax(axis=0) == self.labels
        self.log_loss = np.log(total) - shifted[self.labels, np.arange(len(self.labels))]


@dataclass(frozen=True)
class Metric:
    """One metric: its formula, and its appearance in tables."""

    title: str
    #: score, a fraction rather than percent, and the influence of each image on it, float32 (N,),
    #: see `intervals.Sample`; None leaves the test images out of the metric's intervals
    measure: Callable[[Outcome], tuple[float, np.ndarray | None]]
    digits: int = 3  # decimals in tables
    percent: bool = False  # shown in percent
    better: int = -1  # 1: higher is better, -1: lower is better, 0: nearer to zero is better
    bounds: tuple[float, float] = (0.0, 1.0)  # smallest and largest possible score
    definition: Definition | None = None  # of a calibration error, for its noise floor

    def sample(self, seeds: Sequence[int], outcomes: Sequence[Outcome]) -> Sample:
        """Return the scores of the outcomes, one per seed for the same images, as a sample."""
        values, influence = zip(*map(self.measure, outcomes), strict=True)
        stacked = None if influence[0] is None else np.stack(influence)
        return Sample(tuple(seeds), np.array(values, dtype=np.float64), stacked)


def mean_metric(title: str, value: Callable[[Outcome], np.ndarray], **options) -> Metric:
    """Return the metric that averages `value`, float (N,), over the images."""

    def measure(outcome: Outcome) -> tuple[float, np.ndarray]:
        each = value(outcome)
        return float(each.mean()), (each - each.mean()).astype(np.float32)

    return Metric(title, measure, **options)


def calibration_metric(title: str, definition: Definition, **options) -> Metric:
    """Return the metric of a calibration error."""

    def measure(outcome: Outcome) -> tuple[float, np.ndarray | None]:
        return definition.measure(outcome.confidence, outcome.correct)

    return Metric(title, measure, definition=definition, **options)


def _brier(outcome: Outcome) -> np.ndarray:
    label = np.take_along_axis(outcome.probabilities, outcome.labels[:, None], axis=1)[:, 0]
    return np.einsum("nc,nc->n", outcome.probabilities, outcome.probabilities) - 2 * label + 1


def _balanced_accuracy(outcome: Outcome) -> tuple[float, np.ndarray]:
    _, index, count = np.unique(outcome.labels, return_inverse=True, return_counts=True)
    recall = np.bincount(index, weights=outcome.correct) / count
    weight = len(index) / (len(count) * count)
    influence = weight[index] * (outcome.correct - recall[index])
    return float(recall.mean()), influence.astype(np.float32)


#: All metrics of the report by name; an entry adds one to all tables.
#:
#: Sources: balanced accuracy (mean recall of the classes that occur), Brodersen et al. 2010;
#: negative log-likelihood, Good 1952; Brier score (summed over classes), Brier 1950; RMS, the
#: paper; bins of equal count, Hendrycks, Mazeika and Dietterich 2019; ECE and MCE, Naeini et al.
#: 2015, with the 15 bins of Guo et al. 2017.
METRICS: dict[str, Metric] = {
    "accuracy": mean_metric(
        "Accuracy", lambda outcome: outcome.correct, digits=1, percent=True, better=1
    ),
    "balanced_accuracy": Metric(
        "Balanced accuracy", _balanced_accuracy, digits=1, percent=True, better=1
    ),
    "negative_log_likelihood": mean_metric(
        "Negative log-likelihood", lambda outcome: outcome.log_loss, bounds=(0.0, np.inf)
    ),
    "brier_score": mean_metric("Brier score", _brier, bounds=(0.0, 2.0)),
    "rms_calibration_error_10": calibration_metric(
        "RMS calibration error, 10 bins (the paper's)", equal_width(10, rms)
    ),
    "rms_calibration_error_15": calibration_metric(
        "RMS calibration error, 15 bins", equal_width(15, rms)
    ),
    "rms_calibration_error_equal_count_100": calibration_metric(
        "RMS calibration error, 100 images per bin", equal_count(100, rms)
    ),
    "debiased_rms_calibration_error_10": calibration_metric(
        "Debiased RMS calibration error, 10 bins", equal_width(10, debiased_rms)
    ),
    "expected_calibration_error_15": calibration_metric(
        "Expected calibration error (ECE), 15 bins", equal_width(15, mean_absolute)
    ),
    "maximum_calibration_error_15": calibration_metric(
        "Maximum calibration error (MCE), 15 bins", equal_width(15, maximum)
    ),
    "signed_calibration_gap": calibration_metric(
        "Signed calibration gap", equal_width(1, mean_signed), better=0, bounds=(-1.0, 1.0)
    ),
}
