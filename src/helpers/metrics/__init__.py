"""Scores of stored logits: numpy functions that know nothing of networks, files or pages."""

from .calibration import rms_calibration_error
from .scores import accuracy, confidence, softmax

__all__ = ["accuracy", "confidence", "rms_calibration_error", "softmax"]
