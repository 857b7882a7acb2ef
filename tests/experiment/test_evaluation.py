"""Evaluation against a plain loop, the examples, and degenerate data."""

import itertools
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
from helpers.experiment.evaluation import evaluate, find_confident_errors, make_examples, score
from helpers.experiment.models import make_model
from helpers.experiment.training import fit

CORRUPTIONS = {"brightness": [0.6, 1.4], "blur": [0.9]}


def make(data):
    return make_model("resnet18", "random", data, "nowhere", "train", 0)


@torch.no_grad()
def test_logits_and_scores_are_those_of_a_plain_loop(stripes):
    model = make(stripes).eval()
    result = evaluate(model, stripes, CORRUPTIONS)
    assert (result.logits.shape, result.logits.dtype) == ((4, 30, 3), np.float16)
    for (name, strength), logits in zip(result.conditions, result.logits, strict=True):
        for image, found in zip(stripes.test.images, logits, strict=True):
            expected = model(corrupt(image[None], name, strength))[0]
            np.testing.assert_allclose(found, expected, atol=5e-3, rtol=2e-3)
    expected = model(stripes.validation.images)
    np.testing.assert_allclose(result.validation_logits, expected, atol=5e-3, rtol=2e-3)
    assert not any(np.array_equal(a, b) for a, b in itertools.combinations(result.logits, 2))
    scores = result.scores()
    assert scores.corruption.tolist() == ["clean", "brightness", "brightness", "blur"]
    assert np.isnan(scores.strength[0])
    assert scores.strength.tolist()[1:] == [0.6, 1.4, 0.9]
    labels = stripes.test.labels.numpy()
    for row, logits in zip(scores.itertuples(), result.logits, strict=True):
        assert row.accuracy == (logits.argmax(1) == labels).mean()
        floor = metrics.noise_floor(metrics.confidence(logits))
        assert (row.noise_floor, row.noise_floor_95) == (floor.mean, floor.high)
    arrays = result.arrays()
    assert arrays["corruption"].tolist() == scores.corruption.tolist()
    assert arrays["strength"].tolist()[1:] == [0.6, 1.4, 0.9]


@torch.no_grad()
@pytest.mark.parametrize("subset", [None, torch.tensor([5, 3, 80, 17, 44])])
def test_score_is_mean_loss_and_accuracy_in_evaluation_mode(stripes, subset):
    model = make(stripes).train()
    loss, accuracy = score(model, stripes.train, subset, batch_size=4)
    chosen = slice(None) if subset is None else subset
    logits, labels = model.eval()(stripes.train.images[chosen]), stripes.train.labels[chosen]
    assert loss == pytest.approx(functional.cross_entropy(logits, labels).item(), rel=1e-5)
    assert accuracy == pytest.approx((logits.argmax(1) == labels).float().mean().item())


def test_examples_are_test_images_under_all_conditions(stripes):
    examples = make_examples(stripes, {"brightness": [0.5]}, count=3)
    assert examples["images"].shape == (2, 3, 3, 16, 16)
    assert examples["labels"].tolist() == [0, 1, 2]
    np.testing.assert_array_equal(examples["images"][0], stripes.test.images[:3])
    first, second, mix = examples["mixup"].astype(float)
    assert np.abs(mix - (first + second) / 2).max() <= 0.5
    assert len(set(examples["mixup_labels"].tolist())) == 2


def test_errors_are_the_most_confident_ones_under_each_corruption(stripes):
    conditions = [("clean", None), ("brightness", 0.5), ("brightness", 1.5), ("blur", 0.9)]
    labels = stripes.test.labels.numpy()
    logits = 9 * np.tile(np.eye(3)[labels], (4, 1, 1))
    wrong = np.roll(np.eye(3), 1, axis=1)[labels]
    logits[0, 5] = 2 * wrong[5]
    for row, index, size in [(1, 7, 4), (2, 7, 5), (1, 8, 3), (2, 9, 2), (1, 2, 1)]:
        logits[row, index] = size * wrong[index]
    found = find_confident_errors(stripes.test, logits.astype(np.float16), conditions, count=3)
    # No error under blur; image 7 once, at the strength of highest confidence; 2 is the fourth.
    assert found["mistakes_index"].tolist() == [5, 7, 8, 9]
    assert found["mistakes_condition"].tolist() == [0, 2, 1, 2]
    for image, index, row in zip(*found.values(), strict=True):
        expected = corrupt(stripes.test.images[[index]], *conditions[row])[0]
        np.testing.assert_array_equal(image, expected)
    right = find_confident_errors(stripes.test, np.eye(3)[labels][None], [("clean", None)])
    assert right["mistakes"].shape == (0, 3, 16, 16)
    assert right["mistakes_index"].shape == right["mistakes_condition"].shape == (0,)


@pytest.mark.parametrize(("weight", "shown"), [(float("nan"), "nan"), (1e9, "-?inf")])
def test_a_logit_that_is_not_finite_is_refused(stripes, weight, shown):
    model = make(stripes)
    torch.nn.init.constant_(model.head.bias, weight)
    with pytest.raises(FloatingPointError, match=rf"a logit is {shown} \(clean \), beyond float16"):
        evaluate(model, stripes, CORRUPTIONS)


def keep(split, chosen):
    return Split(split.images[chosen], split.labels[chosen])


def degenerate(data, name):
    one_class = (Split(s.images, 0 * s.labels) for s in (data.train, data.validation, data.test))
    return {
        "class not in training": replace(data, train=keep(data.train, data.train.labels != 2)),
        "class not in test": replace(data, test=keep(data.test, data.test.labels != 2)),
        "one class": Data("one", False, ("all",), *one_class),
        "one test image": replace(data, test=keep(data.test, slice(1))),
        "one validation image": replace(data, validation=keep(data.validation, slice(1))),
        "two training images": replace(data, train=keep(data.train, slice(2))),
    }[name]


NAMES = "class not in training,class not in test,one class,one test image,one validation image"


@pytest.mark.parametrize("name", [*NAMES.split(","), "two training images"])
def test_degenerate_data_give_finite_numbers(stripes, name):
    """With batches larger than the set."""
    data = degenerate(stripes, name)
    model = make(data)
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        augmentation = Augmentation(0.4, 20, 0.3)
        training = fit(model, data, augmentation, 1, 512, False, 1e-3, 1e-3, 0.0, "float32", 0)
        result = evaluate(model, data, CORRUPTIONS)
        scores = result.scores()
    assert np.isfinite(training.history.to_numpy()).all()
    assert np.isfinite(result.logits).all()
    assert np.isfinite(scores.drop(columns=["corruption", "strength"]).to_numpy()).all()
    assert result.examples["mixup"].shape == (3, 3, 16, 16)
    assert result.examples["mixup_labels"].shape == (2,)
