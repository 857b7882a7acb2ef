"""Training: what it learns, what it draws, what it keeps, and that a kill costs no bit."""

import io
import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional

from helpers.experiment import training
from helpers.experiment.augmentation import Augmentation
from helpers.experiment.data import Split
from helpers.experiment.evaluation import score
from helpers.experiment.models import Classifier, make_model
from helpers.experiment.training import fingerprint, fit, mixed_loss

PLAIN = Augmentation(0.0, 0.0, 0.0)
FULL = Augmentation(0.4, 20.0, 0.3)


class Memory:
    """A checkpoint that kills the training after some of its saves."""

    def __init__(self, *deaths):
        self.saves, self.deaths, self.content, self.reports = 0, deaths, None, []

    def load(self):
        return self.content

    def save(self, write):
        buffer = io.BytesIO()
        write(buffer)
        self.content, self.saves = buffer.getvalue(), self.saves + 1
        if self.saves in self.deaths:
            raise KeyboardInterrupt

    def report(self, **progress):
        self.reports.append(progress)


def make(data, batch_norm="train", seed=0):
    return make_model("resnet18", "random", data, "nowhere", batch_norm, seed)


def train(data, augmentation=PLAIN, epochs=2, lr=1e-3, batch_norm="train", seed=0, **others):
    model, second = make(data, batch_norm, seed), others.pop("second", False)
    others = {"batch_size": 32, "precision": "float32"} | others
    steps = {"epochs": epochs, "second_forward": second, "backbone_lr": lr, "head_lr": lr}
    return model, fit(model, data, augmentation, weight_decay=1e-6, seed=seed, **steps, **others)


def assert_same_bits(model, other):
    for name, value in model.state_dict().items():
        assert torch.equal(value, other.state_dict()[name])


def test_the_weights_of_the_last_epoch_are_kept_if_wanted(stripes):
    model, result = train(stripes, epochs=4, lr=3e-2, keep_epoch="last")
    _, best = train(stripes, epochs=4, lr=3e-2)
    assert (result.best_epoch, best.best_epoch) == (
        4,
        1 + best.history.validation_accuracy.argmax(),
    )
    assert best.best_epoch < 4  # else this test shows nothing
    assert score(model, stripes.validation)[1] == result.history.validation_accuracy.iloc[-1]


def test_an_easy_set_is_learned_in_both_precisions(stripes):
    model, result = train(stripes, epochs=6, precision="bfloat16")
    plain, expected = train(stripes, epochs=6)
    assert min(r.history.validation_accuracy.max() for r in (result, expected)) >= 0.9
    # Weights and logits stay in float32.
    assert {value.dtype for value in model.parameters()} == {torch.float32}
    assert not torch.equal(model.network.conv1.weight, plain.network.conv1.weight)
    logits = model(stripes.test.images)
    assert not torch.equal(logits, logits.bfloat16().float())


def test_a_killed_training_resumes_to_the_same_bits(stripes, capsys, monkeypatch):
    ways = {
        "training": lambda **o: train(stripes, FULL, 3, second=True, **o),
        "fixed statistics": lambda **o: train(stripes, FULL, 3, batch_norm="affine_frozen", **o),
    }
    for run in ways.values():
        whole, expected = run()
        memory = Memory(1, 2, 3)
        for epoch in memory.deaths:
            with pytest.raises(KeyboardInterrupt):
                run(checkpoint=memory)
            assert memory.saves == epoch  # no epoch is repeated
        model, result = run(checkpoint=memory)
        assert capsys.readouterr().out.splitlines()[-1] == "training resumes after epoch 3"
        assert result.history.equals(expected.history)
        assert result.best_epoch == expected.best_epoch
        assert_same_bits(whole, model)
    # Killed within an epoch.
    whole, expected = train(stripes, FULL, 3)
    memory, steps, real = Memory(), itertools.count(1), training.mixed_loss
    die = lambda *a: pytest.fail("killed") if next(steps) == 5 else real(*a)  # noqa: E731
    monkeypatch.setattr(training, "mixed_loss", die)
    with pytest.raises(pytest.fail.Exception):
        train(stripes, FULL, 3, checkpoint=memory)
    model, result = train(stripes, FULL, 3, checkpoint=memory)
    assert result.history.equals(expected.history)
    assert_same_bits(whole, model)
    assert not torch.equal(whole.network.fc.weight, train(stripes, FULL, 3, seed=1)[0].head.weight)


