"""The paper's 84 cells as the runs measured them: a value a seed, and each test image's share."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd

from helpers import metrics
from helpers.metrics import Sample

from .source import ARMS, shown_records

REFERENCE = Path(__file__).parent / "reference"

#: Experiment that makes a row of a data set's tables.
EXPERIMENTS = {(dataset, row): name for dataset, arms in ARMS.items() for name, row in arms.items()}

#: Decimals that the paper prints.
DIGITS = {"accuracy_percent": 1, "rms_calibration_error": 3}

#: Corruption that a column of one strength or a mean over strengths stands for.
SIGNS = {"f": "brightness", "sigma": "blur"}
MEANS = {"Brightness": "f", "Gaussian Blur": "sigma"}

#: Columns that stand for a shift as a whole, and how prose writes them.
SHIFTS = {"Clean": "clean", "Brightness": "brightness", "Gaussian Blur": "blur"}


@dataclass(frozen=True)
class Predictions:
    """What the networks of one arm, S seeds, said about N test images under P conditions.

    Attributes
    ----------
    seeds : S numbers
    conditions : P pairs of a corruption and its strength, NaN for clean
    confidence : float64 (S, P, N)
    correct : bool (S, P, N)
    """

    seeds: tuple[int, ...]
    conditions: list[tuple[str, float]]
    confidence: np.ndarray
    correct: np.ndarray

    def find(self, dataset: str, column: str) -> list[int] | None:
        """Return the places of a column's conditions, None where the runs did not measure one."""
        places = [
            place
            for wanted, strength in list_conditions(dataset, column)
            for place, (corruption, value) in enumerate(self.conditions)
            if corruption == wanted and np.isclose(value, strength, equal_nan=True)
        ]
        return places if len(places) == len(list_conditions(dataset, column)) else None


@cache
def read_reference() -> pd.DataFrame:
    """Return the paper's 84 cells: table, dataset, metric, row, column, value, bold."""
    return pd.read_csv(REFERENCE / "tables.csv", dtype={"bold": bool})


@cache
def read_predictions(experiment: str, tempered: bool = False) -> Predictions:
    """Return the confidences of all shown runs of an experiment, from their stored logits.

    Parameters
    ----------
    tempered : whether each run's logits are divided by the temperature that its clean validation
        set gives (Guo et al. 2017)
    """
    records = shown_records()[experiment]
    confidence, correct = [], []
    for record in records:
        arrays = record.predictions
        temperature = read_temperatures(experiment)[record.seed] if tempered else 1.0
        confidence.append(metrics.confidence(arrays["logits"] / np.float64(temperature)))
        correct.append(metrics.correct(arrays["logits"], arrays["labels"]))
    conditions = list(zip(arrays["corruption"].tolist(), arrays["strength"].tolist(), strict=True))
    seeds = tuple(record.seed for record in records)
    return Predictions(seeds, conditions, np.stack(confidence), np.stack(correct))


@cache
def read_temperatures(experiment: str) -> dict[int, float]:
    """Return the temperature of each shown run, fitted to its clean validation logits, by seed."""
    return {
        record.seed: metrics.fit_temperature(
            record.predictions["validation_logits"], record.predictions["validation_labels"]
        )
        for record in shown_records()[experiment]
    }


def list_conditions(dataset: str, column: str) -> list[tuple[str, float]]:
    """Return the conditions whose scores a column averages.

    Parameters
    ----------
    column : ``Clean``, ``Brightness``, ``Gaussian Blur``, ``f=0.8`` or ``sigma=0.3`` and such;
        a mean is over the strengths that have a column of their own in the paper
    """
    if column == "Clean":
        return [("clean", np.nan)]
    columns = [column]
    if column in MEANS:
        every = read_reference().query("dataset == @dataset").column.unique()
        columns = [name for name in every if name.startswith(f"{MEANS[column]}=")]
    parts = [name.split("=") for name in columns]
    return [(SIGNS[sign], float(strength)) for sign, strength in parts]


def list_strengths(dataset: str, corruption: str) -> list[tuple[float, str]]:
    """Return the strengths of a corruption, each with its column; clean where it does nothing."""
    every = read_reference().query("dataset == @dataset").column.unique()
    sign = next(sign for sign, name in SIGNS.items() if name == corruption)
    parts = [(float(name.split("=")[1]), name) for name in every if name.startswith(f"{sign}=")]
    return sorted([*parts, ({"f": 1.0, "sigma": 0.0}[sign], "Clean")])


@cache
def sample(
    dataset: str, metric: str, row: str, column: str, tempered: bool = False
) -> Sample | None:
    """Return what the runs measured for a cell, in the paper's units.

    Parameters
    ----------
    dataset, metric, row, column : as in `read_reference`
    tempered : see `read_predictions`

    Returns
    -------
    Sample, None where the runs did not measure all of the cell's conditions
    """
    experiment = EXPERIMENTS[dataset, row]
    places = read_predictions(experiment, tempered).find(dataset, column)
    if places is None:
        return None
    return metrics.mean_samples([_score_arm(experiment, metric, p, tempered) for p in places])


@cache
def _score_arm(experiment: str, metric: str, place: int, tempered: bool) -> Sample:
    return score(read_predictions(experiment, tempered), metric, place)


def score(predictions: Predictions, metric: str, place: int) -> Sample:
    """Return a metric under one condition, in the paper's units.

    Parameters
    ----------
    metric : ``accuracy_percent`` or ``rms_calibration_error``
    place : of the condition
    """
    confidence, correct = predictions.confidence[:, place], predictions.correct[:, place]
    if metric == "accuracy_percent":
        values = correct.mean(axis=-1)
        influence = [metrics.accuracy_influence(right) for right in correct]
        return 100 * Sample(predictions.seeds, values, np.stack(influence))
    pairs = list(zip(confidence, correct, strict=True))
    values = np.array([metrics.rms_calibration_error(*pair) for pair in pairs])
    influence = np.stack([metrics.rms_influence(*pair) for pair in pairs])
    return Sample(predictions.seeds, values, influence)
