"""What every score promises for any logits: its range, the order of images and classes, edges."""

import math

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.extra import numpy as arrays

from helpers import metrics

few = settings(max_examples=60, deadline=None, derandomize=True)

#: Largest value of each score where it is not 1; the smallest is 0 but for the signed gap.
LARGEST = {"brier_score": 2, "negative_log_likelihood": math.inf}
SMALLEST = {"signed_calibration_gap": -1}

#: Bins of equal count keep images of equal confidence in the order of the data.
ORDERED = {name for name in metrics.CALIBRATION_SCORES if "equal_count" in name}


@st.composite
def outcomes(draw, most=130):
    """Any float16 logits (N, C), the rims of the format among them, and labels (N,)."""
    shape = draw(st.integers(1, most)), draw(st.integers(1, 6))
    finite = st.floats(width=16, allow_nan=False, allow_infinity=False)
    logits = draw(arrays.arrays(np.float16, shape, elements=finite))
    return logits, draw(arrays.arrays(np.int64, shape[0], elements=st.integers(0, shape[1] - 1)))


@few
@given(outcomes())
def test_every_score_is_finite_and_in_its_range(outcome):
    for name, value in metrics.describe(*outcome).items():
        assert math.isfinite(value), name
        assert SMALLEST.get(name, 0) - 1e-12 <= value <= LARGEST.get(name, 1) + 1e-12, name


@few
@given(outcomes(), st.randoms(use_true_random=False))
def test_no_score_depends_on_the_order_of_the_images(outcome, random):
    logits, labels = outcome
    order = random.sample(range(len(labels)), len(labels))
    before, after = metrics.describe(logits, labels), metrics.describe(logits[order], labels[order])
    distinct = len(np.unique(metrics.confidence(logits))) == len(labels)
    for name in before.keys() - (set() if distinct else ORDERED):
        # A root near 0 magnifies the rounding of the sum below it.
        assert after[name] == pytest.approx(before[name], rel=1e-9, abs=1e-7), name


@few
@given(outcomes(), st.randoms(use_true_random=False))
def test_no_score_depends_on_the_names_of_the_classes(outcome, random):
    logits, labels = outcome
    top = np.sort(logits, axis=1)
    if logits.shape[1] > 1:  # a tie goes to the lower class, whichever that is
        decided = top[:, -1] > top[:, -2]
        logits, labels = logits[decided], labels[decided]
    if len(labels) == 0:
        return
    order = np.array(random.sample(range(logits.shape[1]), logits.shape[1]))
    after = metrics.describe(logits[:, order], order.argsort()[labels])
    for name, value in metrics.describe(logits, labels).items():
        assert after[name] == pytest.approx(value, rel=1e-9, abs=1e-7), name


@few
@given(st.integers(1, 250), st.integers(2, 9), st.floats(0, 11, width=16), st.data())
def test_a_constant_classifier_is_off_by_confidence_minus_accuracy(images, classes, top, data):
    logits = np.zeros((images, classes), np.float16)
    logits[:, 0] = top
    labels = data.draw(arrays.arrays(np.int64, images, elements=st.integers(0, classes - 1)))
    accuracy, confidence = (labels == 0).mean(), metrics.softmax(logits)[0, 0]
    scores = metrics.describe(logits, labels)
    assert scores["accuracy"] == accuracy
    assert scores["balanced_accuracy"] == pytest.approx((0 in labels) / len(np.unique(labels)))
    assert scores["signed_calibration_gap"] == pytest.approx(confidence - accuracy)
    # All images are in one bin, since all confidences are equal.
    for name in (
        "rms_calibration_error_10",
        "expected_calibration_error_15",
        "maximum_calibration_error_15",
    ):
        assert scores[name] == pytest.approx(abs(confidence - accuracy), abs=1e-9), name
    coverage, risk = metrics.risk_coverage(metrics.confidence(logits), labels == 0)
    np.testing.assert_allclose(risk, 1 - accuracy, atol=1e-12)
    assert coverage[-1] == 1


@few
@given(outcomes(most=1))
def test_one_test_image_has_defined_scores(outcome):
    logits, labels = outcome
    confidence, correct = metrics.confidence(logits), metrics.correct(logits, labels)
    gap = abs(confidence[0] - correct[0])
    scores = metrics.describe(logits, labels)
    assert scores["rms_calibration_error_10"] == pytest.approx(gap, abs=1e-12)
    assert scores["debiased_rms_calibration_error_10"] == 0  # no variance of one image
    assert scores["rms_calibration_error_equal_count_100_without_last"] == 0
    floor = metrics.noise_floor(confidence, draws=20)
    assert 0 <= floor.mean <= 1
    assert 0 <= floor.high <= 1
    assert metrics.accuracy_influence(correct).tolist() == [0]
    assert np.isfinite(metrics.rms_influence(confidence, correct)).all()
    assert 0.05 <= metrics.fit_temperature(logits, labels) <= 20


@few
@given(outcomes(), st.integers(0, 3))
def test_a_class_without_images_changes_no_score(outcome, extra):
    logits, labels = outcome
    # Logits that round to a probability of 0, so that the added classes are never chosen.
    floor = np.full((len(labels), extra), -np.inf, np.float16)
    wider = metrics.describe(np.hstack([logits, floor]), labels)
    assert wider == pytest.approx(metrics.describe(logits, labels), rel=1e-12, abs=1e-12)


@few
@given(outcomes())
def test_bounds_between_definitions(outcome):
    scores = metrics.describe(*outcome)
    low = 1e-9  # of rounding
    assert scores["expected_calibration_error_15"] <= scores["rms_calibration_error_15"] + low
    assert scores["rms_calibration_error_15"] <= scores["maximum_calibration_error_15"] + low
    assert abs(scores["signed_calibration_gap"]) <= scores["expected_calibration_error_15"] + low
    assert scores["debiased_rms_calibration_error_10"] <= scores["rms_calibration_error_10"] + low


@few
@given(outcomes(), st.integers(0, 9))
def test_the_noise_floor_is_a_fraction_and_its_quantile_a_score(outcome, seed):
    confidence = metrics.confidence(outcome[0])
    for definition in metrics.CALIBRATION_SCORES:
        drawn = metrics.simulate_calibrated(confidence, definition, draws=20, seed=seed)
        floor = metrics.noise_floor(confidence, definition, draws=20, seed=seed)
        assert np.isfinite(drawn).all()
        assert abs(drawn).min() - 1e-12 <= floor.mean <= abs(drawn).max() + 1e-12 <= 1 + 1e-6
        assert floor.covers(0)


@few
@given(outcomes(most=40))
def test_influences_sum_to_zero(outcome):
    confidence = metrics.confidence(outcome[0])
    correct = metrics.correct(*outcome)
    assert abs(metrics.accuracy_influence(correct).sum()) < 1e-4
    error = metrics.rms_calibration_error(confidence, correct)
    if error > 1e-3:  # the derivative of a root grows without bound towards 0
        assert abs(metrics.rms_influence(confidence, correct).sum()) < 1e-3 / error
