"""The noise floor, against the enumeration of all outcomes, and its rate of false alarms."""

from itertools import pairwise, product
from math import prod

import numpy as np
import pytest

from helpers.metrics import CALIBRATION_SCORES, noise_floor, simulate_calibrated

ONE = np.array([[0.05, 0.3, 0.35, 0.5, 0.71, 0.78, 0.9, 0.99]])
SEVERAL = np.array([[0.2, 0.5, 0.66, 0.9, 1.0], [0.3, 0.5, 0.6, 0.35, 0.97], [0, 0.8, 0.9, 1, 1]])


def enumerate_outcomes(confidence: np.ndarray, definition: str) -> tuple[np.ndarray, np.ndarray]:
    """Return every value of the score's mean over the K conditions, and its probability.

    An image is right under those conditions whose confidence exceeds its uniform number. That
    number lies in one of K + 1 pieces; the images' numbers are independent.
    """
    choices = []
    for column in confidence.T:
        cuts = [0, *sorted(column), 1]
        choices.append([(b - a, (a + b) / 2 < column) for a, b in pairwise(cuts) if b > a])
    scores, chances = [], []
    for outcome in product(*choices):
        correct = np.stack([right for _, right in outcome], axis=1)
        rows = zip(confidence, correct, strict=True)
        scores.append(np.mean([CALIBRATION_SCORES[definition](*row) for row in rows]))
        chances.append(prod(chance for chance, _ in outcome))
    assert sum(chances) == pytest.approx(1)
    return np.array(scores), np.array(chances)


@pytest.mark.parametrize("definition", CALIBRATION_SCORES)
@pytest.mark.parametrize("confidence", [ONE, SEVERAL], ids=["one condition", "three conditions"])
def test_simulation_agrees_with_the_exact_distribution(confidence, definition):
    draws = 20_000
    scores, chances = enumerate_outcomes(confidence, definition)
    simulated = simulate_calibrated(confidence, definition, draws).mean(axis=0)
    # Mean and mean square, each within four standard errors.
    for power in (1, 2):
        exact = (chances * scores**power).sum()
        spread = np.sqrt((chances * (scores**power - exact) ** 2).sum())
        assert (simulated**power).mean() == pytest.approx(
            exact, abs=4 * spread / np.sqrt(draws) + 1e-12
        )
    # The bounds hold the exact distribution: 95 % lie at or below the upper one.
    floor = noise_floor(confidence, definition, draws)
    sizes = np.abs(scores)
    assert floor.mean == pytest.approx((chances * sizes).sum(), rel=0.05, abs=1e-12)
    assert chances[sizes <= floor.high + 1e-9].sum() > 0.94
    assert chances[sizes < floor.high - 1e-9].sum() < 0.96


@pytest.mark.parametrize("definition", CALIBRATION_SCORES)
def test_calibrated_data_are_inside_and_miscalibrated_data_are_not(definition):
    rng = np.random.default_rng(11)
    confidence = 1 - 0.6 * rng.random(600) ** 2
    floor = noise_floor(confidence, definition)
    score = CALIBRATION_SCORES[definition]
    uniform = rng.random((1500, 600))
    inside = np.mean([floor.covers(score(confidence, row < confidence)) for row in uniform])
    assert 0.93 < inside < 0.97
    # 15 points over-confident; the largest gap is that of the emptiest bin, and sees it less.
    off = np.mean([floor.covers(score(confidence, row < confidence - 0.15)) for row in uniform])
    assert off < (0.6 if definition.startswith("maximum") else 0.01)


def test_sure_models_have_no_noise():
    for confidence in (np.ones(30), np.zeros(30)):
        for definition in CALIBRATION_SCORES:
            floor = noise_floor(confidence, definition)
            assert floor == (0, 0)
            assert floor.covers(0)
            assert not floor.covers(1e-6)


def test_either_sign_counts():
    floor = noise_floor(np.full(50, 0.7), "signed_calibration_gap")
    assert 0 < floor.mean < floor.high
    assert floor.covers(-floor.high)
    assert not floor.covers(-1.01 * floor.high)


def test_same_seed_same_floor():
    confidence = np.random.default_rng(0).random((3, 200))
    first, again = (simulate_calibrated(confidence, draws=100, seed=5) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert first.shape == (3, 100)
    assert first.dtype == np.float64
    assert not np.array_equal(first, simulate_calibrated(confidence, draws=100, seed=6))
    # One row of confidences is one condition, and does not depend on what else is asked.
    np.testing.assert_array_equal(first[1:2], simulate_calibrated(confidence[1], draws=100, seed=5))


def test_more_images_less_noise():
    confidence = np.random.default_rng(0).random(8000)
    few, many = noise_floor(confidence[:500]), noise_floor(confidence)
    # Sixteen times the images, a quarter of the noise.
    assert many.mean == pytest.approx(few.mean / 4, rel=0.1)


def test_no_images_are_refused():
    with pytest.raises(ValueError, match="no images"):
        noise_floor(np.zeros((2, 0)))
