"""Differences between the arms of a data set, paired by seed and test image."""

from collections.abc import Iterable
from itertools import combinations
from typing import NamedTuple

import numpy as np
import pandas as pd
from IPython.display import Markdown

from helpers import metrics

from .cells import sample
from .downloads import print_number, write_listing
from .paper import DIGITS, SHIFTS
from .source import ARMS, describe_data

#: Adjusted p-values below it speak of a clear difference.
LEVEL = 0.05

UNITS = {"accuracy_percent": "Accuracy (points)", "rms_calibration_error": "RMS calibration error"}


class Contrast(NamedTuple):
    """One row of a data set's tables minus another; either may be taken at its temperature."""

    metric: str
    minuend: str
    subtrahend: str
    minuend_tempered: bool = False
    subtrahend_tempered: bool = False

    @property
    def label(self) -> str:
        """What a table calls it."""
        marks = [" at its temperature" if mark else "" for mark in self[3:]]
        return f"{self.minuend}{marks[0]} − {self.subtrahend}{marks[1]}"


def list_contrasts(dataset: str) -> list[Contrast]:
    """Return every pair of arms by both metrics: the later row of the paper minus the earlier."""
    pairs = list(combinations(ARMS[dataset].values(), 2))
    return [Contrast(metric, later, earlier) for metric in DIGITS for earlier, later in pairs]


def compare(dataset: str, contrasts: Iterable[Contrast]) -> pd.DataFrame:
    """Return contrasts on clean images and as means over the strengths of each corruption.

    Returns
    -------
    DataFrame with contrast, column, seeds (how many the two have in common; NaN if the runs did
    not measure the column), mean, low, high (95 % interval over seeds and test images, of this
    contrast alone), p_value, adjusted, the p-value by Holm's method over all rows, and clear,
    whether that is below `LEVEL`. With one seed the interval is over test images alone, and there
    is no p-value.
    """
    names = ["seeds", "mean", "low", "high", "p_value"]
    rows = []
    for contrast in contrasts:
        metric, minuend, subtrahend, *tempered = contrast
        for column in SHIFTS:
            first = sample(dataset, metric, minuend, column, tempered[0])
            second = sample(dataset, metric, subtrahend, column, tempered[1])
            row = {"contrast": contrast, "column": column} | dict.fromkeys(names, np.nan)
            if first and second:
                row["seeds"] = len(set(first.seeds) & set(second.seeds))
            if row["seeds"] > 0:
                found = (first - second).estimate()
                row |= {"mean": found.mean, "low": found.low, "high": found.high}
            if row["seeds"] > 1:
                row["p_value"] = found.p_value
            rows.append(row)
    table = pd.DataFrame(rows)
    known = table["p_value"].notna()
    table.loc[known, "adjusted"] = metrics.holm(table["p_value"][known])
    table["clear"] = table["adjusted"] < LEVEL
    return table


def show_contrasts(dataset: str) -> Markdown:
    """Return the differences of all arms of a data set as a table."""
    table = compare(dataset, list_contrasts(dataset))
    title = f"Differences between the arms on {describe_data(dataset)}"
    return Markdown(tabulate(table, f"{dataset}-differences", title))


def tabulate(table: pd.DataFrame, name: str, title: str) -> str:
    """Return contrasts as a Markdown table; what chance does not explain is bold and starred.

    Parameters
    ----------
    table : as of `compare`
    name : of the files that hold it, to be offered below
    title : what differs, for their caption
    """
    rows = [["Difference", *SHIFTS], [":--", *["--:"] * len(SHIFTS)]]
    heading = None
    for contrast in table["contrast"].unique():
        group = table[[other == contrast for other in table["contrast"]]]
        if contrast.metric != heading:
            heading = contrast.metric
            rows.append([f"*{UNITS[heading]}*", *[""] * len(SHIFTS)])
        cells = [_cell(row, DIGITS[heading]) for row in group.itertuples()]
        rows.append([contrast.label, *cells])
    caption = f"{title}, with 95 % interval and p-value by Holm's method; bold and *: p < {LEVEL}"
    facts = map(_list, table.itertuples())
    return write_listing(name, caption, rows, facts, "These differences")


def _list(row) -> dict[str, str]:
    digits = DIGITS[row.contrast.metric]
    numbers = {name: print_number(getattr(row, name), digits) for name in ("mean", "low", "high")}
    return {
        "metric": row.contrast.metric,
        "difference": row.contrast.label,
        "column": row.column,
        "seeds": print_number(row.seeds, 0),
        **numbers,
        "p_adjusted": "" if np.isnan(row.adjusted) else f"{row.adjusted:.3g}",
    }


def _cell(row, digits: int) -> str:
    if np.isnan(row.mean):
        return "no seed in common" if row.seeds == 0 else "not measured"
    mean = f"{row.mean:+z.{digits}f}"
    p_value = "one seed" if row.seeds == 1 else print_p_value(row.adjusted)
    interval = f"{row.low:+z.{digits}f} to {row.high:+z.{digits}f}, {p_value}"
    text = f"**{mean}** \\*" if row.clear else mean
    return f"{text} [{interval}]{{.interval}}".replace("-", "−")


def print_p_value(value: float) -> str:
    """Return a p-value as tables print it."""
    return "p < 0.001" if value < 0.001 else f"p = {value:.3f}"
