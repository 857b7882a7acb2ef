"""Temperature scaling against closed forms and a grid."""

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from scipy.special import logsumexp

from helpers.metrics import Outcome, fit_temperature


@pytest.mark.parametrize("gap", [0.5, 4, 20])
def test_hand_worked_case(gap):
    # Two classes, the first ahead by the gap, right 3 times in 4: softmax(gap / T) = 3/4.
    logits, labels = np.array([[gap, 0.0]] * 4), np.array([0, 0, 0, 1])
    assert fit_temperature(logits, labels) == pytest.approx(gap / np.log(3), rel=1e-9)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.integers(2, 12), st.floats(0.3, 8), st.floats(0, 3), st.integers(0, 2**32 - 1))
def test_no_temperature_of_a_grid_is_better(classes, scale, signal, seed):
    rng = np.random.default_rng(seed)
    labels = rng.integers(classes, size=150)
    logits = rng.normal(size=(150, classes)) + signal * np.eye(classes)[labels]
    logits = (scale * logits).astype(np.float16)
    fitted = fit_temperature(logits, labels)

    def loss(temperatures):
        scaled = logits.astype(float) / np.reshape(temperatures, (-1, 1, 1))
        return (logsumexp(scaled, axis=2) - scaled[:, range(150), labels]).mean(axis=1)

    grid = np.geomspace(0.05, 20, 400)
    assert loss(fitted)[0] <= loss(grid).min() + 1e-12
    scaled = Outcome(logits.astype(float) / fitted, labels).correct
    np.testing.assert_array_equal(scaled, Outcome(logits, labels).correct)


@pytest.mark.parametrize(("logits", "labels", "expected"), [
    ([[2, 1], [0, 3]], [0, 1], 0.05),  # every image right: sharper is always better
    ([[2, 1], [0, 3]], [1, 0], 20),  # every image wrong: softer is always better
    ([[5], [7]], [0, 0], 0.05),  # one class: the temperature has no effect
    ([[65504, -65504]] * 2, [0, 1], 20),  # the largest float16 gap, half of it wrong
])  # fmt: skip
def test_bounds(logits, labels, expected):
    assert fit_temperature(np.array(logits, dtype=np.float16), np.array(labels)) == expected
    with pytest.raises(ValueError, match="no images"):
        fit_temperature(np.zeros((0, 3)), np.zeros(0, dtype=int))
