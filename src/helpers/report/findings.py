"""Sentences on what the runs found, whose every number and comparison comes from them."""

import numpy as np
import pandas as pd
from IPython.display import Markdown

from .contrasts import LEVEL, UNITS, compare, list_contrasts
from .paper import DIGITS, SHIFTS
from .source import ARMS
from .tables import print_spread, summarise

#: Table of the accuracy by corruption; the one after it holds the calibration error.
ACCURACY = {"pathmnist": 1, "pets": 5}


#: What a corruption costs, of the first of several.
FIRST_LOSS = "{} costs {} to {} points of accuracy (paper: {} to {})"


def show_findings(dataset: str) -> Markdown:
    """Return what the runs of a data set found, a bullet a question."""
    differences = compare(dataset, list_contrasts(dataset))
    bullets = [
        f"**Clear differences.** {count_clear(differences)}{_list_clear(differences)}",
        *(_list_losses(dataset, shift) for shift in SHIFTS if shift != "Clean"),
        f"**Not distinguishable from calibrated** (◦): {_list_calibrated(dataset)}.",
    ]
    return Markdown("\n".join(f"- {bullet}" for bullet in bullets))


def count_clear(table: pd.DataFrame) -> str:
    """Return how many of the differences of `contrasts.compare` chance does not explain."""
    untold, clear = int(table["p_value"].isna().sum()), int(table["clear"].sum())
    of = f"{len(table)} differences between models"
    if untold == len(table):
        return f"None of {of} can be told from chance: that takes two seeds in common."
    rest = f", {untold} cannot be told" if untold else ""
    return f"Of {of}, {clear or 'none'} {'is' if clear < 2 else 'are'} clear (p < {LEVEL}){rest}."


def name_largest(table: pd.DataFrame) -> str:
    """Return the largest clear difference in accuracy as a sentence; empty if there is none."""
    clear = table[table["clear"]].itertuples()
    rows = [row for row in clear if row.contrast.metric == "accuracy_percent"]
    if not rows:
        return ""
    row = max(rows, key=lambda row: abs(row.mean))
    better, worse = row.contrast[1:3] if row.mean > 0 else row.contrast[2:0:-1]
    size = f"{abs(row.mean):.1f} points ({SHIFTS[row.column]})"
    return f" In accuracy the largest: {better} over {worse} by {size}."


def _list_clear(table: pd.DataFrame) -> str:
    """Return the clear differences, a sentence a metric."""
    told: dict[str, dict[str, list[str]]] = {}
    for row in table[table["clear"]].itertuples():
        size = print_spread(row.mean, np.nan, DIGITS[row.contrast.metric], "+")
        pairs = told.setdefault(UNITS[row.contrast.metric], {})
        pairs.setdefault(row.contrast.label, []).append(f"{size} {SHIFTS[row.column]}")
    sentences = (
        "; ".join(f"{label} {', '.join(sizes)}" for label, sizes in pairs.items())
        for pairs in told.values()
    )
    return "".join(f" {unit}: {text}." for unit, text in zip(told, sentences, strict=True))


def find_losses(dataset: str, shift: str, values: str) -> dict[str, float]:
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
        here, paper = (
            pd.Series(find_losses(dataset, shift, values)).agg(["min", "max"])
            for values in ("mean", "value")
        )
        ends = [print_spread(end, np.nan, 1) for end in (*here, *paper)]
        first = not any(" costs " in text for text in texts)
        form = FIRST_LOSS if first else "{} {} to {} ({} to {})"
        known = here.notna().all()
        texts.append(form.format(name, *ends) if known else f"{name} was not measured")
    return f"{', '.join(texts).capitalize()}."


def _list_losses(dataset: str, shift: str) -> str:
    """Return how many points of accuracy a corruption takes from each row."""
    here, paper = (
        "; ".join(
            f"{row}: {print_spread(loss, np.nan, 1)}"
            for row, loss in find_losses(dataset, shift, values).items()
        )
        for values in ("mean", "value")
    )
    title = f"**Points of accuracy lost to {SHIFTS[shift]}**"
    note = "(mean over its strengths, before rounding)"
    return f"{title} {note}. Here: {here}. In the paper: {paper}."


def _list_calibrated(dataset: str) -> str:
    """Return the rows whose calibration error lies within its noise floor, by shift."""
    errors = summarise().query(f"table == {ACCURACY[dataset] + 1}")
    texts = []
    for shift, name in SHIFTS.items():
        cells = [cell for cell in errors.itertuples() if cell.column == shift and cell.floor]
        rows = [cell.row for cell in cells if cell.floor.covers(cell.mean)]
        found = " and ".join(rows) or "none"
        texts.append(f"{name}, {found if cells else 'not measured'}")
    return "; ".join(texts)
