"""Intervals and p-values against integrals, simulated studies and hand-worked cases."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from scipy.stats import chi2, norm, t, ttest_1samp

from helpers.metrics import METRICS, Outcome, Sample, holm, mean_samples, predict_next


def half_width(seed, image, seeds, images=10**9, level=0.95):
    """Return Cochran and Cox's half width for two variance components."""
    quantiles = t.ppf((1 + level) / 2, seeds - 1), t.ppf((1 + level) / 2, images - 1)
    return (seed * quantiles[0] + image * quantiles[1]) / np.sqrt(seed + image)


@pytest.mark.parametrize(("seeds", "least", "most"), [
    (2, 0.939, 0.9785), (3, 0.9495, 0.972), (5, 0.95, 0.964), (10, 0.95, 0.957)
])  # fmt: skip
def test_exact_coverage_is_the_documented_one(seeds, least, most):
    # With normal seeds and many images only the estimated seed variance is random (chi-squared);
    # given it, the error of the mean is normal, so the coverage is one integral.
    draws = chi2.ppf((np.arange(4000) + 0.5) / 4000, seeds - 1) / (seeds - 1)
    for ratio in np.geomspace(0.001, 1000, 40):
        half = half_width(ratio * draws, 1.0, seeds)
        assert least <= np.mean(2 * norm.cdf(half / np.sqrt(ratio + 1)) - 1) <= most


@st.composite
def samples(draw):
    seeds, images = draw(st.integers(1, 6)), draw(st.integers(2, 30))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    scale = draw(st.sampled_from([0, 1e-4, 0.1, 1, 10, 1e4]))
    influence = rng.normal(size=(seeds, images)) + rng.normal(size=images)
    influence = None if draw(st.booleans()) and seeds > 1 else np.float32(scale * influence)
    return Sample(tuple(range(seeds)), draw(st.floats(-3, 3)) + rng.normal(size=seeds), influence)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(samples(), st.sampled_from([0.1, 0.5, 0.9, 0.95, 0.99, 0.999, 1 - 1e-6]))
def test_p_value_is_dual_to_the_interval(sample, level):
    estimate = sample.estimate(level)
    if abs(estimate.low * estimate.high) > 1e-9:
        assert (estimate.p_value < 1 - level) == (estimate.low > 0 or estimate.high < 0)
    if estimate.standard_error > 0:  # 0 on the edge of the interval: p is its level
        for end in (estimate.low, estimate.high):
            shifted = Sample(sample.seeds, sample.values - end, sample.influence).estimate(level)
            assert shifted.p_value == pytest.approx(1 - level, rel=1e-6)


def test_p_value_far_out_and_without_variance():
    signs = np.tile(np.float32([-1, 1]), (3, 50))
    assert 0 <= Sample((0, 1, 2), np.full(3, 99.0), signs).estimate().p_value < 1e-90
    for value, p_value in ((0.0, 1), (0.3, 0)):
        same = Sample((0, 1, 2), np.full(3, value), np.zeros((3, 20), np.float32)).estimate()
        assert (same.low, same.high) == pytest.approx((value, value))
        assert same.p_value == p_value


def test_holm_by_hand_and_its_level():
    # In order: .005 x 4, .01 x 3, .03 x 2, and .04 x 1, which may not fall below .06.
    np.testing.assert_allclose(holm(np.array([0.01, 0.04, 0.03, 0.005])), [0.03, 0.06, 0.06, 0.02])
    np.testing.assert_array_equal(holm(np.array([0.6, 0.5])), [1, 1])
    families = np.random.default_rng(0).random((5000, 6))
    families[:, :2] /= 1e6  # two false hypotheses; the level concerns the four true ones
    rejected = [np.any(holm(p)[2:] < 0.05) for p in families]
    assert np.mean(rejected) == pytest.approx(0.05, abs=0.01)


def simulate(rng, images, spread, shared, tilt):
    """Return confidence and correct of two arms with ten seeds each, (2, 10, N).

    `spread`: standard deviation of a seed's ability; `shared`: fraction of the images' variance
    that all networks share; `tilt`: excess of each arm's confidence, in logits.
    """
    own = np.float32((1 - shared) ** 0.5) * rng.standard_normal((2, 2, 10, images), np.float32)
    common = np.float32(shared**0.5) * rng.standard_normal((2, images), np.float32)
    ease, luck = own + common[:, None, None]
    ability, boast = np.float32(spread) * rng.standard_normal((2, 2, 10, 1), np.float32)
    skill = np.float32([1.2, 1.6])[:, None, None]
    logit = np.float32(1.7) * (skill + boast + ease) + np.float32(tilt)[:, None, None]
    return 1 / (1 + np.exp(-logit)), skill + ability + ease + luck > 0


@pytest.mark.parametrize(("spread", "shared"), [(0.1, 0.5), (0.0, 0.5), (0.1, 0.0)])
def test_simulated_coverage_of_real_metrics(spread, shared):
    rng, studies = np.random.default_rng(0), []
    for _ in range(1000):
        arms = []
        for arm in zip(*simulate(rng, 471, spread, shared, (0.8, -0.9)), strict=True):
            outcomes = [SimpleNamespace(confidence=c, correct=y) for c, y in zip(*arm, strict=True)]
            names = ("accuracy", "rms_calibration_error_10")
            arms.append([METRICS[name].sample(range(10), outcomes) for name in names])
        studies.append([*arms[0], *(b - a for a, b in zip(*arms, strict=True))])
    for case, samples in enumerate(zip(*studies, strict=True)):
        truth = np.mean([sample.values for sample in samples])
        for seeds in (3, 5, 10):
            estimates = [
                Sample(each.seeds[part], each.values[part], each.influence[part]).estimate()
                for each in samples
                for part in (slice(n, n + seeds) for n in range(0, 11 - seeds, seeds))
            ]
            covered = np.mean([estimate.low <= truth <= estimate.high for estimate in estimates])
            assert 0.93 <= covered <= 0.975, (case, seeds)
            if shared and not spread and seeds == 10 and case == 0:  # t ignores the images
                alone = [Sample(each.seeds, each.values).estimate() for each in samples]
                assert np.mean([each.low <= truth <= each.high for each in alone]) < 0.8


