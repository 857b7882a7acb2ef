"""Intervals, p-values and influence against integrals, definitions and cases worked by hand."""

from functools import cache

import numpy as np
import pytest
from scipy.stats import chi2, norm, t

from helpers.metrics import (
    Sample,
    accuracy_influence,
    holm,
    mean_samples,
    predict_next,
    rms_calibration_error,
    rms_influence,
)

#: Variance of the mean due to the seeds over that due to the images.
RATIOS = [0, 0.03, 0.1, 0.35, 1, 3, 10, 30, 100, np.inf]


# Exact coverage: normal seeds, many images. Only the variance of the S values is random, and
# chi-squared; given it, the mean errs like a normal number, so that one integral gives the truth.


def sample(seed_variance, image_variance, seeds, mean=0.0):
    """Return a sample whose estimated parts of the variance of the mean are these two."""
    spread = np.linspace(-1, 1, seeds)
    values = mean + spread * np.sqrt(seed_variance * seeds) / spread.std(ddof=1)
    # One sign for half of the images: all seeds agree on each, which leaves nothing of the pair.
    signs = np.tile(np.float32([-1, 1]), 20_000)
    influence = np.tile(signs * np.float32(np.sqrt(image_variance * len(signs))), (seeds, 1))
    return Sample(tuple(range(seeds)), values, influence)


@cache
def nodes(seeds, ratio, count=200):
    """Return true standard error and the `count` equally likely pairs of estimated variances."""
    seed, image = (1.0, 0.0) if ratio == np.inf else (ratio, 1.0)
    draws = chi2.ppf((np.arange(count) + 0.5) / count, seeds - 1) / (seeds - 1)
    return np.sqrt(seed + image), seed * draws, np.full(count, image)


def cover(half_widths, error):
    return np.mean(2 * norm.cdf(half_widths / error) - 1)


def harmonic(seed, image, seeds, level=0.95):
    """Return the half width that `Sample.estimate` documents, for many images."""
    variance = seed + image
    with np.errstate(divide="ignore"):
        return t.ppf((1 + level) / 2, (seeds - 1) * variance / seed) * np.sqrt(variance)


def satterthwaite(seed, image, seeds):
    variance = seed + image
    with np.errstate(divide="ignore"):
        return t.ppf(0.975, (seeds - 1) * (variance / seed) ** 2) * np.sqrt(variance)


def banerjee(seed, image, seeds, level=0.95):
    quantile = (1 + level) / 2
    return np.sqrt(t.ppf(quantile, seeds - 1) ** 2 * seed + norm.ppf(quantile) ** 2 * image)


@pytest.mark.parametrize("seeds", [3, 5, 10])
@pytest.mark.parametrize(("seed", "image"), [(0.0, 1.0), (0.1, 1.0), (2.0, 1.0), (1.0, 0.0)])
def test_interval_is_the_documented_one(seed, image, seeds):
    estimate = sample(seed, image, seeds, mean=0.5).estimate()
    assert (estimate.seed.variance, estimate.image.variance) == pytest.approx((seed, image), 1e-4)
    half = harmonic(seed, image, seeds) if seed else norm.ppf(0.975)
    assert (estimate.low, estimate.high) == pytest.approx((0.5 - half, 0.5 + half), rel=2e-4)
    assert estimate.standard_error == pytest.approx(np.sqrt(seed + image), rel=1e-4)


@pytest.mark.parametrize("seeds", [3, 5, 10])
@pytest.mark.parametrize("ratio", RATIOS[1:])
def test_exact_coverage_is_93_to_97_percent(ratio, seeds):
    error, seed, image = nodes(seeds, ratio)
    assert 0.94 <= cover(harmonic(seed, image, seeds), error) <= 0.965


def test_textbook_rules_leave_the_band_at_three_seeds():
    parts = [nodes(3, ratio) for ratio in RATIOS[1:]]
    assert min(cover(satterthwaite(*pair, 3), error) for error, *pair in parts) < 0.925
    assert max(cover(banerjee(*pair, 3), error) for error, *pair in parts) > 0.975


def test_bootstrap_over_three_seeds_is_far_too_narrow():
    values = np.random.default_rng(0).normal(size=(4000, 3))
    picks = np.stack(np.meshgrid(*[range(3)] * 3), axis=-1).reshape(-1, 3)  # all 27 resamples
    low, high = np.quantile(values[:, picks].mean(axis=-1), [0.025, 0.975], axis=1)
    assert np.mean((low <= 0) & (high >= 0)) < 0.78
    constant = np.zeros((3, 2), np.float32)
    ends = [Sample((0, 1, 2), row, constant).estimate()[2:4] for row in values]
    assert 0.94 <= np.mean([low <= 0 <= high for low, high in ends]) <= 0.96


