"""Metrics of stored logits, with noise floors and intervals; based on numpy and scipy alone."""

# ruff: noqa: F401 (names for callers)

from .calibration import rms_calibration_error
from .intervals import Sample, holm, mean_samples, predict_next
from .noise_floor import find_floor, noise_floor, simulate_calibrated
from .scores import METRICS, Outcome
from .selective import risk_coverage
from .temperature import fit_temperature
