"""Batches of sets that are resident, and of those that are mapped from a file."""

import dataclasses
import subprocess
import sys
import warnings

import numpy as np
import pytest
import torch

from helpers.experiment.augmentation import Augmentation
from helpers.experiment.batches import _upload, gather, place
from helpers.experiment.caching import cache_array
from helpers.experiment.data import Split
from helpers.experiment.evaluation import evaluate
from helpers.experiment.models import make_model
from helpers.experiment.training import fit

FULL = Augmentation(0.4, 20.0, 0.3)
ORDER = torch.randperm(96, generator=torch.Generator().manual_seed(1))[:50]


def test_batches_follow_the_order_and_the_last_may_be_smaller(stripes):
    images = stripes.train.images
    batches = list(gather(images, ORDER, 16))
    assert [len(index) for index, _ in batches] == [16, 16, 16, 2]
    assert torch.equal(torch.cat([index for index, _ in batches]), ORDER)
    assert all(torch.equal(batch, images[index]) for index, batch in batches)


def test_uploaded_batches_are_those_of_a_resident_set(stripes):
    uploads = list(_upload(stripes.train.images, ORDER.split(16), torch.device("cpu")))
    for (_, resident), uploaded in zip(
        gather(stripes.train.images, ORDER, 16), uploads, strict=True
    ):
        assert torch.equal(resident, uploaded)


@pytest.mark.parametrize("elsewhere", [False, True])
def test_images_elsewhere_are_uploaded(stripes, monkeypatch, elsewhere):
    asked = []

    def upload(images, parts, device):
        asked.append((images.device, device))
        return iter([torch.empty(0, device=device)] * len(parts))

    monkeypatch.setattr("helpers.experiment.batches._upload", upload)
    images = stripes.train.images.to("meta" if elsewhere else "cpu")
    list(gather(images, ORDER, 16))
    assert asked == ([(torch.device("meta"), ORDER.device)] if elsewhere else [])


@pytest.mark.parametrize(("free", "fits"), [(2.1, True), (1.9, False)])
def test_a_set_is_resident_where_half_the_free_memory_holds_it(monkeypatch, free, fits):
    images, device = torch.zeros(4, 3, 8, 8, dtype=torch.uint8), torch.device("cuda")
    memory = lambda device: (int(free * images.nbytes), 0)  # noqa: E731
    monkeypatch.setattr(torch.cuda, "mem_get_info", memory)
    monkeypatch.setattr(torch.Tensor, "to", lambda self, device: device)
    assert place(images, device) is (device if fits else images)


def map_images(images: torch.Tensor, path) -> torch.Tensor:
    array = cache_array(path, tuple(images.shape), [images.numpy()])
    assert isinstance(array, np.memmap)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.from_numpy(array)


def test_a_mapped_set_gives_the_bits_of_a_resident_one(stripes, tmp_path):
    mapped = {}
    for name in ("train", "validation", "test"):
        split = getattr(stripes, name)
        mapped[name] = Split(map_images(split.images, tmp_path / f"{name}.npy"), split.labels)
    results = []
    for data in (stripes, dataclasses.replace(stripes, **mapped)):
        model = make_model("resnet18", "random", data, "nowhere", "train", 0)
        training = fit(model, data, FULL, 1, 40, True, 1e-3, 1e-3, 1e-6, "float32", 0)
        evaluation = evaluate(model, data, {"blur": [0.5]})
        results.append((data.summary, training.history.to_csv(), evaluation.logits.tobytes()))
    assert results[0] == results[1]


LARGE = """
import resource, sys, warnings
from pathlib import Path

import numpy as np
import torch

from helpers import experiment as ex
from helpers.experiment.caching import cache_array
from helpers.experiment.data import Data, Split


class Tiny(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = torch.nn.Linear(3, 3)

    def forward(self, images):
        return self.fc(images.mean((2, 3)))


warnings.simplefilter("ignore")
torch.set_num_threads(1)
used = next(line for line in open("/proc/self/status") if line.startswith("VmData"))
limit = int(used.split()[1]) * 1024 + 300 * 2**20
resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
try:
    np.ones(384 * 2**20, np.uint8)
except MemoryError:
    pass
else:
    raise SystemExit("the limit does not hold")
shape = (32 * 1024, 3, 64, 64)
part = np.arange(512 * 3 * 64 * 64).astype(np.uint8).reshape(512, *shape[1:])
images = torch.from_numpy(cache_array(Path(sys.argv[1]), shape, [part] * 64))
whole = Split(images, torch.arange(len(images)) % 3)
few = Split(images[-512:], whole.labels[-512:])
data = Data("large", False, ("a", "b", "c"), whole, few, whole)
assert len(data.summary["sha256"]) == 64
model = ex.make_model("resnet18", "random", data, "nowhere", "train", 0)
model.network = Tiny()
ex.fit(model, data, ex.Augmentation(0, 0, 0.3), epochs=1, batch_size=128, second_forward=False,
       backbone_lr=1e-3, head_lr=1e-3, weight_decay=0, precision="float32", seed=0)
assert ex.evaluate(model, data, {"brightness": [0.5]}).logits.shape == (2, len(images), 3)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits memory as Linux does")
def test_a_set_larger_than_the_memory_is_trained_on_and_evaluated(tmp_path):
    """384 MB of images, with 300 MB for the network and all else."""
    command = [sys.executable, "-c", LARGE, str(tmp_path / "large.npy")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
