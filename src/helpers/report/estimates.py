"""Estimates and differences: the two tidy tables that every page selects from.

Both hold fractions, not percent, and are computed once for the shown records: a build finds them in
``book/_build/tidy``, where their name is a hash of the records' checksums and of the code.
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
from helpers.metrics import METRICS, Sample

from .paper import REFERENCE, paper_strengths, read_curves, read_paper
from .records import Settings, datasets, shown_records, variant_records

#: Folder of the computed tables.
CACHE = ROOT / "book" / "_build" / "tidy"

#: A noise floor is simulated for the first so many seeds of an arm; more would hardly move it.
FLOOR_SEEDS = 10

#: The paper's two metrics; the differences of a data set's table are in these.
PAPER_METRICS = ("accuracy", "rms_calibration_error_10")
RMS, TEMPERED = "rms_calibration_error_10", "rms_calibration_error_10_tempered"

#: Key of the clean test images.
CLEAN = ("clean", np.nan)


class Measure(NamedTuple):
    """Appearance of a metric or measure in tables.

    Attributes
    ----------
    title : name in tables
    digits : decimals
    percent : shown in percent
    better : 1 if higher is better, -1 if lower is better, 0 if nearer to zero is better
    bounds : smallest and largest possible value
    """

    title: str
    digits: int = 3
    percent: bool = False
    better: int = -1
    bounds: tuple[float, float] = (-np.inf, np.inf)

    def print(self, value: float, sign: str = "", digits: int | None = None) -> str:
        """Return a fraction as tables print it, "—" for NaN."""
        if np.isnan(value):
            return "—"
        digits = self.digits if digits is None else digits
        return f"{value * (100 if self.percent else 1):{sign}z.{digits}f}".replace("-", "−")


#: Every metric in the two tables: the registry's, and those derived from them or from training.
MEASURES = {
    name: Measure(metric.title, metric.digits, metric.percent, metric.better, metric.bounds)
    for name, metric in METRICS.items()
} | {
    "accuracy_lost": Measure("Accuracy lost to the shift", 1, True),
    TEMPERED: Measure("RMS calibration error at the temperature", bounds=(0.0, 1.0)),
    "temperature": Measure("Temperature", 2, better=0, bounds=(0.0, np.inf)),
    "train_validation_gap": Measure("Training minus validation accuracy", 1, True),
    "validation_falls": Measure("Mean fall of validation accuracy per epoch", 2, True),
    "early_accuracy": Measure("Validation accuracy, first five epochs", 1, True, 1),
}


def find_gap(history: pd.DataFrame) -> float:
    """Return training minus validation accuracy, the mean over the second half of the epochs."""
    late = history.iloc[len(history) // 2 :]
    return float((late["train_accuracy"] - late["validation_accuracy"]).mean())


def find_falls(history: pd.DataFrame) -> float:
    """Return the mean fall of validation accuracy per step, a rise counting 0; NaN for one epoch.

    A curve that only rises scores 0, however fast it rises: this measures noise, not learning.
    """
    return float(-history["validation_accuracy"].diff().dropna().clip(upper=0).mean())


def find_early(history: pd.DataFrame) -> float:
    """Return validation accuracy, the mean over the first five epochs."""
    return float(history["validation_accuracy"].head(5).mean())


#: Measures of the training (shift "training"): a function of a run's history.
TRAINING = {
    "train_validation_gap": find_gap,
    "validation_falls": find_falls,
    "early_accuracy": find_early,
}


@dataclass(frozen=True)
class Predictions:
    """Predictions of S networks of one arm for N test images under P conditions.

    Attributes
    ----------
    seeds : S numbers
    conditions : P pairs of shift and strength, NaN for clean
    confidence : float64 (S, P, N), top-1 probability
    correct : bool (S, P, N)
    temperatures : S numbers, each fitted to a run's clean validation logits; empty if a record has
        no validation logits
    tempered : float64 (S, P, N), confidence at the temperatures; None without
    values, influence : of each metric float64 (S, P) and float32 (S, P, N) or None; empty from
        `read_predictions`
    """

    seeds: tuple[int, ...]
    conditions: list[tuple[str, float]]
    confidence: np.ndarray
    correct: np.ndarray
    temperatures: tuple[float, ...] = ()
    tempered: np.ndarray | None = None
    values: dict | None = None
    influence: dict | None = None

    def strengths(self, shift: str) -> list[float]:
        """Return the strengths at which a shift was measured, sorted."""
        return sorted(strength for name, strength in self.conditions if name == shift)

    def places(self, shift: str, strengths: list[float]) -> list[int] | None:
        """Return the indices of the conditions, None if one was not measured."""
        found = [
            index
            for wanted in strengths
            for index, (name, value) in enumerate(self.conditions)
            if name == shift and np.isclose(value, wanted, equal_nan=True)
        ]
        return found if found and len(found) == len(strengths) else None

    def sample(self, metric: str, places: list[int]) -> Sample:
        """Return a metric, averaged over conditions, as a value per seed and image."""
        influence = self.influence[metric]
        if influence is not None:
            influence = influence[:, places].mean(axis=1, dtype=np.float32)
        return Sample(self.seeds, self.values[metric][:, places].mean(axis=1), influence)


def spread(function: Callable, items) -> list:
    """Return the results for the items in order, computed by threads on all cores."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(function, items))


