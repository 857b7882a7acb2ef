"""Training: what it learns, what it draws, what it keeps, and that a kill costs no bit."""

import io
import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional

from helpers.experiment import barlow_twins, training
from helpers.experiment.augmentation import Augmentation
from helpers.experiment.barlow_twins import fit_barlow_twins
from helpers.experiment.data import Data, Split
from helpers.experiment.models import Classifier, make_model
from helpers.experiment.training import fingerprint, fit, mixed_loss

PLAIN = Augmentation(0.0, 0.0, 0.0)
FULL = Augmentation(0.4, 20.0, 0.3)


class Memory:
    """A checkpoint that kills the training after some of its epochs."""

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


def train(data, augmentation=PLAIN, epochs=6, lr=1e-3, seed=0, second=False, **others):
    arguments = {"batch_norm": "train", "batch_size": 32, "precision": "float32"} | others
    model = make_model("resnet18", "random", data, "nowhere", arguments.pop("batch_norm"), seed)
    rates = {"backbone_lr": lr, "head_lr": lr, "weight_decay": 1e-6}
    steps = {"epochs": epochs, "second_forward": second}
    return model, fit(model, data, augmentation, **steps, **rates, **arguments, seed=seed)


def pretrain(data, checkpoint=None, **changes):
    model = make_model("resnet18", "random", data, "nowhere", "train", 3)
    arguments = {"projector": [16, 16], "off_diagonal_weight": 0.0051, "epochs": 4}
    arguments |= {"batch_size": 48, "lr": 1e-3, "weight_decay": 1e-6, "precision": "float32"}
    arguments |= {"seed": 3} | changes
    return model, fit_barlow_twins(model, data, **arguments, checkpoint=checkpoint)


def assert_same_bits(model, other):
    for name, value in model.state_dict().items():
        assert torch.equal(value, other.state_dict()[name])


def test_random_labels_are_overfitted(stripes):
    images, generator = stripes.train.images[:32], torch.Generator().manual_seed(0)
    random = Split(images, torch.randint(0, 3, (len(images),), generator=generator))
    data = Data("random", False, stripes.classes, random, random, random)
    _, result = train(data, epochs=70, lr=3e-4)
    assert result.history.train_accuracy.max() == 1


def test_an_easy_set_is_learned_in_both_precisions(stripes):
    model, result = train(stripes, precision="bfloat16")
    plain, expected = train(stripes)
    assert min(r.history.validation_accuracy.max() for r in (result, expected)) >= 0.9
    names = ["train_loss", "train_accuracy", "validation_loss", "validation_accuracy"]
    assert list(expected.history.columns) == ["epoch", *names]
    # Weights, logits and their digits stay in float32.
    assert {value.dtype for value in model.parameters()} == {torch.float32}
    assert not torch.equal(model.network.conv1.weight, plain.network.conv1.weight)
    logits = model(stripes.test.images)
    assert not torch.equal(logits, logits.bfloat16().float())


@pytest.mark.parametrize("batch_norm", ["train", "affine_frozen"])
def test_a_killed_training_resumes_to_the_same_bits(stripes, capsys, batch_norm):
    others = {"second": True, "batch_norm": batch_norm}
    whole, expected = train(stripes, FULL, 4, **others)
    memory = Memory(1, 3, 4)
    for epoch in memory.deaths:
        with pytest.raises(KeyboardInterrupt):
            train(stripes, FULL, 4, **others, checkpoint=memory)
        assert memory.saves == epoch  # no epoch is repeated
    model, result = train(stripes, FULL, 4, **others, checkpoint=memory)
    assert capsys.readouterr().out.splitlines()[-1] == "training resumes after epoch 4"
    assert result.history.equals(expected.history)
    assert result.best_epoch == expected.best_epoch
    assert_same_bits(whole, model)
    other, _ = train(stripes, FULL, 4, **others, seed=1)
    assert not torch.equal(whole.network.fc.weight, other.network.fc.weight)


def test_a_training_killed_within_an_epoch_resumes_to_the_same_bits(stripes, monkeypatch):
    whole, expected = train(stripes, FULL, 3)
    memory, steps, real = Memory(), itertools.count(1), training.mixed_loss

    def kill(*arguments):
        if next(steps) == 5:  # the second step of the second epoch
            raise KeyboardInterrupt
        return real(*arguments)

    monkeypatch.setattr(training, "mixed_loss", kill)
    with pytest.raises(KeyboardInterrupt):
        train(stripes, FULL, 3, checkpoint=memory)
    model, result = train(stripes, FULL, 3, checkpoint=memory)
    assert memory.saves == 3
    assert result.history.equals(expected.history)
    assert_same_bits(whole, model)


