"""Tidy tables: estimates and differences, which every page selects from.

Both hold fractions, not percent. They are computed once for the records shown and cached in
``book/_build/tidy``, under a hash of the records' checksums and of the code.
"""

import hashlib
import math
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from copy import copy
from functools import cache, partial
from itertools import combinations, product
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.special import stdtr

from helpers import ROOT, InputError, metrics
from helpers.metrics import METRICS, Outcome, Sample
from helpers.runs.files import write_file

from .paper import KEYS, REFERENCE, TRAINING, paper_strengths, read_values
from .records import (
    ENOUGH_SEEDS,
    Evidence,
    Settings,
    datasets,
    find_evidence,
    list_evidence,
    shown_records,
)

CACHE = ROOT / "book" / "_build" / "tidy"

RMS, TEMPERED = "rms_calibration_error_10", "rms_calibration_error_10_tempered"

#: The paper's metrics, which the tables of differences and ablations show.
PAPER_METRICS = ("accuracy", RMS)

ESTIMATES = [
    *("profile", "dataset", "arm", "variant", "shift", "strength", "metric", "seeds", "n_seeds"),
    *("mean", "sd", "se", "low", "high", "noise_floor", "noise_floor_95"),
]
DIFFERENCES = [
    *("profile", "dataset", "arm", "variant", "other_dataset", "other", "other_variant"),
    *("metric", "other_metric", "shift", "strength", "n_seeds", "mean", "low", "high", "p"),
    "family",
]

#: Columns that identify a row of the estimates.
INDEXED = ["profile", *KEYS, "variant"]

#: Row of a cell without a value.
ABSENT = dict.fromkeys([*ESTIMATES, "paper", "p", "p_holm"], np.nan)
ABSENT |= {"n_seeds": 0, "paper_bold": False}


class Measure(NamedTuple):
    """Appearance of a column `metric` of the tidy tables; fields as in `metrics.Metric`."""

    title: str
    digits: int = 3
    percent: bool = False
    better: int = -1
    bounds: tuple[float, float] = (-np.inf, np.inf)

    @property
    def factor(self) -> int:
        """Factor from a fraction to the units of a page."""
        return 100 if self.percent else 1

    def scale(self, value: float) -> float:
        """Return a value in the units of a page, rounded as printed."""
        return round(value * self.factor, self.digits)

    def print(self, value: float, sign: str = "") -> str:
        """Return a value as a page prints it, "—" for NaN."""
        text = f"{value * self.factor:{sign}z.{self.digits}f}"
        return "—" if np.isnan(value) else text.replace("-", "−")

    def print_interval(self, row: dict, sign: str = "") -> str:
        """Return the 95 % interval of a row as the second line of a cell, "" for none."""
        if np.isnan(row["low"]):
            return ""
        return f" [{self.print(row['low'], sign)} to {self.print(row['high'], sign)}]{{.interval}}"


MEASURES = {
    **{n: Measure(m.title, m.digits, m.percent, m.better, m.bounds) for n, m in METRICS.items()},
    "accuracy_lost": Measure("Accuracy lost to the shift", 1, True),
    TEMPERED: Measure("RMS calibration error at the temperature", bounds=(0.0, 1.0)),
    "temperature": Measure("Temperature", 2, better=0, bounds=(0.0, np.inf)),
    "train_validation_gap": Measure("Training minus validation accuracy", 1, True),
    "validation_falls": Measure("Mean fall of validation accuracy per epoch", 2, True),
    "early_accuracy": Measure("Validation accuracy, first five epochs", 1, True, 1),
}


def estimates() -> pd.DataFrame:
    """Return one row per arm, variant, shift, strength and metric of the evidence shown.

    The page "Tidy tables" explains the columns. Where n_seeds is 0, only the paper has a value.
    """
    return _select_shown(load_tables()[0])


def differences() -> pd.DataFrame:
    """Return one row per pair of arms, metric and shift; see the page "Tidy tables"."""
    return _select_shown(load_tables()[1])


def _select_shown(table: pd.DataFrame) -> pd.DataFrame:
    profiles = {dataset: find_evidence(dataset).profile for dataset in datasets()}
    return table[table["profile"] == table["dataset"].map(profiles)]


def find_estimate(dataset: str, arm: str, metric: str, shift="clean", strength=None) -> dict:
    """Return a row of `estimates`: NaN, with n_seeds 0, if neither runs nor paper have it."""
    key = dataset, arm, metric, shift, strength
    row = _index(Settings.read())[0].get((find_evidence(dataset).profile, *key, ""))
    return row or ABSENT | dict(zip(KEYS, key, strict=True))


