"""The noise floor against the enumeration of all outcomes, and its rate of false alarms."""

from itertools import pairwise, product
from math import prod

import numpy as np
import pytest

from helpers.metrics import METRICS, noise_floor, simulate_calibrated

DEFINITIONS = {name: each.definition for name, each in METRICS.items() if each.definition}
ONE = np.array([[0.05, 0.3, 0.35, 0.5, 0.71, 0.78, 0.9, 0.99]])
SEVERAL = np.array([[0.2, 0.5, 0.66, 0.9, 1.0], [0.3, 0.5, 0.6, 0.35, 0.97], [0, 0.8, 0.9, 1, 1]])


def enumerate_outcomes(confidence):
    """Return every outcome bool (K, N), one uniform number per image, and its probability."""
    choices = []
    for column in confidence.T:
        cuts = [0, *sorted(column), 1]
        choices.append([(b - a, (a + b) / 2 < column) for a, b in pairwise(cuts) if b > a])
    for outcome in product(*choices):
        correct = np.stack([right for _, right in outcome], axis=1)
        yield correct, prod(chance for chance, _ in outcome)


@pytest.mark.parametrize("confidence", [ONE, SEVERAL], ids=["one condition", "three conditions"])
def test_simulation_agrees_with_the_exact_distribution(confidence):
    draws, outcomes = 20_000, list(enumerate_outcomes(confidence))
    chances = np.array([chance for _, chance in outcomes])
    simulated = simulate_calibrated(confidence, DEFINITIONS, draws)
    for name, definition in DEFINITIONS.items():
        scores = np.array([
            np.mean([definition(*rows) for rows in zip(confidence, correct, strict=True)])
            for correct, _ in outcomes
        ])  # fmt: skip
        exact = (chances * scores).sum()
        error = np.sqrt((chances * (scores - exact) ** 2).sum() / draws)
        assert simulated[name].mean() == pytest.approx(exact, abs=4 * error + 1e-12), name
        floor, sizes = noise_floor(confidence, name, draws=draws), np.abs(scores)
        assert floor.mean == pytest.approx((chances * sizes).sum(), rel=0.05, abs=1e-12), name
        assert chances[sizes <= floor.high + 1e-9].sum() > 0.94, name
        assert chances[sizes < floor.high - 1e-9].sum() < 0.96, name


@pytest.mark.parametrize("name", DEFINITIONS)
def test_floor_covers_calibrated_data_and_not_others(name):
    rng = np.random.default_rng(11)
    confidence = 1 - 0.6 * rng.random(600) ** 2
    floor, score = noise_floor(confidence, name), DEFINITIONS[name]
    uniform = rng.random((1500, 600))
    inside = np.mean([abs(score(confidence, row < confidence)) <= floor.high for row in uniform])
    assert 0.93 < inside < 0.97
    # 15 points over-confident; the largest gap, of the emptiest bin, is less sensitive to it.
    boastful = [row < confidence - 0.15 for row in uniform]
    off = np.mean([abs(score(confidence, correct)) <= floor.high for correct in boastful])
    assert off < (0.6 if name.startswith("maximum") else 0.01)
    assert noise_floor(np.ones(30), name) == (0, 0)  # a sure network has no noise


def test_draws_are_those_of_the_stored_records():
    # The floor that the version which wrote the first records gives.
    confidence = 0.4 + 0.6 * np.arange(1, 1001) / 1000
    assert noise_floor(confidence) == pytest.approx((0.0310275751, 0.0464924085), abs=1e-9)
    one = simulate_calibrated(confidence, draws=50)["rms_calibration_error_10"]
    two = simulate_calibrated(np.stack([confidence / 2, confidence]), draws=50)
    np.testing.assert_array_equal(one, two["rms_calibration_error_10"][1:])
    with pytest.raises(ValueError, match="no images"):
        noise_floor(np.zeros((2, 0)))
