"""The baseline: training and evaluation as a practitioner writes them with torchvision.

PIL decodes and transforms images one by one in the workers of a DataLoader, batches are NCHW, and
each step reads its loss. The recipe is the authors' (public code, jeffwiroj/ece228).
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
#: One worker per core, started as Linux did at the time of the study.
WORKERS = {"num_workers": 2, "multiprocessing_context": "fork"}


class Images(Dataset):
    """Images uint8 (N, H, W, 3) and labels int64 (N,), with a transform for each image."""

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
    """Train one epoch of "MixUp + Aug" and return the training accuracy."""
    flips = [transforms.RandomHorizontalFlip(0.4), transforms.RandomVerticalFlip(0.4)]
    rotation = transforms.RandomApply([transforms.RandomRotation(20)], 0.4)
    augment = transforms.Compose([*flips, rotation])
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
def predict(network, images: np.ndarray, labels: np.ndarray, corruptions: dict) -> list[Tensor]:
    """Return the class probabilities of the clean images and under each corruption."""
    functions = {
        "brightness": adjust_brightness,
        "blur": lambda image, sigma: gaussian_blur(image, [5, 5], [sigma, sigma]),
    }
    shifts = [(functions[name], strength) for name in corruptions for strength in corruptions[name]]
    network.eval()
    found = []
    for function, strength in [(lambda image, _: image, None), *shifts]:
        shift = lambda image, f=function, strength=strength: f(image, strength)  # noqa: E731
        loader = DataLoader(Images(images, labels, shift), batch_size=256, **WORKERS)
        found.append(torch.cat([network(batch).softmax(1) for batch, _ in loader]))
    return found
