"""The paper's 84 cells as the runs measured them: a value a seed, and each test image's share."""

from dataclasses import dataclass
from functools import cache

import numpy as np

from helpers import metrics
from helpers.metrics import Estimate, Sample

from .paper import LARGEST, list_conditions
from .source import ARMS, shown_records

#: Experiment that makes a row of a data set's tables.
EXPERIMENT_OF = {
    (dataset, row): name for dataset, arms in ARMS.items() for name, row in arms.items()
}


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
    experiment = EXPERIMENT_OF[dataset, row]
    places = read_predictions(experiment, tempered).find(dataset, column)
    if places is None:
        return None
    return metrics.mean_samples([_score_arm(experiment, metric, p, tempered) for p in places])


def estimate(
    dataset: str, metric: str, row: str, column: str, tempered: bool = False
) -> Estimate | None:
    """Return mean and 95 % interval of a cell; none reaches beyond what the metric can be.

    Parameters and units as of `sample`.
    """
    measured = sample(dataset, metric, row, column, tempered)
    if measured is None:
        return None
    found = measured.estimate()
    low, high = (min(max(end, 0.0), LARGEST[metric]) for end in (found.low, found.high))
    return found._replace(low=low, high=high)


@cache
def find_floor(
    dataset: str, row: str, column: str, definition: str, tempered: bool = False
) -> metrics.Floor:
    """Return the noise floor of a calibration error, of its mean over seeds and strengths."""
    predictions = read_predictions(EXPERIMENT_OF[dataset, row], tempered)
    chosen = predictions.confidence[:, predictions.find(dataset, column)]
    return metrics.noise_floor(chosen.reshape(-1, chosen.shape[-1]), definition)


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
