"""Verdicts: words for what the runs say about a statement, a conclusion or a cell of the paper."""

import math

from .records import ENOUGH_SEEDS, dataset_title, describe_data, list_changes, shown_records
from .tidy import MEASURES

#: Verdict to its sign, so that none relies on colour.
SIGNS = {
    **{"holds": "✓", "fails": "✗", "inconclusive": "?"},
    **{"reproduced": "✓", "not reproduced": "✗", "consistent": "≈", "not consistent": "≠"},
}

#: Differences with a smaller p-value are called clear.
LEVEL = 0.05


def judge(row: dict) -> str:
    """Return whether a row of `estimates` reproduces the paper's value, "" if it cannot say."""
    dataset, arm = row["dataset"], row["arm"]
    if not row["n_seeds"] or math.isnan(row["paper"]) or reasons_not_comparable(dataset, arm):
        return ""
    if not row["spread_from"]:
        return "inconclusive"
    measure = MEASURES[row["metric"]]
    half = 0.5 * 10.0**-measure.digits / measure.factor  # of the last digit of the paper's value
    inside = row["predicted_low"] - half <= row["paper"] <= row["predicted_high"] + half
    full = "epochs" not in list_changes(shown_records(dataset)[arm][0])
    full = full and row["n_seeds"] >= ENOUGH_SEEDS
    return "not " * (not inside) + ("reproduced" if full else "consistent")


def reasons_not_comparable(dataset: str, label: str) -> list[str]:
    """Return why an arm's runs say nothing about the paper's values, apart from their epochs."""
    records, reasons = shown_records(dataset)[label], []
    if not all(record.data["official"] for record in records):
        return [f"the data are {describe_data(dataset)}, not {dataset_title(dataset)}"]
    if not all(record.weights["official"] for record in records):
        reasons.append("the initial weights are stand-ins")
    if names := [f"`{name}`" for name in list_changes(records[0]) if name != "epochs"]:
        reasons.append(f"parameters differ from the study's ({', '.join(names)})")
    return reasons


def judge_change(before: dict, after: dict) -> str:
    """Return whether a conclusion, the sign of a difference, survives a change of one arm."""
    if any(row["n_seeds"] < 2 or not row["low"] * row["high"] > 0 for row in (before, after)):
        return "inconclusive"
    return "holds" if before["mean"] * after["mean"] > 0 else "fails"


def print_verdict(word: str) -> str:
    """Return a verdict with its sign."""
    return f"{SIGNS[word]} {word}"


def print_p_value(value: float) -> str:
    """Return a p-value as tables print it."""
    return "p < 0.001" if value < 0.001 else "one seed" if math.isnan(value) else f"p = {value:.3f}"
