"""Scores of stored logits: numpy functions that know nothing of networks, files or pages."""

from .calibration import (
    CALIBRATION_SCORES,
    debiased_calibration_error,
    equal_count_calibration_error,
    expected_calibration_error,
    maximum_calibration_error,
    rms_calibration_error,
    signed_calibration_gap,
)
from .influence import accuracy_influence, rms_influence
from .intervals import Estimate, Sample, holm, mean_samples, predict_next
from .noise import Floor, find_floor, noise_floor, simulate_calibrated, simulate_each
from .scores import (
    accuracy,
    balanced_accuracy,
    brier_score,
    confidence,
    correct,
    describe,
    judge,
    negative_log_likelihood,
    softmax,
)
from .selective import risk_coverage
from .temperature import fit_temperature

__all__ = [
    "CALIBRATION_SCORES",
    "Estimate",
    "Floor",
    "Sample",
    "accuracy",
    "accuracy_influence",
    "balanced_accuracy",
    "brier_score",
    "confidence",
    "correct",
    "debiased_calibration_error",
    "describe",
    "equal_count_calibration_error",
    "expected_calibration_error",
    "find_floor",
    "fit_temperature",
    "holm",
    "judge",
    "maximum_calibration_error",
    "mean_samples",
    "negative_log_likelihood",
    "noise_floor",
    "predict_next",
    "risk_coverage",
    "rms_calibration_error",
    "rms_influence",
    "signed_calibration_gap",
    "simulate_calibrated",
    "simulate_each",
    "softmax",
]
