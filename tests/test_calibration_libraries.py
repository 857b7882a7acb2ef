"""Calibration error against torchmetrics and netcal, and where they differ by their own rules."""

from math import sqrt

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings, strategies as st
from netcal.metrics import ECE, MCE
from torchmetrics.functional.classification import (
    binary_calibration_error,
    multiclass_calibration_error,
)

from helpers import metrics

#: Confidences that are exact in binary: 0, .5 and 1 are the only edges of 10 and of 15 bins among
#: them, so that an edge rounded another way (.3, say) does not decide.
EXACT = st.one_of(st.integers(0, 2**20), st.sampled_from([0, 2**18, 2**19, 2**20])).map(
    lambda number: number / 2**20
)


@settings(max_examples=80, deadline=None, derandomize=True)
@given(st.lists(st.tuples(EXACT, st.booleans()), min_size=1, max_size=60))
def test_agrees_with_torchmetrics_and_netcal(pairs):
    # Both close their bins on the left, this project on the right as in the source of each
    # definition. Doubt for confidence and wrong for right mirrors the bins and keeps the gaps.
    confidence, correct = np.array([c for c, _ in pairs]), np.array([y for _, y in pairs])
    doubt, wrong = 1 - confidence, (~correct).astype(int)
    for bins in (10, 15):
        rms = metrics.rms_calibration_error(confidence, correct, bins)
        expected = metrics.expected_calibration_error(confidence, correct, bins)
        maximum = metrics.maximum_calibration_error(confidence, correct, bins)
        assert ECE(bins).measure(doubt, wrong) == pytest.approx(expected, abs=1e-6)
        assert MCE(bins).measure(doubt, wrong) == pytest.approx(maximum, abs=1e-6)
        if doubt.max() == 1:  # torchmetrics has a bin of its own for exactly 1
            continue
        tensors = torch.from_numpy(doubt), torch.from_numpy(wrong)
        for norm, ours in {"l1": expected, "l2": rms, "max": maximum}.items():
            theirs = binary_calibration_error(*tensors, n_bins=bins, norm=norm).item()
            assert theirs == pytest.approx(ours, abs=1e-6)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.integers(1, 300), st.integers(2, 12), st.floats(0.1, 5), st.integers(0, 2**32 - 1))
def test_agrees_with_torchmetrics_from_logits_on(images, classes, scale, seed):
    rng = np.random.default_rng(seed)
    logits = (rng.normal(size=(images, classes)) * scale).astype(np.float16)
    labels = rng.integers(classes, size=images)
    confidence = metrics.confidence(logits)
    # torchmetrics rounds to float32 and closes its bins on the left: no confidence on an edge, and
    # none that becomes exactly 1, which would have a bin of its own.
    assume(not np.isin(confidence.astype(np.float32), np.float32(np.arange(1, 10) / 10)).any())
    probabilities = torch.from_numpy(metrics.softmax(logits)).clamp(max=1 - 1e-7)
    theirs = multiclass_calibration_error(
        probabilities, torch.from_numpy(labels), classes, n_bins=10, norm="l2"
    )
    ours = metrics.rms_calibration_error(confidence, metrics.correct(logits, labels))
    assert ours == pytest.approx(theirs.item(), abs=1e-6)


def test_torchmetrics_rounds_a_sure_image_into_a_bin_of_its_own():
    # Float16 logits of a run can give this: .99999999 and .981, both right, are in one bin.
    logits = np.array([[8.164, -10.23], [1.673, -2.271]], np.float16)
    confidence, labels = metrics.confidence(logits), np.array([0, 0])
    gaps = 1 - confidence
    right = metrics.correct(logits, labels)
    assert metrics.rms_calibration_error(confidence, right) == pytest.approx(gaps.mean(), abs=1e-12)
    tensors = torch.from_numpy(metrics.softmax(logits)), torch.from_numpy(labels)
    theirs = multiclass_calibration_error(*tensors, 2, n_bins=10, norm="l2").item()
    assert theirs == pytest.approx(sqrt((gaps**2).mean()), abs=1e-6)


def test_the_documented_differences_from_torchmetrics():
    # Exactly 1, right, shares (.5, 1] with .75, wrong: gap .875 - .5. torchmetrics parts the two.
    # Exactly .5, wrong, is alone in (0, .5] here; there it is in [.5, 1), with .75.
    for confidence, correct, ours, theirs in [
        ([0.75, 1.0], [0, 1], 0.375, 0.75 / 2),
        ([0.75, 1.0], [1, 0], 0.375, (0.25 + 1) / 2),
        ([0.5, 0.75], [0, 1], (0.5 + 0.25) / 2, 0.125),
    ]:
        tensors = torch.tensor(confidence, dtype=torch.float64), torch.tensor(correct)
        assert binary_calibration_error(*tensors, n_bins=2, norm="l1").item() == theirs
        right = np.array(correct, dtype=bool)
        assert metrics.expected_calibration_error(np.array(confidence), right, bins=2) == ours