@pytest.mark.parametrize("name", METRICS)
def test_influence_is_the_effect_of_leaving_an_image_out(name):
    rng = np.random.default_rng(0)
    logits = 2 * rng.normal(size=(4000, 3))  # sharper than the labels warrant
    labels = (logits / 2 + rng.gumbel(size=logits.shape)).argmax(axis=1)
    measure, kept = METRICS[name].measure, ~np.eye(4000, dtype=bool)[:60]
    whole, influence = measure(Outcome(logits, labels))
    if influence is None:
        assert METRICS[name].definition.slope is None
        return
    removed = [4000 * (whole - measure(Outcome(logits[k], labels[k]))[0]) for k in kept]
    assert influence.dtype == np.float32
    np.testing.assert_allclose(influence[:60], removed, atol=0.05 * np.abs(influence).max())
    assert influence.mean() == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(("influence", "image"), [
    ([[1, -1, 0, 0], [-1, 1, 0, 0]], 0),  # a negative estimate counts as 0
    ([[1, -1, 2, -2], [1, -1, 2, -2]], 10 / 12),  # no interaction: squares over 4 x 3
    # In common [2, -2, 1, -1], squares 10; residuals [0, 0, 1, -1], squares 2 + 2.
    ([[2, -2, 2, -2], [2, -2, 0, 0]], 10 / 12 - 4 / 12 / 2),
])  # fmt: skip
def test_variance_components_by_hand(influence, image):
    estimate = Sample((0, 1), np.array([1.0, 2.0]), np.float32(influence)).estimate()
    assert estimate.variances == pytest.approx([0.5 / 2, image])
    assert estimate.dofs.tolist() == [1, 3]
    half = half_width(0.25, image, seeds=2, images=4)
    assert (estimate.low, estimate.high) == pytest.approx((1.5 - half, 1.5 + half))


def test_one_seed_has_the_interval_of_its_test_images():
    correct = np.arange(400) % 4 > 0
    estimate = Sample((7,), np.array([0.75]), np.float32([correct - 0.75])).estimate()
    half = t.ppf(0.975, 399) * np.sqrt(0.75 * 0.25 / 399)
    assert (estimate.low, estimate.high) == pytest.approx((0.75 - half, 0.75 + half), rel=1e-6)
    assert np.isnan(estimate.sd)
    nothing = Sample((7,), np.array([0.75])).estimate()
    assert np.isnan([nothing.sd, nothing.low, nothing.high, nothing.p_value]).all()


def test_without_influence_the_interval_is_students():
    values = np.array([0.3, 0.5, 0.1, 0.4])
    estimate, student = Sample((0, 1, 2, 3), values).estimate(), ttest_1samp(values, 0)
    assert (estimate.low, estimate.high) == pytest.approx(student.confidence_interval())
    assert estimate.p_value == pytest.approx(student.pvalue)


def test_differences_pair_seeds_by_their_number():
    values, influence = np.arange(3.0) ** 2, np.float32(np.arange(12).reshape(3, 4) ** 2)
    first, second = Sample((0, 1, 2), values, influence), Sample((4, 2, 0), values, influence)
    difference = first - second
    assert difference.seeds == (0, 2)
    np.testing.assert_array_equal(difference.values, [0 - 4, 4 - 1])
    np.testing.assert_array_equal(difference.influence, influence[[0, 2]] - influence[[2, 1]])
    assert (first - Sample((0, 2), np.zeros(2))).influence is None
    mean = mean_samples([first, Sample((0, 1, 2), 3 * values, 3 * influence)])
    np.testing.assert_array_equal(mean.values, 2 * values)
    np.testing.assert_array_equal(mean.influence, 2 * influence)
    with pytest.raises(ValueError, match="same seeds and test images"):
        mean_samples([first, second])
    with pytest.raises(ValueError, match=r"no seed in common: \(0, 1, 2\) and \(3,\)"):
        first - Sample((3,), values[:1])
    with pytest.raises(ValueError, match="same test images"):
        first - Sample((0, 1, 2), values, influence[:, :3])


def test_next_seed_falls_into_its_interval_in_95_percent():
    generator = np.random.default_rng(0)
    values, others = generator.normal(70, 2, (4000, 4)), generator.normal(50, 2, (4000, 3))
    means, next_seed, sds = values[:, :-1].mean(axis=1), values[:, -1], others.std(axis=1, ddof=1)
    own = predict_next(means, 3, values[:, :-1].std(axis=1, ddof=1), 2)
    borrowed = predict_next(values[:, 0], 1, sds, 2)  # one seed, and the spread of others
    for low, high in (own, borrowed):
        inside = (low <= next_seed) & (next_seed <= high)
        assert np.mean(inside) == pytest.approx(0.95, abs=0.01)
    assert np.isnan(predict_next(70.0, 1, np.nan, 0)).all()
