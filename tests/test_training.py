import io
import itertools

import numpy as np
import pytest
import torch
from torch.nn import functional

from helpers import metrics
from helpers.experiment import resuming, training
from helpers.experiment.augmentation import Augmentation
from helpers.experiment.corruptions import corrupt
from helpers.experiment.data import Data, Split
from helpers.experiment.evaluation import evaluate, make_examples
from helpers.experiment.models import Classifier, make_model
from helpers.experiment.training import fit, mixed_loss

PLAIN = Augmentation(0.0, 0.0, 0.0)
FULL = Augmentation(0.4, 20.0, 0.3)


class Memory:
    """A checkpoint that lets a training die after some of its epochs."""

    def __init__(self, *deaths):
        self.epoch, self.deaths, self.content = 0, deaths, None

    def load(self):
        return self.content

    def save(self, fill):
        buffer = io.BytesIO()
        fill(buffer)
        self.content, self.epoch = buffer.getvalue(), self.epoch + 1
        if self.epoch in self.deaths:
            raise KeyboardInterrupt


def train(data, augmentation=PLAIN, epochs=6, lr=1e-3, seed=0, second=False, **others):
    arguments = {"batch_norm": "train", "batch_size": 32, "precision": "float32"} | others
    model = make_model("resnet18", "random", data, "nowhere", arguments.pop("batch_norm"), seed)
    rates = {"backbone_lr": lr, "head_lr": lr, "weight_decay": 1e-6}
    steps = {"epochs": epochs, "second_forward": second}
    return model, fit(model, data, augmentation, **steps, **rates, **arguments, seed=seed)


def test_an_easy_set_is_learned(stripes):
    model, result = train(stripes)
    assert result.history.validation_accuracy.max() >= 0.95
    assert list(result.history.columns) == [
        "epoch",
        "train_loss",
        "train_accuracy",
        "validation_loss",
        "validation_accuracy",
    ]
    assert evaluate(model, stripes, {}).scores().accuracy[0] >= 0.9


def test_mixed_precision_trains_float32_weights_that_are_tested_in_float32(stripes):
    model, result = train(stripes, precision="bfloat16")
    plain, _ = train(stripes)
    assert result.history.validation_accuracy.max() >= 0.9
    assert {value.dtype for value in model.parameters()} == {torch.float32}
    weight = model.network.conv1.weight
    assert not torch.equal(weight, plain.network.conv1.weight)
    logits = model(stripes.test.images)
    assert logits.dtype == torch.float32
    assert not torch.equal(logits, logits.bfloat16().float())


def test_random_labels_are_overfitted(stripes):
    images, generator = stripes.train.images[:32], torch.Generator().manual_seed(0)
    random = Split(images, torch.randint(0, 3, (len(images),), generator=generator))
    data = Data("random", False, stripes.classes, random, random, random)
    _, result = train(data, epochs=70, lr=3e-4)
    assert result.history.train_accuracy.max() == 1


def test_same_seed_same_bits(stripes):
    runs = [train(stripes, FULL, 2, seed=seed) for seed in (0, 0, 1)]
    (first, a), (second, b), (other, _) = runs
    assert a.history.equals(b.history)
    for name, value in first.state_dict().items():
        assert torch.equal(value, second.state_dict()[name])
    assert not torch.equal(first.network.fc.weight, other.network.fc.weight)
    logits = [evaluate(model, stripes, {"blur": [0.5]}).logits for model in (first, second)]
    np.testing.assert_array_equal(*logits)


@pytest.mark.parametrize("batch_norm", ["train", "affine_frozen"])
def test_a_training_that_is_killed_goes_on_to_the_same_bits(stripes, capsys, batch_norm):
    others = {"second": True, "batch_norm": batch_norm}
    whole, expected = train(stripes, FULL, 4, **others)
    memory = Memory(1, 3, 4)
    for epoch in memory.deaths:
        with pytest.raises(KeyboardInterrupt):
            train(stripes, FULL, 4, **others, checkpoint=memory)
        assert memory.epoch == epoch  # no epoch is made twice
    model, result = train(stripes, FULL, 4, **others, checkpoint=memory)
    assert capsys.readouterr().out.splitlines()[-1] == "training goes on after epoch 4"
    assert memory.epoch == 4
    assert result.history.equals(expected.history)
    assert result.best_epoch == expected.best_epoch
    for name, value in whole.state_dict().items():
        assert torch.equal(value, model.state_dict()[name])


def test_seconds_are_those_of_all_processes(stripes, monkeypatch):
    clock = itertools.count()
    monkeypatch.setattr(resuming.time, "perf_counter", lambda: 100.0 * next(clock))
    memory = Memory(1)
    with pytest.raises(KeyboardInterrupt):
        train(stripes, epochs=2, checkpoint=memory)
    _, result = train(stripes, epochs=2, checkpoint=memory)
    assert result.seconds == 100 + 200  # until the save; until the second one and the end


