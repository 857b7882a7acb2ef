"""The paper's 84 cells as the runs measured them: a value a seed, and each test image's share."""

import inspect
import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cache, lru_cache, partial, wraps

import numpy as np

from helpers import metrics
from helpers.metrics import Estimate, Sample
from helpers.runs.record import Record

from .paper import LARGEST, list_conditions
from .source import ARMS, shown_records

#: A floor is simulated for so many seeds at most; more would hardly move it.
FLOOR_SEEDS = 10

#: The paper's definition of the calibration error.
RMS = "rms_calibration_error_10"

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
    temperatures : S numbers, each fitted to a run's clean validation logits (Guo et al. 2017)
    scores : of each seed and condition what `metrics.judge` returns besides; none if tempered
    """

    seeds: tuple[int, ...]
    conditions: list[tuple[str, float]]
    confidence: np.ndarray
    correct: np.ndarray
    temperatures: tuple[float, ...] = ()
    scores: tuple[tuple[dict[str, float], ...], ...] = ()

    def find(self, dataset: str, column: str) -> list[int] | None:
        """Return the places of a column's conditions, None where the runs did not measure one."""
        places = [
            place
            for wanted, strength in list_conditions(dataset, column)
            for place, (corruption, value) in enumerate(self.conditions)
            if corruption == wanted and np.isclose(value, strength, equal_nan=True)
        ]
        return places if len(places) == len(list_conditions(dataset, column)) else None


def once(function: Callable, kept: int | None = None) -> Callable:
    """Compute each result once, however the arguments are given: the cache of functools takes a
    default that is left out and one that is given for two.

    Parameters
    ----------
    kept : results that are remembered at most; by default all
    """
    signature, remembered = inspect.signature(function), lru_cache(kept)(function)

    @wraps(function)
    def ask(*args, **kwargs):
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        return remembered(*bound.args)

    ask.cache_clear = remembered.cache_clear
    return ask


@once
def read_predictions(experiment: str, tempered: bool = False) -> Predictions:
    """Return the confidences of all shown runs of an experiment, from their stored logits.

    Parameters
    ----------
    tempered : whether each run's logits are divided by its temperature
    """
    records = shown_records()[experiment]
    if tempered:
        judged = read_predictions(experiment)  # no temperature changes which class is first
        pairs = zip(records, judged.temperatures, strict=True)
        warm = spread(lambda pair: _temper(*pair), pairs)
        return replace(judged, confidence=np.stack(warm), scores=())
    conditions, confidence, correct, *others = zip(*spread(_judge_run, records), strict=True)
    seeds = tuple(record.seed for record in records)
    return Predictions(seeds, conditions[0], np.stack(confidence), np.stack(correct), *others)


def _judge_run(record: Record) -> tuple:
    # A record keeps what it has read, and the logits of all runs together would fill the memory.
    arrays = replace(record).predictions
    conditions = list(zip(arrays["corruption"].tolist(), arrays["strength"].tolist(), strict=True))
    judged = [metrics.judge(logits, arrays["labels"]) for logits in arrays["logits"]]
    confidence, correct, scores = zip(*judged, strict=True)
    temperature = metrics.fit_temperature(arrays["validation_logits"], arrays["validation_labels"])
    return conditions, np.stack(confidence), np.stack(correct), temperature, scores


def _temper(record: Record, temperature: float) -> np.ndarray:
    logits = replace(record).predictions["logits"]
    return np.stack([metrics.confidence(part / np.float64(temperature)) for part in logits])


def spread(function: Callable, items: Iterable) -> list:
    """Return the results for the items in order, computed by all cores: numpy lets threads run."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(function, items))


@partial(once, kept=32)  # of a hundred seeds each takes up to 3 MB
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
    predictions = read_predictions(EXPERIMENT_OF[dataset, row], tempered)
    places = predictions.find(dataset, column)
    if places is None:
        return None
    return metrics.mean_samples([score(predictions, metric, place) for place in places])


@once
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


@once
def find_floor(
    dataset: str, row: str, column: str, definition: str, tempered: bool = False
) -> metrics.Floor:
    """Return the noise floor of a calibration error, of its mean over seeds and strengths.

    Of more than `FLOOR_SEEDS` seeds it takes the first ones.
    """
    experiment = EXPERIMENT_OF[dataset, row]
    places = read_predictions(experiment, tempered).find(dataset, column)
    simulated = spread(lambda place: simulate(experiment, place, tempered), places)
    return metrics.find_floor(np.mean([scores[definition] for scores in simulated], axis=0))


@cache
def simulate(experiment: str, place: int, tempered: bool) -> dict[str, np.ndarray]:
    """Return what a calibrated network scores in each draw, by definition, as seeds' mean."""
    chosen = read_predictions(experiment, tempered).confidence[:FLOOR_SEEDS, place]
    definitions = [RMS] if tempered else metrics.CALIBRATION_SCORES
    simulated = metrics.simulate_each(chosen, definitions)
    return {name: scores.mean(axis=0) for name, scores in simulated.items()}


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
