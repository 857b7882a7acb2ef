import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from torchmetrics.functional.classification import multiclass_calibration_error

from helpers.metrics import accuracy, confidence, rms_calibration_error, softmax


def logits_of(confidences: list[float]) -> np.ndarray:
    """Two-class logits whose first class has the given probability."""
    p = np.array(confidences)
    return np.stack([np.log(p), np.log1p(-p)], axis=1)


def test_hand_worked_case():
    # Bin (.6, .7]: confidences .62 and .68, one right: gap .5 - .65 = -.15, weight 2/4.
    # Bin (.9, 1]: .95 and .91, both right: gap 1 - .93 = .07, weight 2/4.
    logits = logits_of([0.62, 0.68, 0.95, 0.91])
    labels = np.array([0, 1, 0, 0])
    expected = np.sqrt(0.5 * 0.15**2 + 0.5 * 0.07**2)
    assert rms_calibration_error(logits, labels) == pytest.approx(expected, abs=1e-12)
    assert accuracy(logits, labels) == 0.75


def test_bins_are_closed_on_the_right():
    # .75 and .5 are exact in binary: with four bins .75 shares (.5, .75] with .7, and .5 does not.
    logits = logits_of([0.5, 0.7, 0.75])
    labels = np.array([0, 0, 1])
    expected = np.sqrt((0.5**2 + 2 * (0.5 - 0.725) ** 2) / 3)
    assert rms_calibration_error(logits, labels, bins=4) == pytest.approx(expected, abs=1e-12)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 300), st.integers(2, 12), st.floats(0.1, 20), st.integers(0, 2**32 - 1))
def test_agrees_with_torchmetrics(images, classes, scale, seed):
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(images, classes)) * scale
    labels = rng.integers(classes, size=images)
    probabilities = torch.from_numpy(softmax(logits))
    # torchmetrics computes in float32 and puts a confidence of exactly 1 into a bin of its own.
    probabilities = probabilities.clamp(max=1 - 1e-7)
    theirs = multiclass_calibration_error(
        probabilities, torch.from_numpy(labels), classes, n_bins=10, norm="l2"
    )
    assert rms_calibration_error(logits, labels) == pytest.approx(float(theirs), abs=1e-6)


def test_sure_and_right_is_perfect_and_sure_and_wrong_is_the_worst():
    logits = np.array([[1000.0, 0], [1000, 0]], dtype=np.float16)
    assert rms_calibration_error(logits, np.array([0, 0])) == 0
    assert rms_calibration_error(logits, np.array([1, 1])) == 1


def test_no_image_is_refused():
    with pytest.raises(ValueError, match="no images"):
        rms_calibration_error(np.zeros((0, 3)), np.zeros(0, dtype=int))


def test_softmax_of_large_float16_is_finite():
    logits = np.array([[65504, -65504, 65504]], dtype=np.float16)
    np.testing.assert_allclose(softmax(logits), [[0.5, 0, 0.5]])
    assert confidence(logits) == 0.5


def test_accuracy_over_conditions():
    logits = np.array([[[2, 1], [0, 3]], [[0, 1], [0, 3]]])
    np.testing.assert_array_equal(accuracy(logits, np.array([0, 1])), [1.0, 0.5])
