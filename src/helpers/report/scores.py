"""Every score of every arm side by side, a calibration error with its noise floor."""

from functools import cache, partial

import numpy as np
import pandas as pd
from IPython.display import Markdown

from helpers import metrics
from helpers.runs.record import Record

from .cells import Predictions, find_floor, read_predictions, spread
from .downloads import print_floor_numbers, print_number, write_listing
from .foreign import quote
from .paper import SHIFTS
from .source import ARMS, describe_data, describe_spread
from .tables import explain_floors, print_floor, print_spread

#: Score to what a table calls it.
LABELS = {
    "accuracy": "Accuracy",
    "balanced_accuracy": "Balanced accuracy",
    "negative_log_likelihood": "Negative log-likelihood",
    "brier_score": "Brier score",
    "rms_calibration_error_10": "RMS, 10 bins (the paper's)",
    "rms_calibration_error_15": "RMS, 15 bins",
    "rms_calibration_error_equal_count_100": "RMS, 100 images a bin",
    "rms_calibration_error_equal_count_100_without_last": "RMS, 100 images, last bin out",
    "debiased_rms_calibration_error_10": "RMS, 10 bins, debiased",
    "expected_calibration_error_15": "Expected (ECE), 15 bins",
    "maximum_calibration_error_15": "Maximum (MCE), 15 bins",
    "signed_calibration_gap": "Signed gap",
}


@cache
def summarise_scores(dataset: str) -> pd.DataFrame:
    """Return every score of the arms of a data set.

    Returns
    -------
    DataFrame with row, column (clean, or the mean over the strengths of a corruption), score (a
    key of `LABELS`), mean (over seeds and strengths), deviation (sample standard deviation over
    seeds), floor (`metrics.Floor` of a calibration error, else None); without what the runs did
    not measure
    """
    rows = []
    for name, row in ARMS[dataset].items():
        predictions = read_predictions(name)
        for column in SHIFTS:
            places = predictions.find(dataset, column)
            if places is None:
                continue
            average = partial(_average, predictions, places=places)
            by_seed = spread(average, range(len(predictions.seeds)))
            for score in LABELS:
                values = [scores[score] for scores in by_seed]
                deviation = np.std(values, ddof=1) if len(values) > 1 else np.nan
                calibration = score in metrics.CALIBRATION_SCORES
                floor = find_floor(dataset, row, column, score) if calibration else None
                rows.append((row, column, score, np.mean(values), deviation, floor))
    names = ["row", "column", "score", "mean", "deviation", "floor"]
    return pd.DataFrame(rows, columns=names)


def _average(predictions: Predictions, seed: int, places: list[int]) -> dict[str, float]:
    """Return the mean of each score over some conditions of a run."""
    scores = []
    for place in places:
        pair = predictions.confidence[seed, place], predictions.correct[seed, place]
        calibration = {name: score(*pair) for name, score in metrics.CALIBRATION_SCORES.items()}
        scores.append(predictions.scores[seed][place] | calibration)
    return {name: float(np.mean([part[name] for part in scores])) for name in LABELS}


def show_scores(dataset: str) -> Markdown:
    """Return every score as a table: a row a score, grouped by shift, a column an arm."""
    arms = ARMS[dataset].values()
    rows = [["Score", *arms], [":--", *["--:"] * len(arms)]]
    for column, group in summarise_scores(dataset).groupby("column", sort=False):
        rows.append([f"*{column}*", *[""] * len(arms)])
        cells = {(cell.score, cell.row): _print(cell) for cell in group.itertuples()}
        for score, label in LABELS.items():
            texts = [cells.get((score, row), "not measured") for row in arms]
            rows.append([label, *texts])
    caption = (
        f"Scores on {describe_data(dataset)}: {describe_spread(dataset)}, and the noise floor of a"
        " calibration error"
    )
    facts = map(_list, summarise_scores(dataset).itertuples())
    table = write_listing(f"{dataset}-scores", caption, rows, facts, "These scores")
    return Markdown("\n\n".join([table, *explain_floors(dataset)]))


def _list(cell) -> dict[str, str]:
    return {
        "model": cell.row,
        "column": cell.column,
        "score": LABELS[cell.score],
        "mean": print_number(cell.mean, 3),
        "deviation": print_number(cell.deviation, 3),
        **print_floor_numbers(cell.floor, 3),
    }


def _print(cell) -> str:
    sign = "+" if cell.score == "signed_calibration_gap" else ""
    text = print_spread(cell.mean, cell.deviation, 3, sign)
    if cell.floor is not None:
        text += f" {print_floor(cell.mean, cell.floor, 3)}"
    return text


def show_metrics(record: Record) -> Markdown:
    """Return the scores of one run, or of an ablation's variants, for its own notebook."""
    measured, data = record.metrics, record.run["data"]
    heads = ["Corruption", "Strength", "Accuracy (%)", "RMS calibration error", "Noise floor"]
    rows = [heads, [":--", *["--:"] * 4]]
    for row in measured.itertuples():
        strength = "" if np.isnan(row.strength) else f"{row.strength:g}"
        mark = "\xa0◦" if row.rms_calibration_error <= row.noise_floor_95 else ""
        error = f"{row.rms_calibration_error:.3f}{mark}"
        floor = f"{row.noise_floor:.3f}\xa0({row.noise_floor_95:.3f})"
        rows.append([row.corruption, strength, f"{100 * row.accuracy:.1f}", error, floor])
    if "variant" in measured:
        for head, row in zip(("Variant", ":--", *measured["variant"]), rows, strict=True):
            row.insert(0, quote(head))
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    return Markdown(f"*Seed {record.seed} on {quote(data['name'])}.*\n\n{table}")