def read_predictions(dataset: str, arm: str, variant: str = "") -> Predictions | None:
    """Return the predictions of one arm's records, None if no record has any."""
    known = variant_records(dataset) if variant else shown_records(dataset)
    return _predict(tuple(known.get((arm, variant) if variant else arm, ())), ())


def _predict(records: tuple, names) -> Predictions | None:
    whole = [record for record in records if "predictions.npz" in record.run["files"]]
    if not whole:
        return None
    parts = spread(lambda record: _predict_run(record, names), whole)
    first = parts[0]
    warm = [part["temperature"] for part in parts]
    known = None not in warm
    return Predictions(
        tuple(record.seed for record in whole),
        first["conditions"],
        np.stack([part["confidence"] for part in parts]),
        np.stack([part["correct"] for part in parts]),
        tuple(warm) if known else (),
        np.stack([part["tempered"] for part in parts]) if known else None,
        {name: np.stack([part["values"][name] for part in parts]) for name in first["values"]},
        {
            name: None if one is None else np.stack([part["influence"][name] for part in parts])
            for name, one in first["influence"].items()
        },
    )


def _predict_run(record, names) -> dict:
    arrays = replace(record).predictions  # a copy, as a record keeps the logits it has read
    labels = arrays["labels"]
    outcomes = [metrics.Outcome(logits, labels) for logits in arrays["logits"]]
    run = {
        "conditions": list(
            zip(arrays["corruption"].tolist(), arrays["strength"].tolist(), strict=True)
        ),
        "confidence": np.stack([outcome.confidence for outcome in outcomes]),
        "correct": np.stack([outcome.correct for outcome in outcomes]),
        "values": {name: np.array([METRICS[name].score(o) for o in outcomes]) for name in names},
        "influence": {
            name: METRICS[name].influence
            and np.stack([METRICS[name].influence(outcome) for outcome in outcomes])
            for name in names
        },
        "temperature": None,
    }
    if "validation_logits" in arrays:
        validation = arrays["validation_logits"], arrays["validation_labels"]
        run["temperature"] = temperature = metrics.fit_temperature(*validation)
        run["tempered"] = np.stack(
            [metrics.confidence(logits / np.float64(temperature)) for logits in arrays["logits"]]
        )
        if RMS in names:
            pairs = list(zip(run["tempered"], run["correct"], strict=True))
            definition = METRICS[RMS].definition
            run["values"][TEMPERED] = np.array([definition(*pair) for pair in pairs])
            run["influence"][TEMPERED] = np.stack([definition.influence(*p) for p in pairs])
    return run


@dataclass
class Arm:
    """Samples and noise floors of one arm or variant: (metric, shift, strength) to each."""

    samples: dict
    floors: dict

    def subtract(self, other: "Arm", key: tuple, other_metric: str) -> Sample | None:
        """Return the paired difference, None where one is absent or no seed is in common."""
        mine, others = self.samples.get(key), other.samples.get((other_metric, *key[1:]))
        if mine is None or others is None or not set(mine.seeds) & set(others.seeds):
            return None
        return mine - others


