"""The paper's tables and the authors' training logs."""

from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd

REFERENCE = Path(__file__).parent / "reference"

#: Shift to its column in the paper's tables: as a mean over strengths, and before a strength.
COLUMNS = {
    "clean": ("Clean", ""),
    "brightness": ("Brightness", "f"),
    "blur": ("Gaussian Blur", "σ"),
}


@cache
def read_paper() -> pd.DataFrame:
    """Return the paper's 84 cells, tidy.

    Returns
    -------
    DataFrame with table, dataset, arm, metric (a name in `metrics.METRICS`), shift, strength (NaN:
    clean, or the mean over the strengths), paper (a fraction), bold, column
    """
    cells = pd.read_csv(REFERENCE / "tables.csv", dtype={"bold": bool})
    cells = cells.rename(columns={"row": "arm", "value": "paper"})
    conditions = pd.DataFrame(map(parse_column, cells["column"]), columns=["shift", "strength"])
    percent = cells["metric"] == "accuracy_percent"
    cells["paper"] = np.where(percent, cells["paper"] / 100, cells["paper"])
    cells["metric"] = np.where(percent, "accuracy", "rms_calibration_error_10")
    return cells.join(conditions.astype({"strength": float}))


def parse_column(column: str) -> tuple[str, float | None]:
    """Return shift and strength of a column of the paper, such as ``Clean`` or ``sigma=0.3``."""
    for shift, (title, prefix) in COLUMNS.items():
        if column == title:
            return shift, None
        if prefix and column.startswith((f"{prefix}=", "sigma=" if prefix == "σ" else "=")):
            return shift, float(column.split("=")[1])
    raise ValueError(f"{column!r} is not a column; write Clean, Brightness, f=0.8 or sigma=0.3")


def name_column(shift: str, strength: float | None = None) -> str:
    """Return the head of a column of any shift."""
    title, prefix = COLUMNS.get(shift, (shift.replace("_", " ").capitalize(), shift))
    return title if strength is None else f"{prefix} = {strength:g}"


@cache
def paper_strengths(dataset: str, shift: str) -> list[float]:
    """Return the strengths of a shift in the paper's tables, empty where it has none."""
    cells = read_paper().query("dataset == @dataset and shift == @shift")
    return sorted(cells["strength"].dropna().unique().tolist())


@cache
def _index() -> dict[tuple, tuple[float, bool]]:
    """Return (dataset, arm, metric, shift, strength or None) to value and bold."""
    cells = read_paper()[["dataset", "arm", "metric", "shift", "strength", "paper", "bold"]]
    strengths = cells["strength"].astype(object).where(cells["strength"].notna(), None)
    rows = cells.assign(strength=strengths).itertuples(index=False, name=None)
    return {row[:5]: row[5:] for row in rows}


def read_cell(*key) -> float:
    """Return the paper's value of a data set, arm, metric, shift and strength; NaN for none."""
    return _index().get(key, (np.nan, False))[0]


def is_bold(row: dict) -> bool:
    """Return whether the paper prints a row of the estimates in bold."""
    key = tuple(row[name] for name in ("dataset", "arm", "metric", "shift", "strength"))
    return _index().get(key, (np.nan, False))[1]


@cache
def read_curves() -> pd.DataFrame:
    """Return the authors' training logs: row and, one epoch per row, the columns of a history."""
    curves = pd.read_csv(REFERENCE / "authors_curves.csv")
    return curves.rename(columns={"val_accuracy": "validation_accuracy"})
