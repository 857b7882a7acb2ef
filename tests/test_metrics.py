"""Scores of logits, against scikit-learn, torch and loops in plain Python."""

import math
import warnings
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from sklearn.metrics import balanced_accuracy_score, brier_score_loss, log_loss

from helpers import metrics

#: Logits (N, C) and labels (N,) at the rims of what a record can hold.
EXTREMES = {
    "largest float16": (np.array([[65504, -65504, 65504], [-65504, 65504, 0]], np.float16), [2, 1]),
    "hopeless": (np.array([[65504, -65504], [-65504, 65504]], np.float16), [1, 0]),
    "all equal": (np.zeros((4, 3), np.float16), [0, 1, 2, 2]),
    "one image": (np.array([[1.5, -0.25, 3]], np.float16), [1]),
    "one class": (np.array([[3.0], [-7], [0]], np.float16), [0, 0, 0]),
    "one label": (np.array([[1.0, 2], [2, 1], [0, 3]], np.float16), [1, 1, 1]),
    "smallest float16": (np.array([[6e-8, 0], [0, 6e-8], [-6e-8, 0]], np.float16), [0, 0, 0]),
}


@pytest.fixture(params=EXTREMES)
def extreme(request):
    logits, labels = EXTREMES[request.param]
    return logits, np.array(labels)


@st.composite
def batches(draw):
    """Random float16 logits (N, C), sharp or soft, and labels (N,); rounded, so that some tie."""
    images, classes = draw(st.integers(1, 200)), draw(st.integers(2, 12))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    logits = (rng.normal(size=(images, classes)) * draw(st.floats(0.1, 4))).round(1)
    return logits.astype(np.float16), rng.integers(classes, size=images)


def exact_softmax(row: np.ndarray) -> list[float]:
    """Softmax in plain Python: the differences of float16 numbers are exact, as fractions."""
    top = max(Fraction(float(value)) for value in row)
    parts = [math.exp(float(Fraction(float(value)) - top)) for value in row]
    return [part / math.fsum(parts) for part in parts]


def test_every_name_is_exported():
    assert sorted(metrics.__all__) == metrics.__all__
    for name in metrics.__all__:
        assert hasattr(metrics, name)


def test_softmax_and_confidence_at_extremes(extreme):
    logits, _ = extreme
    expected = [exact_softmax(row) for row in logits]
    np.testing.assert_allclose(metrics.softmax(logits), expected, rtol=1e-12)
    np.testing.assert_allclose(metrics.confidence(logits), np.max(expected, axis=1), rtol=1e-12)


def test_a_tie_goes_to_the_lower_class():
    logits = np.array([[1, 1, 0], [0, 1, 1]])
    np.testing.assert_array_equal(metrics.correct(logits, np.array([0, 2])), [True, False])


def test_accuracy_over_conditions():
    logits = np.array([[[2, 1], [0, 3]], [[0, 1], [0, 3]]])
    np.testing.assert_array_equal(metrics.accuracy(logits, np.array([0, 1])), [1.0, 0.5])


def test_balanced_accuracy_leaves_out_classes_without_images():
    # Class 0: one of two found; class 2: its only image found; class 1 does not occur.
    logits = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1]])
    assert metrics.balanced_accuracy(logits, np.array([0, 0, 2])) == 0.75


@settings(max_examples=60, deadline=None, derandomize=True)
@given(batches())
def test_agrees_with_scikit_learn(batch):
    logits, labels = batch
    probabilities = metrics.softmax(logits)
    predicted, names = logits.argmax(axis=1), range(logits.shape[1])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of classes that do not occur
        balanced = balanced_accuracy_score(labels, predicted)
    assert metrics.balanced_accuracy(logits, labels) == pytest.approx(balanced, abs=1e-12)
    likelihood = log_loss(labels, probabilities, labels=names)
    assert metrics.negative_log_likelihood(logits, labels) == pytest.approx(likelihood, abs=1e-6)
    brier = brier_score_loss(labels, probabilities, labels=names, scale_by_half=False)
    assert metrics.brier_score(logits, labels) == pytest.approx(brier, abs=1e-12)


def test_proper_scores_at_extremes(extreme):
    logits, labels = extreme
    # scikit-learn clips probabilities, so that a sure and wrong image costs 36 nats at most.
    doubles = torch.from_numpy(logits.astype(float))
    likelihood = torch.nn.functional.cross_entropy(doubles, torch.from_numpy(labels)).item()
    assert metrics.negative_log_likelihood(logits, labels) == pytest.approx(likelihood, rel=1e-12)
    distances = [
        (probability - (number == label)) ** 2
        for row, label in zip(logits, labels, strict=True)
        for number, probability in enumerate(exact_softmax(row))
    ]
    brier = math.fsum(distances) / len(labels)
    assert metrics.brier_score(logits, labels) == pytest.approx(brier, abs=1e-12)


def test_hand_worked_proper_scores():
    # Probabilities (3/4, 1/4) and (1/2, 1/2), labels 1 and 0.
    logits, labels = np.log([[3, 1], [1, 1]]), np.array([1, 0])
    assert metrics.negative_log_likelihood(logits, labels) == pytest.approx(math.log(8) / 2)
    assert metrics.brier_score(logits, labels) == pytest.approx((2 * 0.75**2 + 2 * 0.5**2) / 2)


def test_a_sure_and_wrong_image_costs_the_difference_of_its_logits():
    logits = np.array([[65504, -65504]], np.float16)
    assert metrics.negative_log_likelihood(logits, np.array([1])) == 2 * 65504
    assert metrics.brier_score(logits, np.array([1])) == 2


def test_describe_gives_all_scores_in_the_documented_order(extreme):
    logits, labels = extreme
    scores = metrics.describe(logits, labels)
    assert list(scores) == [
        "accuracy",
        "balanced_accuracy",
        "negative_log_likelihood",
        "brier_score",
        "rms_calibration_error_10",
        "rms_calibration_error_15",
        "rms_calibration_error_equal_count_100",
        "rms_calibration_error_equal_count_100_without_last",
        "debiased_rms_calibration_error_10",
        "expected_calibration_error_15",
        "maximum_calibration_error_15",
        "signed_calibration_gap",
    ]
    assert all(type(value) is float and math.isfinite(value) for value in scores.values())
    for name in ("accuracy", "balanced_accuracy", "negative_log_likelihood", "brier_score"):
        assert scores[name] == getattr(metrics, name)(logits, labels)
    top, right = metrics.confidence(logits), metrics.correct(logits, labels)
    for name, definition in metrics.CALIBRATION_SCORES.items():
        assert scores[name] == definition(top, right)


def test_describe_refuses_no_images():
    with pytest.raises(ValueError, match="no images"):
        metrics.describe(np.zeros((0, 3)), np.zeros(0, dtype=int))
