"""What is hardly a data set or a network: defined numbers all the way, or one line that says no."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch

import made_up
from helpers import InputError, metrics, report
from helpers.experiment import models, training
from helpers.experiment.augmentation import Augmentation
from helpers.experiment.data import Data, Split
from helpers.experiment.evaluation import evaluate
from helpers.experiment.pretraining import fit_barlow_twins
from helpers.experiment.training import fit
from helpers.runs.run import pack_arrays, pack_table

CORRUPTIONS = {"brightness": [0.8, 1.2], "blur": [0.5]}
RATES = {"backbone_lr": 1e-3, "head_lr": 1e-3, "weight_decay": 0.0, "precision": "float32"}


def make(data):
    return models.make_model("resnet18", "random", data, "nowhere", "train", 0)


def train(model, data, **changes):
    steps = {"epochs": 1, "batch_size": 512, "second_forward": False, "seed": 0} | RATES
    return fit(model, data, Augmentation(0.4, 20, 0.3), **(steps | changes))


def keep(split, chosen):
    return Split(split.images[chosen], split.labels[chosen])


def strip(data, name):
    """Return the data with what the name says."""
    two = data.train.labels != 2
    return {
        "a class without training images": lambda: replace(data, train=keep(data.train, two)),
        "a class without test images": lambda: replace(
            data, test=keep(data.test, data.test.labels != 2)
        ),
        "one class in training": lambda: replace(data, train=keep(data.train, ~two)),
        "one class in all": lambda: Data(
            "one",
            False,
            ("all",),
            *(Split(s.images, 0 * s.labels) for s in (data.train, data.validation, data.test)),
        ),
        "one test image": lambda: replace(data, test=keep(data.test, slice(1))),
        "one validation image": lambda: replace(data, validation=keep(data.validation, slice(1))),
        "two training images": lambda: replace(data, train=keep(data.train, slice(2))),
    }[name]()


NAMES = [
    *("a class without training images", "a class without test images", "one class in training"),
    *("one class in all", "one test image", "one validation image", "two training images"),
]


@pytest.mark.parametrize("name", NAMES)
def test_the_whole_way_gives_finite_numbers(name, stripes):
    """With batches that are larger than the set."""
    data = strip(stripes, name)
    model = make(data)
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        history = train(model, data).history
        found = evaluate(model, data, CORRUPTIONS)
        scores = found.scores()
        report.plot_history(history, "pathmnist_basic")
        report.plot_corruptions(found.examples, data.classes)
    assert np.isfinite(history.to_numpy()).all()
    assert np.isfinite(found.logits).all()
    assert np.isfinite(scores.drop(columns=["corruption", "strength"]).to_numpy()).all()
    assert found.examples["mixup"].shape == (3, 3, 16, 16)
    assert found.examples["mixup_labels"].shape == (2,)
    assert pack_table(scores)
    assert pack_arrays(found.arrays())


def test_one_training_image_is_refused(stripes):
    with pytest.raises(InputError, match="stripes: one training image is too few"):
        replace(stripes, train=keep(stripes.train, slice(1)))


@pytest.mark.parametrize("channel", [0, 2])
def test_images_that_are_all_the_same_are_refused(stripes, channel):
    stripes.train.images[:, channel] = 7
    with pytest.raises(InputError, match=f"all training images are the same in channel {channel};"):
        make(stripes)


def test_a_score_that_is_not_finite_stops_the_training(stripes, monkeypatch):
    monkeypatch.setattr(training, "score", lambda *_: (float("inf"), 0.5))
    with pytest.raises(FloatingPointError, match="the train loss is inf after epoch 1; lower"):
        train(make(stripes), stripes)


def test_barlow_twins_stops_where_the_validation_loss_is_not_finite(stripes, monkeypatch):
    model = make(stripes)
    draw = iter(range(99))
    loss = fit_barlow_twins.__globals__["barlow_twins_loss"]

    def spoil(*arguments):  # the second call is the validation's
        return loss(*arguments) * (float("nan") if next(draw) else 1)

    monkeypatch.setitem(fit_barlow_twins.__globals__, "barlow_twins_loss", spoil)
    steps = {"epochs": 1, "batch_size": 96, "lr": 1e-3, "weight_decay": 0.0, "seed": 0}
    with pytest.raises(FloatingPointError, match="the validation loss is nan after epoch 1"):
        fit_barlow_twins(model, stripes, [8, 8], 0.01, precision="float32", **steps)


@pytest.mark.parametrize(("weight", "shown"), [(float("nan"), "nan"), (1e9, "-?inf")])
def test_no_record_holds_a_logit_that_is_not_finite(stripes, weight, shown):
    model = make(stripes)
    torch.nn.init.constant_(model.head.bias, weight)
    with pytest.raises(FloatingPointError, match=rf"a logit is {shown} \(clean \), beyond float16"):
        evaluate(model, stripes, CORRUPTIONS)


def show_all(dataset):
    """Call everything that a page of results calls."""
    number = 1 if dataset == "pathmnist" else 5
    shown = [report.show_table(n) for n in range(number, number + 4)]
    names = (
        *("show_ablation", "show_beyond_temperature", "show_contrasts", "show_corruptions"),
        *("show_curves", "show_findings", "show_reading", "show_reliability"),
        *("show_risk_coverage", "show_scores", "show_strengths", "show_temperatures"),
        "plot_temperatures",
    )
    shown += [getattr(report, name)(dataset) for name in names]
    shown += [report.show_claims(), report.show_summary(), report.show_build()]
    shown += [report.show_data(), report.show_runs()]
    return shown


@pytest.mark.parametrize(
    ("kind", "images", "seeds"),
    [("constant", 300, (0, 1)), ("sure", 1, (0, 1)), ("one class", 1, (0,))],
)
def test_the_report_shows_records_of_any_classifier(kind, images, seeds, tmp_path, monkeypatch):
    """Of one that says nothing, or one class, or one for sure; of one test image; of one seed."""

    def spoil(arrays):
        arrays = {name: value.copy() for name, value in arrays.items()}
        for name in ("logits", "validation_logits"):
            logits = arrays[name] = arrays[name][..., :images, :]
            logits[:] = 0
            logits[..., 0] = {"constant": 0, "one class": 3, "sure": 60_000}[kind]
        for name in ("labels", "validation_labels"):
            arrays[name] = arrays[name][:images]
        return arrays

    made_up.write_records(tmp_path, "made_up", seeds, spoil=spoil)
    made_up.show(monkeypatch, tmp_path, "made_up")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for dataset in ("pathmnist", "pets"):
            for shown in show_all(dataset):
                text = getattr(shown, "data", "") or shown._repr_html_()
                assert not [word for word in ("nan", "inf") if f" {word} " in f" {text} "]


def test_metrics_of_a_constant_classifier_are_defined():
    logits, labels = np.zeros((5, 3), np.float16), np.array([0, 0, 1, 1, 1])
    found = metrics.describe(logits, labels)
    assert np.isfinite(list(found.values())).all()
    assert found["accuracy"] == pytest.approx(0.4)
    assert found["negative_log_likelihood"] == pytest.approx(np.log(3))