def find_difference(
    dataset: str, arm: str, other: str, metric: str, shift="clean", strength=None, variant=""
) -> dict:
    """Return a row of `differences`: NaN, with n_seeds 0, if it was not measured.

    The first arm is in its `variant`; the opposite order reverses signs.
    """
    rows, profile = _index(Settings.read())[1], find_evidence(dataset).profile
    rest = metric, metric, shift, strength
    if row := rows.get((profile, dataset, arm, variant, dataset, other, "", *rest)):
        return row
    row = rows.get((profile, dataset, other, "", dataset, arm, "", *rest))
    if variant or not row:
        return ABSENT | {"metric": metric, "shift": shift, "strength": strength}
    return row | {"mean": -row["mean"], "low": -row["high"], "high": -row["low"]}


def subtract_independent(one: dict, other: dict) -> dict:
    """Return the difference of two rows of `estimates` that share no images, such as two data sets.

    The distances to the ends of the intervals add as squares (Zou and Donner 2008, Construction of
    confidence limits about effect measures); p is Student's with the fewer seeds, NaN for one.
    """
    mean = round(one["mean"] - other["mean"], 9)  # further digits of the paper's are noise
    seeds, error = min(one["n_seeds"], other["n_seeds"]), math.hypot(one["se"], other["se"])
    return {
        "n_seeds": seeds,
        "mean": mean,
        "low": mean - math.hypot(one["mean"] - one["low"], other["high"] - other["mean"]),
        "high": mean + math.hypot(one["high"] - one["mean"], other["mean"] - other["low"]),
        "p": 2 * stdtr(seeds - 1, -abs(mean) / max(error, 1e-12)) if seeds > 1 else math.nan,
    }


@cache
def _index(settings: Settings) -> list[dict[tuple, dict]]:
    """Index the rows of both tables by their keys; a NaN strength becomes None."""
    indices = []
    for table, names in zip(_load(settings), (INDEXED, DIFFERENCES[:11]), strict=True):
        strengths = table["strength"].astype(object).where(table["strength"].notna(), None)
        rows = table.assign(strength=strengths).to_dict("records")
        indices.append({tuple(row[name] for name in names): row for row in rows})
    return indices


def load_tables() -> tuple[pd.DataFrame, ...]:
    """Return both tables, for every evidence of each data set."""
    return _load(Settings.read())


@cache
def _load(settings: Settings) -> tuple[pd.DataFrame, ...]:
    """Return both tables from the cache, or compute them and, if possible, cache them."""
    shown = [evidence for dataset in datasets() for evidence in list_evidence(dataset)]
    groups = [(e.profile, *group) for e in shown for group in _list_records(e).items()]
    checksums = [(*name, [record.checksum for record in records]) for *name, records in groups]
    total = hashlib.sha256(repr(checksums).encode())
    code = [*Path(metrics.__file__).parent.glob("*.py"), *Path(__file__).parent.glob("*.py")]
    for path in sorted([*code, *REFERENCE.glob("*.csv")]):
        total.update(path.read_bytes())
    names = [f"{name}-{total.hexdigest()[:16]}.csv" for name in ("estimates", "differences")]
    with suppress(OSError, ValueError):
        return tuple(_read_csv(CACHE / name) for name in names)
    tables = _compute()
    with suppress(InputError):  # nowhere to write
        for name, table in zip(names, tables, strict=True):
            write_file(CACHE / name, table.to_csv(index=False, na_rep="nan").encode())
    return tables


def _read_csv(path: Path) -> pd.DataFrame:
    texts = dict.fromkeys(["profile", "variant", "other_variant", "seeds", "spread_from"], str)
    return pd.read_csv(path, dtype=texts, keep_default_na=False, na_values="nan")


def _list_records(evidence: Evidence) -> dict[tuple[str, str, str], list]:
    """Map (data set, label, variant) to records by seed; variants come last."""
    arms = {(evidence.dataset, label, ""): records for label, records in evidence.arms.items()}
    variants = evidence.variants.items()
    return arms | {(evidence.dataset, *name): records for name, records in variants}


