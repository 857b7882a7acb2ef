"""Risk against coverage, against all orders that ties leave open."""

from itertools import pairwise, permutations
from statistics import fmean

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from helpers.metrics import risk_coverage


def average_over_orders(confidence, correct) -> list[float]:
    """Return the risks as the mean over every order that puts no image before a surer one."""
    curves = []
    for order in permutations(range(len(confidence))):
        if all(confidence[a] >= confidence[b] for a, b in pairwise(order)):
            wrong = [not correct[i] for i in order]
            curves.append([fmean(wrong[:kept]) for kept in range(1, len(wrong) + 1)])
    return [fmean(risks) for risks in zip(*curves, strict=True)]


def test_hand_worked_case():
    # Surest first: right, then a tie of one right and one wrong, then wrong.
    confidence, correct = np.array([0.5, 0.9, 0.7, 0.7]), np.array([False, True, True, False])
    coverage, risk = risk_coverage(confidence, correct)
    np.testing.assert_array_equal(coverage, [0.25, 0.5, 0.75, 1])
    np.testing.assert_allclose(risk, [0, 0.5 / 2, 1 / 3, 2 / 4], rtol=1e-12)


@settings(max_examples=50, deadline=None, derandomize=True)
@given(
    st.lists(
        st.tuples(st.sampled_from([0.0, 0.25, 0.5, 1.0]), st.booleans()), min_size=1, max_size=6
    )
)
def test_agrees_with_the_mean_over_all_orders_of_ties(pairs):
    confidence, correct = (np.array(column) for column in zip(*pairs, strict=True))
    expected = average_over_orders(confidence, correct)
    np.testing.assert_allclose(risk_coverage(confidence, correct)[1], expected, atol=1e-12)
    # Outcomes as numbers, 0 and 1, are the same outcomes.
    np.testing.assert_allclose(
        risk_coverage(confidence, correct.astype(int))[1], expected, atol=1e-12
    )


@pytest.mark.parametrize("images", [1, 1000])
@pytest.mark.parametrize("right", [True, False])
def test_all_alike(images, right):
    assert set(risk_coverage(np.ones(images), np.full(images, right))[1]) == {float(not right)}


def test_the_whole_set_has_the_plain_error_rate():
    rng = np.random.default_rng(0)
    confidence, correct = rng.random(777).astype(np.float16), rng.random(777) < 0.3
    assert risk_coverage(confidence, correct)[1][-1] == pytest.approx(1 - correct.mean(), abs=1e-12)


def test_no_images_are_refused():
    with pytest.raises(ValueError, match="no images"):
        risk_coverage(np.zeros(0), np.zeros(0, dtype=bool))
