"""Evaluation: logits on the clean and corrupted test set, scores, and examples for galleries."""

import contextlib
import copy
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.nn import functional

from helpers import metrics

from .corruptions import condition_arrays, corrupt, list_conditions
from .data import Data, Split, load_data
from .device import iter_batches
from .fetch import make_once
from .models import Classifier, fuse_batch_norm
from .published_data import PUBLISHED_FILES

#: Images per batch; each batch passes through the network once per condition.
BATCH_SIZE = 256


@dataclass(frozen=True)
class Evaluation:
    """Logits of all test images under all conditions, and of the clean validation set."""

    conditions: list[tuple[str, float | None]]  # P corruptions and strengths, clean first
    logits: np.ndarray  # float16 (P, N, C); every score is computed from these, as stored
    labels: np.ndarray  # int64 (N,)
    validation_logits: np.ndarray  # float16 (V, C)
    validation_labels: np.ndarray  # int64 (V,)
    examples: dict[str, np.ndarray]  # from `make_examples` and `find_confident_errors`
    seconds: float

    def scores(self) -> pd.DataFrame:
        """Return one row per condition: corruption, strength, and scores as fractions."""
        names = ("corruption", "strength", "accuracy", "rms_calibration_error")
        rows = []
        for condition, logits in zip(self.conditions, self.logits, strict=True):
            outcome = metrics.Outcome(logits, self.labels)
            error = metrics.rms_calibration_error(outcome.confidence, outcome.correct)
            floor = metrics.noise_floor(outcome.confidence)
            rows.append([*condition, outcome.correct.mean(), error, *floor])
        table = pd.DataFrame(rows, columns=[*names, "noise_floor", "noise_floor_95"])
        return table.astype({"strength": float})

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the arrays that a record stores as predictions."""
        names = ("logits", "labels", "validation_logits", "validation_labels")
        return {name: getattr(self, name) for name in names} | condition_arrays(self.conditions)

    @torch.inference_mode()
    def measure_rounding(self, model: Classifier, data: Data) -> dict:
        """Return what rounding the weights to float16 changes on the clean test images."""
        rounded = copy.deepcopy(model)
        rounded.network.load_state_dict(model.round_weights())
        before = self.logits[0]
        after = _predict(fuse_batch_norm(rounded), data.test, self.conditions[:1])[0]
        return {
            "clean_test_images": len(after),
            "predictions_changed": int((before.argmax(1) != after.argmax(1)).sum()),
            "largest_logit_difference": float(np.abs(before.astype(float) - after).max()),
        }


@torch.inference_mode()
def evaluate(model: Classifier, data: Data, corruptions: dict[str, list[float]]) -> Evaluation:
    """Return the logits of the validation set, and of the test set under every condition.

    Images are corrupted as 8-bit arrays on the device. Batch norm is fused into the convolutions.
    Everything is in float32: bfloat16 would blur differently from the paper. A logit that is not
    finite in float16 raises FloatingPointError.
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
    for index, batch in iter_batches(images, order, BATCH_SIZE):
        for row, condition in zip(logits, conditions, strict=True):
            row[index] = model(corrupt(batch, *condition)).half()
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
    """Return mean cross-entropy and accuracy in evaluation mode; ``subset`` is int64 (M,)."""
    model.eval()
    split = split.on(model.device)
    order = torch.arange(len(split.labels)) if subset is None else subset
    loss, right = torch.zeros(2, device=model.device)
    for index, images in iter_batches(split.images, order.to(model.device), BATCH_SIZE):
        logits, labels = model(images), split.labels[index]
        loss += functional.cross_entropy(logits, labels, reduction="sum")
        right += (logits.argmax(1) == labels).sum()
    return loss.item() / len(order), right.item() / len(order)