@pytest.mark.parametrize(
    "other", [{"seed": 1}, {"lr": 2e-3}, {"augmentation": PLAIN}, {"batch_norm": "frozen"}, "data"]
)
def test_the_state_of_another_training_is_not_taken_up(stripes, capsys, other):
    memory = Memory(1)
    with pytest.raises(KeyboardInterrupt):
        train(stripes, FULL, 2, checkpoint=memory)
    if other == "data":
        stripes.train.images[0, 0, 0, 0] += 1
    arguments = {"augmentation": FULL} | (other if other != "data" else {})
    _, result = train(stripes, epochs=2, checkpoint=memory, **arguments)
    assert "is of another training: training starts anew" in capsys.readouterr().out
    assert result.history.equals(train(stripes, epochs=2, **arguments)[1].history)


@pytest.mark.parametrize("content", [b"", b"PK cut short", b"\x80\x02cos\nsystem\n."])
def test_a_state_that_is_none_is_dropped(stripes, capsys, content):
    memory = Memory()
    memory.content = content
    _, result = train(stripes, epochs=1, checkpoint=memory)
    assert "the checkpoint is not one" in capsys.readouterr().out
    assert len(result.history) == 1


def test_the_last_state_is_only_what_came_of_the_training(stripes):
    memory = Memory(1, 2)
    sizes = []
    for _ in memory.deaths:
        with pytest.raises(KeyboardInterrupt):
            train(stripes, epochs=2, checkpoint=memory)
        sizes.append(len(memory.content))
    assert sizes[1] < 0.4 * sizes[0]  # no optimizer any more


def test_the_best_validation_model_is_kept(stripes, monkeypatch):
    accuracies = iter([0.5, 0.8, 0.8, 0.7])
    heads = []
    real = training.score

    def scored(model, split):
        if split is not stripes.validation:
            return real(model, split)
        heads.append(model.network.fc.weight.detach().clone())
        return 1.0, next(accuracies)

    monkeypatch.setattr(training, "score", scored)
    model, result = train(stripes, epochs=4)
    assert result.best_epoch == 2  # strictly greater: the tie in epoch 3 does not replace it
    assert torch.equal(model.network.fc.weight, heads[1])
    assert not torch.equal(heads[1], heads[3])


def test_train_accuracy_is_that_of_a_clean_subset_in_evaluation_mode(stripes):
    model, result = train(stripes, FULL, 1)
    subset = torch.randperm(96, generator=torch.Generator().manual_seed(0))[:30]
    model.eval()
    with torch.no_grad():
        logits = model(stripes.train.images[subset])
    right = (logits.argmax(1) == stripes.train.labels[subset]).float().mean()
    assert result.history.train_accuracy[0] == pytest.approx(right.item())
    loss = functional.cross_entropy(logits, stripes.train.labels[subset])
    assert result.history.train_loss[0] == pytest.approx(loss.item(), rel=1e-5)


def test_a_loss_that_is_not_finite_stops_with_epoch_and_step(stripes):
    with pytest.raises(FloatingPointError, match=r"epoch \d+, step \d+; lower the learning rate"):
        train(stripes, lr=1e30)


def test_mixup_loss_is_cross_entropy_with_mixed_labels():
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, 3))
    images, labels = torch.rand(8, 3, 2, 2), torch.arange(8) % 3
    loss = mixed_loss(network, images, labels, 0.3, torch.Generator().manual_seed(1))
    partner = torch.randperm(8, generator=torch.Generator().manual_seed(1))
    hot = functional.one_hot(labels, 3).float()
    target = 0.3 * hot + 0.7 * hot[partner]
    mixed = 0.3 * images + 0.7 * images[partner]
    expected = functional.cross_entropy(network(mixed), target)
    torch.testing.assert_close(loss, expected)


def test_training_batches_are_augmented_and_mixed(stripes, monkeypatch):
    weights, batches = [], []
    real = training.mixed_loss

    def spied(model, images, labels, weight, generator):
        weights.append(weight)
        batches.append(images)
        return real(model, images, labels, weight, generator)

    monkeypatch.setattr(training, "mixed_loss", spied)
    train(stripes, FULL, 2)
    assert weights == np.random.default_rng(0).beta(0.3, 0.3, (2, 3)).flatten().tolist()
    originals = {bytes(image.numpy()) for image in stripes.train.images}
    drawn = [bytes((image * 255).round().byte().numpy()) for batch in batches for image in batch]
    assert 0.1 < sum(image in originals for image in drawn) / len(drawn) < 0.6
    weights.clear(), batches.clear()
    train(stripes, PLAIN, 1)
    assert weights == [1, 1, 1]
    seen = {bytes((image * 255).round().byte().numpy()) for batch in batches for image in batch}
    assert seen == originals  # every image once an epoch


