"""Images a second in training: ResNet-18, 28 px, batches of 256, the recipe "MixUp + Aug"."""

import authors
import torch
from timing import THREADS, Row, format_table, interleave
from torch.nn import functional
from torchvision.models import resnet18

from helpers import experiment as ex
from helpers.experiment.data import Data, Split

BATCH, BATCHES, REPEATS = 256, 4, 3


def make_data(train: int, validation: int, test: int, side: int = 28) -> Data:
    """Return noise in the shape of PathMNIST."""
    generator = torch.Generator().manual_seed(0)
    splits = [
        Split(
            torch.randint(256, (count, 3, side, side), generator=generator, dtype=torch.uint8),
            torch.randint(9, (count,), generator=generator),
        )
        for count in (train, validation, test)
    ]
    return Data("noise", False, tuple("abcdefghi"), *splits)


def make_ours(data: Data, second_forward: bool = False):
    """Return an epoch by `fit`; a validation set of two images costs it next to nothing."""
    model = ex.make_model("resnet18", "random", data, "data", "train", 0)
    torch.set_num_threads(THREADS)
    augmentation = ex.Augmentation(0.4, 20, 0.3)
    rates = {"backbone_lr": 1e-3, "head_lr": 1e-3, "weight_decay": 1e-6}
    shape = {"epochs": 1, "batch_size": BATCH, "precision": "float32", "seed": 0}
    return lambda: ex.fit(
        model, data, augmentation, second_forward=second_forward, **rates, **shape
    )


def make_authors(data: Data):
    """Return an epoch in the authors' way, second forward included."""
    network = resnet18(num_classes=9)
    optimizer = torch.optim.AdamW(network.parameters(), 1e-3, weight_decay=1e-6)
    images = data.train.images.permute(0, 2, 3, 1).contiguous().numpy()
    return lambda: authors.train_epoch(network, optimizer, images, data.train.labels.numpy())


def make_stock(data: Data, memory_format: torch.memory_format):
    """Return as many bare steps of torchvision's network on batches that are ready."""
    network = resnet18(num_classes=9).to(memory_format=memory_format)
    optimizer = torch.optim.AdamW(network.parameters(), 1e-3, weight_decay=1e-6, fused=True)
    ready = data.train.images.div(255).contiguous(memory_format=memory_format).split(BATCH)
    labels = data.train.labels.split(BATCH)

    def train() -> None:
        for batch, own in zip(ready, labels, strict=True):
            optimizer.zero_grad()
            functional.cross_entropy(network(batch), own).backward()
            optimizer.step()

    return train


def measure() -> list[Row]:
    """Return two rows by what bounds them, and one of the same work as the authors'."""
    data = make_data(BATCH * BATCHES, 2, 2)
    ways = {
        "ours": make_ours(data),
        "again": make_ours(data, second_forward=True),
        "authors": make_authors(data),
        "stock": make_stock(data, torch.contiguous_format),
        "stock, channels-last": make_stock(data, torch.channels_last),
    }
    ways["ours"]()  # the first steps choose and compile kernels
    rate = {name: BATCH * BATCHES / s for name, s in interleave(ways, REPEATS).items()}
    return [
        Row("training; bound: stock network alone, NCHW", "images/s", rate["ours"],
            rate["authors"], rate["stock"], "≥ 3.2 × baseline, ≥ 2.2 × bound"),
        Row("training; bound: stock network alone, channels-last", "images/s", rate["ours"],
            rate["authors"], rate["stock, channels-last"]),
        Row("training with the authors' second forward too", "images/s", rate["again"],
            rate["authors"]),
    ]  # fmt: skip


if __name__ == "__main__":
    print(format_table(measure()))
