"""Intervals cover the truth on simulated networks as often as they say."""

import numpy as np
import pytest
from scipy.stats import t

from helpers.metrics import Sample, accuracy_influence, rms_calibration_error, rms_influence


def simulate(rng, images, spread, shared, tilt):
    """Return confidence and correct, each (2, 10, N), of two arms on one draw of seeds and images.

    An image is right where ability + ease + luck > 0. `spread` is the standard deviation of a
    seed's ability and of its confidence; `shared` the part of the variance of ease and luck that
    all networks have in common; `tilt` what each arm's confidence exceeds its due by, in logits.
    """
    own = np.float32((1 - shared) ** 0.5) * rng.standard_normal((2, 2, 10, images), np.float32)
    common = np.float32(shared**0.5) * rng.standard_normal((2, images), np.float32)
    ease, luck = own + common[:, None, None]
    ability, boast = np.float32(spread) * rng.standard_normal((2, 2, 10, 1), np.float32)
    skill = np.float32([1.2, 1.6])[:, None, None]
    # 1.7 makes the logistic curve a normal one; a seed does not know its own ability.
    logit = np.float32(1.7) * (skill + boast + ease) + np.float32(tilt)[:, None, None]
    return 1 / (1 + np.exp(-logit)), skill + ability + ease + luck > 0


def measure(confidence, correct):
    """Return accuracy and RMS calibration error of one arm as samples."""
    pairs = list(zip(confidence, correct, strict=True))
    rms = np.array([rms_calibration_error(*pair) for pair in pairs])
    moved = np.stack([rms_influence(*pair) for pair in pairs])
    right = np.stack([accuracy_influence(row) for row in correct])
    seeds = tuple(range(10))
    return Sample(seeds, correct.mean(axis=1), right), Sample(seeds, rms, moved)


def cover_simulated(draws, *world):
    """Return the coverage by number of seeds and score, and that of t over the seeds' values."""
    rng = np.random.default_rng(0)
    every = []
    for _ in range(draws):
        first, second = map(measure, *simulate(rng, 471, *world))
        every.append((*first, *(b - a for a, b in zip(first, second, strict=True))))
    names = ("accuracy", "RMS", "accuracy difference", "RMS difference")
    covered, naive = {}, {}
    for name, samples in zip(names, zip(*every, strict=True), strict=True):
        truth = np.mean([each.values for each in samples])
        for seeds in (3, 5, 10):
            estimates = [
                Sample(each.seeds[part], each.values[part], each.influence[part]).estimate()
                for each in samples
                for part in (slice(n, n + seeds) for n in range(0, 11 - seeds, seeds))
            ]
            mean, deviation, low, high = np.array([estimate[:4] for estimate in estimates]).T
            half = t.ppf(0.975, seeds - 1) * deviation / np.sqrt(seeds)
            covered[seeds, name] = np.mean((low <= truth) & (truth <= high))
            naive[seeds, name] = np.mean(np.abs(mean - truth) <= half)
    return covered, naive


@pytest.mark.parametrize(
    ("spread", "shared"),
    [
        pytest.param(0.1, 0.5, id="both"),
        pytest.param(0.0, 0.5, id="no seed variance"),
        pytest.param(0.1, 0.0, id="no image variance"),
    ],
)
def test_simulated_coverage_is_93_to_97_percent(spread, shared):
    covered, naive = cover_simulated(1000, spread, shared, (0.8, -0.9))
    assert {key: part for key, part in covered.items() if not 0.93 <= part <= 0.97} == {}
    if shared and not spread:  # t over seeds forgets the images
        assert naive[10, "accuracy"] < 0.8


@pytest.mark.parametrize("tilt", [(0.0, 0.0), (0.8, -0.9)])
def test_skewed_seeds_are_covered_less_as_documented(tilt):
    # Seeds so different that chance makes some over- and some under-confident: either is an error.
    covered, _ = cover_simulated(200, 0.4, 0.5, tilt)
    assert 0.85 < covered[3, "RMS"] < 0.95
    assert covered[3, "accuracy"] > 0.93
