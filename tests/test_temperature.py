"""Temperature scaling, against closed forms and a general minimiser."""

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from scipy.optimize import minimize_scalar
from scipy.special import logsumexp

from helpers.metrics import accuracy, fit_temperature, negative_log_likelihood


def minimise(logits: np.ndarray, labels: np.ndarray) -> float:
    """Return the temperature in the same bounds, found without a slope."""

    def loss(log_temperature):
        scaled = logits.astype(float) / np.exp(log_temperature)
        return (logsumexp(scaled, axis=1) - scaled[np.arange(len(labels)), labels]).mean()

    bounds = np.log([0.05, 20])
    return np.exp(minimize_scalar(loss, bounds=bounds, options={"xatol": 1e-10}).x)


@pytest.mark.parametrize("gap", [0.5, 4, 20])
def test_hand_worked_case(gap):
    # Two classes, the first ahead by the gap, right 3 times in 4: softmax(gap / T) = 3/4.
    logits, labels = np.array([[gap, 0.0]] * 4), np.array([0, 0, 0, 1])
    assert fit_temperature(logits, labels) == pytest.approx(gap / np.log(3), rel=1e-9)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.integers(2, 12), st.floats(0.3, 8), st.floats(0.5, 3), st.integers(0, 2**32 - 1))
def test_agrees_with_a_general_minimiser(classes, scale, signal, seed):
    rng = np.random.default_rng(seed)
    labels = rng.integers(classes, size=150)
    # Without a signal the minimum is so flat that the minimiser finds four or five digits of it.
    logits = rng.normal(size=(150, classes)) + signal * np.eye(classes)[labels]
    logits = (scale * logits).astype(np.float16)
    ours, theirs = fit_temperature(logits, labels), minimise(logits, labels)
    assert ours == pytest.approx(theirs, rel=1e-6)
    scaled = logits.astype(float) / ours
    assert negative_log_likelihood(scaled, labels) <= negative_log_likelihood(logits, labels) + 1e-9
    assert accuracy(scaled, labels) == accuracy(logits, labels)


def test_finds_the_temperature_that_made_the_labels():
    rng = np.random.default_rng(0)
    logits = 6 * rng.normal(size=(40_000, 5))
    labels = (logits / 2.5 + rng.gumbel(size=logits.shape)).argmax(axis=1)
    assert fit_temperature(logits, labels) == pytest.approx(2.5, rel=0.02)


def test_the_largest_float16_logits():
    # Ahead by 131,008, right half the time and wrong half the time: no temperature is high enough.
    logits = np.array([[65504, -65504]] * 2, dtype=np.float16)
    assert fit_temperature(logits, np.array([0, 1])) == 20
    assert fit_temperature(logits, np.array([0, 0])) == 0.05


@pytest.mark.parametrize(
    ("logits", "labels", "expected"),
    [
        ([[2, 1], [0, 3]], [0, 1], 0.05),  # every image right: the sharper the better
        ([[2, 1], [0, 3]], [1, 0], 20),  # every image wrong: the softer the better
        ([[2, 1]], [0], 0.05),
        ([[5], [7]], [0, 0], 0.05),  # one class: all temperatures are alike
        ([[1, 1], [3, 3]], [0, 1], 0.05),
    ],
)
def test_the_bounds(logits, labels, expected):
    assert fit_temperature(np.array(logits, dtype=np.float16), np.array(labels)) == expected


def test_no_images_are_refused():
    with pytest.raises(ValueError, match="no images"):
        fit_temperature(np.zeros((0, 3)), np.zeros(0, dtype=int))
