"""Estimates and differences: the two tidy tables that every page selects from.

Both hold fractions, not percent. They are computed once for the records shown and kept in
``book/_build/tidy``, named by a hash of the records' checksums and of the code.
"""

import hashlib
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cache
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from helpers import ROOT, metrics
from helpers.metrics import METRICS, Outcome, Sample

from .paper import REFERENCE, paper_strengths, read_curves, read_paper
from .records import Settings, datasets, shown_records, variant_records

#: Folder of the computed tables.
CACHE = ROOT / "book" / "_build" / "tidy"

#: A noise floor is simulated for the first so many seeds of an arm; more would hardly move it.
FLOOR_SEEDS = 10

RMS, TEMPERED = "rms_calibration_error_10", "rms_calibration_error_10_tempered"

#: The paper's metrics, which the tables of differences and ablations show.
PAPER_METRICS = ("accuracy", RMS)


class Measure(NamedTuple):
    """Appearance of a column `metric` of the tidy tables; fields as of `metrics.Metric`."""

    title: str
    digits: int = 3
    percent: bool = False
    better: int = -1
    bounds: tuple[float, float] = (-np.inf, np.inf)

    def scale(self, value: float) -> float:
        """Return a value in the units of a page, rounded as printed."""
        return round(value * (100 if self.percent else 1), self.digits)

    def print(self, value: float, sign: str = "") -> str:
        """Return a value as a page prints it, "—" for NaN."""
        text = f"{value * (100 if self.percent else 1):{sign}z.{self.digits}f}"
        return "—" if np.isnan(value) else text.replace("-", "−")


MEASURES = {
    **{n: Measure(m.title, m.digits, m.percent, m.better, m.bounds) for n, m in METRICS.items()},
    "accuracy_lost": Measure("Accuracy lost to the shift", 1, True),
    TEMPERED: Measure("RMS calibration error at the temperature", bounds=(0.0, 1.0)),
    "temperature": Measure("Temperature", 2, better=0, bounds=(0.0, np.inf)),
    "train_validation_gap": Measure("Training minus validation accuracy", 1, True),
    "validation_falls": Measure("Mean fall of validation accuracy per epoch", 2, True),
    "early_accuracy": Measure("Validation accuracy, first five epochs", 1, True, 1),
}


