"""Predictions of a network: on the test set, clean and corrupted, and on the validation set."""

import time
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.nn import functional
from tqdm import tqdm

from helpers import metrics

from .batches import gather
from .corruptions import corrupt, list_conditions
from .data import Data, Split
from .folding import fold
from .mistakes import find_mistakes
from .models import Classifier

#: Images a batch; with nine conditions one batch is nine forward passes.
BATCH_SIZE = 256


@dataclass(frozen=True)
class Evaluation:
    """Logits of all test images under all conditions, and of the clean validation set.

    Attributes
    ----------
    conditions : P pairs of a corruption and its strength, the clean test set first
    logits : float16 (P, N, C); every score is computed from these, as they are stored
    labels : int64 (N,)
    validation_logits, validation_labels : float16 (V, C) and int64 (V,)
    examples : what `make_examples` and `find_mistakes` return, for galleries
    seconds : duration
    """

    conditions: list[tuple[str, float | None]]
    logits: np.ndarray
    labels: np.ndarray
    validation_logits: np.ndarray
    validation_labels: np.ndarray
    examples: dict[str, np.ndarray]
    seconds: float

    def scores(self) -> pd.DataFrame:
        """Return a row a condition: corruption, strength, and the scores as fractions.

        ``noise_floor`` is the calibration error that a calibrated network would show by chance, in
        the mean; ``noise_floor_95`` what it stays below in 95 % of the cases.
        """
        rows = []
        for (corruption, strength), logits in zip(self.conditions, self.logits, strict=True):
            confidence, correct = metrics.confidence(logits), metrics.correct(logits, self.labels)
            floor = metrics.noise_floor(confidence)
            row = {
                "corruption": corruption,
                "strength": strength,
                "accuracy": correct.mean(),
                "rms_calibration_error": metrics.rms_calibration_error(confidence, correct),
                "noise_floor": floor.mean,
                "noise_floor_95": floor.high,
            }
            rows.append(row)
        return pd.DataFrame(rows).astype({"strength": float})

    def arrays(self) -> dict[str, np.ndarray]:
        """Return what the record stores as predictions."""
        names = ("logits", "labels", "validation_logits", "validation_labels")
        return {name: getattr(self, name) for name in names} | _name(self.conditions)


@torch.inference_mode()
def evaluate(model: Classifier, data: Data, corruptions: dict[str, list[float]]) -> Evaluation:
    """Return the logits of test and validation set, the former under each corruption too.

    Corruption acts on the 8-bit images on the device; each batch is uploaded once for all its
    conditions. Batch norm is folded into the convolutions. All is in float32, on CUDA too:
    bfloat16 would blur other images than the paper's and keep too few digits of the logits.

    Parameters
    ----------
    model : network on its device
    data : its test and validation splits are used
    corruptions : names of `CORRUPTIONS`, each with its strengths

    Raises
    ------
    InputError : naming a corruption that does not exist
    FloatingPointError : where a logit is not finite, or too large for float16
    """
    started = time.perf_counter()
    conditions = list_conditions(corruptions)
    model = fold(model)
    logits = _predict(model, data.test, conditions)
    return Evaluation(
        conditions,
        logits=logits,
        labels=data.test.labels.numpy(),
        validation_logits=_predict(model, data.validation, conditions[:1])[0],
        validation_labels=data.validation.labels.numpy(),
        examples=make_examples(data, corruptions) | find_mistakes(data.test, logits, conditions),
        seconds=time.perf_counter() - started,
    )


def _predict(model: Classifier, split: Split, conditions: list) -> np.ndarray:
    """Return the logits float16 (P, N, C) of a split under P conditions."""
    order = torch.arange(len(split.labels), device=model.device)
    shape = (len(conditions), len(order), model.head.out_features)
    logits = torch.empty(shape, dtype=torch.float16, device=model.device)
    progress = tqdm(total=len(order) * len(conditions), desc="evaluate", unit="image", leave=False)
    for index, images in gather(split.images, order, BATCH_SIZE):
        for row, condition in zip(logits, conditions, strict=True):
            row[index] = model(corrupt(images, *condition)).half()
        progress.update(len(images) * len(conditions))
    progress.close()
    found = logits.cpu()
    bad = (~found.isfinite()).nonzero()
    if len(bad):
        corruption, strength = conditions[bad[0, 0]]
        raise FloatingPointError(
            f"a logit is {found[tuple(bad[0])]:.0f} ({corruption} {strength or ''}), beyond"
            " float16; lower the learning rate"
        )
    return found.numpy()


@torch.inference_mode()
def score(
    model: Classifier, split: Split, subset: Tensor | None = None, batch_size: int = 256
) -> tuple[float, float]:
    """Return mean cross-entropy and accuracy in evaluation mode, in float32.

    Parameters
    ----------
    subset : int64 (M,), the indices of the images to take; all by default
    """
    model.eval()
    order = torch.arange(len(split.labels)) if subset is None else subset
    loss = torch.zeros((), device=model.device)
    right = torch.zeros((), device=model.device)
    labels = split.labels.to(model.device)
    for index, images in gather(split.images, order.to(model.device), batch_size):
        logits = model(images)
        loss += functional.cross_entropy(logits, labels[index], reduction="sum")
        right += (logits.argmax(1) == labels[index]).sum()
    return loss.item() / len(order), right.item() / len(order)


def make_examples(
    data: Data, corruptions: dict[str, list[float]], count: int = 4
) -> dict[str, np.ndarray]:
    """Return images for the report's galleries.

    Returns
    -------
    images : uint8 (P, k, 3, H, W), the first test image of k classes under every condition
    labels : int64 (k,)
    corruption, strength : str (P,) and float64 (P,), the conditions
    mixup : uint8 (3, 3, H, W), two training images, of different classes where there are two,
        and, at lambda = 0.5, their mix
    mixup_labels : int64 (2,)
    """
    present = data.test.labels.unique()
    classes = present[np.linspace(0, len(present) - 1, min(count, len(present))).astype(int)]
    chosen = [int((data.test.labels == label).nonzero()[0]) for label in classes]
    images = data.test.images[chosen]
    conditions = list_conditions(corruptions)
    corrupted = [corrupt(images, *condition) for condition in conditions]
    train = data.train
    # The first of another class; of one class alone, the second image.
    other = int((train.labels != train.labels[0]).int().argmax()) or 1
    first, second = train.images[0], train.images[other]
    mixed = (0.5 * first + 0.5 * second).to(torch.uint8)
    return {
        "images": torch.stack(corrupted).numpy(),
        "labels": data.test.labels[chosen].numpy(),
        "mixup": torch.stack([first, second, mixed]).numpy(),
        "mixup_labels": train.labels[[0, other]].numpy(),
    } | _name(conditions)


def _name(conditions: list[tuple[str, float | None]]) -> dict[str, np.ndarray]:
    """Return the conditions as arrays of P names and P strengths, NaN for clean."""
    corruption, strength = zip(*conditions, strict=True)
    return {
        "corruption": np.array(corruption),
        "strength": np.array(strength, dtype=np.float64),
    }