def _compute() -> tuple[pd.DataFrame, pd.DataFrame]:
    rows, pairs = [], []
    for evidence in (e for dataset in datasets() for e in list_evidence(dataset)):
        averaged, measured = _choose_strengths(evidence), {}
        for name, records in _list_records(evidence).items():
            chosen = PAPER_METRICS if name[-1] else tuple(METRICS)
            measured[name], floors = _sum_up(records, averaged, chosen)
            for key, sample in measured[name].items():
                floor = floors.get(key, (np.nan, np.nan))
                rows.append((evidence.profile, *name, *_estimate(sample, *key), *floor))
        pairs += [(evidence.profile, *row) for row in _list_differences(measured)]
    numbers = dict.fromkeys(("strength", "mean", "sd"), float) | {"n_seeds": int}
    table = pd.DataFrame(rows, columns=ESTIMATES).astype(numbers)
    pairs = pd.DataFrame(pairs, columns=DIFFERENCES).astype({"strength": float})
    pairs = pairs.assign(p_holm=np.nan)
    judged = pairs[pairs["family"].ne("") & pairs["p"].notna()]
    for _, family in judged.groupby(["profile", "dataset", "family"]):
        pairs.loc[family.index, "p_holm"] = metrics.holm(family["p"])
    return _add_paper(_predict_next(table)), pairs


def _choose_strengths(evidence: Evidence) -> dict[str, list[float]]:
    """Return shift to the strengths that its mean covers: the paper's, or those of all arms."""
    found: dict[str, list[set]] = {}
    for records in evidence.arms.values():
        for shift, strengths in (records[0].parameters.get("corruptions") or {}).items():
            found.setdefault(shift, []).append(set(strengths))
    return {
        shift: paper_strengths(evidence.dataset, shift) or sorted(set.intersection(*every))
        for shift, every in found.items()
    }


def _estimate(sample: Sample, metric: str, shift: str, strength: float | None) -> tuple:
    found = sample.estimate()
    low, high = np.clip([found.low, found.high], *MEASURES[metric].bounds)
    seeds = " ".join(map(str, sample.seeds)), len(sample.seeds)
    values = found.mean, found.sd, found.standard_error, low, high
    return shift, strength, metric, *seeds, *values


def _predict_next(table: pd.DataFrame) -> pd.DataFrame:
    """Add predicted_low, predicted_high, and spread_from: the profile whose seeds give the spread,
    another one if they are few, or "" if none has enough.
    """
    keys, names = INDEXED[1:], ["sd", "n_seeds", "profile"]
    enough = table[table["n_seeds"] >= ENOUGH_SEEDS].drop_duplicates(keys)[[*keys, *names]]
    other = table[keys].merge(enough, how="left", on=keys)
    own = (table["n_seeds"] >= ENOUGH_SEEDS) | other["profile"].isna()
    sd, count, profile = (table[name].where(own, other[name]) for name in names)
    low, high = metrics.predict_next(table["mean"], table["n_seeds"], sd, count - 1)
    profile = profile.where(count >= ENOUGH_SEEDS, "")
    return table.assign(predicted_low=low, predicted_high=high, spread_from=profile)


def _add_paper(table: pd.DataFrame) -> pd.DataFrame:
    paper = read_values().assign(variant="")
    tables = [table.merge(paper, how="left", on=INDEXED[1:])]
    for dataset in datasets():
        only = paper[paper["dataset"] == dataset].assign(seeds="", n_seeds=0, spread_from="")
        tables += [only.assign(profile=e.profile) for e in list_evidence(dataset)]
    table = pd.concat(tables, ignore_index=True).drop_duplicates(INDEXED, ignore_index=True)
    return table.assign(paper_bold=table["paper_bold"].eq(True))


def _list_differences(measured: dict[tuple, dict]) -> Iterator[tuple]:
    """Yield the rows of `differences` of one data set, a variant's only in the paper's metrics.

    Holm's method adjusts a family as one: the pairs of arms in the paper's metrics, or the
    calibration errors of the later arms minus that of the first at its temperature.
    """
    first = next(iter(measured), None)
    for (other, others), (name, samples) in combinations(measured.items(), 2):
        *_, variant = name
        if other[-1]:
            continue  # a variant is compared only with arms
        chosen = PAPER_METRICS if variant else MEASURES
        pairs = [(key, key[0]) for key in samples if key[0] in chosen]
        if other == first and not variant:
            pairs = [(key, TEMPERED) for key in samples if key[0] == RMS] + pairs
        for key, other_metric in pairs:
            metric, *place = key
            sample, match = samples[key], others.get((other_metric, *place))
            if match is None or not {*sample.seeds} & {*match.seeds}:
                continue
            difference = sample - match
            found, count = difference.estimate(), len(difference.seeds)
            p = found.p_value if count > 1 else np.nan  # one seed says nothing about others
            family = "arms" * (metric in PAPER_METRICS)
            if other_metric == TEMPERED:
                family = "temperature" * (other == first)
            family *= place[1] is None and not variant
            values = count, found.mean, found.low, found.high, p
            yield *name, *other, metric, other_metric, *place, *values, family