def make_examples(data: Data, conditions: list, count: int = 4) -> dict[str, np.ndarray]:
    """Return arrays for the report's galleries.

    ``images``, uint8 (P, k, 3, H, W), are the first test image of each of k classes under all P
    conditions, named as in `condition_arrays`; ``labels``, int64 (k,), are their classes.
    ``mixup``, uint8 (3, 3, H, W), are two training images, of different classes if possible, and
    their mix at lambda = 0.5; ``mixup_labels``, int64 (2,), are the labels of the two.
    """
    present = data.test.labels.unique()
    classes = present[np.linspace(0, len(present) - 1, min(count, len(present))).astype(int)]
    chosen = [int((data.test.labels == label).nonzero()[0]) for label in classes]
    images = data.test.images[chosen]
    train = data.train
    # The first image of another class, or the second image if there is only one class.
    other = int((train.labels != train.labels[0]).int().argmax()) or 1
    first, second = train.images[0], train.images[other]
    mixed = (0.5 * first + 0.5 * second).to(torch.uint8)
    return {
        "images": torch.stack([corrupt(images, *condition) for condition in conditions]).numpy(),
        "labels": data.test.labels[chosen].numpy(),
        "mixup": torch.stack([first, second, mixed]).numpy(),
        "mixup_labels": train.labels[[0, other]].numpy(),
    } | condition_arrays(conditions)


def find_confident_errors(
    split: Split, logits: np.ndarray, conditions: list, count: int = 4
) -> dict[str, np.ndarray]:
    """Return the most confident errors under each corruption, each image at its worst.

    From logits float16 (P, N, C), up to ``count`` errors per corruption, most confident first:
    ``mistakes``, uint8 (M, 3, H, W), as the network saw them, and their int64 (M,) indices in the
    split (``mistakes_index``) and among the conditions (``mistakes_condition``).
    """
    outcomes = [metrics.Outcome(each, split.labels.numpy()) for each in logits]
    # Confidence of wrong predictions, which is positive; 0 for correct ones.
    wrong = np.stack([np.where(each.correct, 0, each.confidence) for each in outcomes])
    chosen = []
    for corruption in dict.fromkeys(name for name, _ in conditions):
        rows = [row for row, (name, _) in enumerate(conditions) if name == corruption]
        worst, highest = wrong[rows].argmax(axis=0), wrong[rows].max(axis=0)
        first = np.argsort(-highest, kind="stable")[:count]
        chosen += [(index, rows[worst[index]]) for index in first if highest[index] > 0]
    images = [corrupt(split.images[[index]], *conditions[row])[0] for index, row in chosen]
    index, row = np.array(chosen, dtype=np.int64).reshape(-1, 2).T
    return {
        "mistakes": torch.stack(images).numpy() if images else split.images[:0].numpy(),
        "mistakes_index": index,
        "mistakes_condition": row,
    }


def write_examples(
    target: Path, name: str, corruptions: dict[str, list[float]], data_dir: str, image_size: int
) -> str:
    """Write the example images of a published data set to a ``.npz``; return a status line.

    The file has the arrays of `make_examples`, the names of the ``classes``, and the ``sha256`` of
    the data; a file that holds the same stays. Without the published files, nothing is written.
    """
    for file in PUBLISHED_FILES[name](data_dir, image_size):
        if (state := file.state) != "as published":
            remedy = "`python -m helpers doctor --profile paper` says what to do"
            return f"{name}: no example images, as {file.path} is {state}; {remedy}"
    data = load_data(name, "official", data_dir, image_size)
    examples = make_examples(data, list_conditions(corruptions))
    examples |= {"classes": np.array(data.classes), "sha256": data.sha256}
    same = False  # compared by arrays, since the bytes of the file hold the time of writing
    with contextlib.suppress(Exception), np.load(target) as kept:  # a damaged file raises anything
        same = all(kept[k].tobytes() == np.asarray(a).tobytes() for k, a in examples.items())
    if not same:
        target.unlink(missing_ok=True)
        advice = f"free space in {target.parent} or make it writable"
        make_once(target, lambda path: np.savez_compressed(path, **examples), advice)
    return f"{name}: example images in {target}"
