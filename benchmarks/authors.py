"""The baseline: training and evaluation as a practitioner writes them with torchvision.

Images are decoded and transformed one by one by PIL in the workers of a DataLoader, batches are
NCHW, the losses are read each step. The recipe is the authors' (public code, jeffwiroj/ece228).
"""

from collections.abc import Callable

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms
from torchvision.transforms.functional import adjust_brightness, gaussian_blur

MEAN, STD = (0.741, 0.533, 0.706), (0.124, 0.177, 0.124)
#: Of each DataLoader: as many workers as cores, started as Linux did when the study was made.
WORKERS = {"num_workers": 2, "multiprocessing_context": "fork"}


class Images(Dataset):
    """Images uint8 (N, H, W, 3) and labels int64 (N,), each image through a transform."""

    def __init__(self, images: np.ndarray, labels: np.ndarray, transform: Callable):
        self.images, self.labels = images, labels
        self.transform = transforms.Compose(
            [transform, transforms.ToTensor(), transforms.Normalize(MEAN, STD)]
        )

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.transform(Image.fromarray(self.images[index])), self.labels[index]


def train_epoch(network: nn.Module, optimizer, images: np.ndarray, labels: np.ndarray) -> float:
    """Train one epoch by the recipe "MixUp + Aug", and return the training accuracy."""
    augment = transforms.Compose(
        [
            transforms.RandomHorizontalFlip(0.4),
            transforms.RandomVerticalFlip(0.4),
            transforms.RandomApply([transforms.RandomRotation(20)], 0.4),
        ]
    )
    loader = DataLoader(Images(images, labels, augment), batch_size=256, shuffle=True, **WORKERS)
    network.train()
    loss_sum, right = 0.0, 0
    for batch, own in loader:
        with torch.no_grad():
            right += (network(batch).argmax(1) == own).sum().item()
        weight = np.random.beta(0.3, 0.3)  # noqa: NPY002
        partner = torch.randperm(len(own))
        logits = network(weight * batch + (1 - weight) * batch[partner])
        loss = weight * functional.cross_entropy(logits, own)
        loss = loss + (1 - weight) * functional.cross_entropy(logits, own[partner])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        loss_sum += loss.item()
    return right / len(labels)


@torch.no_grad()
def predict(
    network: nn.Module, images: np.ndarray, labels: np.ndarray, corruptions: dict[str, list]
) -> list[Tensor]:
    """Return the probabilities of the clean images and of those under each corruption."""
    functions = {
        "brightness": lambda image, factor: adjust_brightness(image, factor),
        "blur": lambda image, sigma: gaussian_blur(image, [5, 5], [sigma, sigma]),
    }
    shifts = [
        lambda image, function=functions[name], strength=strength: function(image, strength)
        for name, strengths in corruptions.items()
        for strength in strengths
    ]
    network.eval()
    found = []
    for shift in [lambda image: image, *shifts]:
        loader = DataLoader(Images(images, labels, shift), batch_size=256, **WORKERS)
        found.append(torch.cat([network(batch).softmax(1) for batch, _ in loader]))
    return found
