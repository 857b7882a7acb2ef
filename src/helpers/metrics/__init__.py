"""Metrics of stored logits, their noise floors and confidence intervals, with numpy and scipy alone."""

# ruff: noqa: F401 (names for callers)

from .calibration import Definition, assign_equal_width, rms_calibration_error
from .intervals import Estimate, Sample, VarianceComponent, holm, mean_samples, predict_next
from .noise_floor import Floor, find_floor, noise_floor, simulate_calibrated
from .scores import (
    METRICS,
    Metric,
    Outcome,
    accuracy,
    all_scores,
    calibration_metric,
    confidence,
    is_correct,
    mean_metric,
    softmax,
)
from .selective import risk_coverage
from .temperature import fit_temperature

#: Definitions of the calibration error by name of the metric.
CALIBRATION_SCORES = {
    name: metric.definition for name, metric in METRICS.items() if metric.definition
}

# The remaining names serve old callers, until the second house is done.
correct, describe, simulate_each = is_correct, all_scores, simulate_calibrated
rms_influence = CALIBRATION_SCORES["rms_calibration_error_10"].influence


def accuracy_influence(correct):
    """Alias for METRICS["accuracy"].influence, of bool (N,)."""
    return (correct - correct.mean()).astype("float32")


def judge(logits, labels):
    """Alias: confidence, correct and the scores other than calibration errors."""
    outcome, scores = Outcome(logits, labels), all_scores(logits, labels)
    others = {name: scores[name] for name in scores if name not in CALIBRATION_SCORES}
    return outcome.confidence, outcome.correct, others


score_logits = judge
# End of the names for old callers.
