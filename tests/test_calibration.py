"""Calibration error in every definition, against loops from the papers and by hand."""

from math import sqrt
from statistics import fmean

import numpy as np
import pytest

from helpers import metrics
from helpers.metrics import CALIBRATION_SCORES
from helpers.metrics.bins import assign_equal_count, assign_equal_width

ALMOST = {"abs": 1e-12}


# --- The definitions once more, as loops over lists of (confidence, right) -----------------------


def by_width(pairs, bins):
    inside = [[] for _ in range(bins)]
    for pair in pairs:
        inside[next(i for i in range(bins) if pair[0] <= (i + 1) / bins)].append(pair)
    return inside


def by_count(pairs, size):
    ranked = sorted(pairs, key=lambda pair: pair[0])
    starts = [i * size for i in range(max(len(pairs) // size, 1))]
    return [ranked[a:b] for a, b in zip(starts, [*starts[1:], None], strict=True)]


def gap(inside):
    return fmean(c for c, _ in inside) - fmean(y for _, y in inside) if inside else 0


def weigh(groups, value, total):
    return sum(len(inside) / total * value(inside) for inside in groups)


def rms(groups, total):
    return sqrt(weigh(groups, lambda inside: gap(inside) ** 2, total))


def unbiased_square(inside):
    """Kumar, Liang and Ma 2019: the squared gap less p (1 - p) / (n - 1)."""
    if len(inside) < 2:
        return 0
    p = fmean(y for _, y in inside)
    return gap(inside) ** 2 - p * (1 - p) / (len(inside) - 1)


ORACLES = {
    "rms_calibration_error_10": lambda pairs: rms(by_width(pairs, 10), len(pairs)),
    "rms_calibration_error_15": lambda pairs: rms(by_width(pairs, 15), len(pairs)),
    "rms_calibration_error_equal_count_100": lambda pairs: rms(by_count(pairs, 100), len(pairs)),
    "rms_calibration_error_equal_count_100_without_last": lambda pairs: rms(
        by_count(pairs, 100)[:-1], len(pairs)
    ),
    "debiased_rms_calibration_error_10": lambda pairs: sqrt(
        max(weigh(by_width(pairs, 10), unbiased_square, len(pairs)), 0)
    ),
    "expected_calibration_error_15": lambda pairs: weigh(
        by_width(pairs, 15), lambda inside: abs(gap(inside)), len(pairs)
    ),
    "maximum_calibration_error_15": lambda pairs: max(
        abs(gap(inside)) for inside in by_width(pairs, 15)
    ),
    "signed_calibration_gap": gap,
}

rng = np.random.default_rng(3)
HUGE = np.array([[65504, -65504, 65504], [-65504, 65504, 0], [12, 0, 0]], np.float16)
EXTREMES = {
    "sure and right": (np.ones(5), np.ones(5)),
    "sure and wrong": (np.ones(5), np.zeros(5)),
    "sure, half right": (np.ones(6), np.arange(6) % 2),
    "confidence 0": (np.zeros(3), np.array([1, 0, 0])),
    "0 and 1": (np.array([0, 1, 0, 1, 0.05, 0.95]), np.array([0, 1, 1, 0, 1, 1])),
    "ties": (np.full(250, 0.5), np.arange(250) < 80),
    "ties on two sides of a bin": (np.repeat([0.4, 0.6], 75), np.arange(150) % 3 == 0),
    "ties out of order": (rng.integers(3, 6, 731) / 8, rng.random(731) < 0.5),
    "one image, right": (np.array([0.3]), np.array([1])),
    "one image, wrong": (np.array([0.3]), np.array([0])),
    "one class": (np.ones(4), np.ones(4)),
    "edges of 10 bins": (np.arange(11) / 10, np.arange(11) % 2),
    "edges of 15 bins": (np.arange(16) / 15, np.arange(16) % 2),
    "float16 logits": (metrics.confidence(HUGE), metrics.correct(HUGE, np.array([2, 1, 0]))),
} | {f"{n} images": (rng.random(n), rng.random(n) < 0.6) for n in (2, 99, 100, 101, 199, 200, 731)}


@pytest.mark.parametrize("name", CALIBRATION_SCORES)
@pytest.mark.parametrize(("confidence", "correct"), EXTREMES.values(), ids=EXTREMES)
def test_agrees_with_loops_at_extremes(name, confidence, correct):
    pairs = list(zip(confidence.tolist(), map(int, correct), strict=True))
    score = CALIBRATION_SCORES[name](confidence, correct.astype(bool))
    assert score == pytest.approx(ORACLES[name](pairs), **ALMOST)


@pytest.mark.parametrize("bins", [10, 15])
def test_an_edge_belongs_to_the_bin_below_it(bins):
    edges = np.arange(bins + 1) / bins
    expected = np.maximum(np.arange(bins + 1) - 1, 0)
    np.testing.assert_array_equal(assign_equal_width(edges, bins), expected)
    above = np.nextafter(edges[:-1], 1)
    np.testing.assert_array_equal(assign_equal_width(above, bins), np.arange(bins))


def test_bins_of_equal_count():
    confidence = np.array([0.9, 0.1, 0.5, 0.5, 0.2, 0.7, 0.8])
    np.testing.assert_array_equal(assign_equal_count(confidence, 2), [2, 0, 1, 1, 0, 2, 2])
    np.testing.assert_array_equal(assign_equal_count(confidence, 8), np.zeros(7))
    np.testing.assert_array_equal(assign_equal_count(np.full(5, 0.5), 2), [0, 0, 1, 1, 1])


# --- By hand ------------------------------------------------------------------------------------

#: Bin (.6, .7]: .62 and .68, one right: gap .15. Bin (.9, 1]: .95 and .91, both right: gap -.07.
CONFIDENCE, CORRECT = np.array([0.62, 0.95, 0.68, 0.91]), np.array([True, True, False, True])


def test_hand_worked_equal_width():
    rms = metrics.rms_calibration_error(CONFIDENCE, CORRECT)
    assert rms == pytest.approx(sqrt(0.15**2 / 2 + 0.07**2 / 2), **ALMOST)
    expected = metrics.expected_calibration_error(CONFIDENCE, CORRECT, bins=10)
    assert expected == pytest.approx(0.11, **ALMOST)
    maximum = metrics.maximum_calibration_error(CONFIDENCE, CORRECT, bins=10)
    assert maximum == pytest.approx(0.15, **ALMOST)
    assert metrics.signed_calibration_gap(CONFIDENCE, CORRECT) == pytest.approx(0.04, **ALMOST)


def test_hand_worked_debiased():
    # The variance of the first bin's accuracy, .25, exceeds its squared gap: the sum is negative.
    assert metrics.debiased_calibration_error(CONFIDENCE, CORRECT) == 0
    # .95 four times, half right: .45 ** 2 - .25 / 3; and .15, right, alone in its bin: nothing.
    confidence, correct = np.array([0.95] * 4 + [0.15]), np.array([1, 1, 0, 0, 1], dtype=bool)
    square = 4 / 5 * (0.45**2 - 0.25 / 3)
    score = metrics.debiased_calibration_error(confidence, correct)
    assert score == pytest.approx(sqrt(square), **ALMOST)


def test_hand_worked_equal_count():
    # Two a bin: .62 and .68, gap .15; the last takes what is left, .91, .95 and .99, gap .95 - 2/3.
    confidence, correct = np.append(CONFIDENCE, 0.99), np.append(CORRECT, False)
    with_last = sqrt(2 / 5 * 0.15**2 + 3 / 5 * (0.95 - 2 / 3) ** 2)
    score = metrics.equal_count_calibration_error(confidence, correct, size=2)
    assert score == pytest.approx(with_last, **ALMOST)
    without = metrics.equal_count_calibration_error(confidence, correct, size=2, last=False)
    assert without == pytest.approx(sqrt(2 / 5 * 0.15**2), **ALMOST)


def test_debiased_is_nearer_the_truth():
    # Truly calibrated: the plain score is all bias, the unbiased square averages to 0.
    rng = np.random.default_rng(0)
    confidence = rng.random(400)
    correct = rng.random((2000, 400)) < confidence
    plain = [metrics.rms_calibration_error(confidence, row) ** 2 for row in correct]
    debiased = [metrics.debiased_calibration_error(confidence, row) ** 2 for row in correct]
    assert np.mean(debiased) < np.mean(plain) / 2
    assert np.mean(np.equal(debiased, 0)) > 0.4


# --- The names and the functions ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "function", "options"),
    [
        ("rms_calibration_error_10", metrics.rms_calibration_error, {}),
        ("rms_calibration_error_15", metrics.rms_calibration_error, {"bins": 15}),
        ("debiased_rms_calibration_error_10", metrics.debiased_calibration_error, {}),
        ("expected_calibration_error_15", metrics.expected_calibration_error, {}),
        ("maximum_calibration_error_15", metrics.maximum_calibration_error, {}),
        ("signed_calibration_gap", metrics.signed_calibration_gap, {}),
        ("rms_calibration_error_equal_count_100", metrics.equal_count_calibration_error, {}),
        (
            "rms_calibration_error_equal_count_100_without_last",
            metrics.equal_count_calibration_error,
            {"last": False},
        ),
    ],
)
def test_each_name_is_its_function(name, function, options):
    confidence, correct = EXTREMES["731 images"]
    assert CALIBRATION_SCORES[name](confidence, correct) == function(confidence, correct, **options)
    with pytest.raises(ValueError, match="no images"):
        function(np.zeros(0), np.zeros(0, dtype=bool), **options)


def test_every_definition_has_an_oracle():
    assert set(ORACLES) == set(CALIBRATION_SCORES)