#: Measures of the training (shift "training"), from a run's history: the gap over the second half
#: of the epochs; how far validation accuracy falls per epoch, a rise counting 0, so that fast
#: learning is no noise (NaN for one epoch); and its mean over the first five epochs.
TRAINING = {
    "train_validation_gap": lambda history: float(
        (history["train_accuracy"] - history["validation_accuracy"])[len(history) // 2 :].mean()
    ),
    "validation_falls": lambda history: float(
        -history["validation_accuracy"].diff().dropna().clip(upper=0).mean()
    ),
    "early_accuracy": lambda history: float(history["validation_accuracy"].head(5).mean()),
}


@dataclass(frozen=True)
class Predictions:
    """Predictions of S networks of one arm for N test images under P conditions.

    Attributes
    ----------
    seeds : S numbers
    conditions : P pairs of shift and strength, NaN for clean
    confidence, correct : float64 and bool (S, P, N), top-1 probability and whether it is the label
    tempered : float64 (S, P, N), confidence at the temperatures
    temperatures : S numbers, each fitted to a run's clean validation logits; this and `tempered`
        are empty for records without validation logits
    scores : S dictionaries of metric to the P conditions' `Sample`; empty unless asked for
    """

    seeds: tuple[int, ...]
    conditions: list[tuple[str, float]]
    confidence: np.ndarray
    correct: np.ndarray
    tempered: np.ndarray
    temperatures: tuple[float, ...]
    scores: tuple[dict[str, Sample], ...]


def spread(function: Callable, items) -> list:
    """Return the results for the items in order, computed by threads on all cores."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(function, items))


def read_predictions(dataset: str, arm: str, variant: str = "") -> Predictions | None:
    """Return the predictions of one arm's records, None if no record has any."""
    variants = variant_records(dataset).get((arm, variant))
    return _predict(variants if variant else shown_records(dataset).get(arm))


def _predict(records: list | None, names=()) -> Predictions | None:
    whole = [r for r in records or [] if r.has("predictions.npz")]
    if not whole:
        return None
    seeds = tuple(record.seed for record in whole)
    parts = zip(*spread(lambda record: _predict_run(record, names), whole), strict=True)
    conditions, confidence, correct, tempered, temperatures, scores = parts
    known = None not in temperatures
    return Predictions(
        seeds,
        conditions[0],
        np.stack(confidence),
        np.stack(correct),
        np.stack(tempered) if known else np.empty(0),
        temperatures if known else (),
        scores,
    )


def _predict_run(record, names) -> tuple:
    arrays = replace(record).predictions  # of a copy, as a record keeps what it has read
    conditions = list(zip(arrays["corruption"].tolist(), arrays["strength"].tolist(), strict=True))
    labels, temperature, tempered = arrays["labels"], None, []
    outcomes = [Outcome(logits, labels) for logits in arrays["logits"]]
    places = range(len(conditions))
    scores = {name: METRICS[name].sample(places, outcomes) for name in names}
    if "validation_logits" in arrays:
        validation = arrays["validation_logits"], arrays["validation_labels"]
        temperature = metrics.fit_temperature(*validation)
        tempered = [Outcome(part / np.float64(temperature), labels) for part in arrays["logits"]]
        if names:
            scores[TEMPERED] = METRICS[RMS].sample(places, tempered)
    confidence, warm = ([o.confidence for o in every] for every in (outcomes, tempered))
    correct = np.stack([outcome.correct for outcome in outcomes])
    return conditions, np.stack(confidence), correct, np.array(warm), temperature, scores


def _sum_up(records: list, averaged: dict, names, floors: bool = True) -> tuple[dict, dict]:
    """Return samples and noise floors of an arm: (metric, shift, strength) to each.

    Strength None stands for clean images, or the mean over the strengths in `averaged`.
    """
    samples, draws = {}, {}
    histories = [r.history for r in records if r.has("history.csv")]
    for name, find in TRAINING.items():
        values = np.array([find(history) for history in histories])
        if len(values) == len(records) and not np.isnan(values).any():
            seeds = tuple(record.seed for record in records)
            samples[name, "training", None] = Sample(seeds, values)
    found = _predict(records, names)
    if found is None:
        return samples, {}
    if found.temperatures:
        temperatures = np.array(found.temperatures)
        samples["temperature", "clean", None] = Sample(found.seeds, temperatures)
    simulated = _simulate(found, names) if floors else {}
    for place, (shift, strength) in enumerate(found.conditions):
        key = shift, None if np.isnan(strength) else strength
        for name, one in found.scores[0].items():
            parts = [scores[name] for scores in found.scores]
            influence = one.influence
            if influence is not None:
                influence = np.stack([part.influence[place] for part in parts])
            values = np.array([part.values[place] for part in parts])
            samples[name, *key] = Sample(found.seeds, values, influence)
        draws |= {(name, *key): scores[place] for name, scores in simulated.items()}
    for table, average in ((samples, metrics.mean_samples), (draws, lambda d: np.mean(d, axis=0))):
        for (name, shift), strengths in _list_means(found, averaged):
            keys = [(name, shift, strength) for strength in strengths]
            if strengths and all(key in table for key in keys):
                table[name, shift, None] = average([table[key] for key in keys])
    for (name, shift, strength), sample in list(samples.items()):
        if name == "accuracy" and shift != "clean" and ("accuracy", "clean", None) in samples:
            clean = samples["accuracy", "clean", None]
            samples["accuracy_lost", shift, strength] = clean - sample
    return samples, {key: metrics.find_floor(scores) for key, scores in draws.items()}


def _list_means(found: Predictions, averaged: dict) -> list[tuple]:
    return [
        ((n, shift), strengths) for n in found.scores[0] for shift, strengths in averaged.items()
    ]


def _simulate(found: Predictions, names) -> dict[str, list[np.ndarray]]:
    """Return metric to the mean scores (draws,) of calibrated networks under each condition."""

    def draw(task) -> dict[str, np.ndarray]:
        confidence, definitions = task
        drawn = metrics.simulate_calibrated(confidence[:FLOOR_SEEDS], definitions)
        return {name: scores.mean(axis=0) for name, scores in drawn.items()}

    definitions, count = [n for n in names if METRICS[n].definition], len(found.conditions)
    tasks = [(found.confidence[:, place], definitions) for place in range(count)]
    if found.temperatures:
        tasks += [(found.tempered[:, place], [RMS]) for place in range(count)]
    drawn = spread(draw, tasks)
    warm = {TEMPERED: [scores[RMS] for scores in drawn[count:]]} if found.temperatures else {}
    return {name: [scores[name] for scores in drawn[:count]] for name in definitions} | warm


def estimates() -> pd.DataFrame:
    """Return a row for each data set, arm, variant, shift, strength and metric.

    The columns are `ESTIMATES` and paper; page "Tidy tables" of the book explains them. Where
    n_seeds is 0, only the paper has a value.
    """
    return _load(_hash(Settings.read()))[0]


def differences() -> pd.DataFrame:
    """Return a row for each pair of arms, metric and shift.

    The columns are `DIFFERENCES` and p_holm; page "Tidy tables" of the book explains them.
    """
    return _load(_hash(Settings.read()))[1]


ESTIMATES = [
    *("dataset", "arm", "variant", "shift", "strength", "metric", "seeds", "n_seeds", "mean"),
    *("sd", "se", "low", "high", "predicted_low", "predicted_high"),
    *("noise_floor", "noise_floor_95"),
]
DIFFERENCES = [
    *("dataset", "metric", "shift", "strength", "arm", "variant", "other_dataset", "other"),
    *("other_variant", "other_metric", "n_seeds", "mean", "low", "high", "p"),
]

#: Row of an absent cell.
ABSENT = dict.fromkeys([*ESTIMATES, "paper", "p", "p_holm"], np.nan) | {"n_seeds": 0}


def find_estimate(
    dataset: str, arm: str, metric: str, shift: str = "clean", strength: float | None = None
) -> dict:
    """Return a row of `estimates`; of NaN, with n_seeds 0, if neither runs nor paper have it."""
    key = dataset, arm, "", metric, shift, strength
    names = ("dataset", "arm", "variant", "metric", "shift", "strength")
    absent = ABSENT | dict(zip(names, key, strict=True))
    return _index(_hash(Settings.read()))[0].get(key, absent)


def find_difference(
    arm: tuple[str, str],
    other: tuple[str, str],
    metric: str,
    shift: str = "clean",
    strength: float | None = None,
    variant: str = "",
    other_metric: str = "",
) -> dict:
    """Return a row of `differences`; of NaN, with n_seeds 0, if it was not measured.

    Parameters
    ----------
    arm, other : (data set, label), in either order: the opposite one reverses the signs
    variant : of the first arm
    """
    rest = metric, other_metric or metric, shift, strength
    rows = _index(_hash(Settings.read()))[1]
    if row := rows.get((*arm, variant, *other, *rest)):
        return row
    if variant or not (row := rows.get((*other, "", *arm, *rest))):
        return ABSENT | {"metric": metric, "shift": shift, "strength": strength}
    return row | {"mean": -row["mean"], "low": -row["high"], "high": -row["low"]}


@cache
def _index(key: str) -> tuple[dict, ...]:
    """Return both tables as dictionaries, from the names in a row to the row."""
    of_arm = ["dataset", "arm", "variant", "metric", "shift", "strength"]
    of_pair = ["dataset", "arm", "variant", "other_dataset", "other", "metric", "other_metric"]
    indexed = []
    for table, names in zip(_load(key), (of_arm, [*of_pair, "shift", "strength"]), strict=True):
        strengths = table["strength"].astype(object).where(table["strength"].notna(), None)
        rows = table.assign(strength=strengths).to_dict("records")
        indexed.append({tuple(row[name] for name in names): row for row in rows})
    return tuple(indexed)


@cache
def _load(key: str) -> tuple[pd.DataFrame, ...]:
    """Return both tables from the disk, else computed and, where possible, written there."""
    paths = [CACHE / f"{name}-{key}.csv" for name in ("estimates", "differences")]
    try:
        return tuple(map(_read_csv, paths))
    except (OSError, ValueError):
        tables = _compute()
    try:
        CACHE.mkdir(parents=True, exist_ok=True)
        for path, table in zip(paths, tables, strict=True):
            part = path.with_suffix(f".{os.getpid()}.part")
            table.to_csv(part, index=False)
            part.replace(path)
    except OSError:  # nowhere to write
        pass
    return tables


def _read_csv(path: Path) -> pd.DataFrame:
    texts = dict.fromkeys(("variant", "other_variant", "seeds"), str)
    table = pd.read_csv(path, dtype=texts)
    return table.fillna({name: "" for name in texts if name in table})


@cache
def _hash(settings: Settings) -> str:
    code = [*Path(metrics.__file__).parent.glob("*.py"), *Path(__file__).parent.glob("*.py")]
    total = hashlib.sha256()
    for path in sorted([*code, *REFERENCE.glob("*.csv")]):
        total.update(path.read_bytes())
    for dataset in datasets():
        for name, records in (shown_records(dataset) | variant_records(dataset)).items():
            total.update(repr((dataset, name, [r.checksum for r in records])).encode())
    return total.hexdigest()[:16]


def _compute() -> tuple[pd.DataFrame, pd.DataFrame]:
    measured, rows, pairs = {}, [], []
    for dataset in datasets():
        averaged, own = _choose_strengths(dataset), {}
        for label, records in shown_records(dataset).items():
            own[label], floors = _sum_up(records, averaged, tuple(METRICS))
            rows += _list_estimates((dataset, label, ""), own[label], floors)
        for earlier, later in combinations(own, 2):
            names = (dataset, later, ""), (dataset, earlier, "")
            pairs += _subtract(*names, own[later], own[earlier])
            if earlier == next(iter(own)):
                pairs += _subtract(*names, own[later], own[earlier], (RMS,), TEMPERED)
        for (label, variant), records in variant_records(dataset).items():
            changed, _ = _sum_up(records, averaged, PAPER_METRICS, floors=False)
            rows += _list_estimates((dataset, label, variant), changed, {})
            for other in own:
                names = (dataset, label, variant), (dataset, other, "")
                pairs += _subtract(*names, changed, own[other], PAPER_METRICS)
        for (other_dataset, other), samples in measured.items():
            for label in own:
                names = (dataset, label, ""), (other_dataset, other, "")
                pairs += _subtract(*names, *_set_apart(own[label], samples))
        measured |= {(dataset, label): samples for label, samples in own.items()}
    table = pd.DataFrame(rows, columns=ESTIMATES).astype({"strength": float})
    return _add_paper(table), _adjust(pd.DataFrame(pairs, columns=DIFFERENCES))


def _choose_strengths(dataset: str) -> dict[str, list[float]]:
    """Return shift to the strengths that its mean covers.

    For a shift of the paper's tables these are its strengths there, for another one all strengths
    that every arm with this shift has.
    """
    found: dict[str, list[set]] = {}
    for records in shown_records(dataset).values():
        for shift, strengths in (records[0].parameters.get("corruptions") or {}).items():
            found.setdefault(shift, []).append(set(strengths))
    return {
        shift: paper_strengths(dataset, shift) or sorted(set.intersection(*every))
        for shift, every in found.items()
    }


def _list_estimates(name: tuple, samples: dict, floors: dict) -> Iterator[tuple]:
    for (metric, shift, strength), sample in samples.items():
        found = sample.estimate()
        low, high = np.clip([found.low, found.high], *MEASURES[metric].bounds)
        seeds = " ".join(map(str, sample.seeds)), len(sample.seeds)
        values = found.mean, found.sd, found.standard_error, low, high
        floor = floors.get((metric, shift, strength), (np.nan, np.nan))
        predicted = metrics.predict_next(sample.values)
        yield (*name, shift, strength, metric, *seeds, *values, *predicted, *floor)


def _subtract(name, other_name, samples, others, only=(), other_metric="") -> Iterator[tuple]:
    """Yield the rows of one arm minus another for what both measured with a seed in common.

    One seed has no p-value, as it says nothing of the next.
    """
    dataset, label, variant = name
    for (metric, shift, strength), sample in samples.items():
        other = others.get((other_metric or metric, shift, strength))
        if other is None or (only and metric not in only) or not {*sample.seeds} & {*other.seeds}:
            continue
        difference = sample - other
        found, count = difference.estimate(), len(difference.seeds)
        place = dataset, metric, shift, strength, label, variant, *other_name
        p = found.p_value if count > 1 else np.nan
        yield (*place, other_metric or metric, count, found.mean, found.low, found.high, p)


def _set_apart(first: dict, second: dict) -> Iterator[dict]:
    """Yield what the arms of two data sets lose to shifts, over the images of both.

    Their test images have nothing in common, so the variances add: an image of one data set does
    not move the score on the other. A mean over N images of which only M count has N / M times the
    influence. Pairing by the numbers of the seeds is harmless.
    """
    keys = [k for k in first if k in second and k[0] == "accuracy_lost" and k[2] is None]
    for side, (own, other) in enumerate(((first, second), (second, first))):
        moved = {}
        for key in keys:
            sample, more = own[key], other[key].influence.shape[1]
            count = sample.influence.shape[1]
            influence = sample.influence * np.float32((count + more) / count)
            padded = np.pad(influence, [(0, 0), (more, 0) if side else (0, more)])
            moved[key] = Sample(sample.seeds, sample.values, padded)
        yield moved


def _add_paper(table: pd.DataFrame) -> pd.DataFrame:
    """Return the estimates with the paper's values; those that no run measured come last."""
    keys = ["dataset", "arm", "metric", "shift", "strength"]
    paper = read_paper()[[*keys, "paper"]]
    accuracy = paper[paper["metric"] == "accuracy"].set_index(["dataset", "arm"])
    clean = accuracy[accuracy["shift"] == "clean"]["paper"]
    lost = accuracy[accuracy["shift"] != "clean"].assign(metric="accuracy_lost")
    lost["paper"] = (clean.reindex(lost.index) - lost["paper"]).round(6)
    curves = [
        ("pathmnist", arm, name, "training", np.nan, find(history))
        for arm, history in read_curves().groupby("row", sort=False)
        for name, find in TRAINING.items()
    ]
    curves = pd.DataFrame(curves, columns=paper.columns)
    every = pd.concat([paper, lost.reset_index(), curves]).assign(variant="")
    keys.append("variant")
    only = every.merge(table[keys].assign(measured=True), how="left", on=keys)
    only = only[only.pop("measured").isna()].assign(seeds="", n_seeds=0)
    return pd.concat([table.merge(every, how="left", on=keys), only], ignore_index=True)


def _adjust(table: pd.DataFrame) -> pd.DataFrame:
    """Return the differences with p_holm: adjusted over the family that a page shows as one table.

    The families of a data set are its pairs of arms in the paper's metrics, and the calibration
    errors of its later arms minus that of the first at its temperature.
    """
    table = table.astype({"strength": float}).assign(p_holm=np.nan)
    whole = (table["variant"] == "") & table["strength"].isna() & table["p"].notna()
    whole &= table["dataset"] == table["other_dataset"]
    same = table["metric"] == table["other_metric"]
    first = {name: next(iter(shown_records(name)), "") for name in table["dataset"].unique()}
    tempered = table["other"] == table["dataset"].map(first)
    tempered &= table["other_metric"] == TEMPERED
    for family in (whole & same & table["metric"].isin(PAPER_METRICS), whole & tempered):
        for dataset in first:
            rows = family & (table["dataset"] == dataset)
            table.loc[rows, "p_holm"] = metrics.holm(table.loc[rows, "p"])
    return table
