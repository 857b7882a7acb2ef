"""Calibration errors against loops from the papers, torchmetrics, netcal and hand-worked cases."""

from itertools import pairwise
from math import sqrt
from statistics import fmean

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from netcal.metrics import ECE, MCE
from torchmetrics.functional.classification import (
    binary_calibration_error,
    multiclass_calibration_error,
)

from helpers import metrics
from helpers.metrics import METRICS

DEFINITIONS = {name: each.definition for name, each in METRICS.items() if each.definition}


def loop(name, pairs):
    """Return the score of pairs (confidence, correct) by the papers' formulas, group by group."""
    kind, bins = name.split("_")[0], 10 if "10" in name else 15
    edges = [-1, *((i + 1) / bins for i in range(bins))]
    groups = [[pair for pair in pairs if low < pair[0] <= high] for low, high in pairwise(edges)]
    if "equal_count" in name:
        ranked = sorted(pairs, key=lambda pair: pair[0])
        starts = [i * 100 for i in range(max(len(pairs) // 100, 1))]
        groups = [ranked[a:b] for a, b in pairwise([*starts, None])]
    total = largest = 0.0
    for group in filter(None, [pairs] if kind == "signed" else groups):
        p, n = fmean(y for _, y in group), len(group)
        gap = fmean(c for c, _ in group) - p
        unbiased = gap**2 - p * (1 - p) / (n - 1) if n > 1 else 0
        terms = {"rms": gap**2, "debiased": unbiased, "signed": gap}
        total += n / len(pairs) * terms.get(kind, abs(gap))
        largest = max(largest, abs(gap))
    total = largest if kind == "maximum" else total
    return sqrt(max(total, 0)) if kind in ("rms", "debiased") else total


rng = np.random.default_rng(3)
EXTREMES = [
    (np.ones(5), np.ones(5)),
    (np.zeros(3), np.array([1, 0, 0])),
    (np.array([0.3]), np.array([1])),
    (np.full(250, 0.5), np.arange(250) < 80),
    (rng.integers(3, 6, 731) / 8, rng.random(731) < 0.5),  # ties out of order
    (np.arange(11) / 10, np.arange(11) % 2),  # edges of 10 and of 15 bins
    (np.arange(16) / 15, np.arange(16) % 2),
    *((rng.random(n), rng.random(n) < 0.6) for n in (2, 99, 100, 101, 199, 200, 731)),
]


@pytest.mark.parametrize("name", DEFINITIONS)
def test_agrees_with_loops_at_extremes(name):
    for confidence, correct in EXTREMES:
        pairs = list(zip(confidence.tolist(), map(int, correct), strict=True))
        score = DEFINITIONS[name](confidence, correct.astype(bool))
        assert score == pytest.approx(loop(name, pairs), abs=1e-12)
    with pytest.raises(ValueError, match="no images"):
        DEFINITIONS[name](np.zeros(0), np.zeros(0, dtype=bool))


def test_hand_worked_errors():
    # Bin (.6, .7]: .62 and .68, one right, gap .15. Bin (.9, 1]: .95 and .91, both right, gap -.07.
    confidence, correct = np.array([0.62, 0.95, 0.68, 0.91]), np.array([True, True, False, True])
    rms = metrics.rms_calibration_error(confidence, correct)
    assert rms == pytest.approx(sqrt(0.15**2 / 2 + 0.07**2 / 2), abs=1e-12)
    for name, score in {
        "expected_calibration_error_15": (0.38 + 0.05 + 0.68 + 0.09) / 4,  # one image per bin
        "maximum_calibration_error_15": 0.68,
        "signed_calibration_gap": 0.04,
        "debiased_rms_calibration_error_10": 0,  # the first variance, .25, exceeds the squared gap
    }.items():
        found = DEFINITIONS[name](confidence, correct)
        assert found == pytest.approx(score, abs=1e-12), name


#: Exact in binary: rounding decides no edge of the bins.
EXACT = st.one_of(st.integers(0, 2**20), st.sampled_from([0, 2**18, 2**19, 2**20]))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.lists(st.tuples(EXACT, st.booleans()), min_size=1, max_size=60))
def test_agrees_with_torchmetrics_and_netcal(pairs):
    # Both close their bins on the left. Mirroring (doubt for confidence, wrong for right) turns
    # their bins into ours and keeps the size of the gaps.
    confidence, correct = np.array([c / 2**20 for c, _ in pairs]), np.array([y for _, y in pairs])
    doubt, wrong = 1 - confidence, (~correct).astype(int)
    names = "expected_calibration_error", "maximum_calibration_error", "rms_calibration_error"
    ours = [DEFINITIONS[f"{name}_15"](confidence, correct) for name in names]
    theirs = [ECE(15).measure(doubt, wrong), MCE(15).measure(doubt, wrong)]
    assert theirs == pytest.approx(ours[:2], abs=1e-6)
    if doubt.max() < 1:  # torchmetrics has a separate bin for exactly 1
        tensors = torch.from_numpy(doubt), torch.from_numpy(wrong)
        for norm, score in zip(("l1", "max", "l2"), ours, strict=True):
            found = binary_calibration_error(*tensors, n_bins=15, norm=norm).item()
            assert found == pytest.approx(score, abs=1e-6)


def test_agrees_with_torchmetrics_from_logits_on():
    rng = np.random.default_rng(0)
    for classes, scale in ((2, 0.3), (9, 1), (37, 4)):
        logits = (rng.normal(size=(300, classes)) * scale).astype(np.float16)
        labels = rng.integers(classes, size=300)
        # It rounds to float32, and a confidence that rounds to 1 has a bin of its own there.
        outcome = metrics.Outcome(logits, labels)
        probabilities = torch.from_numpy(outcome.probabilities).clamp(max=1 - 1e-7)
        tensors = probabilities, torch.from_numpy(labels)
        theirs = multiclass_calibration_error(*tensors, classes, n_bins=10, norm="l2").item()
        ours, _ = METRICS["rms_calibration_error_10"].measure(outcome)
        assert ours == pytest.approx(theirs, abs=1e-6)
