"""The benchmarks measure what they say; nothing here is timed."""

import sys
import time

import numpy as np
import pytest
import torch
from torchvision.models import resnet18

from helpers import ROOT, experiment as ex
from helpers.experiment.data import Data, Split

sys.path.append(str(ROOT / "benchmarks"))
import authors
import timing


def test_a_ratio_above_one_says_that_ours_is_better():
    faster = timing.Row("training", "images/s", 300, 100, 400).cells()
    assert faster == ["training", "images/s", "300", "100", "400", "3.00", "0.75", ""]
    shorter = timing.Row("start", "s", 2, 3).cells()
    assert shorter == ["start", "s", "2.0", "3.0", "", "1.50", "", ""]


def test_ways_take_turns_and_the_median_counts(monkeypatch):
    order, clock = [], iter([0, 1, 0, 5, 0, 2, 0, 5, 0, 90, 0, 5])
    monkeypatch.setattr(time, "perf_counter", lambda: next(clock))
    ways = {"a": lambda: order.append("a"), "b": lambda: order.append("b")}
    assert timing.interleave(ways, 3) == {"a": 2, "b": 5}
    assert order == ["a", "b"] * 3


@pytest.fixture
def data():
    generator = torch.Generator().manual_seed(3)
    images = torch.randint(256, (12, 3, 28, 28), generator=generator, dtype=torch.uint8)
    split = Split(images, torch.arange(12) % 3)
    return Data("noise", False, ("a", "b", "c"), split, split, split)


def test_the_baseline_predicts_what_our_evaluation_predicts(data):
    corruptions = {"brightness": [0.8, 1.2], "blur": [0.3]}
    model = ex.make_model("resnet18", "random", data, "data", "train", 0)
    model.mean.copy_(torch.tensor(authors.MEAN).view(3, 1, 1))
    model.std.copy_(torch.tensor(authors.STD).view(3, 1, 1))
    network = resnet18(num_classes=3)
    network.load_state_dict(model.network.state_dict())
    images = data.test.images.permute(0, 2, 3, 1).contiguous().numpy()
    theirs = authors.predict(network, images, data.test.labels.numpy(), corruptions)
    logits = torch.from_numpy(ex.evaluate(model, data, corruptions).logits)
    np.testing.assert_allclose(torch.stack(theirs), logits.float().softmax(2), atol=2e-3)
    assert torch.stack(theirs).diff(dim=0).abs().amax(dim=(1, 2)).min() > 4e-3  # shifts tell