# p-values


@pytest.mark.parametrize("level", [0.5, 0.05, 0.001, 1e-6])
@pytest.mark.parametrize(("seed", "image"), [(0.1, 1.0), (2.0, 1.0), (1.0, 0.0), (0.0, 1.0)])
def test_p_value_is_the_level_at_which_zero_is_on_the_edge(seed, image, level):
    half = banerjee(seed, image, 5, level=1 - level)
    for mean in (half, -half):
        assert sample(seed, image, 5, mean).estimate().p_value == pytest.approx(level, rel=0.02)


@pytest.mark.parametrize("level", [0.05, 0.05 / 18, 0.001])
@pytest.mark.parametrize("seeds", [3, 5])
def test_p_value_errs_at_most_as_often_as_it_says(seeds, level):
    parts = [nodes(seeds, ratio, 5000) for ratio in RATIOS[1:]]
    size = [1 - cover(banerjee(*pair, seeds, 1 - level), error) for error, *pair in parts]
    assert max(size) <= level * 1.01
    # Small enough a p-value lies inside the interval's reach: a star never contradicts it.
    for _, *pair in parts:
        assert (banerjee(*pair, seeds) >= harmonic(*pair, seeds) * (1 - 1e-12)).all()


def test_tail_of_the_intervals_t_would_not_do_for_p_values():
    parts = [nodes(3, ratio, 5000) for ratio in RATIOS[1:]]
    assert max(1 - cover(harmonic(*pair, 3, 0.999), error) for error, *pair in parts) > 0.005


@pytest.mark.parametrize(
    ("mean", "seed", "image", "p_value"),
    [
        (0.0, 1.0, 1.0, 1.0),
        (2.5, 1.0, 1e-20, 2 * t.sf(2.5, 4)),  # next to one part
        (2.5, 1e-20, 1.0, 2 * norm.sf(2.5)),
        (100.0, 1e-20, 1.0, 0.0),  # further out than any search
        (1e4, 0.0, 1.0, 0.0),
    ],
)
def test_p_value_at_the_ends(mean, seed, image, p_value):
    found = sample(seed, image, 5, mean).estimate().p_value
    assert found == pytest.approx(p_value, rel=2e-3, abs=1e-30)


@pytest.mark.parametrize(
    ("p_values", "adjusted"),
    [
        # In order: .005 x 4, .01 x 3, .03 x 2, and .04 x 1, which may not fall below .06.
        ([0.01, 0.04, 0.03, 0.005], [0.03, 0.06, 0.06, 0.02]),
        ([0.6, 0.5], [1, 1]),
        ([0.02, 0.02], [0.04, 0.04]),
        ([0.2], [0.2]),
        ([], []),
    ],
)
def test_holm_by_hand(p_values, adjusted):
    np.testing.assert_allclose(holm(np.array(p_values)), adjusted)


# Influence


def score_weighted(confidence, correct, weight):
    """Return accuracy and RMS calibration error with a weight an image, by their definitions."""
    total, square = weight.sum(), 0.0
    for place in range(10):
        inside = (confidence > place / 10) & (confidence <= (place + 1) / 10)
        if mass := weight[inside].sum():
            gap = (weight * (correct - confidence))[inside].sum() / mass
            square += mass / total * gap**2
    return (weight * correct).sum() / total, np.sqrt(square)


def test_influence_is_the_derivative_by_the_weight_of_an_image():
    rng = np.random.default_rng(0)
    # Edges of bins, empty bins and a bin of one image among them.
    confidence = np.concatenate([[0.3, 0.7, 0.7, 1.0, 1.0, 0.15], rng.uniform(0.45, 1, 94)])
    correct = rng.random(100) < 0.8
    ones, step = np.ones(100), 1e-5
    derivative = np.array([
        np.subtract(
            score_weighted(confidence, correct, ones + step * unit),
            score_weighted(confidence, correct, ones - step * unit),
        ) / (2 * step)
        for unit in np.eye(100)
    ])  # fmt: skip
    rms = rms_calibration_error(confidence, correct)
    assert score_weighted(confidence, correct, ones)[1] == pytest.approx(rms, abs=1e-12)
    found = np.stack([accuracy_influence(correct), rms_influence(confidence, correct)], axis=1)
    np.testing.assert_allclose(found, 100 * derivative, atol=1e-6)
    assert np.abs(found).max(axis=0).min() > 0.1


