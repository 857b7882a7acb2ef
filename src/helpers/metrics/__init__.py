"""Metrics of stored logits, with noise floors and intervals; based on numpy and scipy alone."""

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
