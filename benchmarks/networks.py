"""Images per second in training and evaluation: ResNet-18, 28 px, batches of 256, noise images."""

import authors
import torch
from timing import THREADS, Row, interleave
from torch.fx.experimental.optimization import fuse
from torch.nn import functional
from torchvision.models import resnet18

from helpers import experiment as ex
from helpers.experiment.data import Data, Split

BATCH = 256
CORRUPTIONS = {"brightness": [0.8, 0.9, 1.1, 1.2], "blur": [0.3, 0.5, 0.7, 0.9]}


def make_data(train: int, test: int) -> Data:
    """Return noise in the shape of PathMNIST, with two validation images."""
    generator = torch.Generator().manual_seed(0)
    splits = [
        Split(
            torch.randint(256, (count, 3, 28, 28), generator=generator, dtype=torch.uint8),
            torch.arange(count) % 9,
        )
        for count in (train, 2, test)
    ]
    return Data("noise", False, tuple("abcdefghi"), *splits)


def make_ours(data: Data, second_forward: bool):
    """Return one epoch of "MixUp + Aug" by `fit`, as a function."""
    model = ex.make_model("resnet18", "random", data, "data", "train", 0)
    torch.set_num_threads(THREADS)
    augmentation = ex.Augmentation(0.4, 20, 0.3)
    config = {"backbone_lr": 1e-3, "head_lr": 1e-3, "weight_decay": 1e-6, "epochs": 1}
    config |= {"batch_size": BATCH, "precision": "float32", "seed": 0}
    return lambda: ex.fit(model, data, augmentation, second_forward=second_forward, **config)


def make_authors(data: Data):
    """Return one epoch in the authors' way, as a function."""
    network = resnet18(num_classes=9)
    optimizer = torch.optim.AdamW(network.parameters(), 1e-3, weight_decay=1e-6)
    images = data.train.images.permute(0, 2, 3, 1).contiguous().numpy()
    return lambda: authors.train_epoch(network, optimizer, images, data.train.labels.numpy())


def make_stock(data: Data):
    """Return the bare steps of torchvision's network on prepared batches, as a function."""
    network = resnet18(num_classes=9).to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(network.parameters(), 1e-3, weight_decay=1e-6, fused=True)
    images = data.train.images.div(255).contiguous(memory_format=torch.channels_last)
    batches = list(zip(images.split(BATCH), data.train.labels.split(BATCH), strict=True))

    def train() -> None:
        for batch, labels in batches:
            optimizer.zero_grad()
            functional.cross_entropy(network(batch), labels).backward()
            optimizer.step()

    return train


def measure_training(images: int = 4 * BATCH, repeats: int = 3) -> list[Row]:
    """Return training without and with the second forward pass that the authors make."""
    data = make_data(images, 2)
    ways = {
        "ours": make_ours(data, second_forward=False),
        "second forward": make_ours(data, second_forward=True),
        "authors": make_authors(data),
        "stock": make_stock(data),
    }
    ways["ours"]()  # warm up: the first steps select and compile kernels
    rate = {name: images / seconds for name, seconds in interleave(ways, repeats).items()}
    others = rate["authors"], rate["stock"]
    return [
        Row("training", "images/s", rate["ours"], *others),
        Row("training, second forward pass", "images/s", rate["second forward"], *others),
    ]


def measure_evaluation(images: int = 4 * BATCH, repeats: int = 3) -> list[Row]:
    """Return evaluation under nine conditions; the bound is torchvision's network, fused."""
    data = make_data(2, images)
    model = ex.make_model("resnet18", "random", data, "data", "train", 0)
    torch.set_num_threads(THREADS)
    network = resnet18(num_classes=9).eval()
    pixels, labels = data.test.images.permute(0, 2, 3, 1).contiguous(), data.test.labels.numpy()
    stock = fuse(network).to(memory_format=torch.channels_last)
    batches = data.test.images.div(255).contiguous(memory_format=torch.channels_last).split(BATCH)

    @torch.inference_mode()
    def predict() -> None:
        for batch in batches * 9:
            stock(batch)

    ways = {
        "ours": lambda: ex.evaluate(model, data, CORRUPTIONS),
        "authors": lambda: authors.predict(network, pixels.numpy(), labels, CORRUPTIONS),
        "stock": predict,
    }
    ways["ours"]()  # warm up
    rate = {name: 9 * images / seconds for name, seconds in interleave(ways, repeats).items()}
    return [Row("evaluation", "images/s", rate["ours"], rate["authors"], rate["stock"])]