def _sum_up(records: list, averaged: dict, names, floors: bool) -> Arm:
    """Return the samples of an arm, from the strengths that each shift is averaged over."""
    arm = Arm({}, {})
    seeds = tuple(record.seed for record in records)
    histories = [record.history for record in records if "history.csv" in record.run["files"]]
    for name, find in TRAINING.items():
        values = np.array([find(history) for history in histories])
        if len(values) == len(seeds) and not np.isnan(values).any():
            arm.samples[name, "training", None] = Sample(seeds, values)
    found = _predict(tuple(records), names)
    if found is None:
        return arm
    if found.temperatures:
        arm.samples["temperature", "clean", None] = Sample(
            found.seeds, np.array(found.temperatures)
        )
    simulated = _simulate(found, names) if floors else {}
    clean = found.places("clean", [np.nan])
    for shift, strength, places in _list_conditions(found, averaged):
        for name in found.values:
            arm.samples[name, shift, strength] = found.sample(name, places)
            if name in simulated:
                draws = np.mean([simulated[name][place] for place in places], axis=0)
                arm.floors[name, shift, strength] = metrics.find_floor(draws)
        if shift != "clean" and clean:
            lost = found.sample("accuracy", clean) - arm.samples["accuracy", shift, strength]
            arm.samples["accuracy_lost", shift, strength] = lost
    return arm


def _list_conditions(found: Predictions, averaged: dict) -> Iterator[tuple]:
    """Yield shift, strength (None: clean, or the mean) and the indices of its conditions."""
    for shift in dict.fromkeys(name for name, _ in found.conditions):
        if shift == "clean":
            yield shift, None, found.places(shift, [np.nan])
            continue
        if places := found.places(shift, averaged.get(shift, [])):
            yield shift, None, places
        for strength in found.strengths(shift):
            yield shift, strength, found.places(shift, [strength])


def _simulate(found: Predictions, names) -> dict[str, list[np.ndarray]]:
    """Return metric to the scores (draws,) of calibrated networks under each condition."""
    definitions = [name for name in names if METRICS[name].definition]
    tasks = [(found.confidence, place, definitions) for place in range(len(found.conditions))]
    if found.tempered is not None:
        tasks += [(found.tempered, place, [RMS]) for place in range(len(found.conditions))]
    drawn = spread(
        lambda task: metrics.simulate_calibrated(task[0][:FLOOR_SEEDS, task[1]], task[2]), tasks
    )
    count = len(found.conditions)
    scores = {name: [part[name].mean(axis=0) for part in drawn[:count]] for name in definitions}
    return scores | {TEMPERED: [part[RMS].mean(axis=0) for part in drawn[count:]]}


def estimates() -> pd.DataFrame:
    """Return a row for each data set, arm, variant, shift, strength and metric.

    Returns
    -------
    DataFrame with dataset, arm, variant, shift, strength, metric, seeds, n_seeds, mean, sd, low,
    high, predicted_low, predicted_high, noise_floor, noise_floor_95, paper; page "Tidy tables" of
    the book says what they are. Only the paper has a value where n_seeds is 0.
    """
    return _tables()[0]


def differences() -> pd.DataFrame:
    """Return a row for each pair of arms, metric and shift.

    Returns
    -------
    DataFrame with dataset, metric, shift, strength, arm, variant, other_dataset, other,
    other_variant, other_metric, n_seeds, mean, low, high, p, p_holm
    """
    return _tables()[1]


def find_difference(
    arm: tuple[str, str], other: tuple[str, str], metric: str, shift: str, strength: float
) -> dict | None:
    """Return the row of `differences` for two arms (data set, label) in either order, or None.

    In the opposite order the signs are reversed.
    """
    rows, sign = _by_pair(_key()), 1
    if (arm, other) not in rows:
        arm, other, sign = other, arm, -1
    row = rows.get((arm, other), {}).get((metric, shift, None if np.isnan(strength) else strength))
    if row is None or sign > 0:
        return row
    return row | {"mean": -row["mean"], "low": -row["high"], "high": -row["low"]}


@cache
def _by_pair(key: str) -> dict:
    table = differences()
    plain = (table.variant == "") & (table.other_variant == "")
    rows: dict = {}
    for row in table[plain & (table.metric == table.other_metric)].to_dict("records"):
        pair = (row["dataset"], row["arm"]), (row["other_dataset"], row["other"])
        strength = None if np.isnan(row["strength"]) else row["strength"]
        rows.setdefault(pair, {})[row["metric"], row["shift"], strength] = row
    return rows


def _tables() -> tuple[pd.DataFrame, pd.DataFrame]:
    return _load(_key())


