"""Sentences whose every number and comparison comes from the runs."""

import numpy as np
import pandas as pd
from IPython.display import Markdown

from .assessment import judge_claims
from .claims import count_verdicts
from .paper import SHIFTS
from .source import DATASETS
from .tables import summarise
from .verdicts import SIGNS, why_withheld

#: Table of the accuracy by corruption; the one after it holds the calibration error.
ACCURACY = {"pathmnist": 1, "pets": 5}


def show_findings(dataset: str) -> Markdown:
    """Return what the runs of a data set found, a bullet a question, with the paper's answer."""
    cells = summarise()
    accuracy = cells[cells.table == ACCURACY[dataset]]
    error = cells[cells.table == ACCURACY[dataset] + 1]
    bullets = [
        "**Accuracy on clean images.** " + _extremes(accuracy, "{:.1f} %"),
        *(_losses(accuracy, shift) for shift in SHIFTS if shift != "Clean"),
        "**Calibration error on clean images.** " + _extremes(error, "{:.3f}"),
    ]
    return Markdown("\n".join(f"- {bullet}" for bullet in bullets))


def _extremes(cells: pd.DataFrame, unit: str) -> str:
    """Return which rows are highest and lowest on clean images, here and in the paper."""
    clean = cells[cells.column == "Clean"]
    sides = []
    for values in ("mean", "value"):
        ordered = clean.sort_values(values, ascending=False, kind="stable")
        ends = []
        for word, cell in [("highest", ordered.iloc[0]), ("lowest", ordered.iloc[-1])]:
            floor = _describe_floor(cell) if values == "mean" and cell.floor else ""
            ends.append(f"{word} {unit.format(cell[values])} ({cell.row}{floor})")
        sides.append(", ".join(ends))
    return f"Here: {sides[0]}. In the paper: {sides[1]}."


def _describe_floor(cell: pd.Series) -> str:
    mark = ", ◦ as calibrated" if cell.floor.covers(cell["mean"]) else ""
    return f"; noise floor {cell.floor.mean:.3f} (to {cell.floor.high:.3f}){mark}"


def _losses(cells: pd.DataFrame, shift: str) -> str:
    """Return how many points of accuracy a corruption takes from each row."""
    clean = cells[cells.column == "Clean"].set_index("row")
    shifted = cells[cells.column == shift].set_index("row")
    points = {}
    for values in ("mean", "value"):
        losses = clean[values] - shifted[values]
        points[values] = "; ".join(
            f"{row}: " + ("not measured" if np.isnan(loss) else f"{loss:.1f}")
            for row, loss in losses.items()
        )
    return (
        f"**Points of accuracy lost to {SHIFTS[shift]}** (mean over its strengths)."
        f" Here: {points['mean']}. In the paper: {points['value']}."
    )


def show_agreement() -> Markdown:
    """Return how many of the paper's cells the runs reproduce, or that this is not judged.

    A last line counts the verdicts on the paper's statements.
    """
    cells = summarise()
    parts = []
    for dataset, name in DATASETS.items():
        own = cells[cells.dataset == dataset]
        if reasons := why_withheld(dataset):
            text = f"{{doc}}`no verdict </results/{dataset}>` on the paper's {len(own)} cells:"
            text += f" {reasons[0]}"
        else:
            counts = own.verdict.value_counts().reindex(list(SIGNS), fill_value=0)
            told = ", ".join(f"{SIGNS[word]} {number} {word}" for word, number in counts.items())
            columns = own.groupby(["table", "column"])
            same = sum(bool((column.best & column.paper_best).any()) for _, column in columns)
            text = f"of the paper's {len(own)} cells, {told}. The best row is the paper's in {same}"
            text += f" of {len(columns)} columns"
        parts.append(f"- **{name}**: {text}.")
    count = f"- {{doc}}`The paper's statements </claims>`, in {len(judge_claims())} readings"
    parts.append(f"{count}: {count_verdicts()}")
    if any(map(why_withheld, DATASETS)):
        parts[-1] += " These runs stand in for the study: their count says nothing about the paper."
    if not all(map(why_withheld, DATASETS)):
        parts[-1] += " {ref}`What the words mean <reproduced>`."
    return Markdown("\n".join(parts))
