"""The paper's tables and the authors' training logs."""

from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd

from helpers.catalogue import CORRUPTIONS

REFERENCE = Path(__file__).parent / "reference"

#: Measures of the training (shift "training") from a run's history: the mean gap over the second
#: half of the epochs; the mean fall of validation accuracy per epoch, a rise being 0, so that fast
#: learning is not noise (NaN for one epoch); and its mean over the first five epochs.
TRAINING = {
    "train_validation_gap": lambda history: float(
        (history["train_accuracy"] - history["validation_accuracy"])[len(history) // 2 :].mean()
    ),
    "validation_falls": lambda history: float(
        -history["validation_accuracy"].diff().dropna().clip(upper=0).mean()
    ),
    "early_accuracy": lambda history: float(history["validation_accuracy"].head(5).mean()),
}

#: Keys of a value of the paper; strength is NaN for clean and for means over the strengths.
KEYS = ["dataset", "arm", "metric", "shift", "strength"]


@cache
def read_paper() -> pd.DataFrame:
    """Return the paper's 84 cells: table, `KEYS`, paper (a fraction), paper_bold."""
    cells = pd.read_csv(REFERENCE / "tables.csv", dtype={"paper_bold": bool})
    scale = np.where(cells["metric"] == "accuracy", 100, 1)  # accuracies are in percent, as printed
    return cells.assign(paper=cells["paper"] / scale)


@cache
def read_curves() -> pd.DataFrame:
    """Return the authors' training logs: row and, one epoch per row, the columns of a history."""
    curves = pd.read_csv(REFERENCE / "authors_curves.csv")
    return curves.rename(columns={"val_accuracy": "validation_accuracy"})


@cache
def read_values() -> pd.DataFrame:
    """Return paper and paper_bold by `KEYS`, also of lost accuracies and measures of training."""
    cells = read_paper()[[*KEYS, "paper", "paper_bold"]]
    accuracy = cells[cells["metric"] == "accuracy"].set_index(["dataset", "arm"])
    clean = accuracy[accuracy["shift"] == "clean"]["paper"]
    lost = accuracy[accuracy["shift"] != "clean"].assign(metric="accuracy_lost", paper_bold=False)
    lost["paper"] = (clean.reindex(lost.index) - lost["paper"]).round(6)
    curves = [
        ("pathmnist", arm, name, "training", np.nan, measure(history), False)
        for arm, history in read_curves().groupby("row", sort=False)
        for name, measure in TRAINING.items()
    ]
    return pd.concat([cells, lost.reset_index(), pd.DataFrame(curves, columns=cells.columns)])


@cache
def paper_strengths(dataset: str, shift: str) -> list[float]:
    """Return the strengths of a shift in the paper's tables; empty if it has none."""
    cells = read_paper().query("dataset == @dataset and shift == @shift")
    return sorted(cells["strength"].dropna().unique().tolist())


def parse_column(text: str) -> tuple[str, float | None]:
    """Return shift and strength of a column such as ``clean`` or ``brightness 0.8``."""
    shift, _, strength = text.partition(" ")
    if shift not in ("clean", *CORRUPTIONS):
        known = ", ".join(["clean", *CORRUPTIONS])
        raise ValueError(f"{text!r}: unknown shift; choose from {known}, then a strength or none")
    return shift, float(strength) if strength else None


def name_column(shift: str, strength: float | None = None) -> str:
    """Return the header of a column of any shift."""
    if strength is None:
        return shift.replace("_", " ").capitalize()
    symbol = CORRUPTIONS[shift].symbol if shift in CORRUPTIONS else ""
    return f"{symbol or shift} = {strength:g}"
