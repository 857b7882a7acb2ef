"""Evaluation: logits on the clean and corrupted test set, and their scores."""

import time
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.nn import functional
from tqdm import tqdm

from helpers import metrics

from .corruptions import condition_arrays, corrupt, list_conditions
from .data import Data, Split
from .device import iter_batches
from .examples import find_confident_errors, make_examples
from .models import Classifier, fuse_batch_norm

#: Images per batch; with nine conditions one batch takes nine forward passes.
BATCH_SIZE = 256


@dataclass(frozen=True)
class Evaluation:
    """Logits of all test images under all conditions, and of the clean validation set."""

    conditions: list[tuple[str, float | None]]  # P corruptions and strengths, clean first
    logits: np.ndarray  # float16 (P, N, C); every score is computed from these, as stored
    labels: np.ndarray  # int64 (N,)
    validation_logits: np.ndarray  # float16 (V, C)
    validation_labels: np.ndarray  # int64 (V,)
    examples: dict[str, np.ndarray]  # of `make_examples` and `find_confident_errors`
    seconds: float

    def scores(self) -> pd.DataFrame:
        """Return one row per condition: corruption, strength, and scores as fractions."""
        names = ("corruption", "strength", "accuracy", "rms_calibration_error")
        rows = []
        for condition, logits in zip(self.conditions, self.logits, strict=True):
            confidence = metrics.confidence(logits)
            correct = metrics.is_correct(logits, self.labels)
            error = metrics.rms_calibration_error(confidence, correct)
            rows.append([*condition, correct.mean(), error, *metrics.noise_floor(confidence)])
        table = pd.DataFrame(rows, columns=[*names, "noise_floor", "noise_floor_95"])
        return table.astype({"strength": float})

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the arrays that a record stores as predictions."""
        names = ("logits", "labels", "validation_logits", "validation_labels")
        return {name: getattr(self, name) for name in names} | condition_arrays(self.conditions)


@torch.inference_mode()
def evaluate(model: Classifier, data: Data, corruptions: dict[str, list[float]]) -> Evaluation:
    """Return the logits of test and validation set, the former under each corruption too.

    Corruption acts on 8-bit images on the device; a batch is read once for all conditions. Batch
    norm is fused into the convolutions. Everything is in float32, on CUDA too: bfloat16 would
    blur differently from the paper and keep too few digits of the logits. A logit that is not
    finite, or too large for float16, raises FloatingPointError.
    """
    started = time.perf_counter()
    conditions = list_conditions(corruptions)
    model = fuse_batch_norm(model)
    logits = _predict(model, data.test, conditions)
    errors = find_confident_errors(data.test, logits, conditions)
    return Evaluation(
        conditions,
        logits=logits,
        labels=data.test.labels.numpy(),
        validation_logits=_predict(model, data.validation, conditions[:1])[0],
        validation_labels=data.validation.labels.numpy(),
        examples=make_examples(data, conditions) | errors,
        seconds=time.perf_counter() - started,
    )


def _predict(model: Classifier, split: Split, conditions: list) -> np.ndarray:
    """Return the logits float16 (P, N, C) of a split under P conditions."""
    images = split.on(model.device).images
    order = torch.arange(len(images), device=model.device)
    shape = (len(conditions), len(order), model.head.out_features)
    logits = torch.empty(shape, dtype=torch.float16, device=model.device)
    progress = tqdm(total=len(order) * len(conditions), desc="evaluate", unit="image", leave=False)
    for index, batch in iter_batches(images, order, BATCH_SIZE):
        for row, condition in zip(logits, conditions, strict=True):
            row[index] = model(corrupt(batch, *condition)).half()
        progress.update(len(batch) * len(conditions))
    progress.close()
    logits = logits.cpu()
    bad = (~logits.isfinite()).nonzero()
    if len(bad):
        corruption, strength = conditions[bad[0, 0]]
        raise FloatingPointError(
            f"a logit is {logits[tuple(bad[0])]:.0f} ({corruption} {strength or ''}), beyond"
            " float16; lower the learning rate"
        )
    return logits.numpy()


@torch.inference_mode()
def score(model: Classifier, split: Split, subset: Tensor | None = None) -> tuple[float, float]:
    """Return mean cross-entropy and accuracy in evaluation mode, of all images or of int64 (M,)."""
    model.eval()
    split = split.on(model.device)
    order = torch.arange(len(split.labels)) if subset is None else subset
    loss, right = torch.zeros(2, device=model.device)
    for index, images in iter_batches(split.images, order.to(model.device), BATCH_SIZE):
        logits, labels = model(images), split.labels[index]
        loss += functional.cross_entropy(logits, labels, reduction="sum")
        right += (logits.argmax(1) == labels).sum()
    return loss.item() / len(order), right.item() / len(order)
