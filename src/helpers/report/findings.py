"""Sentences whose every number and comparison comes from the runs."""

import pandas as pd
from IPython.display import Markdown

from .source import ARMS, DATASETS, shown_records
from .tables import summarise

#: Table of the accuracy by corruption; the one after it holds the calibration error.
ACCURACY = {"pathmnist": 1, "pets": 5}

#: Columns that average over a corruption's strengths, as prose writes them.
SHIFTS = {"Brightness": "brightness", "Gaussian Blur": "Gaussian blur"}


def show_findings(dataset: str) -> Markdown:
    """Return what the runs of a data set found, a bullet a question, with the paper's answer."""
    cells = summarise()
    accuracy = cells[cells.table == ACCURACY[dataset]]
    error = cells[cells.table == ACCURACY[dataset] + 1]
    bullets = [
        "**Accuracy on clean images.** " + _extremes(accuracy, "{:.1f} %"),
        *(_losses(accuracy, shift) for shift in SHIFTS),
        "**Calibration error on clean images.** " + _extremes(error, "{:.3f}"),
    ]
    return Markdown("\n".join(f"- {bullet}" for bullet in bullets))


def _extremes(cells: pd.DataFrame, unit: str) -> str:
    """Return which rows are highest and lowest on clean images, here and in the paper."""
    clean = cells[cells.column == "Clean"]
    sides = []
    for values in ("mean", "value"):
        ordered = clean.sort_values(values, ascending=False, kind="stable")
        first, last = ordered.iloc[0], ordered.iloc[-1]
        sides.append(
            f"highest {unit.format(first[values])} ({first.row}),"
            f" lowest {unit.format(last[values])} ({last.row})"
        )
    return f"Here: {sides[0]}. In the paper: {sides[1]}."


def _losses(cells: pd.DataFrame, shift: str) -> str:
    """Return how many points of accuracy a corruption takes from each row."""
    clean = cells[cells.column == "Clean"].set_index("row")
    shifted = cells[cells.column == shift].set_index("row")
    points = {}
    for values in ("mean", "value"):
        losses = clean[values] - shifted[values]
        points[values] = "; ".join(f"{row}: {loss:.1f}" for row, loss in losses.items())
    return (
        f"**Points of accuracy lost to {SHIFTS[shift]}** (mean over its strengths)."
        f" Here: {points['mean']}. In the paper: {points['value']}."
    )


def show_agreement() -> Markdown:
    """Return in how many columns of the tables the best row is the paper's."""
    cells = summarise()
    sentences = []
    for dataset, name in DATASETS.items():
        columns = cells[cells.dataset == dataset].groupby(["table", "column"])
        same = sum(bool((column.best & column.paper_best).any()) for _, column in columns)
        sentences.append(
            f"In the tables of {name} the best row is the paper's in {same} of {len(columns)}"
            " columns."
        )
    if replaced := [name for key, name in DATASETS.items() if uses_other_data(key)]:
        sentences.append(
            f"The runs used other data than {' and '.join(replaced)} as published: such agreement,"
            " or its lack, says nothing about the paper."
        )
    return Markdown(" ".join(sentences))


def uses_other_data(dataset: str) -> bool:
    """Return whether a run of a data set was made from other data than the published."""
    records = [record for name in ARMS[dataset] for record in shown_records()[name]]
    return not all(record.run["data"]["official"] for record in records)