class Predictions(NamedTuple):
    """Predictions of S networks of one arm for N test images under P conditions."""

    conditions: list[tuple[str, float]]  # P pairs of shift and strength, NaN for clean
    confidence: np.ndarray  # float64 (S, P, N), top-1 probability
    correct: np.ndarray  # bool (S, P, N)


def read_predictions(dataset: str, arm: str) -> Predictions | None:
    """Return the predictions of one arm's records, None if no record has any."""
    _, runs = _read_runs(shown_records(dataset).get(arm, []))
    if not runs:
        return None

    def predict(run: dict) -> tuple[np.ndarray, np.ndarray]:
        outcomes = [Outcome(logits, run["labels"]) for logits in run["logits"]]
        confidence = np.stack([outcome.confidence for outcome in outcomes])
        return confidence, np.stack([outcome.correct for outcome in outcomes])

    confidence, correct = map(np.stack, zip(*_spread(predict, runs), strict=True))
    return Predictions(_list_conditions(runs[0]), confidence, correct)


def _read_runs(records: list) -> tuple[tuple[int, ...], list[dict]]:
    """Return the seeds and the arrays of the records that hold predictions."""
    records = [record for record in records if record.has("predictions.npz")]
    # From copies, since a record keeps what it has read.
    runs = _spread(lambda record: copy(record).predictions, records)
    return tuple(record.seed for record in records), runs


def _list_conditions(run: dict) -> list[tuple[str, float]]:
    return list(zip(run["corruption"].tolist(), run["strength"].tolist(), strict=True))


def _spread(function: Callable, items) -> list:
    """Return the results for the items in order, computed by threads on all cores."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(function, items))


def _sum_up(records: list, averaged: dict, names) -> tuple[dict, dict]:
    """Return the samples and noise floors of an arm by (metric, shift, strength).

    Strength None is clean images, or the mean over the strengths in `averaged`.
    """
    samples, draws = {}, {}
    if all(record.has("history.csv") for record in records):
        for name, measure in TRAINING.items():
            values = np.array([measure(record.history) for record in records])
            if not np.isnan(values).any():
                seeds = tuple(record.seed for record in records)
                samples[name, "training", None] = Sample(seeds, values)
    seeds, runs = _read_runs(records)
    if not runs:
        return samples, {}
    temperatures = None
    if all("validation_logits" in run for run in runs):
        pairs = [(run["validation_logits"], run["validation_labels"]) for run in runs]
        temperatures = np.array(_spread(lambda pair: metrics.fit_temperature(*pair), pairs))
        samples["temperature", "clean", None] = Sample(seeds, temperatures)

    def score(place: int) -> tuple[dict, dict]:
        found = _score(seeds, [Outcome(run["logits"][place], run["labels"]) for run in runs], names)
        if temperatures is not None:
            tempered = [
                Outcome(run["logits"][place] / temperature, run["labels"])
                for run, temperature in zip(runs, temperatures, strict=True)
            ]
            for table, part in zip(found, _score(seeds, tempered, [RMS]), strict=True):
                table[TEMPERED] = part[RMS]
        return found

    conditions = _list_conditions(runs[0])
    results = _spread(score, range(len(conditions)))
    for (shift, strength), found in zip(conditions, results, strict=True):
        key = shift, None if np.isnan(strength) else strength
        for table, part in zip((samples, draws), found, strict=True):
            table |= {(name, *key): value for name, value in part.items()}
    for table, average in ((samples, metrics.mean_samples), (draws, partial(np.mean, axis=0))):
        for name, (shift, strengths) in product([*names, TEMPERED], averaged.items()):
            keys = [(name, shift, strength) for strength in strengths]
            if strengths and all(key in table for key in keys):
                table[name, shift, None] = average([table[key] for key in keys])
    if (clean := samples.get(("accuracy", "clean", None))) is not None:
        for (name, *place), sample in list(samples.items()):
            if name == "accuracy" and place[0] != "clean":
                samples["accuracy_lost", *place] = clean - sample
    return samples, {key: metrics.find_floor(scores) for key, scores in draws.items()}


def _score(seeds: tuple[int, ...], outcomes: list[Outcome], names) -> tuple[dict, dict]:
    """Return samples, and mean scores (draws,) of calibrated networks, by metric."""
    samples = {name: METRICS[name].sample(seeds, outcomes) for name in names}
    defined = [name for name in names if METRICS[name].definition]
    confidence = np.stack([outcome.confidence for outcome in outcomes])
    drawn = metrics.simulate_calibrated(confidence, defined)
    return samples, {name: scores.mean(axis=0) for name, scores in drawn.items()}