def test_influence_without_a_derivative_is_zero():
    assert not rms_influence(np.ones(4), np.ones(4, dtype=bool)).any()


# Samples


def draw(seeds, rng, images=50):
    influence = rng.normal(size=(len(seeds), images)).astype(np.float32)
    return Sample(seeds, rng.normal(size=len(seeds)), influence)


def test_difference_pairs_seeds_by_their_number():
    rng = np.random.default_rng(0)
    first, second = draw((0, 1, 2), rng), draw((4, 2, 0), rng)
    difference = first - second
    assert difference.seeds == (0, 2)
    np.testing.assert_array_equal(difference.values, first.values[[0, 2]] - second.values[[2, 1]])
    expected = first.influence[[0, 2]] - second.influence[[2, 1]]
    np.testing.assert_array_equal(difference.influence, expected)


def test_mean_and_multiple_scale_value_and_interval_alike():
    each = draw((0, 1, 2), np.random.default_rng(0))
    expected = 2.5 * np.array(each.estimate()[:4])
    for same in (2.5 * each, each * 2.5, mean_samples([each, 4 * each])):
        np.testing.assert_allclose(same.estimate()[:4], expected, rtol=1e-5)


def test_what_cannot_be_joined_is_refused():
    rng = np.random.default_rng(0)
    first = draw((0, 1), rng)
    with pytest.raises(ValueError, match=r"no seed in common: \(0, 1\) and \(2, 3\)"):
        first - draw((2, 3), rng)
    with pytest.raises(ValueError, match="same test images"):
        first - draw((0, 1), rng, images=49)
    with pytest.raises(ValueError, match="same seeds and test images"):
        mean_samples([first, draw((0, 2), rng)])
    with pytest.raises(ValueError, match="same seeds and test images"):
        mean_samples([first, draw((0, 1), rng, images=49)])


@pytest.mark.parametrize(
    ("influence", "image"),
    [
        ([[1, -1, 0, 0], [0, 0, 1, -1]], 0),  # nothing in common
        ([[1, -1, 0, 0], [-1, 1, 0, 0]], 0),  # less than nothing
        ([[1, -1, 2, -2], [1, -1, 2, -2]], 10 / 12),  # everything: squares over 4 x 3
        # In common [2, -2, 1, -1] with squares 10; off it by [0, 0, 1, -1], squares 2 + 2.
        ([[2, -2, 2, -2], [2, -2, 0, 0]], 10 / 12 - 4 / 12 / 2),
        ([[3, 1, 4, 0], [3, 1, 4, 0]], 10 / 12),  # around its mean
    ],
)
def test_part_of_the_images_by_hand(influence, image):
    estimate = Sample((0, 1), np.array([1.0, 2.0]), np.float32(influence)).estimate()
    assert estimate.image == (pytest.approx(image), 3)
    assert estimate.seed == (pytest.approx(0.5 / 2), 1)


def test_one_seed_has_the_interval_of_its_test_images():
    correct = np.arange(400) % 4 > 0
    influence = accuracy_influence(correct)[None]
    estimate = Sample((7,), np.array([0.75]), influence).estimate()
    half = t.ppf(0.975, 399) * np.sqrt(0.75 * 0.25 / 399)
    assert (estimate.low, estimate.high) == pytest.approx((0.75 - half, 0.75 + half), rel=1e-6)
    assert np.isnan(estimate.deviation)


@pytest.mark.parametrize("seeds", [(0,), (0, 1, 2)])
@pytest.mark.parametrize(("value", "p_value"), [(0.0, 1), (0.3, 0)])
def test_without_any_variance_the_interval_is_the_value(seeds, value, p_value):
    zeros = np.zeros((len(seeds), 20), np.float32)
    estimate = Sample(seeds, np.full(len(seeds), value), zeros).estimate()
    assert (estimate.low, estimate.mean, estimate.high) == pytest.approx([value] * 3)
    assert estimate.standard_error == pytest.approx(0)
    assert estimate.p_value == p_value


@pytest.mark.parametrize("seeds", [2, 3, 10])
def test_next_seed_falls_into_its_interval_in_95_percent(seeds):
    values = np.random.default_rng(0).normal(70, 2, size=(4000, seeds + 1))
    low, high = np.array([predict_next(row[:-1]) for row in values]).T
    assert np.mean((low <= values[:, -1]) & (values[:, -1] <= high)) == pytest.approx(
        0.95, abs=0.01
    )


def test_one_seed_predicts_nothing():
    assert np.isnan(predict_next(np.array([70.0]))).all()
