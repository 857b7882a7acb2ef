"""Benchmarks on tiny cases: they run, and the baseline does the same work as ours."""

import subprocess
import sys

import numpy as np
import torch
from torchvision.models import resnet18

from helpers import ROOT, experiment as ex

sys.path.append(str(ROOT / "benchmarks"))
import authors
import batch
import build_book
import networks
import timing


def test_scripts_run_on_a_tiny_case(monkeypatch):
    monkeypatch.setattr(authors, "WORKERS", {})
    monkeypatch.setattr(networks, "THREADS", 1)
    monkeypatch.setattr(networks, "CORRUPTIONS", {"brightness": [0.8], "blur": [0.3]})
    rows = [*networks.measure_training(8, repeats=1), *networks.measure_evaluation(6, repeats=1)]
    commands, done = [], subprocess.CompletedProcess([], 0)
    monkeypatch.setattr(subprocess, "run", lambda command, **_: commands.append(command) or done)
    rows += [*batch.measure(repeats=1), *build_book.measure()]
    assert [command[1:] for command in commands[-2:]] == [["build", "-W", "book"]] * 2
    assert len(timing.format_table(rows).splitlines()) == 4 + len(rows)
    assert timing.Row("rate", "images/s", 300, 100, 400).cells()[5:] == ["3.00", "0.75"]
    assert timing.Row("time", "s", 2, 3).cells()[5] == "1.50"


def test_baseline_predicts_what_our_evaluation_predicts(monkeypatch):
    monkeypatch.setattr(authors, "WORKERS", {})
    data, corruptions = networks.make_data(9, 12), {"brightness": [0.8, 1.2], "blur": [0.3]}
    model = ex.make_model("resnet18", "random", data, "data", "train", 0)
    model.mean.copy_(torch.tensor(authors.MEAN).view(3, 1, 1))
    model.std.copy_(torch.tensor(authors.STD).view(3, 1, 1))
    network = resnet18(num_classes=9)
    network.load_state_dict(model.network.state_dict())
    images = data.test.images.permute(0, 2, 3, 1).contiguous().numpy()
    theirs = torch.stack(authors.predict(network, images, data.test.labels.numpy(), corruptions))
    logits = torch.from_numpy(ex.evaluate(model, data, corruptions).logits)
    np.testing.assert_allclose(theirs, logits.float().softmax(2), atol=2e-3)
    assert theirs.diff(dim=0).abs().amax(dim=(1, 2)).min() > 4e-3  # each shift has an effect
