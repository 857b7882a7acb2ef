"""What claims compare, as the paper printed it and as the runs measured it."""

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import numpy as np
import pandas as pd

from helpers.metrics import Sample

from .cells import EXPERIMENT_OF, sample
from .paper import read_curves, read_reference
from .source import ARMS, shown_records

#: The data set of each row of the tables.
ROWS = {row: dataset for dataset, arms in ARMS.items() for row in arms.values()}


def find_gap(history: pd.DataFrame) -> float:
    """Return training minus validation accuracy, the mean over the second half of the epochs."""
    late = history.iloc[len(history) // 2 :]
    return float((late["train_accuracy"] - late["validation_accuracy"]).mean())


def find_falls(history: pd.DataFrame) -> float:
    """Return by how much validation accuracy falls a step, a rise being 0; NaN for one epoch.

    A curve that only rises has none, however fast it rises: this measures noise, not learning.
    """
    return float(-history["validation_accuracy"].diff().dropna().clip(upper=0).mean())


def find_early(history: pd.DataFrame) -> float:
    """Return validation accuracy, the mean over the first five epochs."""
    return float(history["validation_accuracy"].head(5).mean())


class Measure(NamedTuple):
    """A quantity of an arm.

    Attributes
    ----------
    unit : of a difference, as prose writes it after the number
    digits : decimals
    metric : of the cells that it is made of; empty for one of the history of the training
    lost : whether it is the clean cell minus the named one
    find : history to fraction, for a measure of the training
    """

    unit: str
    digits: int
    metric: str = ""
    lost: bool = False
    find: Callable[[pd.DataFrame], float] | None = None


MEASURES = {
    "accuracy": Measure(" points", 1, "accuracy_percent"),
    "accuracy_lost": Measure(" points lost", 1, "accuracy_percent", lost=True),
    "calibration_error": Measure("", 3, "rms_calibration_error"),
    "train_validation_gap": Measure(" points", 1, find=find_gap),
    "validation_falls": Measure(" points", 2, find=find_falls),
    "early_accuracy": Measure(" points", 1, find=find_early),
}


def read_paper(name: str, row: str, column: str | None) -> float:
    """Return a measure as the paper's tables and the authors' curves give it.

    Parameters
    ----------
    name : a key of `MEASURES`
    row, column : of the tables; column None for a measure of the training

    Returns
    -------
    float, in percent or as a fraction as in the tables; NaN where the paper gives no numbers
    """
    measure = MEASURES[name]
    if measure.find:
        history = read_curves().query("row == @row")
        return 100 * measure.find(history) if len(history) else np.nan
    if measure.lost:
        return read_paper("accuracy", row, "Clean") - read_paper("accuracy", row, column)
    return _read_cells()[measure.metric, row, column]


@cache
def _read_cells() -> dict[tuple[str, str, str], float]:
    return read_reference().set_index(["metric", "row", "column"])["value"].to_dict()


def read_runs(name: str, row: str, column: str | None) -> Sample | None:
    """Return a measure as the runs give it, in the units of `read_paper`; None if not measured.

    A measure of the training has no test images: its influence is zero, so that the intervals
    are those of the seeds alone.
    """
    measure = MEASURES[name]
    if measure.find:
        records = shown_records()[EXPERIMENT_OF[ROWS[row], row]]
        values = np.array([100 * measure.find(record.history) for record in records])
        seeds = tuple(record.seed for record in records)
        known = not np.isnan(values).any()
        return Sample(seeds, values, np.zeros((len(seeds), 1), np.float32)) if known else None
    shifted = sample(ROWS[row], measure.metric, row, column)
    if not measure.lost or shifted is None:
        return shifted
    return sample(ROWS[row], measure.metric, row, "Clean") - shifted


def subtract(name: str, left: str, right: str | float, column: str | None) -> Sample | None:
    """Return how much a measure of the runs is larger in one row than in another, or than a number.

    Rows of one data set are paired by seed and test image. Rows of two have nothing in common
    but the seeds' numbers, which makes pairing by them harmless; their images stand side by side.

    Returns
    -------
    Sample, None where the runs cannot know it: a cell that was not measured, a training too short
    for the measure, or no seed in common
    """
    minuend = read_runs(name, left, column)
    if minuend is None:
        return None
    if isinstance(right, float):
        return Sample(minuend.seeds, minuend.values - right, minuend.influence)
    subtrahend = read_runs(name, right, column)
    if subtrahend is None or not set(minuend.seeds) & set(subtrahend.seeds):
        return None
    if ROWS[left] != ROWS[right]:
        minuend, subtrahend = _set_side_by_side(minuend, subtrahend)
    return minuend - subtrahend


def _set_side_by_side(first: Sample, second: Sample) -> tuple[Sample, Sample]:
    """Return two samples over the images of both: those of the other do not move a score.

    A mean over N images of which only M count has the influence N / M of each of the M.
    """
    counts = [part.influence.shape[1] for part in (first, second)]
    padded = []
    for part, images, sides in zip(
        (first, second), counts, [(0, counts[1]), (counts[0], 0)], strict=True
    ):
        influence = np.pad(part.influence * (sum(counts) / images), [(0, 0), sides])
        padded.append(Sample(part.seeds, part.values, influence.astype(np.float32)))
    return tuple(padded)


def trained_shorter(left: str, right: str) -> bool:
    """Return whether each run of one row took fewer epochs than every run of another."""
    epochs = [
        [len(record.history) for record in shown_records()[EXPERIMENT_OF[ROWS[row], row]]]
        for row in (left, right)
    ]
    return max(epochs[0]) < min(epochs[1])
