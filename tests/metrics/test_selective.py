"""Risk against coverage, averaged over all orders that ties allow."""

from itertools import pairwise, permutations

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from helpers.metrics import risk_coverage


def test_hand_worked_case():
    # Most confident first: right, then a tie of one right and one wrong, then wrong.
    confidence, correct = np.array([0.5, 0.9, 0.7, 0.7]), np.array([False, True, True, False])
    coverage, risk = risk_coverage(confidence, correct)
    np.testing.assert_array_equal(coverage, [0.25, 0.5, 0.75, 1])
    np.testing.assert_allclose(risk, [0, 0.5 / 2, 1 / 3, 2 / 4], rtol=1e-12)
    with pytest.raises(ValueError, match="no images"):
        risk_coverage(np.zeros(0), np.zeros(0, dtype=bool))


@settings(max_examples=50, deadline=None, derandomize=True)
@given(st.lists(st.tuples(st.sampled_from([0, 0.25, 1]), st.booleans()), min_size=1, max_size=6))
def test_agrees_with_the_mean_over_all_orders_of_ties(pairs):
    confidence, correct = (np.array(column) for column in zip(*pairs, strict=True))
    curves = [
        np.cumsum(~correct[list(order)]) / np.arange(1, len(order) + 1)
        for order in permutations(range(len(confidence)))
        if all(confidence[a] >= confidence[b] for a, b in pairwise(order))
    ]
    expected = np.mean(curves, axis=0)
    np.testing.assert_allclose(risk_coverage(confidence, correct)[1], expected, atol=1e-12)
