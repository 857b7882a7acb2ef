"""Scores against scikit-learn, torch and plain Python, and the promises of the registry."""

import math
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from sklearn.metrics import balanced_accuracy_score, brier_score_loss, log_loss

from helpers import metrics
from helpers.metrics import METRICS, Outcome
from helpers.metrics.calibration import equal_width, maximum
from helpers.metrics.scores import calibration_metric, mean_metric

#: Logits (N, C) and labels (N,) at the limits of what a record can hold.
EXTREMES = {
    "largest float16": ([[65504, -65504, 65504], [-65504, 65504, 0]], [2, 1]),
    "all wrong": ([[65504, -65504], [-65504, 65504]], [1, 0]),
    "all equal": ([[0, 0, 0]] * 4, [0, 1, 2, 2]),
    "one image": ([[1.5, -0.25, 3]], [1]),
    "one class": ([[3], [-7], [0]], [0, 0, 0]),
}
few = settings(max_examples=60, deadline=None, derandomize=True)


@st.composite
def batches(draw):
    """Draw float16 logits (N, C), sharp or soft and some of them tied, and labels (N,)."""
    images, classes = draw(st.integers(1, 200)), draw(st.integers(2, 12))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    logits = (rng.normal(size=(images, classes)) * draw(st.floats(0.1, 4))).round(1)
    return logits.astype(np.float16), rng.integers(classes, size=images)


def all_scores(logits, labels):
    outcome = Outcome(logits, labels)
    return {name: metric.measure(outcome)[0] for name, metric in METRICS.items()}


@pytest.mark.parametrize(("logits", "labels"), EXTREMES.values(), ids=EXTREMES)
def test_extreme_logits(logits, labels):
    logits, labels = np.array(logits, np.float16), np.array(labels)
    tensors = torch.from_numpy(logits.astype(float)), torch.from_numpy(labels)
    exact = tensors[0].softmax(dim=1).numpy()
    outcome, scores = Outcome(logits, labels), all_scores(logits, labels)
    np.testing.assert_allclose(outcome.probabilities, exact, rtol=1e-12)
    np.testing.assert_allclose(outcome.confidence, exact.max(axis=1), rtol=1e-12)
    np.testing.assert_array_equal(outcome.correct, exact.argmax(axis=1) == labels)
    expected = torch.nn.functional.cross_entropy(*tensors).item()
    assert scores["negative_log_likelihood"] == pytest.approx(expected, rel=1e-12)
    brier = ((exact - np.eye(logits.shape[1])[labels]) ** 2).sum(axis=1).mean()
    assert scores["brier_score"] == pytest.approx(brier, abs=1e-12)
    for metric in METRICS.values():
        score, influence = metric.measure(outcome)
        assert type(score) is float
        assert influence is None or np.isfinite(influence).all()


@few
@given(batches())
def test_agrees_with_scikit_learn(batch):
    logits, labels = batch
    probabilities, scores = Outcome(logits, labels).probabilities, all_scores(logits, labels)
    predicted, names = logits.argmax(axis=1), range(logits.shape[1])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # about classes that do not occur
        balanced = balanced_accuracy_score(labels, predicted)
    assert scores["accuracy"] == np.mean(predicted == labels)
    assert scores["balanced_accuracy"] == pytest.approx(balanced, abs=1e-12)
    likelihood = log_loss(labels, probabilities, labels=names)
    assert scores["negative_log_likelihood"] == pytest.approx(likelihood, abs=1e-6)
    brier = brier_score_loss(labels, probabilities, labels=names, scale_by_half=False)
    assert scores["brier_score"] == pytest.approx(brier, abs=1e-12)


def test_hand_worked_scores():
    # Probabilities (3/4, 1/4) and (1/2, 1/2), labels 1 and 0; the tie goes to class 0.
    scores = all_scores(np.log([[3, 1], [1, 1]]), np.array([1, 0]))
    assert scores["accuracy"] == 0.5
    assert scores["negative_log_likelihood"] == pytest.approx(math.log(8) / 2)
    assert scores["brier_score"] == pytest.approx((2 * 0.75**2 + 2 * 0.5**2) / 2)
    unbalanced = all_scores(np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1]]), np.array([0, 0, 2]))
    assert unbalanced["balanced_accuracy"] == 0.75  # class 1 has no images


@few
@given(batches(), st.randoms(use_true_random=False), st.integers(0, 3))
def test_scores_are_bounded_and_invariant(batch, random, extra):
    logits, labels = batch
    scores = all_scores(logits, labels)
    for name, value in scores.items():
        low, high = METRICS[name].bounds
        assert math.isfinite(value), name
        assert low - 1e-12 <= value <= high + 1e-12, name
    # A class without images that is never predicted changes nothing.
    wider = np.hstack([logits, np.full((len(labels), extra), -np.inf, np.float16)])
    assert all_scores(wider, labels) == pytest.approx(scores, rel=1e-12, abs=1e-12)
    # Neither does the order of the images, except that equal-count bins keep the order of ties.
    order = random.sample(range(len(labels)), len(labels))
    shuffled = all_scores(logits[order], labels[order])
    tied = len(np.unique(Outcome(logits, labels).confidence)) < len(labels)
    for name in scores:
        if not (tied and "equal_count" in name):  # a root near 0 magnifies rounding
            assert shuffled[name] == pytest.approx(scores[name], rel=1e-9, abs=1e-7), name


def test_one_entry_adds_a_metric(monkeypatch):
    sure = mean_metric("Sure", lambda outcome: outcome.confidence > 0.9, better=1)
    monkeypatch.setitem(METRICS, "sure", sure)
    logits, labels = 3 * np.random.default_rng(0).normal(size=(90, 4)), np.arange(90) % 4
    outcome = Outcome(logits, labels)
    chosen = outcome.confidence > 0.9
    assert all_scores(logits, labels)["sure"] == chosen.mean()
    _, influence = sure.measure(outcome)
    np.testing.assert_allclose(influence, chosen - chosen.mean())
    five = calibration_metric("Five bins", equal_width(5, maximum))
    monkeypatch.setitem(METRICS, "five", five)
    assert metrics.noise_floor(outcome.confidence, "five").mean > 0
    with pytest.raises(ValueError, match="no images"):
        all_scores(np.zeros((0, 3)), np.zeros(0, dtype=int))