def count_batches(model):
    """How many batches went into the statistics, and into which."""
    norm = model.network.layer4[1].bn2
    return int(norm.num_batches_tracked), norm.running_mean


def test_with_a_second_forward_statistics_see_each_batch_twice(stripes):
    (once, _), (twice, _) = (train(stripes, FULL, 1, second=second) for second in (False, True))
    assert [count_batches(model)[0] for model in (once, twice)] == [3, 6]
    assert not torch.equal(count_batches(once)[1], count_batches(twice)[1])


def test_the_second_forward_comes_first_unmixed_and_without_gradient(stripes, monkeypatch):
    calls = []
    real = Classifier.forward

    def spied(self, images):
        if self.training:
            calls.append((images.clone(), torch.is_grad_enabled()))
        return real(self, images)

    monkeypatch.setattr(Classifier, "forward", spied)
    flips = Augmentation(0.4, 0.0, 0.3)  # no rotation, so that each image's colours stay
    train(stripes, flips, 1, second=True)
    assert [grad for _, grad in calls] == [False, True] * 3
    for (unmixed, _), (mixed, _) in zip(calls[::2], calls[1::2], strict=True):
        levels = unmixed * 255
        torch.testing.assert_close(levels, levels.round(), atol=1e-4, rtol=0)
        assert not torch.equal(unmixed, mixed)


def test_the_second_forward_moves_nothing_but_the_statistics(stripes):
    # In an epoch whose statistics are fixed it leaves no trace: no gradient, no random draw.
    states = [
        train(stripes, FULL, 1, second=second, batch_norm="affine_frozen")[0].state_dict()
        for second in (False, True)
    ]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_without_mixup_there_is_no_second_forward(stripes):
    model, _ = train(stripes, PLAIN, 1, second=True)
    assert count_batches(model)[0] == 3


def test_statistics_of_affine_frozen_move_from_the_second_epoch_on(stripes, monkeypatch):
    counts, real = [], training.score

    def scored(model, split):
        counts.append(count_batches(model)[0])
        return real(model, split)

    monkeypatch.setattr(training, "score", scored)
    train(stripes, epochs=3, batch_norm="affine_frozen")
    assert counts == [0, 0, 3, 3, 6, 6]  # training subset and validation set, after each epoch


def test_last_batch_of_one_image_is_left_out(stripes):
    train_split = Split(stripes.train.images[:17], stripes.train.labels[:17])
    data = Data("odd", False, stripes.classes, train_split, stripes.validation, stripes.test)
    _, result = train(data, epochs=1, batch_size=16)
    assert len(result.history) == 1


def test_learning_rates_reach_their_parameters(stripes):
    model = make_model("resnet18", "random", stripes, "nowhere", "train", 0)
    before = {name: value.clone() for name, value in model.named_parameters()}
    fit(model, stripes, PLAIN, 1, 32, False, 1e-12, 1e-2, 0.0, "float32", 0)
    moved = {n: (v - before[n]).abs().max().item() for n, v in model.named_parameters()}
    assert moved["network.fc.weight"] > 1e-3
    assert moved["network.conv1.weight"] < 1e-8


def test_evaluation_covers_all_conditions_in_order(stripes):
    model, _ = train(stripes, epochs=1)
    corruptions = {"brightness": [0.6, 1.4], "blur": [0.9]}
    result = evaluate(model, stripes, corruptions)
    assert result.logits.shape == (4, 30, 3)
    assert result.logits.dtype == np.float16
    scores = result.scores()
    assert scores.corruption.tolist() == ["clean", "brightness", "brightness", "blur"]
    assert scores.strength.tolist()[1:] == [0.6, 1.4, 0.9]
    assert np.isnan(scores.strength[0])
    for row, logits in zip(scores.itertuples(), result.logits, strict=True):
        assert row.accuracy == metrics.accuracy(logits, stripes.test.labels.numpy())
        floor = metrics.noise_floor(metrics.confidence(logits))
        assert (row.noise_floor, row.noise_floor_95) == (floor.mean, floor.high)
    model.eval()
    for (name, strength), logits in zip(result.conditions, result.logits, strict=True):
        with torch.no_grad():
            expected = model(corrupt(stripes.test.images, name, strength)).half().numpy()
        np.testing.assert_allclose(logits, expected, atol=2e-2)
    assert not any(np.array_equal(a, b) for a, b in itertools.combinations(result.logits, 2))


def test_examples_are_test_images_under_all_conditions(stripes):
    examples = make_examples(stripes, {"brightness": [0.5]}, count=3)
    assert examples["images"].shape == (2, 3, 3, 16, 16)
    assert examples["labels"].tolist() == [0, 1, 2]
    np.testing.assert_array_equal(examples["images"][0], stripes.test.images[:3])
    first, second, mix = examples["mixup"].astype(float)
    assert np.abs(mix - (first + second) / 2).max() <= 0.5
    assert len(set(examples["mixup_labels"].tolist())) == 2
