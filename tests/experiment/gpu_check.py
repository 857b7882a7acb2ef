"""By hand, where there is a GPU: graphed, uploaded and plain steps agree, and no step waits."""

import warnings

import torch

from helpers import experiment as ex
from helpers.experiment import data as data_module, training
from helpers.experiment.data import Data, Split
from helpers.experiment.device import GraphedForward

warnings.simplefilter("error")
images = torch.randint(256, (72, 3, 28, 28), dtype=torch.uint8)
REAL = training.mixed_loss, training.score, GraphedForward.prepare


def loss(*arguments):
    result = REAL[0](*arguments)
    torch.cuda.set_sync_debug_mode("error")  # from the first step of an epoch on
    return result


def score(*arguments):
    torch.cuda.set_sync_debug_mode("default")
    return REAL[1](*arguments)


def train(graph: bool, resident: bool, batch_norm: str):
    data_module.RESIDENT_SHARE = 0.5 if resident else 0
    GraphedForward.prepare = REAL[2] if graph else lambda _: None
    split = Split(images, torch.arange(72) % 3)
    data = Data("noise", False, ("a", "b", "c"), split, split, split)
    model = ex.make_model("resnet18", "random", data, "nowhere", batch_norm, 0)
    full = ex.Augmentation(0.4, 20, 0.3)
    result = ex.fit(model, data, full, 2, 16, True, 1e-3, 1e-3, 1e-6, "bfloat16", 0)
    return result.history, ex.evaluate(model, data, {"blur": [0.5]}).logits


training.mixed_loss, training.score = loss, score
for batch_norm in ("train", "affine_frozen"):
    history, logits = train(True, True, batch_norm)
    uploaded = train(True, False, batch_norm)
    assert history.equals(uploaded[0])
    assert (logits == uploaded[1]).all()
    plain, _ = train(False, True, batch_norm)
    assert (history - plain).abs().to_numpy().max() < 0.1, (history, plain)
print("graphed, uploaded and plain steps agree")