def test_a_killed_pretraining_resumes_to_the_same_bits(stripes):
    whole, expected = pretrain(stripes)
    memory = Memory(1, 4)
    for _ in memory.deaths:
        with pytest.raises(KeyboardInterrupt):
            pretrain(stripes, memory)
    model, result = pretrain(stripes, memory)
    assert memory.saves == 4
    assert result.history.equals(expected.history)
    assert model.pack_backbone() == whole.pack_backbone()
    assert [r["epoch"] for r in memory.reports] == [0, 1, 2, 3, 4]
    assert memory.reports[-1]["validation_accuracy"] is None


def test_progress_and_seconds_cover_all_processes(stripes, monkeypatch):
    clock = itertools.count()
    monkeypatch.setattr(training.time, "perf_counter", lambda: 100.0 * next(clock))
    memory = Memory(1)
    with pytest.raises(KeyboardInterrupt):
        train(stripes, epochs=2, checkpoint=memory)
    assert memory.reports == [
        {
            "epoch": 0,
            "epochs": 2,
            "validation_accuracy": None,
            "best_validation_accuracy": None,
            "seconds_per_epoch": None,
        }
    ]
    _, result = train(stripes, epochs=2, checkpoint=memory)
    accuracy = result.history.validation_accuracy.tolist()
    reports = memory.reports[1:]
    assert [r["epoch"] for r in reports] == [1, 2]
    assert [r["validation_accuracy"] for r in reports] == accuracy
    assert [r["best_validation_accuracy"] for r in reports] == [accuracy[0], max(accuracy)]
    # 100 s until the first save; then 100 s until each look at the clock.
    assert [r["seconds_per_epoch"] for r in reports] == [200, 200]
    assert result.seconds == 500


@pytest.mark.parametrize(
    "other", [{"seed": 1}, {"lr": 2e-3}, {"augmentation": PLAIN}, {"batch_norm": "frozen"}, "data"]
)
def test_the_checkpoint_of_another_training_is_discarded(stripes, capsys, other):
    memory = Memory(1)
    with pytest.raises(KeyboardInterrupt):
        train(stripes, FULL, 2, checkpoint=memory)
    if other == "data":
        stripes.train.images[0, 0, 0, 0] += 1
        stripes, other = replace(stripes), {}  # a checksum is computed once
    arguments = {"augmentation": FULL} | other
    _, result = train(stripes, epochs=2, checkpoint=memory, **arguments)
    assert "checkpoint discarded: it belongs to another training" in capsys.readouterr().out
    assert result.history.equals(train(stripes, epochs=2, **arguments)[1].history)


def test_weights_torch_and_machine_guard_a_checkpoint_and_the_source_does_not(stripes, monkeypatch):
    model, config = make_model("resnet18", "random", stripes, "nowhere", "train", 0), {"lr": 0.1}
    first = fingerprint(model, stripes, None, **config)
    # A comment in the source changes its bytes: whoever reads it while hashing fails here.
    monkeypatch.setattr("pathlib.Path.read_bytes", lambda *_: pytest.fail("the source counts"))
    monkeypatch.setattr("pathlib.Path.read_text", lambda *_: pytest.fail("the source counts"))
    assert fingerprint(model, stripes, Memory(), **config) == first
    with torch.no_grad():
        model.network.fc.bias[0] += 1
    found = {first, fingerprint(model, stripes, None, **config)}
    for target, name, value in (
        (torch, "__version__", "0.1"),
        (Classifier, "machine", {"device": "cpu", "threads": 2}),
        (training, "CHECKPOINT_FORMAT", 0),
    ):
        monkeypatch.setattr(target, name, value)
        found.add(fingerprint(model, stripes, None, **config))
    assert len(found) == 5


@pytest.mark.parametrize("content", [b"", b"PK cut short", b"\x80\x02cos\nsystem\n.", "list", 100])
def test_a_corrupt_checkpoint_is_discarded_in_one_line(stripes, capsys, content):
    memory = Memory(1)
    with pytest.raises(KeyboardInterrupt):
        train(stripes, epochs=2, checkpoint=memory)
    if content == "list":
        memory.save(lambda file: torch.save([1, 2], file))
    else:
        memory.content = memory.content[:-content] if content == 100 else content
    _, result = train(stripes, epochs=2, checkpoint=memory)
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("checkpoint discarded: ")
    assert line.endswith("; training restarts")
    assert len(result.history) == 2


def test_the_last_checkpoint_holds_only_the_result(stripes):
    memory, sizes = Memory(1, 2), []
    for _ in memory.deaths:
        with pytest.raises(KeyboardInterrupt):
            train(stripes, epochs=2, checkpoint=memory)
        sizes.append(len(memory.content))
    assert sizes[1] < 0.4 * sizes[0]  # without the optimiser