@cache
def _load(key: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return both tables from the disk, else computed and written there."""
    paths = [CACHE / f"{name}-{key}.csv" for name in ("estimates", "differences")]
    try:
        return tuple(map(_read_csv, paths))
    except (OSError, ValueError, KeyError):
        tables = _compute()
    try:
        CACHE.mkdir(parents=True, exist_ok=True)
        for path, table in zip(paths, tables, strict=True):
            part = path.with_suffix(f".{os.getpid()}.part")
            table.to_csv(part, index=False)
            part.replace(path)
        return tuple(map(_read_csv, paths))
    except OSError:  # nowhere to write: kept in memory
        return tables


def _read_csv(path: Path) -> pd.DataFrame:
    table = pd.read_csv(path, float_precision="round_trip", dtype={"seeds": str})
    texts = [name for name in ("variant", "other_variant", "seeds") if name in table]
    return table.fillna(dict.fromkeys(texts, ""))


def _key() -> str:
    return _hash(Settings.read())


@cache
def _hash(settings: Settings) -> str:
    code = [*Path(metrics.__file__).parent.glob("*.py"), Path(__file__), *REFERENCE.glob("*.csv")]
    total = hashlib.sha256()
    for path in sorted(code):
        total.update(path.read_bytes())
    for dataset in datasets():
        for name, records in (shown_records(dataset) | variant_records(dataset)).items():
            total.update(repr((dataset, name, [record.checksum for record in records])).encode())
    return total.hexdigest()[:16]


def _compute() -> tuple[pd.DataFrame, pd.DataFrame]:
    measured, rows, pairs = {}, [], []
    for dataset in datasets():
        averaged = _choose_strengths(dataset)
        own = {
            label: _sum_up(records, averaged, tuple(METRICS), floors=True)
            for label, records in shown_records(dataset).items()
        }
        for label, arm in own.items():
            rows += _list_estimates(dataset, label, "", arm)
        for (earlier, first), (later, second) in combinations(own.items(), 2):
            pairs += _subtract((dataset, later, ""), second, (dataset, earlier, ""), first)
        for later in list(own)[1:]:
            first = next(iter(own))
            names = (dataset, later, ""), (dataset, first, "")
            pairs += _subtract(names[0], own[later], names[1], own[first], {RMS: TEMPERED})
        for (label, variant), records in variant_records(dataset).items():
            arm = _sum_up(records, averaged, PAPER_METRICS, floors=False)
            rows += _list_estimates(dataset, label, variant, arm)
            for other in own:
                names = (dataset, label, variant), (dataset, other, "")
                pairs += _subtract(names[0], arm, names[1], own[other])
        for other_dataset, others in measured.items():
            pairs += _subtract_unpaired(dataset, own, other_dataset, others)
        measured[dataset] = own
    estimated = pd.DataFrame(rows, columns=ESTIMATES).astype({"strength": float})
    return _add_paper(estimated), _adjust(pd.DataFrame(pairs, columns=DIFFERENCES))


ESTIMATES = [
    *("dataset", "arm", "variant", "shift", "strength", "metric", "seeds", "n_seeds", "mean"),
    *("sd", "low", "high", "predicted_low", "predicted_high", "noise_floor", "noise_floor_95"),
]
DIFFERENCES = [
    *("dataset", "metric", "shift", "strength", "arm", "variant", "other_dataset", "other"),
    *("other_variant", "other_metric", "n_seeds", "mean", "low", "high", "p"),
]


def _choose_strengths(dataset: str) -> dict[str, list[float]]:
    """Return shift to the strengths that its mean covers.

    For a shift of the paper's tables these are its strengths there, for another one all strengths
    that every arm with this shift has.
    """
    found: dict[str, list[set]] = {}
    for records in shown_records(dataset).values():
        shifts: dict[str, set] = {}
        for name, strengths in (records[0].parameters.get("corruptions") or {}).items():
            shifts[name] = set(strengths)
        for name, strengths in shifts.items():
            found.setdefault(name, []).append(strengths)
    return {
        shift: paper_strengths(dataset, shift) or sorted(set.intersection(*parts))
        for shift, parts in found.items()
    }


def _list_estimates(dataset: str, label: str, variant: str, arm: Arm) -> Iterator[tuple]:
    for (metric, shift, strength), sample in arm.samples.items():
        found = sample.estimate()
        low, high = np.clip([found.low, found.high], *MEASURES[metric].bounds)
        floor = arm.floors.get((metric, shift, strength), (np.nan, np.nan))
        seeds = " ".join(map(str, sample.seeds)), len(sample.seeds)
        place = dataset, label, variant, shift, strength, metric
        predicted = metrics.predict_next(sample.values)
        yield (*place, *seeds, found.mean, found.sd, low, high, *predicted, *floor)


def _subtract(name: tuple, arm: Arm, other_name: tuple, other: Arm, metric_pairs=None):
    """Yield the rows of one arm minus another, for each metric, shift and strength of both."""
    dataset, label, variant = name
    for key in arm.samples:
        metric, shift, strength = key
        if metric_pairs and metric not in metric_pairs:
            continue
        if variant and (metric not in PAPER_METRICS or strength is not None):
            continue
        other_metric = (metric_pairs or {}).get(metric, metric)
        if sample := arm.subtract(other, key, other_metric):
            place = dataset, metric, shift, strength, label, variant
            yield (*place, *other_name, other_metric, *_test(sample))


def _test(sample: Sample) -> tuple:
    """Return n_seeds, mean, low, high and p; one seed has no p, as it says nothing of the next."""
    found = sample.estimate()
    p_value = found.p_value if len(sample.seeds) > 1 else np.nan
    return len(sample.seeds), found.mean, found.low, found.high, p_value


def _subtract_unpaired(dataset: str, own: dict, other_dataset: str, others: dict):
    """Yield what the arms of two data sets lose to a shift, one minus the other.

    Their test images have nothing in common, so the variances add: each image of one leaves the
    score of the other as it is. A mean over N images, of which M count, has N / M times the
    influence. Pairing by the numbers of the seeds is harmless.
    """
    for label, arm in own.items():
        for other_label, other in others.items():
            for key, mine in arm.samples.items():
                theirs = other.samples.get(key)
                seeds = set(mine.seeds) & set(theirs.seeds if theirs else ())
                if key[0] != "accuracy_lost" or key[2] is not None or not seeds:
                    continue
                sizes = mine.influence.shape[1], theirs.influence.shape[1]
                sides = (0, sizes[1]), (sizes[0], 0)
                padded = [
                    np.pad(part.influence * np.float32(sum(sizes) / size), [(0, 0), side])
                    for part, size, side in zip((mine, theirs), sizes, sides, strict=True)
                ]
                first, second = (
                    Sample(part.seeds, part.values, influence)
                    for part, influence in zip((mine, theirs), padded, strict=True)
                )
                place = dataset, *key, label, "", other_dataset, other_label, "", key[0]
                yield (*place, *_test(first - second))


def _add_paper(table: pd.DataFrame) -> pd.DataFrame:
    """Return the estimates with the paper's values, also those that no run measured."""
    paper = read_paper()[["dataset", "arm", "metric", "shift", "strength", "paper"]]
    accuracy = paper[paper["metric"] == "accuracy"]
    clean = accuracy[accuracy["shift"] == "clean"].set_index(["dataset", "arm"])["paper"]
    lost = accuracy[accuracy["shift"] != "clean"].assign(metric="accuracy_lost")
    before = clean.loc[pd.MultiIndex.from_frame(lost[["dataset", "arm"]])].to_numpy()
    lost["paper"] = (before - lost["paper"]).round(6)
    curves = [
        ("pathmnist", arm, name, "training", np.nan, find(history))
        for arm, history in read_curves().groupby("row", sort=False)
        for name, find in TRAINING.items()
    ]
    every = pd.concat([paper, lost, pd.DataFrame(curves, columns=paper.columns)])
    every = every.assign(variant="")
    keys = list(every.columns.drop("paper"))
    # The order of the runs, then what only the paper has.
    joined = table.merge(every, how="left", on=keys)
    only = every.merge(table[keys].assign(measured=True), how="left", on=keys)
    joined = pd.concat([joined, only[only.pop("measured").isna()]], ignore_index=True)
    joined["n_seeds"] = joined["n_seeds"].fillna(0).astype(int)
    joined["seeds"] = joined["seeds"].fillna("")
    return joined


def _adjust(table: pd.DataFrame) -> pd.DataFrame:
    """Return the differences with p_holm: adjusted over the family that one page's table shows."""
    table = table.astype({"strength": float}).assign(p_holm=np.nan)
    plain = (table["variant"] == "") & table["strength"].isna() & table["p"].notna()
    plain &= table["dataset"] == table["other_dataset"]
    same = table["metric"] == table["other_metric"]
    between_arms = same & table["metric"].isin(PAPER_METRICS)
    first = {name: next(iter(shown_records(name)), None) for name in table["dataset"].unique()}
    to_temperature = (table["other_metric"] == TEMPERED) & (
        table["other"] == table["dataset"].map(first)
    )
    for family in (between_arms, to_temperature):
        for dataset in table["dataset"].unique():
            rows = plain & family & (table["dataset"] == dataset)
            table.loc[rows, "p_holm"] = metrics.holm(table.loc[rows, "p"])
    return table