def test_progress_and_seconds_cover_all_processes(stripes, monkeypatch):
    clock = itertools.count()
    monkeypatch.setattr(training.time, "perf_counter", lambda: 100.0 * next(clock))
    memory = Memory(1)
    with pytest.raises(KeyboardInterrupt):
        train(stripes, checkpoint=memory)
    names = ("validation_accuracy", "best_validation_accuracy", "seconds_per_epoch")
    assert memory.reports == [{"epoch": 0, "epochs": 2} | dict.fromkeys(names)]
    _, result = train(stripes, checkpoint=memory)
    accuracy, reports = result.history.validation_accuracy.tolist(), memory.reports[1:]
    assert [r["epoch"] for r in reports] == [1, 2]
    assert [r["validation_accuracy"] for r in reports] == accuracy
    assert [r["best_validation_accuracy"] for r in reports] == [accuracy[0], max(accuracy)]
    # 100 s until the first save; then 100 s until each look at the clock.
    assert [r["seconds_per_epoch"] for r in reports] == [200, 200]
    assert result.seconds == 500


def test_configuration_data_weights_torch_and_machine_guard_a_checkpoint(stripes, monkeypatch):
    model, config = make(stripes), {"lr": 0.1, "augmentation": FULL}
    first = fingerprint(model, stripes, **config)
    with monkeypatch.context() as patch:  # a comment in the source does not count: nobody reads it
        patch.setattr("builtins.open", lambda *_, **__: pytest.fail("the source counts"))
        patch.setattr("io.open", lambda *_, **__: pytest.fail("the source counts"))
        assert fingerprint(model, stripes, checkpoint=Memory(), **config) == first
    found = {fingerprint(model, stripes, **(config | {"lr": 0.2})), first}
    found.add(fingerprint(model, stripes, **(config | {"augmentation": PLAIN})))
    found.add(fingerprint(make(stripes, "frozen"), stripes, **config))
    stripes.train.images[0, 0, 0, 0] += 1
    found.add(fingerprint(model, replace(stripes), **config))
    for target, name, value in (
        (torch, "__version__", "0.1"),
        (Classifier, "machine", {"device": "cpu", "threads": 2}),
        (training, "CHECKPOINT_FORMAT", 0),
    ):
        monkeypatch.setattr(target, name, value)
        found.add(fingerprint(model, stripes, **config))
    with torch.no_grad():
        model.network.fc.bias[0] += 1
    found.add(fingerprint(model, stripes, **config))
    assert len(found) == 9


@pytest.mark.parametrize("content", [b"", b"PK cut short", b"\x80\x02cos\nsystem\n.", 100, [1], {}])
def test_a_corrupt_or_foreign_checkpoint_is_discarded_in_one_line(stripes, capsys, content):
    memory = Memory(1)
    with pytest.raises(KeyboardInterrupt):
        train(stripes, FULL, checkpoint=memory)
    if isinstance(content, list):
        memory.save(lambda file: torch.save(content, file))
    elif content:
        memory.content = memory.content[:-content] if content == 100 else content
    lr = 1e-3 if content else 2e-3  # an empty change: the checkpoint of another learning rate
    _, result = train(stripes, FULL, lr=lr, checkpoint=memory)
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("checkpoint discarded (")
    assert line.endswith("); training restarts")
    assert result.history.equals(train(stripes, FULL, lr=lr)[1].history)


def count_batches(model):
    return int(model.network.layer4[1].bn2.num_batches_tracked)


def test_the_best_weights_are_kept_and_scored_on_clean_images(stripes, monkeypatch):
    accuracies, heads, counts, real = iter([0.5, 0.8, 0.8, 0.7]), [], [], training.score

    def scored(model, split, *subset):
        counts.append(count_batches(model))
        if split is stripes.validation:
            heads.append(model.head.weight.detach().clone())
            return 1.0, next(accuracies)
        chosen = torch.randperm(96, generator=torch.Generator().manual_seed(0))[:30]
        assert torch.equal(*subset, chosen)
        return real(model, split, *subset)

    monkeypatch.setattr(training, "score", scored)
    model, result = train(stripes, epochs=4, batch_norm="affine_frozen")
    assert result.best_epoch == 2  # strictly greater: the tie in epoch 3 does not replace it
    assert torch.equal(model.head.weight, heads[1])
    assert not torch.equal(heads[1], heads[3])
    assert counts == [0, 0, 3, 3, 6, 6, 9, 9]  # statistics move from the second epoch on