def count_batches(model):
    """Return how many batches entered the statistics, and their mean."""
    norm = model.network.layer4[1].bn2
    return int(norm.num_batches_tracked), norm.running_mean


def test_the_best_weights_are_kept_and_scored_on_clean_images(stripes, monkeypatch):
    accuracies, heads, counts, real = iter([0.5, 0.8, 0.8, 0.7]), [], [], training.score

    def scored(model, split, *subset):
        counts.append(count_batches(model)[0])
        if split is stripes.validation:
            heads.append(model.network.fc.weight.detach().clone())
            return 1.0, next(accuracies)
        chosen = torch.randperm(96, generator=torch.Generator().manual_seed(0))[:30]
        assert split is stripes.train
        assert torch.equal(*subset, chosen)
        return real(model, split, *subset)

    monkeypatch.setattr(training, "score", scored)
    model, result = train(stripes, epochs=4, batch_norm="affine_frozen")
    assert result.best_epoch == 2  # strictly greater: the tie in epoch 3 does not replace it
    assert torch.equal(model.network.fc.weight, heads[1])
    assert not torch.equal(heads[1], heads[3])
    assert counts == [0, 0, 3, 3, 6, 6, 9, 9]  # statistics move from the second epoch on


def test_a_loss_that_is_not_finite_stops_with_epoch_and_step(stripes, monkeypatch):
    with pytest.raises(FloatingPointError, match=r"epoch \d, step [23]; lower the learning rate"):
        train(stripes, lr=1e30)
    monkeypatch.setattr(training, "score", lambda *_: (float("inf"), 0.5))
    with pytest.raises(FloatingPointError, match="the train loss is inf after epoch 1; lower"):
        train(stripes)
    calls, real = itertools.count(), barlow_twins.barlow_twins_loss
    spoil = lambda *z: real(*z) * (float("nan") if next(calls) == 2 else 1)  # noqa: E731
    monkeypatch.setattr(barlow_twins, "barlow_twins_loss", spoil)
    with pytest.raises(FloatingPointError, match="the validation loss is nan after epoch 1"):
        pretrain(stripes)


def test_mixed_loss_is_cross_entropy_with_mixed_labels():
    torch.manual_seed(0)
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
    train(stripes, FULL, 2)
    assert weights == np.random.default_rng(0).beta(0.3, 0.3, (2, 3)).flatten().tolist()
    originals = {bytes(image.numpy()) for image in stripes.train.images}
    assert 0.1 < sum(image in originals for image in drawn()) / 192 < 0.6
    orders = [set(drawn()[:32]), set(drawn()[96:128])]
    weights.clear(), batches.clear()
    train(stripes, PLAIN, 1)
    assert weights == [1, 1, 1]
    assert sorted(drawn()) == sorted(originals)
    assert orders[0] != orders[1]
    # A last batch of one image is left out.
    batches.clear()
    few = Split(stripes.train.images[:33], stripes.train.labels[:33])
    train(replace(stripes, train=few), PLAIN, 1)
    assert [len(batch) for batch in batches] == [32]


def test_the_second_forward_comes_first_unmixed_and_without_gradient(stripes, monkeypatch):
    calls, real = [], Classifier.forward

    def spied(self, images):
        if self.training:
            calls.append((images.clone(), torch.is_grad_enabled()))
        return real(self, images)

    monkeypatch.setattr(Classifier, "forward", spied)
    model, _ = train(stripes, Augmentation(0.4, 0.0, 0.3), 1, second=True)
    assert count_batches(model)[0] == 6  # statistics see each batch twice
    assert [grad for _, grad in calls] == [False, True] * 3
    for (unmixed, _), (mixed, _) in zip(calls[::2], calls[1::2], strict=True):
        levels = unmixed * 255
        torch.testing.assert_close(levels, levels.round(), atol=1e-4, rtol=0)
        assert not torch.equal(unmixed, mixed)
    without_mixup, _ = train(stripes, PLAIN, 1, second=True)
    assert count_batches(without_mixup)[0] == 3


def test_the_second_forward_moves_nothing_but_the_statistics(stripes):
    # In an epoch of fixed statistics it leaves no trace: no gradient, no random draw.
    states = [
        train(stripes, FULL, 1, second=second, batch_norm="affine_frozen")[0]
        for second in (False, True)
    ]
    assert_same_bits(*states)


def test_learning_rates_reach_their_parameters(stripes):
    model = make_model("resnet18", "random", stripes, "nowhere", "train", 0)
    before = {name: value.clone() for name, value in model.named_parameters()}
    fit(model, stripes, PLAIN, 1, 32, False, 1e-12, 1e-2, 0.0, "float32", 0)
    moved = {n: (v - before[n]).abs().max().item() for n, v in model.named_parameters()}
    assert moved["network.fc.weight"] > 1e-3
    assert moved["network.conv1.weight"] < 1e-8
