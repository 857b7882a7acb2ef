"""Evaluation against a plain loop, the examples, and degenerate data."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional

from helpers import metrics
from helpers.experiment.augmentation import Augmentation
from helpers.experiment.corruptions import corrupt
from helpers.experiment.data import Data, Split
from helpers.experiment.evaluation import evaluate, find_confident_errors, score
from helpers.experiment.models import make_model
from helpers.experiment.training import fit

CORRUPTIONS = {"brightness": [0.6, 1.4], "blur": [0.9]}


def make(data):
    return make_model("resnet18", "random", data, "nowhere", "train", 0)


@torch.no_grad()
def test_logits_scores_and_examples_are_those_of_a_plain_loop(stripes):
    model = make(stripes).eval()
    result = evaluate(model, stripes, CORRUPTIONS)
    assert (result.logits.shape, result.logits.dtype) == ((4, 30, 3), np.float16)
    for (name, strength), logits in zip(result.conditions, result.logits, strict=True):
        for image, found in zip(stripes.test.images, logits, strict=True):
            expected = model(corrupt(image[None], name, strength))[0]
            np.testing.assert_allclose(found, expected, atol=5e-3, rtol=2e-3)
    expected = model(stripes.validation.images)
    np.testing.assert_allclose(result.validation_logits, expected, atol=5e-3, rtol=2e-3)
    scores, labels = result.scores(), stripes.test.labels.numpy()
    assert scores.corruption.tolist() == ["clean", "brightness", "brightness", "blur"]
    assert scores.strength.fillna(0).tolist() == [0, 0.6, 1.4, 0.9]
    for row, logits in zip(scores.itertuples(), result.logits, strict=True):
        assert row.accuracy == (logits.argmax(1) == labels).mean()
        floor = metrics.noise_floor(metrics.Outcome(logits, labels).confidence)
        assert (row.noise_floor, row.noise_floor_95) == (floor.mean, floor.high)
    assert result.arrays()["corruption"].tolist() == scores.corruption.tolist()
    assert result.examples["labels"].tolist() == [0, 1, 2]
    for condition, images in zip(result.conditions, result.examples["images"], strict=True):
        np.testing.assert_array_equal(images, corrupt(stripes.test.images[:3], *condition))
    first, second, mix = result.examples["mixup"].astype(float)
    assert np.abs(mix - (first + second) / 2).max() <= 0.5
    assert len(set(result.examples["mixup_labels"].tolist())) == 2


@torch.no_grad()
@pytest.mark.parametrize("subset", [None, torch.tensor([5, 3, 80, 17, 44])])
def test_score_is_mean_loss_and_accuracy_in_evaluation_mode(stripes, subset):
    model = make(stripes).train()
    loss, accuracy = score(model, stripes.train, subset)
    chosen = slice(None) if subset is None else subset
    logits, labels = model.eval()(stripes.train.images[chosen]), stripes.train.labels[chosen]
    assert loss == pytest.approx(functional.cross_entropy(logits, labels).item(), rel=1e-5)
    assert accuracy == pytest.approx((logits.argmax(1) == labels).float().mean().item())


def test_errors_are_the_most_confident_ones_under_each_corruption(stripes):
    conditions = [("clean", None), ("brightness", 0.5), ("brightness", 1.5), ("blur", 0.9)]
    labels = stripes.test.labels.numpy()
    logits = 9 * np.tile(np.eye(3)[labels], (4, 1, 1))
    wrong = np.roll(np.eye(3), 1, axis=1)[labels]
    for row, index, size in [(0, 5, 2), (1, 7, 4), (2, 7, 5), (1, 8, 3), (2, 9, 2), (1, 2, 1)]:
        logits[row, index] = size * wrong[index]
    found = find_confident_errors(stripes.test, logits.astype(np.float16), conditions, count=3)
    # No error under blur; image 7 once, at the strength of highest confidence; 2 is the fourth.
    assert found["mistakes_index"].tolist() == [5, 7, 8, 9]
    assert found["mistakes_condition"].tolist() == [0, 2, 1, 2]
    for image, index, row in zip(*found.values(), strict=True):
        expected = corrupt(stripes.test.images[[index]], *conditions[row])[0]
        np.testing.assert_array_equal(image, expected)
    right = find_confident_errors(stripes.test, np.eye(3)[labels][None], [("clean", None)])
    assert [value.shape for value in right.values()] == [(0, 3, 16, 16), (0,), (0,)]


@pytest.mark.parametrize(("weight", "shown"), [(float("nan"), "nan"), (1e9, "-?inf")])
def test_a_logit_that_is_not_finite_is_refused(stripes, weight, shown):
    model = make(stripes)
    torch.nn.init.constant_(model.head.bias, weight)
    with pytest.raises(FloatingPointError, match=rf"a logit is {shown} \(clean \), beyond float16"):
        evaluate(model, stripes, CORRUPTIONS)


def keep(split, chosen):
    return Split(split.images[chosen], split.labels[chosen])


@pytest.mark.parametrize("change", ["no class 2", "one class", "one test image", "two images"])
def test_degenerate_data_give_finite_numbers(stripes, change):
    """With batches larger than the set."""
    train, test = stripes.train, stripes.test
    splits = [Split(s.images, 0 * s.labels) for s in (train, stripes.validation, test)]
    data = {
        "no class 2": replace(stripes, train=keep(train, train.labels != 2)),
        "one class": Data("one", False, ("all",), *splits),
        "one test image": replace(stripes, test=keep(test, [0]), validation=keep(test, [0])),
        "two images": replace(stripes, train=keep(train, [0, 1])),
    }[change]
    model = make(data)
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        full = Augmentation(0.4, 20, 0.3)
        training = fit(model, data, full, 1, 512, False, 1e-3, 1e-3, 0.0, "float32", 0)
        result = evaluate(model, data, CORRUPTIONS)
    assert np.isfinite(training.history.to_numpy()).all()
    assert np.isfinite(result.scores().drop(columns=["corruption", "strength"]).to_numpy()).all()
    assert result.examples["mixup"].shape == (3, 3, 16, 16)