def test_a_loss_that_is_not_finite_stops_with_its_epoch(stripes, monkeypatch):
    with pytest.raises(FloatingPointError, match="the train loss is nan in epoch 1; lower the"):
        train(stripes, lr=1e30)
    monkeypatch.setattr(training, "score", lambda *_: (float("inf"), 0.5))
    with pytest.raises(FloatingPointError, match="the train loss is inf in epoch 1; lower the"):
        train(stripes)


def test_mixed_loss_is_cross_entropy_of_mixed_images_and_labels():
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, 3))
    images, labels = torch.rand(8, 3, 2, 2), torch.arange(8) % 3
    loss = mixed_loss(network, images, labels, 0.3, torch.Generator().manual_seed(1))
    partner = torch.randperm(8, generator=torch.Generator().manual_seed(1))
    hot = functional.one_hot(labels, 3).float()
    mixed = 0.3 * images + 0.7 * images[partner]
    expected = functional.cross_entropy(network(mixed), 0.3 * hot + 0.7 * hot[partner])
    torch.testing.assert_close(loss, expected)


def test_batches_are_augmented_and_mixed_and_hold_each_image_once(stripes, monkeypatch):
    weights, batches, real = [], [], training.mixed_loss

    def spied(model, images, labels, weight, generator):
        weights.append(weight)
        batches.append((images * 255).round().byte())
        return real(model, images, labels, weight, generator)

    def drawn():
        return [bytes(image.numpy()) for batch in batches for image in batch]

    monkeypatch.setattr(training, "mixed_loss", spied)
    train(stripes, FULL)
    assert weights == np.random.default_rng(0).beta(0.3, 0.3, (2, 3)).flatten().tolist()
    originals = {bytes(image.numpy()) for image in stripes.train.images}
    assert 0.1 < sum(image in originals for image in drawn()) / 192 < 0.6
    weights.clear(), batches.clear()
    train(stripes, PLAIN)
    assert weights == [1] * 6
    first, second = drawn()[:96], drawn()[96:]
    assert sorted(first) == sorted(second) == sorted(originals)
    assert first != second
    batches.clear()
    few = Split(stripes.train.images[:33], stripes.train.labels[:33])
    train(replace(stripes, train=few), PLAIN, 1)
    assert [len(batch) for batch in batches] == [32]  # a last batch of one image is left out


def test_the_second_forward_comes_first_unmixed_and_without_gradient(stripes, monkeypatch):
    calls, real = [], Classifier.forward

    def spied(self, images):
        if self.training:
            calls.append((images.clone(), torch.is_grad_enabled()))
        return real(self, images)

    # In an epoch of fixed statistics it leaves no trace: no gradient, no random draw.
    ways = ({"batch_norm": "affine_frozen", "second": second} for second in (False, True))
    assert_same_bits(*(train(stripes, FULL, 1, **way)[0] for way in ways))
    assert count_batches(train(stripes, PLAIN, 1, second=True)[0]) == 3  # without MixUp, none
    monkeypatch.setattr(Classifier, "forward", spied)
    model, _ = train(stripes, Augmentation(0.4, 0.0, 0.3), 1, second=True)
    assert count_batches(model) == 6  # statistics see each batch twice
    assert [grad for _, grad in calls] == [False, True] * 3
    for (unmixed, _), (mixed, _) in zip(calls[::2], calls[1::2], strict=True):
        levels = unmixed * 255
        torch.testing.assert_close(levels, levels.round(), atol=1e-4, rtol=0)
        assert not torch.equal(unmixed, mixed)


def test_learning_rates_reach_their_parameters(stripes):
    model = make(stripes)
    before = {name: value.clone() for name, value in model.named_parameters()}
    fit(model, stripes, PLAIN, 1, 32, False, 1e-12, 1e-2, 0.0, "float32", 0)
    moved = {n: (v - before[n]).abs().max().item() for n, v in model.named_parameters()}
    assert moved["network.fc.weight"] > 1e-3
    assert moved["network.conv1.weight"] < 1e-8
