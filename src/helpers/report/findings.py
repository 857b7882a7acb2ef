"""Sentences on what the runs found, whose every number and comparison comes from them."""

import numpy as np
import pandas as pd
from IPython.display import Markdown

from .contrasts import compare, list_contrasts
from .paper import DIGITS, SHIFTS
from .source import ARMS
from .tables import summarise

#: Table of the accuracy by corruption; the one after it holds the calibration error.
ACCURACY = {"pathmnist": 1, "pets": 5}

#: Metric to what a sentence calls it, and its unit after a number.
NAMES = {"accuracy_percent": ("accuracy", " points"), "rms_calibration_error": ("RMS error", "")}


def show_findings(dataset: str) -> Markdown:
    """Return what the runs of a data set found, a bullet a question, with the paper's answer."""
    bullets = [
        f"**Differences that exceed chance.** {count_clear(dataset)}{_list_clear(dataset)}",
        *(_list_losses(dataset, shift) for shift in SHIFTS if shift != "Clean"),
        f"**Not distinguishable from calibrated** (◦): {_list_calibrated(dataset)}.",
    ]
    return Markdown("\n".join(f"- {bullet}" for bullet in bullets))


def count_clear(dataset: str) -> str:
    """Return how many of the differences between a data set's arms chance does not explain."""
    judged = _judge_differences(dataset)
    if judged.empty:
        return "One seed does not tell whether two models differ by more than chance."
    clear = int((judged["adjusted"] < 0.05).sum())
    if not clear:
        return f"None of {len(judged)} differences between models exceeds chance."
    verb = "exceeds" if clear == 1 else "exceed"
    return f"Of {len(judged)} differences between models, {clear} {verb} chance."


def name_largest(dataset: str) -> str:
    """Return the largest difference in accuracy that chance does not explain; empty if none is."""
    judged = _judge_differences(dataset)
    clear = judged[(judged["adjusted"] < 0.05) & (judged["metric"] == "accuracy_percent")]
    if clear.empty:
        return ""
    row = clear.loc[clear["mean"].abs().idxmax()]
    better, worse = row.contrast[1:3] if row["mean"] > 0 else row.contrast[2:0:-1]
    size = f"{abs(row['mean']):.1f} points ({SHIFTS[row.column]})"
    return f" The largest in accuracy: {better} beats {worse} by {size}."


def _judge_differences(dataset: str) -> pd.DataFrame:
    """Return the differences that have a p-value, adjusted over all: those of several seeds."""
    table = compare(dataset, list_contrasts(dataset))
    table["metric"] = [contrast.metric for contrast in table["contrast"]]
    return table[table["p_value"].notna()]


def _list_clear(dataset: str) -> str:
    """Return the differences that chance does not explain, by metric and pair of arms."""
    judged = _judge_differences(dataset)
    clear = judged[judged["adjusted"] < 0.05]
    text = ""
    for metric, group in clear.groupby("metric"):
        pairs = []
        for label, rows in group.groupby(group["contrast"].map(lambda pair: pair.label)):
            sizes = zip(rows["column"].map(SHIFTS), rows["mean"], strict=True)
            sizes = ", ".join(f"{mean:+.{DIGITS[metric]}f} {shift}" for shift, mean in sizes)
            pairs.append(f"{label} {sizes}".replace("-", "−"))
        name, unit = NAMES[metric]
        text += f" In {name}{f' ({unit.strip()})' * bool(unit)}: {'; '.join(pairs)}."
    return text


def _find_losses(dataset: str, shift: str, values: str) -> dict[str, float]:
    """Return the points of accuracy that a corruption takes from each row, NaN if not measured.

    Parameters
    ----------
    values : ``mean`` of the runs, or the paper's ``value``
    """
    cells = summarise().set_index(["table", "row", "column"]).sort_index()[values]
    accuracy = cells.loc[ACCURACY[dataset]]
    return {row: accuracy[row, "Clean"] - accuracy[row, shift] for row in ARMS[dataset].values()}


def span_losses(dataset: str) -> str:
    """Return the least and the most accuracy that each corruption takes, here and in the paper."""
    texts = []
    for shift, name in list(SHIFTS.items())[1:]:
        spans = []
        for values in ("mean", "value"):
            losses = _find_losses(dataset, shift, values).values()
            least, most = (f"{end(losses):z.1f}".replace("-", "−") for end in (min, max))
            spans.append("not measured" if np.isnan([*losses]).any() else f"{least} to {most}")
        texts.append((name, *spans))
    (first, here, paper), *others = texts
    text = f"{first.capitalize()} costs {here} points of accuracy (paper: {paper})"
    return ", ".join([text, *(f"{name} {here} ({paper})" for name, here, paper in others)]) + "."


def _list_losses(dataset: str, shift: str) -> str:
    """Return how many points of accuracy a corruption takes from each row."""
    points = {}
    for values in ("mean", "value"):
        points[values] = "; ".join(
            f"{row}: " + ("not measured" if np.isnan(loss) else f"{loss:z.1f}".replace("-", "−"))
            for row, loss in _find_losses(dataset, shift, values).items()
        )
    return (
        f"**Points of accuracy lost to {SHIFTS[shift]}** (mean over its strengths)."
        f" Here: {points['mean']}. In the paper: {points['value']}."
    )


def _list_calibrated(dataset: str) -> str:
    """Return the rows whose calibration error lies within its noise floor, by shift."""
    error = summarise().query(f"table == {ACCURACY[dataset] + 1}")
    texts = []
    for shift, name in SHIFTS.items():
        cells = error[error.column == shift]
        rows = [
            cell.row for cell in cells.itertuples() if cell.floor and cell.floor.covers(cell.mean)
        ]
        texts.append(f"{name}, {' and '.join(rows) or 'none'}")
    return "; ".join(texts)
