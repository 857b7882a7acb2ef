"""The paper's tables and training logs, and how its columns are made."""

from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd

from helpers.catalogue import CORRUPTIONS

REFERENCE = Path(__file__).parent / "reference"

#: Decimals that the paper prints.
DIGITS = {"accuracy_percent": 1, "rms_calibration_error": 3}

#: Largest value of a metric, in the paper's units; the smallest is 0.
LARGEST = {"accuracy_percent": 100.0, "rms_calibration_error": 1.0}

#: Corruption that a column of one strength or a mean over strengths stands for.
PREFIXES = {"f": "brightness", "sigma": "blur"}

#: The like, for a column that is the mean over its strengths.
MEANS = {"Brightness": "f", "Gaussian Blur": "sigma"}

#: Columns that stand for a shift as a whole, and how prose writes them.
SHIFTS = {"Clean": "clean", "Brightness": "brightness", "Gaussian Blur": "blur"}


@cache
def read_reference() -> pd.DataFrame:
    """Return the paper's 84 cells: table, dataset, metric, row, column, value, bold."""
    return pd.read_csv(REFERENCE / "tables.csv", dtype={"bold": bool})


@cache
def read_paper() -> pd.DataFrame:
    """Return the paper's 84 cells, tidy.

    Returns
    -------
    DataFrame with table, dataset, arm, metric (a name in `metrics.METRICS`), shift, strength (NaN:
    clean, or the mean over the strengths), paper (a fraction), bold
    """
    cells = read_reference().rename(columns={"row": "arm"})
    conditions = pd.DataFrame(map(parse_column, cells["column"]), columns=["shift", "strength"])
    percent = cells["metric"] == "accuracy_percent"
    cells["paper"] = np.where(percent, cells["value"] / 100, cells["value"])
    cells["metric"] = np.where(percent, "accuracy", "rms_calibration_error_10")
    return cells.drop(columns=["column", "value"]).join(conditions)


def parse_column(column: str) -> tuple[str, float]:
    """Return shift and strength of a column of the paper, such as ``Clean`` or ``sigma=0.3``."""
    if column in SHIFTS:
        return SHIFTS[column], np.nan
    prefix, strength = column.split("=")
    return PREFIXES[prefix], float(strength)


@cache
def paper_strengths(dataset: str, shift: str) -> list[float]:
    """Return the strengths of a shift in the paper's tables, empty where it has none."""
    cells = read_paper().query("dataset == @dataset and shift == @shift")
    return sorted(cells["strength"].dropna().unique().tolist())


@cache
def read_curves() -> pd.DataFrame:
    """Return the authors' training logs: row and, an epoch a row, the columns of a history."""
    curves = pd.read_csv(REFERENCE / "authors_curves.csv")
    return curves.rename(columns={"val_accuracy": "validation_accuracy"})


@cache
def list_conditions(dataset: str, column: str) -> list[tuple[str, float]]:
    """Return the conditions whose scores a column averages.

    Parameters
    ----------
    column : ``Clean``, ``Brightness``, ``Gaussian Blur``, ``f=0.8`` or ``sigma=0.3`` and such;
        a mean is over the strengths that have a column of their own in the paper
    """
    if column == "Clean":
        return [("clean", np.nan)]
    columns = [column]
    if column in MEANS:
        every = read_reference().query("dataset == @dataset").column.unique()
        columns = [name for name in every if name.startswith(f"{MEANS[column]}=")]
    parts = [name.split("=") for name in columns]
    return [(PREFIXES[prefix], float(strength)) for prefix, strength in parts]


@cache
def list_strengths(dataset: str, corruption: str) -> list[tuple[float, str]]:
    """Return the strengths of a corruption, each with its column; clean where it does nothing."""
    every = read_reference().query("dataset == @dataset").column.unique()
    prefix = next(prefix for prefix, name in PREFIXES.items() if name == corruption)
    parts = [(float(name.split("=")[1]), name) for name in every if name.startswith(f"{prefix}=")]
    return sorted([*parts, (CORRUPTIONS[corruption].neutral, "Clean")])
